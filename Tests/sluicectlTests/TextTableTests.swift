import PostgresClient
import Terminal
import Testing

@testable import sluicectl

@Suite struct TextTableTests {
    private func table(_ columns: [(String, Bool)], _ rows: [[String]]) -> TextTable {
        TextTable(columns: columns.map { TextTable.Column(name: $0.0, isNumber: $0.1) }, rows: rows)
    }

    @Test func fullWidth() {
        let text = table([("name", false), ("n", true)], [["a", "1"], ["bcdefg", "20"]]).rendered(width: nil)
        #expect(text == "name     n\na        1\nbcdefg  20\n")
    }

    @Test(arguments: [20, 30, 40, 79, 80]) func fits(width: Int) {
        let columns = (0..<12).map { ("column\($0)", $0 % 3 == 0) }
        let rows = (0..<5).map { row in (0..<12).map { "value \(row) of \($0) ééé 漢字" } }
        for line in table(columns, rows).rendered(width: width).split(separator: "\n") {
            #expect(TerminalText.width(String(line)) <= width)
        }
    }

    @Test func whatSaysNothingGoesFirst() {
        let text = table([("name", false), ("user", false), ("zero", true), ("empty", false), ("n", true)], [["app", "u", "0", "", "7"]])
            .rendered(width: 14)
        #expect(text.hasPrefix("name  user  n\napp   u     7\n"))
        #expect(text.contains("zero") && text.contains("empty"))
    }

    @Test func hostileTextStaysInItsCell() {
        var result = QueryResult()
        result.columns = [.init(name: "application_name", type: 25)]
        result.rows = [["a\u{1b}[2J\r\nb\u{202e}"], [nil]]
        let text = TextTable(result).rendered(width: 80)
        #expect(text == "application_name\na\\x1b[2J\\r\\nb\\u{202e}\n\n")
    }

    @Test func json() {
        var result = QueryResult()
        result.columns = [.init(name: "n", type: 23), .init(name: "x", type: 1700), .init(name: "t", type: 25)]
        result.rows = [["1", "1.50", "a\"\\\n\u{1}"], [nil, "NaN", "007"], ["-3", "0.0", ""]]
        #expect(
            JSONAnswer.rows(result)
                == #"[{"n":1,"x":1.50,"t":"a\"\\\n\u0001"},"# + "\n" + #"{"n":null,"x":"NaN","t":"007"},"# + "\n"
                + #"{"n":-3,"x":0.0,"t":""}]"# + "\n")
        #expect(!JSONAnswer.isNumber("01") && !JSONAnswer.isNumber("1.") && !JSONAnswer.isNumber("") && JSONAnswer.isNumber("0"))
    }

    @Test func keysInPieces() {
        var parser = KeyParser()
        #expect(parser.parse([0x1B]) == [])
        #expect(parser.parse([UInt8(ascii: "[")]) == [])
        #expect(parser.parse([UInt8(ascii: "A"), UInt8(ascii: "q")]) == [.up, .character("q")])
        #expect(parser.parse(Array("é".utf8)) == [.character("é")])
        #expect(parser.parse([0x1B, UInt8(ascii: "["), UInt8(ascii: "5"), UInt8(ascii: "~"), 3]) == [.pageUp, .control("c")])
        #expect(parser.parse([0x1B]) == [])
        #expect(parser.flush() == [.escape])
    }
}
