import ModelPostgres
import PostgresWire
import Testing

@testable import PoolCore

/// The short ways (`passRun` in both directions, `passesBind`) must do what the long one does: the same messages go through both, on twins.
@Suite struct PassesTests {
    /// Two sessions with one PostgreSQL behind them: one goes the short ways where they are open, the other never.
    private final class Twins {
        var quick = ServerSession(settings: ServerParameters(empty: ParameterTable().empty))
        var slow = ServerSession(settings: ServerParameters(empty: ParameterTable().empty))
        var postgres = ModelPostgres()
        var inbox: [Message] = []
        var outbox: [Message] = []
    }

    private final class Client {
        var quick = ClientSession()
        var slow = ClientSession()
        var twins: Twins?
        /// Said and not sent yet: it waits for answers.
        var waiting: (message: Message, isWhole: Bool)?
        var rules = ServerSession.Rules(mapsStatements: true, statementLimit: 3)
    }

    private struct Counts {
        var passed = 0, bound = 0, judged = 0, answered = 0, received = 0
    }

    private static let names = ["", "", "a", "b", "c"]

    /// `isWhole`: a message as it should be.
    private static func anything(_ random: inout SeededGenerator) -> (message: Message, isWhole: Bool) {
        random.chance(98) ? (ordinary(&random), true) : (broken(&random), false)
    }

    private static func ordinary(_ random: inout SeededGenerator) -> Message {
        let name = names[random.below(names.count)]
        let texts = ["select 1", "select 2", "select 3", "rows r", "insert x", "fail x", "syntax", "begin", "commit", "rollback", ""]
        let text = texts[random.below(texts.count)]
        switch random.below(100) {
        case 0..<14: return query(text)
        case 14..<17: return query(["deallocate a", "deallocate all", "discard all", "/* c */ deallocate b", "sav", " "][random.below(6)])
        case 17..<33: return parse(name, text)
        case 33..<35: return parse("", ["deallocate a", "deallocate b"][random.below(2)])
        case 35..<55: return bind(name, portal: random.chance(85) ? "" : "p", "v")
        case 55..<70: return execute(random.chance(90) ? "" : "p", rows: random.chance(20) ? 1 : 0)
        case 70..<74: return describe(name)
        case 74..<79: return [Frontend.describe, 0, 0, 0, 6, Target.portal.rawValue, 0]
        case 79..<82: return closeStatement(name)
        case 82..<93: return sync
        case 93: return flush
        case 94: return query(["copy in x", "copy view x", "copy out x"][random.below(3)])
        case 95: return [copyData("data"), copyData("bad data"), copyDone, copyFail][random.below(4)]
        case 96: return parse("", "copy in x")
        default: return compose { $0.bytes += [Frontend.functionCall, 0, 0, 0, 14, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0] }
        }
    }

    /// Cut short, with a length that is true again, or with a byte changed.
    private static func broken(_ random: inout SeededGenerator) -> Message {
        let whole = [bind("a", "v"), bind("", "v"), describe("a"), parse("a", "select 1"), execute(), closeStatement("a"), query("x")]
        var broken = whole[random.below(whole.count)]
        if random.chance(50) {
            broken.removeLast(1 + random.below(broken.count - 5))
            broken[4] = UInt8(broken.count - 1)
        } else {
            broken[random.chance(30) ? 0 : 5 + random.below(broken.count - 5)] ^= UInt8(1 + random.below(255))
        }
        return broken
    }

    // MARK: One message

    /// What leaves for the server (nil: refused, or the end), and what becomes of the message.
    private func sent(_ action: FrontendAction, for message: Message) -> (messages: [Message]?, name: String) {
        let messages = action.messages(for: message)
        switch action {
        case .refuse(let error): return (nil, "refuse \(error)")
        case .terminate: return (nil, "terminate")
        case .wait: return (messages, "wait")
        case .ahead, .within: return (messages, "ahead")
        default: return (messages, "")
        }
    }

    /// False: the message waits. Nil: the client is refused, or goes.
    private func send(
        _ message: Message, _ client: Client, _ twins: Twins, _ tables: Tables, _ counts: inout Counts
    ) throws -> Bool? {
        while true {
            switch try judge(message, client, twins, tables, &counts) {
            case nil: return nil
            case "ahead": continue
            case let name: return name != "wait"
            }
        }
    }

    /// Each has texts, and moments, of its own.
    private struct Tables {
        let quick = StatementTable()
        let slow = StatementTable()
    }

    private func judge(
        _ message: Message, _ client: Client, _ twins: Twins, _ tables: Tables, _ counts: inout Counts
    ) throws -> String? {
        guard case .frame(let frame) = peekFrame(message.span, at: 0) else { return nil }
        // As in the middle of a burst, and with more behind it.
        let bytes = [0, 0, 0] + message + [0, 0, 0, 0, 0, 0]
        func unshifted(_ action: FrontendAction) -> FrontendAction {
            guard case .bind(let serverName, let portal, let rest) = action else { return action }
            return .bind(serverName: serverName, portal: portal.lowerBound - 3..<portal.upperBound - 3, rest: rest - 3)
        }
        var action: FrontendAction
        let run = twins.quick.passRun(bytes.span, from: 3, limit: .max, client: &client.quick, rules: client.rules)
        if run.end > 3 {
            guard run.end == 3 + message.count, run.binds == (frame.type == Frontend.bind ? 1 : 0),
                run.parses == (frame.type == Frontend.parse ? 1 : 0)
            else { throw Divergence("\(comparable(message)) is a run of \(run)") }
            counts.passed += 1
            action = .forward
        } else if frame.type == Frontend.bind,
            let bind = twins.quick.passesBind(frame, bytes.span, at: 3, client: &client.quick, rules: client.rules)
        {
            counts.bound += 1
            action = .bind(serverName: bind.serverName, portal: bind.portal, rest: bind.rest)
        } else {
            counts.judged += 1
            action = twins.quick.judge(frame, bytes.span, at: 3, client: &client.quick, rules: client.rules, table: tables.quick)
        }
        let quick = sent(unshifted(action), for: message)
        action = twins.slow.judge(frame, bytes.span, at: 3, client: &client.slow, rules: client.rules, table: tables.slow)
        let slow = sent(unshifted(action), for: message)
        guard quick.messages == slow.messages, quick.name == slow.name else {
            throw Divergence("\(comparable(message)) becomes \(quick) on the short way, \(slow) on the long one")
        }
        try compare(client, twins, "sending \(comparable(message))")
        guard let messages = quick.messages else { return nil }
        twins.inbox += messages
        return quick.name
    }

    /// The next answer of the server. False: it fits nothing, as in a COPY that a client has confused.
    private func receive(_ client: Client, _ twins: Twins, _ tables: Tables, _ counts: inout Counts) throws -> Bool {
        try invent(client, twins)
        let answer = twins.outbox.removeFirst()
        guard case .frame(let frame) = peekFrame(answer.span, at: 0) else { return false }
        let bytes = [0, 0, 0] + answer + [0, 0, 0, 0, 0, 0]
        let quick: String
        let run = client.quick.isOrdinary ? twins.quick.passRun(bytes.span, from: 3) : (end: 3, isReady: false)
        if run.end > 3 {
            guard run.end == 3 + answer.count, run.isReady == (frame.type == Backend.readyForQuery) else {
                throw Divergence("\(comparable(answer)) is a run of \(run)")
            }
            counts.answered += 1
            quick = frame.type == Backend.readyForQuery ? "ready(forwards: true)" : "forward"
        } else {
            counts.received += 1
            quick = "\(twins.quick.receive(frame, answer.span, at: 0, client: &client.quick, table: tables.quick))"
        }
        let slow = "\(twins.slow.receive(frame, answer.span, at: 0, client: &client.slow, table: tables.slow))"
        guard quick == slow else { throw Divergence("\(comparable(answer)) becomes \(quick) on the short way, \(slow) on the long one") }
        try compare(client, twins, "receiving \(comparable(answer))")
        try invent(client, twins)
        return slow != "violation" && !slow.hasPrefix("endClient")
    }

    private func invent(_ client: Client, _ twins: Twins) throws {
        guard twins.quick.hasInvented || twins.slow.hasInvented else { return }
        guard twins.quick.takeInvented(client: &client.quick) == twins.slow.takeInvented(client: &client.slow) else {
            throw Divergence("what the pooler answers itself differs")
        }
        try compare(client, twins, "answering by itself")
    }

    private func compare(_ client: Client, _ twins: Twins, _ what: String) throws {
        func state(_ session: borrowing ServerSession) -> String {
            let ledger = session.ledger
            let owed = ledger.owed.map { "\($0.request) \($0.disposition) \($0.note)" }
            let flags = [
                ledger.isSkipping, ledger.isUnsynced, ledger.mayBeSkipped, ledger.isUncertain, ledger.isRunning, ledger.awaitsReady,
                session.isAssuming, session.statements.hasForeign, session.isReusable, session.namesMayChange, session.watchesCopy,
                session.hasUnmappedCopy, session.dropping != .nothing, session.unparsed != nil, session.interruption != nil,
                session.formerNames != nil,
            ]
            return
                "\(owed) \(flags) \(ledger.copy) \(ledger.syncsInCopy) \(session.gate) \(session.status) \(session.fences) \(session.notes.numbers) "
                + "\(session.statements.ids.sorted()) \(session.statements.uncertain.sorted()) \(session.statements.unnamed ?? 0)"
        }
        func state(_ session: ClientSession) -> String {
            let statements = session.statements.all.map { "\($0.name) \($0.statement.id)" }.sorted()
            return "\(statements) \(session.statements.unnamed?.id ?? 0) \(session.statements.unnamedVersion) "
                + "\(session.isResetting) \(session.portals.keys.map { "\($0)" }.sorted())"
        }
        let (quick, slow) = (state(twins.quick), state(twins.slow))
        guard quick == slow else { throw Divergence("after \(what) the servers' sessions differ:\n\(quick)\n\(slow)") }
        let (one, other) = (state(client.quick), state(client.slow))
        guard one == other else { throw Divergence("after \(what) the clients' sessions differ:\n\(one)\n\(other)") }
    }

    /// A query that ends an open batch. (The walk hardly ever says this.)
    @Test func aQueryBehindAParse() throws {
        func session() -> ServerSession {
            var session = ServerSession(settings: ServerParameters(empty: ParameterTable().empty))
            for request in [.parse, .query] as [ReplyLedger.Request] { session.ledger.owe(request, .forward) }
            return session
        }
        let answers = Array("1\0\0\0\u{4}C\0\0\0\u{b}COPY 1\0Z\0\0\0\u{5}I".utf8)
        var quick = session()
        var slow = session()
        let run = quick.passRun(answers.span, from: 0)
        #expect(run.end == answers.count && run.isReady)
        for type in "1CZ".utf8 { _ = slow.ledger.receive(type) }
        let (areReusable, areAlike) = (
            quick.isReusable && slow.isReusable, quick.ledger.mayBeSkipped == slow.ledger.mayBeSkipped
        )
        #expect(areReusable && areAlike)
    }

    // MARK: The walk

    @Test("the short ways leave the same bytes and the same session behind as the long one", arguments: 1...20 as ClosedRange<UInt64>)
    func twins(seed: UInt64) throws {
        var random = SeededGenerator(state: seed)
        let tables = Tables()
        var servers = (0..<3).map { _ in Twins() }
        var client = Client()
        var counts = Counts()
        var log: [String] = []
        /// Who is refused goes, and what a server makes of broken messages does not matter here.
        func end(_ reason: String) {
            log.append(reason)
            if let gone = client.twins { servers = servers.map { $0 === gone ? Twins() : $0 } }
            client = Client()
        }
        do {
            for _ in 0..<10_000 {
                if random.chance(55) {
                    let twins = client.twins ?? servers[random.below(servers.count)]
                    if client.twins == nil {
                        client.twins = twins
                        client.rules.mapsStatements = !random.chance(10)
                        client.rules.refusesSimpleQuery = random.chance(3)
                        twins.quick.begin(isShared: true)
                        twins.slow.begin(isShared: true)
                    }
                    guard twins.quick.mayGoOn(), twins.slow.mayGoOn() else { continue }
                    let next = client.waiting ?? Self.anything(&random)
                    let message = next.message
                    client.waiting = nil
                    log.append("sends \(comparable(message))")
                    guard let isSent = try send(message, client, twins, tables, &counts), next.isWhole else {
                        end("goes")
                        continue
                    }
                    if !isSent { client.waiting = next }
                    if random.chance(2), let slow = client.slow.statements.unnamed ?? client.slow.statements.all.first?.statement,
                        let quick = client.quick.statements.unnamed ?? client.quick.statements.all.first?.statement, quick.id == slow.id
                    {
                        log.append("another client hears that statement \(slow.id) is stale")
                        slow.outdate(before: tables.slow.clock.moment())
                        quick.outdate(before: tables.quick.clock.moment())
                    }
                } else if let twins = client.twins {
                    if !twins.inbox.isEmpty { twins.outbox += twins.postgres.receive(twins.inbox.removeFirst()) }
                    while !twins.outbox.isEmpty {
                        log.append("hears \(comparable(twins.outbox[0]))")
                        guard try receive(client, twins, tables, &counts) else {
                            end("violation")
                            break
                        }
                    }
                    let probe = (twins.quick.resyncProbe(), twins.slow.resyncProbe())
                    guard probe.0 == probe.1 else { throw Divergence("the probes differ") }
                    if let probe = probe.0 { twins.inbox += split(probe) }
                }
                guard let twins = client.twins else { continue }
                try invent(client, twins)
                if twins.inbox.isEmpty, twins.quick.isReusable, client.waiting == nil { client.twins = nil }
                // What no answer will ever end is broken off.
                if random.chance(1), random.chance(20) { end("leaves") }
            }
        } catch {
            Issue.record("seed \(seed): \(error)\n\(log.suffix(40).joined(separator: "\n"))")
            return
        }
        #expect(
            counts.passed > 150 && counts.bound > 0 && counts.judged > 250 && counts.answered > 100 && counts.received > 250, "\(counts)")
    }
}
