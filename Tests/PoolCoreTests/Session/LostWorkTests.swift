import PostgresWire
import Testing

@testable import PoolCore

/// What may be cancelled because nobody can ever see that it was not done.
@Suite struct LostWorkTests {
    @Test(arguments: [
        "select 1", "  insert into t values (1);  ", "/* commit */ select 1", "-- end\nupdate t set i = 1", "select 1; select 2",
        "(select 1)", "call p()", "savepoint a", "",
    ])
    func lostInABlock(_ text: String) {
        #expect(LostWork.isCertain(text: Array(text.utf8)[...], isInBlock: true))
    }

    @Test(arguments: [
        "commit", "COMMIT;", " End", "/* a /* b */ */ commit", "-- x\nabort", "rollback", "prepare transaction 'a'",
        "select 1; commit", "select ';'; select 'end'", "rollback; insert into t values (1)", "select 1;cOmMiT and chain",
        "select '\\'; commit; --'", "/* never closed commit",
    ])
    func notLostInABlock(_ text: String) {
        #expect(!LostWork.isCertain(text: Array(text.utf8)[...], isInBlock: true))
    }

    @Test(arguments: ["select 1", "insert into t values (1)", "with a as (select 1) select * from a", "VALUES (1)"])
    func lostInABatch(_ text: String) {
        #expect(LostWork.isCertain(text: Array(text.utf8)[...], isInBlock: false))
    }

    @Test(arguments: ["vacuum", "call p()", "commit", "create index concurrently a on t(i)", "do 'x'", "select 1; select 2", ""])
    func notLostInABatch(_ text: String) {
        #expect(!LostWork.isCertain(text: Array(text.utf8)[...], isInBlock: false))
    }

    @Test func aTextThatIsTooLongIsNotKnown() {
        #expect(!LostWork.isCertain(text: Array("select '\(String(repeating: "x", count: 20_000))'".utf8)[...], isInBlock: true))
    }
}
