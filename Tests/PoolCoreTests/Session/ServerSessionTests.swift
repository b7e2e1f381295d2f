import ModelPostgres
import PostgresWire
import Testing

@testable import PoolCore

/// The cases in which poolers fail drivers, on two servers that are sure to be changed between transactions.
@Suite struct ServerSessionTests {
    private let relay = Relay(servers: 2)
    private let a = ModelClient("a")
    private let b = ModelClient("b")

    private func settle() throws {
        try relay.settleAll(a, b)
        try relay.check(a)
        try relay.check(b)
        // Whoever comes next gets the other server.
        relay.servers.reverse()
    }

    @Test("the unnamed statement lives across a Sync and a change of server, beside another client's")
    func unnamedAcrossSync() throws {
        a.send(parse("", "select a"), describe(""), sync)
        b.send(parse("", "select b"), describe(""), sync)
        try settle()
        for _ in 0..<3 {
            a.send(bind("", "1"), execute(), sync)
            b.send(bind("", "2"), execute(), sync)
            try settle()
        }
    }

    @Test("a Parse that failed does not take away what the same text means since")
    func failedParseAndTheSameAgain() throws {
        a.send(parse("r", "rollback"), sync)
        try settle()
        for between in [[], [parse("n", "select 2")]] {
            a.send(query("begin"), query("fail x"))
            try settle()
            a.send(parse("", "select 1"), sync, bind("r"), execute(), sync)
            for message in between { a.send(message) }
            a.send(parse("", "select 1"), sync)
            try settle()
            a.send(bind(""), execute(), sync)
            try settle()
            #expect(a.got.suffix(2) == ["C SELECT 1.", "Z I"])
        }
    }

    @Test("where statements are not mapped, a RESET reaches the server as it is", arguments: [true, false])
    func resetUnmapped(_ maps: Bool) throws {
        let parameters = ParameterTable()
        var session = ServerSession(settings: ServerParameters(empty: parameters.empty))
        session.begin(isShared: true)
        var client = ClientSession()
        client.startup = parameters.intern(
            reported: [Parameter(name: "application_name", value: "a")], unreported: [], byServer: false)
        let reset = query("reset application_name")
        guard case .frame(let frame) = peekFrame(reset.span, at: 0) else { return }
        let rules = ServerSession.Rules(mapsStatements: maps, statementLimit: 100)
        let action = session.judge(frame, reset.span, at: 0, client: &client, rules: rules, table: StatementTable())
        switch action {
        case .send(let messages): #expect(maps && String(decoding: messages, as: UTF8.self).contains("TO 'a'"))
        case .forward: #expect(!maps)
        default: Issue.record("\(action)")
        }
    }

    @Test("a failed Parse leaves the name free")
    func failedParse() throws {
        a.send(parse("s", "syntax error"), sync)
        try settle()
        a.send(parse("s", "select 1"), bind("s"), execute(), sync)
        try settle()
    }

    @Test("a duplicate name is 42P05, and a session goes on")
    func duplicateName() throws {
        a.send(parse("s", "select 1"), sync, parse("s", "select 2"), sync)
        try settle()
        #expect(a.got.contains("E 42P05"))
        a.send(bind("s"), execute(), sync)
        try settle()
    }

    @Test("DEALLOCATE of a name inside a transaction keeps the transaction's work")
    func deallocateInTransaction() throws {
        a.send(parse("s", "insert x"), sync, query("begin"), bind("s"), execute(), sync, query("deallocate s"), query("commit"))
        try settle()
        #expect(relay.servers.flatMap(\.postgres.committed) == ["insert x"])
        a.send(bind("s"), sync)
        try settle()
        #expect(a.got.suffix(2) == ["E 26000", "Z I"])
    }

    @Test("DEALLOCATE ALL of one client leaves the other's statements")
    func deallocateAll() throws {
        a.send(parse("s", "select 1"), sync)
        b.send(parse("s", "select 1"), sync)
        try settle()
        a.send(query("deallocate all"))
        b.send(bind("s"), execute(), sync)
        try settle()
        a.send(bind("s"), sync)
        try settle()
        #expect(a.got.suffix(2) == ["E 26000", "Z I"])
    }

    @Test("a Describe alone works on a server that has not seen the statement")
    func describeElsewhere() throws {
        a.send(parse("s", "select 1"), sync)
        try settle()
        for _ in 0..<2 {
            a.send(describe("s"), sync)
            try settle()
        }
    }

    @Test("an evicted statement comes back when it is used")
    func eviction() throws {
        relay.rules.statementLimit = 1
        for name in ["s", "t", "u"] { a.send(parse(name, "select \(name)"), sync) }
        try settle()
        for name in ["s", "t", "u", "s"] { a.send(bind(name), execute(), sync) }
        try settle()
        for server in relay.servers { #expect(server.postgres.named.count <= 1) }
    }

    @Test("a portal outlives Syncs inside a transaction")
    func portalAcrossSyncs() throws {
        a.send(query("begin"), parse("", "rows x"), bind("", portal: "p"), execute("p", rows: 1), sync)
        try settle()
        a.send(execute("p", rows: 1), sync)
        try settle()
        a.send(execute("p"), sync, query("commit"))
        try settle()
    }

    @Test("a lone Sync, and a Flush without Sync")
    func syncAndFlush() throws {
        a.send(sync)
        try settle()
        a.send(parse("s", "select 1"), describe("s"), flush)
        try settle()
        a.send(bind("s"), execute(), sync)
        try settle()
    }

    // A server with an open batch was given to the next client, or the batch was committed by the Sync that ended it.
    @Test("a batch without Sync is not committed when its client leaves")
    func abandonedBatch() throws {
        a.send(parse("", "insert x"), bind(""), execute())
        try settle()
        relay.disappear(a)
        try relay.settleAll(b)
        #expect(relay.servers.allSatisfy { $0.session.isReusable && $0.postgres.committed.isEmpty })
    }

    @Test(
        "whatever a client leaves behind, its server is free again",
        arguments: [
            [query("begin")], [query("copy in x")], [query("copy in x"), copyData("1")],
            [parse("", "copy in x"), bind(""), execute(), flush],
            [parse("", "copy in x"), bind(""), execute(), sync], [query("begin"), query("fail x")], [parse("", "syntax x")],
            [parse("s", "select 1"), bind("s")], [query("begin"), parse("", "copy in x"), bind(""), execute()],
        ])
    func abandoned(messages: [Message]) throws {
        for message in messages { a.send(message) }
        try relay.settleAll(a, b)
        relay.disappear(a)
        try relay.settleAll(b)
        #expect(relay.servers.allSatisfy { $0.session.isReusable })
    }

    // The second batch relies on a Parse that an error in the first one made the server skip: its Bind must not run what stands in the
    // server's unnamed slot, another client's statement.
    @Test("a Bind never meets another client's unnamed statement when a pipeline is cut short")
    func unnamedAfterSkippedParse() throws {
        let one = Relay()
        b.send(parse("", "select b"), bind(""), execute(), sync)
        try one.settleAll(a, b)
        a.send(bind("absent"), parse("", "select a"), sync, bind(""), execute(), sync)
        try one.settleAll(a, b)
    }

    // postgres.js takes a 26000 for a name that was accepted as the loss of its transaction.
    @Test("a statement whose preparation was skipped with a failed batch is there for the next")
    func injectionSkipped() throws {
        a.send(parse("s", "select s"), sync)
        try settle()
        a.send(bind("absent"), bind("s"), execute(), sync, bind("s"), execute(), sync)
        try settle()
    }

    // DISCARD ALL as server_reset_query left the map as it was, and the next Bind met a statement that was gone.
    @Test("DISCARD ALL of the pooler's own empties the server's map")
    func discardErrand() throws {
        a.send(parse("s", "select s"), sync)
        try settle()
        for server in relay.servers {
            server.session.owe(.resetQuery)
            server.inbox.append(query("DISCARD ALL"))
        }
        try settle()
        a.send(bind("s"), execute(), sync)
        try settle()
    }

    @Test("0A000 heals on a new Parse, and never comes as 26000")
    func stalePlan() throws {
        a.send(parse("s", "select s"), sync)
        try settle()
        // The other server's plan gives other columns than the client was told.
        let name = Array("s".utf8)
        let born = a.session.statements.meaning(of: name.span)?.born ?? 0
        a.session.statements.tell(name, born: born, PlanDescription(columns: 1))
        a.outbox = [bind("s"), sync]
        a.expected += ["E 0A000", "Z I"]
        try relay.settleAll(a, b)
        a.send(query("deallocate s"), parse("s", "select s"), bind("s"), execute(), sync)
        try settle()
    }

    @Test("a batch is kept to be repeated up to its bound")
    func longTrial() throws {
        var session = ServerSession(settings: ServerParameters(empty: ParameterTable().empty))
        for (length, isKept) in [(10, true), (PlanTrial.longest, false)] {
            session.trial = PlanTrial(note: 1)
            let long = bind("n", String(repeating: "x", count: length))
            guard case .frame(let frame) = peekFrame(long.span, at: 0) else { return }
            session.collect(frame, long.span, at: 0)
            let kept = session.trial?.messages
            #expect(kept == (isKept ? long : nil))
        }
    }

    @Test("a Parse in a failed transaction is refused, but for ROLLBACK", arguments: ["select 1", "rollback"])
    func parseInFailedTransaction(text: String) throws {
        b.send(parse("s", text), sync)
        try settle()
        b.send(query("select 1"))
        try settle()
        a.send(query("begin"), query("fail x"), parse("s", text), sync)
        try settle()
        a.send(query("rollback"))
        try settle()
    }

    @Test("psqlODBC's wrapped DEALLOCATE drops the name, and nothing outside a transaction")
    func savepointWrapped() throws {
        let text = "savepoint v;deallocate s;release v"
        a.send(parse("s", "select 1"), sync)
        try settle()
        a.send(query(text))
        try settle()
        #expect(a.session.statements.count == 1)
        a.send(query("begin"), query(text), query("commit"))
        try settle()
        #expect(a.session.statements.count == 0)
    }

    @Test(
        "a DEALLOCATE among other statements drops the client's name when it runs",
        arguments: [
            "select 1;deallocate s", "deallocate s;select 1", "begin;deallocate s;commit", "deallocate s;fail", "fail;deallocate s",
            "deallocate s;deallocate s", "insert deferred;deallocate s", "deallocate nix;deallocate s", "commit;deallocate s",
        ])
    func deallocateAmongOthers(text: String) throws {
        for ahead in [[], [query("begin")], [parse("", "insert 1"), bind(""), execute()]] {
            a.send(parse("s", "select s"), parse("t", "select t"), sync)
            for message in ahead { a.send(message) }
            a.send(query(text), bind("s"), execute(), sync, bind("t"), execute(), sync, query("rollback"))
            try settle()
            // Whoever comes next may give the name in SQL.
            b.send(query("prepare s"), query("deallocate all"))
            a.send(query("deallocate all"))
            try settle()
        }
    }

    // A DEALLOCATE behind an open batch was answered without ending the batch: the server went to the next client inside the implicit
    // transaction, and the next error rolled back work that had been acknowledged.
    @Test("a DEALLOCATE ends the batch before it")
    func deallocateInBatch() throws {
        a.send(parse("s", "select 1"), parse("", "begin"), sync)
        try settle()
        a.send(bind(""), execute(), query("deallocate s"))
        try settle()
        #expect(a.session.statements.count == 0)
    }

    @Test("a client that names statements without end is refused")
    func mostNames() throws {
        let text = Array("select 1\0\0\0".utf8)
        let interned = relay.table.intern(text.span)
        let statement = try #require(interned)
        for number in 0..<ServerSession.mostNames { a.session.statements.set(Array("n\(number)".utf8), to: statement) }
        a.outbox = [parse("one too many", "select 2")]
        #expect(throws: Divergence.self) { try relay.settleAll(a) }
        #expect(a.session.statements.count == ServerSession.mostNames)
    }

    @Test("of many portals that are a DEALLOCATE few are remembered")
    func manyPortals() throws {
        a.send(parse("s", "select 1"), parse("d", "deallocate s"), query("begin"))
        for number in 0..<40 { a.send(bind("d", portal: "p\(number)")) }
        a.send(sync)
        try settle()
        #expect(a.session.portals.count == 16)
        a.send(execute("p0"), sync, query("rollback"))
        try settle()
        #expect(a.session.portals.isEmpty && a.session.statements.count == 1)
    }

    // An Execute of another portal took the note of a DEALLOCATE that was bound but not run yet. The name stayed in the maps, and the
    // next client with the same text on that server heard that its statement does not exist.
    @Test("only the Execute of its own portal runs a DEALLOCATE")
    func deallocateInAPortal() throws {
        a.send(parse("s", "select 1"), parse("q", "select 2"), sync)
        try settle()
        a.send(bind("q", portal: "p"), parse("", "deallocate s"), bind(""), execute("p"), execute(), sync, query("select 4"))
        try settle()
        #expect(a.session.statements.count == 1)
        a.send(parse("s", "select 1"), parse("u", "select 3"), sync)
        try settle()
        // Two of them under way, and a portal that gets another meaning.
        a.send(parse("", "deallocate s"), bind("", portal: "x"), parse("", "deallocate u"), bind("", portal: "y"))
        a.send(execute("y"), execute("x"), bind("q"), execute(), sync, query("select 4"))
        try settle()
        #expect(a.session.statements.count == 1)
        for _ in 0..<2 {
            b.send(parse("t", "select 1"), bind("t"), execute(), sync, query("deallocate t"))
            try settle()
        }
        #expect(!b.got.contains { $0.hasPrefix("E") })
    }
}
