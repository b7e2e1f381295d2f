import Bytes
import PoolCore
import PostgresWire
import Statistics

/// A fixed piece of the pooler's work, without sockets, to be counted or timed.
public struct Workload: Sendable {
    public let name: String
    /// What one turn is.
    public let unit: String
    /// Does it `turns` times. The result depends on all of the work, so that none of it can be left out.
    public let run: @Sendable (_ turns: Int) -> Int

    public static let all: [Workload] = [
        Workload(name: "framer", unit: "message header", run: Workload.walkFrames),
        Workload(name: "ledger", unit: "transaction's entries in the ledger of replies", run: Workload.keepLedger),
        Workload(name: "queue", unit: "client that waits and gets a server", run: Workload.queue),
        Workload(name: "recording", unit: "what is counted, timed and kept of a transaction", run: Workload.record),
        Workload(name: "simple", unit: "simple query and its answer") { transactions($0, of: .simple) },
        Workload(name: "extended", unit: "Parse, Bind, Describe, Execute, Sync without a name, and the answers") {
            transactions($0, of: .extended)
        },
        Workload(name: "prepared", unit: "Bind, Describe, Execute, Sync of a named statement, rewritten, and the answers") {
            transactions($0, of: .prepared)
        },
        Workload(name: "moved", unit: "the same without Describe, on a server that lacks the statement and has to drop another one") {
            moveStatements($0, describes: false)
        },
        Workload(name: "moved-told", unit: "the same of a client that was told what the statement's columns are") {
            moveStatements($0, describes: true)
        },
        // Each of these twice: what a message costs must not grow with what is outstanding.
        Workload(name: "names-1000", unit: "Parse and DEALLOCATE of a client with 1,000 names") { nameAndDrop($0, besides: 1000) },
        Workload(name: "names-100000", unit: "the same with 100,000 names") { nameAndDrop($0, besides: 100_000) },
        Workload(name: "pipeline-1000", unit: "prepared transaction behind 1,000 unanswered messages") { pipeline($0, behind: 1000) },
        Workload(name: "pipeline-16000", unit: "the same behind 16,000") { pipeline($0, behind: 16_000) },
        Workload(name: "syncs-1000", unit: "Sync inside a COPY, behind 1,000 others") { syncs($0, behind: 1000) },
        Workload(name: "syncs-100000", unit: "the same behind 100,000") { syncs($0, behind: 100_000) },
        Workload(name: "login", unit: "SCRAM login with a secret that is known", run: LoginWorkload.run),
    ]

    private static func message(_ write: (inout MessageWriter) -> Void) -> [UInt8] {
        var writer = MessageWriter()
        write(&writer)
        return writer.bytes
    }

    // MARK: Framer

    private static func walkFrames(_ turns: Int) -> Int {
        let rows = message { writer in
            for row in 0..<100 { writer.dataRow(["client \(row)", String(row * 7919)]) }
        }
        var left = turns
        var sum = 0
        while left > 0 {
            let bytes = rows.span
            var offset = 0
            while left > 0, case .frame(let frame) = peekFrame(bytes, at: offset) {
                sum &+= Int(frame.type) &+ frame.length
                offset += frame.length
                left -= 1
            }
        }
        return sum
    }

    // MARK: Machines

    private static let requests: [ReplyLedger.Request] = [.bind, .describe, .execute, .sync]
    private static let replies = [
        Backend.bindComplete, Backend.rowDescription, Backend.dataRow, Backend.commandComplete, Backend.readyForQuery,
    ]

    private static func keepLedger(_ turns: Int) -> Int {
        let requests = requests
        let replies = replies
        var ledger = ReplyLedger()
        var sum = 0
        for _ in 0..<turns {
            for request in requests { ledger.owe(request, .forward) }
            for type in replies {
                if ledger.receive(type) == .violation { sum &+= 1_000_000 }
            }
            sum &+= ledger.isSettled ? 1 : 0
        }
        return sum
    }

    private static func record(_ turns: Int) -> Int {
        let query = message { $0.query("SELECT abalance FROM pgbench_accounts WHERE aid = 4711;") }
        let excerpt = Excerpt(capacity: 288)
        var counters = PoolCounters()
        for turn in 0..<turns {
            counters.totals.bytesReceived &+= Int64(query.count)
            excerpt.keep(query.span)
            counters.assigned(waited: Int64(turn & 1023))
            counters.totals.bytesSent &+= 100
            counters.answered(after: Int64(turn & 0xFFFF))
            counters.ended(transactionOf: Int64(turn & 0xFFFF))
        }
        return Int(counters.totals.queryTime) &+ Int(counters.waits.count) &+ excerpt.bytes.count
    }

    private static func queue(_ turns: Int) -> Int {
        var queue = PoolQueue()
        for client in 0..<44 { _ = queue.enqueue(UInt32(client), now: 0) }
        var sum = 0
        for turn in 0..<turns {
            // One in sixteen gives up, which leaves a hole behind.
            let ticket = queue.enqueue(UInt32(turn & 1023), now: Int64(turn))
            if turn & 15 == 0 {
                queue.withdraw(ticket)
            } else if let waiter = queue.dequeue() {
                sum &+= Int(waiter.client)
            }
            queue.park(PoolQueue.IdleServer(slot: UInt32(turn & 15), generation: 0, since: Int64(turn)))
            sum &+= Int(queue.takeIdle()?.slot ?? 0)
        }
        return sum
    }

    enum Mode {
        case simple
        case extended
        case prepared
    }

    private static let row = message { writer in
        writer.rowDescription([.text("?column?")])
        writer.dataRow(["1"])
        writer.commandComplete("SELECT 1")
        writer.readyForQuery(.idle)
    }

    private static func transactions(_ turns: Int, of mode: Mode) -> Int {
        var pair = Pair()
        let asks: [UInt8]
        let answers: [UInt8]
        switch mode {
        case .simple:
            asks = message { $0.query("SELECT abalance FROM pgbench_accounts WHERE aid = 4711") }
            answers = row
        case .extended:
            asks = message {
                $0.parse(name: "", query: "SELECT abalance FROM pgbench_accounts WHERE aid = $1")
                $0.bind(statement: "", parameters: ["4711"])
                $0.describe(portal: "")
                $0.execute(portal: "", maximumRows: 0)
                $0.sync()
            }
            answers =
                message {
                    $0.parseComplete()
                    $0.bindComplete()
                } + row
        case .prepared:
            pair.prepare("P0_1", "SELECT abalance FROM pgbench_accounts WHERE aid = $1")
            asks = useOf("P0_1")
            answers = message { $0.bindComplete() } + row
        }
        for _ in 0..<turns { pair.play(asks, answers) }
        return pair.sum
    }

    private static func useOf(_ name: String, describes: Bool = true) -> [UInt8] {
        message {
            $0.bind(statement: name, parameters: ["4711"])
            if describes { $0.describe(portal: "") }
            $0.execute(portal: "", maximumRows: 0)
            $0.sync()
        }
    }

    private static func nameAndDrop(_ turns: Int, besides names: Int) -> Int {
        var pair = Pair()
        pair.prepare("P0", "SELECT 1")
        pair.name(names, as: "P0")
        let parse = message {
            $0.parse(name: "x", query: "SELECT 1")
            $0.sync()
        }
        let ready = message { $0.readyForQuery(.idle) }
        let drop = message { $0.query("DEALLOCATE x") }
        for _ in 0..<turns {
            pair.play(parse, ready)
            pair.play(drop, [])
        }
        return pair.sum
    }

    private static func pipeline(_ turns: Int, behind messages: Int) -> Int {
        var pair = Pair()
        pair.prepare("P0_1", "SELECT abalance FROM pgbench_accounts WHERE aid = $1")
        let asks = useOf("P0_1")
        let answers = message { $0.bindComplete() } + row
        pair.play(asks, answers)
        for _ in 0..<messages / 4 { pair.ask(asks) }
        for _ in 0..<turns {
            pair.ask(asks)
            pair.answer(answers)
        }
        return pair.sum
    }

    private static func syncs(_ turns: Int, behind messages: Int) -> Int {
        var pair = Pair()
        pair.ask(
            message {
                $0.parse(name: "", query: "COPY t FROM STDIN")
                $0.bind(statement: "")
                $0.execute()
            })
        pair.answer(
            message {
                $0.parseComplete()
                $0.bindComplete()
                $0.bytes += [Backend.copyInResponse, 0, 0, 0, 7, 0, 0, 0]
            })
        let sync = message { $0.sync() }
        for _ in 0..<messages + turns { pair.ask(sync) }
        return pair.sum
    }

    private static func moveStatements(_ turns: Int, describes: Bool) -> Int {
        var pair = Pair(statementLimit: 2)
        let names = (0..<4).map { "P0_\($0)" }
        for name in names { pair.prepare(name, "SELECT \(name) FROM pgbench_accounts WHERE aid = $1") }
        let asks = names.map { useOf($0, describes: describes) }
        let columns = message { $0.rowDescription([.text("?column?")]) }
        // What the pooler adds is answered too: the close of the oldest statement, and the Parse.
        let parsed = message {
            $0.closeComplete()
            $0.parseComplete()
        }
        let described = message { $0.parameterDescription([23]) } + columns
        let rest = message {
            $0.dataRow(["1"])
            $0.commandComplete("SELECT 1")
            $0.readyForQuery(.idle)
        }
        let bound = message { $0.bindComplete() }
        let first = parsed + bound + (describes ? columns : []) + rest
        let (asked, answered) = (parsed + described, bound + columns + rest)
        for turn in 0..<turns {
            let isFirst = turn < names.count
            // What the client was told is asked for, and waited for.
            if describes, !isFirst {
                pair.play(asks[turn & 3], asked, answered)
            } else {
                pair.play(asks[turn & 3], first)
            }
        }
        return pair.sum
    }
}

/// A client linked to a server, with what a worker does for them between its socket calls.
private struct Pair: ~Copyable {
    private var server = ServerSession(settings: ServerParameters(empty: ParameterTable().empty))
    private var client = ClientSession()
    private let table = StatementTable()
    private let rules: ServerSession.Rules
    private var writer = MessageWriter()
    private(set) var sum = 0
    /// The message that waits, by where it begins.
    private var waitsAt = 0

    init(statementLimit: Int = 200) { rules = ServerSession.Rules(mapsStatements: true, statementLimit: statementLimit) }

    /// The client prepares a statement, and the server answers as it must.
    mutating func prepare(_ name: String, _ text: String) {
        var asks = MessageWriter()
        asks.parse(name: name, query: text)
        asks.sync()
        var answers = MessageWriter()
        if toServer(asks.bytes) { answers.closeComplete() }
        answers.parseComplete()
        answers.readyForQuery(.idle)
        toClient(answers.bytes)
    }

    mutating func play(_ asks: [UInt8], _ answers: [UInt8]) {
        toServer(asks)
        toClient(answers)
        precondition(server.isReusable, "the workload's answers do not fit its questions")
    }

    /// The same of messages that wait for the first of these answers.
    mutating func play(_ asks: [UInt8], _ first: [UInt8], _ answers: [UInt8]) {
        toServer(asks)
        toClient(first)
        precondition(server.mayGoOn(), "the workload's messages wait for something else")
        toServer(asks, from: waitsAt)
        toClient(answers)
        precondition(server.isReusable, "the workload's answers do not fit its questions")
    }

    mutating func ask(_ asks: [UInt8]) { toServer(asks) }

    mutating func answer(_ answers: [UInt8]) { toClient(answers) }

    /// Gives the client so many further names for a statement.
    mutating func name(_ count: Int, as known: String) {
        guard let statement = client.statements[Array(known.utf8)] else { preconditionFailure("nobody prepared \(known)") }
        for number in 0..<count { client.statements.set(Array("n\(number)".utf8), to: statement) }
    }

    /// Whether a statement had to be closed.
    @discardableResult
    private mutating func toServer(_ asks: [UInt8], from start: Int = 0) -> Bool {
        var closes = false
        writer.bytes.removeAll(keepingCapacity: true)
        let bytes = asks.span
        var offset = start
        messages: while true {
            let ordinary = server.passRun(bytes, from: offset, limit: .max, client: &client, rules: rules)
            sum &+= ordinary.end - offset
            offset = ordinary.end
            guard case .frame(let frame) = peekFrame(bytes, at: offset) else { break }
            if frame.type == Frontend.bind, let bind = server.passesBind(frame, bytes, at: offset, client: &client, rules: rules) {
                rewrite(bytes, bind.portal, bind.serverName, bind.rest..<offset + frame.length)
                offset += frame.length
                continue
            }
            switch server.judge(frame, bytes, at: offset, client: &client, rules: rules, table: table) {
            case .forward: sum &+= frame.length
            case .ahead(let closed, let statement, let name, let describes):
                closes = closes || !closed.isEmpty
                for name in closed { writer.close(statement: String(decoding: name, as: UTF8.self)) }
                if let statement { writer.parse(name: name, tail: statement.definition) }
                if describes { writer.describe(statement: String(decoding: name, as: UTF8.self)) }
                continue
            case .wait(let messages):
                sum &+= messages.count
                waitsAt = offset
                break messages
            case .bind(let serverName, let portal, let rest):
                rewrite(bytes, portal, serverName, rest..<offset + frame.length)
            case .parse(let serverName, let tail, _):
                writer.parse(name: serverName, tail: bytes.extracting(tail..<offset + frame.length))
            case .drop: sum &+= 1
            case .forwardAndFlush: sum &+= frame.length + 5
            default: preconditionFailure("not part of the workload")
            }
            offset += frame.length
        }
        sum &+= writer.bytes.count
        if server.hasInvented { sum &+= server.takeInvented(client: &client).count }
        return closes
    }

    private mutating func rewrite(_ bytes: Span<UInt8>, _ portal: Range<Int>, _ serverName: [UInt8], _ rest: Range<Int>) {
        writer.bindHeader(bytes, portal: portal, statement: serverName, restLength: rest.count)
        for index in rest { writer.bytes.append(bytes[index]) }
    }

    private mutating func toClient(_ answers: [UInt8]) {
        let bytes = answers.span
        var offset = 0
        while offset < bytes.count {
            let ordinary = server.passRun(bytes, from: offset)
            sum &+= ordinary.end - offset
            offset = ordinary.end
            if ordinary.isReady { continue }
            guard case .frame(let frame) = peekFrame(bytes, at: offset) else { break }
            switch server.receive(frame, bytes, at: offset, client: &client, table: table) {
            case .forward, .swallow, .ready, .errandDone: sum &+= frame.length
            default: preconditionFailure("an answer of the workload was not owed")
            }
            offset += frame.length
        }
        if server.hasInvented { sum &+= server.takeInvented(client: &client).count }
    }
}
