import PostgresWire
import Testing

@Suite struct StatementShapeTests {
    private func shape(_ text: String, escapes: Bool = false) -> StatementShape {
        let bytes = Array(text.utf8)
        return StatementShape.read(bytes.span, 0..<bytes.count, escapes: escapes)
    }

    @Test(
        "parameters are counted as PostgreSQL counts them: by the highest number",
        arguments: [
            ("select 1", 0), ("select $1", 1), ("insert into t values ($2, $1)", 2), ("select $3::int", 3), ("select '$2', $1", 1),
            ("select \"$2\", $1 -- $4", 1), ("select $1 /* $2 /* $3 */ */", 1), ("select $a$ $7 $a$, $1", 1), ("select $$ $7 $$", 0),
            ("", 0),
            ("select E'\\' $2', $1", 1), ("select a$1", 0),
        ])
    func parameters(text: String, count: Int) {
        #expect(shape(text).parameters == count)
    }

    @Test("what can't be read has no known number")
    func unreadable() {
        #expect(shape("select $99999999999999999999").parameters == nil)
        #expect(shape("select 'open $1").parameters == nil)
        #expect(shape("select '\\' $1', '$2'", escapes: false).parameters == nil)
        #expect(shape("select '\\' $1', '$2'", escapes: true).parameters == 0)
    }

    @Test(
        "statements that return no rows for certain",
        arguments: [
            ("insert into t values (1)", true), ("INSERT into t values (1) returning a", false), ("update t set a = 1", true), ("", true),
            (" ; -- nothing", true), ("select 1", false), ("with x as (select 1) insert into t select 1", false), ("begin", true),
            ("fetch 1 from c", false), ("show all", false), ("create table t(a int)", true), ("call p()", false), ("(select 1)", false),
        ])
    func columns(text: String, hasNone: Bool) {
        #expect(shape(text).hasNoColumns == hasNone)
    }

    @Test("ranges that are not there are no shape")
    func ranges() {
        let bytes: [UInt8] = [36, 49]
        #expect(StatementShape.read(bytes.span, 0..<9, escapes: false).parameters == nil)
    }

    @Test("a name that is cut is found, whether or not it is in quotes")
    func cutNames() {
        func mayBeCut(_ text: String) -> Bool {
            let bytes = Array(text.utf8)
            return Identifier.mayBeCut(bytes.span, 0..<bytes.count)
        }
        let long = String(repeating: "x", count: 64)
        #expect(mayBeCut("select 1 as \(long)") && mayBeCut("select 1 as \"\(String(repeating: "y ", count: 32))\""))
        #expect(
            !mayBeCut("select 1 as \(long.dropLast())") && !mayBeCut("select \(Array(repeating: "a", count: 100).joined(separator: ", "))"))
        let name: [UInt8] = Array("abc".utf8)
        let isOutside = Identifier.mayBeCut(name.span, 0..<9)
        #expect(!isOutside)
    }
}

@Suite struct BindCountsTests {
    @Test("counts of formats and values, if they are all here")
    func counts() {
        let bytes: [UInt8] = [0, 2, 0, 1, 0, 0, 0, 3, 9]
        #expect(BindCounts.read(bytes.span, from: 0, to: 9) == BindCounts(formats: 2, values: 3))
        #expect(
            BindCounts.read(bytes.span, from: 0, to: 7) == nil
                && BindCounts.read(bytes.span, from: 4, to: 9) == BindCounts(formats: 0, values: 3))
        #expect(BindCounts.read(bytes.span, from: 8, to: 9) == nil && BindCounts.read(bytes.span, from: 1, to: 9) == nil)
    }
}

@Suite struct ParameterDescriptionTests {
    @Test("the types, up to a number of them")
    func types() {
        let bytes: [UInt8] = [0, 2, 0, 0, 0, 23, 0, 0, 1, 0]
        #expect(ParameterDescription.types(bytes.span, body: 0..<10, atMost: 2) == [23, 256])
        #expect(ParameterDescription.types(bytes.span, body: 0..<10, atMost: 1) == nil)
        #expect(ParameterDescription.types(bytes.span, body: 0..<12, atMost: 2) == nil)
        #expect(ParameterDescription.types(Array(bytes.prefix(8)).span, body: 0..<8, atMost: 2) == nil)
    }
}
