import ModelPostgres
import PostgresWire
import Testing

@testable import PoolCore

/// A generator with a fixed seed (SplitMix64), so that a failing run can be repeated.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    mutating func below(_ limit: Int) -> Int { Int.random(in: 0..<limit, using: &self) }
    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
}

/// Sends what a client may send, in any order, except that it never names a statement whose fate it can't know yet: whether the
/// earlier half of a pipeline has failed is something that neither the client nor the pooler can tell.
private final class Scripter {
    let client: ModelClient
    private let texts: Int
    private var serial = 0
    /// Names whose meaning was changed since the client was last quiet, and in which part of the pipeline.
    private var changed: [String: Int] = [:]
    private var part = 0
    /// Nothing more before all answers are there.
    private var mustWait = false
    /// Waits for CopyInResponse, to send data then; `isExtended`: a Sync follows.
    private var copy: (isExtended: Bool, Void)?
    private static let names = ["", "a", "b", "c"]

    init(_ client: ModelClient, texts: Int) {
        self.client = client
        self.texts = texts
    }

    private func token() -> String {
        serial += 1
        return "\(client.token).\(serial)"
    }

    private func isKnown(_ name: String) -> Bool { changed[name].map { $0 == part } ?? true }

    private func end(_ message: Message) {
        client.send(message)
        part += 1
    }

    private func sendQuery(_ text: String) {
        changed[""] = part
        end(query(text))
    }

    func step(_ random: inout SeededGenerator) {
        if client.isQuiet {
            changed = [:]
            mustWait = false
            if let copy {
                self.copy = nil
                if client.own.isCopyingIn { return finishCopy(isExtended: copy.isExtended, &random) }
                // Refused, and yet some drivers send on.
                if random.chance(50) { return finishCopy(isExtended: copy.isExtended, &random) }
            }
        }
        guard !mustWait, copy == nil, client.outbox.count < 20 else { return }
        let shared = "select s\(random.below(texts))\(random.chance(50) ? " $1" : "")"
        let name = Self.names[random.below(Self.names.count)]
        switch random.below(100) {
        case 0..<10: sendQuery("select \(token())")
        case 10..<15: sendQuery("begin")
        case 15..<24: sendQuery(random.chance(70) ? "commit" : "rollback")
        case 24..<26: sendQuery("fail \(token())")
        case 26..<28: sendQuery("insert \(token());select \(token())")
        case 28: sendQuery("")
        case 29: sendQuery("savepoint x")
        case 30..<44:
            guard isKnown(name) else { return }
            changed[name] = part
            let odd = ["syntax error", "fail \(token())", "begin", "commit", "rollback", "rows r", "insert deferred", "insert x", ""]
            client.send(parse(name, random.chance(75) ? shared : odd[random.below(odd.count)]))
        case 44..<64:
            guard isKnown(name), !(client.own.unnamed ?? "").hasPrefix("copy") || !name.isEmpty else { return }
            let portal = random.chance(85) ? "" : "p"
            let text = name.isEmpty ? client.own.unnamed : client.own.named[name]
            let takesValue = text?.contains("$1") ?? false
            client.send(takesValue ? bind(name, portal: portal, token()) : bind(name, portal: portal))
            if random.chance(80) { client.send(execute(portal, rows: random.chance(20) ? 1 : 0)) }
        case 64..<69:
            // Of statements that return nothing, a failed transaction allows a Describe, and no Parse ahead of it.
            guard isKnown(name), let text = name.isEmpty ? client.own.unnamed : client.own.named[name], text.hasPrefix("select")
            else { return }
            client.send(describe(name))
        case 69..<73:
            guard isKnown(name) else { return }
            changed[name] = part
            client.send(closeStatement(name))
        case 73..<90: end(sync)
        case 90: client.send(flush)
        case 91..<94:
            guard !name.isEmpty, isKnown(name), !client.own.hasOpenBatch else { return }
            changed[name] = part
            let ahead = ["", "", "", "select \(token());", "commit;", "fail x;", "insert deferred;"]
            let behind = ["", "", "", ";select \(token())", ";fail x", ";commit", ";deallocate \(name)"]
            sendQuery(ahead[random.below(ahead.count)] + "deallocate \(name)" + behind[random.below(behind.count)])
        case 94:
            guard changed.isEmpty, !client.own.hasOpenBatch else { return }
            for name in Self.names { changed[name] = part }
            sendQuery(random.chance(50) ? "deallocate all" : "discard all")
        case 95..<99: startCopy(&random)
        default: end(compose { $0.bytes += [Frontend.functionCall, 0, 0, 0, 14, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0] })
        }
    }

    private func startCopy(_ random: inout SeededGenerator) {
        let text = ["copy in", "copy in", "copy view", "copy out"][random.below(4)] + " \(token())"
        let isExtended = random.chance(50)
        if isExtended {
            guard isKnown("") else { return }
            changed[""] = part
            client.send(parse("", text), bind(""), execute())
            if random.chance(50) { end(sync) }
        } else {
            sendQuery(text)
            if random.chance(10), text.hasPrefix("copy in") { end(sync) }
        }
        if random.chance(50) {
            copy = (isExtended, ())
            if isExtended { client.send(flush) }
        } else {
            finishCopy(isExtended: isExtended, &random)
        }
    }

    private func finishCopy(isExtended: Bool, _ random: inout SeededGenerator) {
        client.send(copyData("data"))
        if random.chance(20) { client.send(copyData("bad data")) }
        client.send(random.chance(80) ? copyDone : copyFail)
        if isExtended { end(sync) }
        mustWait = true
    }
}

@Suite struct RandomWalkTests {
    struct Walk: CustomTestStringConvertible {
        let seed: UInt64
        var clients = 4
        var servers = 2
        var statementLimit = 100
        var texts = 4
        var steps = 20_000

        var testDescription: String { "seed \(seed), \(clients) clients, \(servers) servers, limit \(statementLimit)" }
    }

    @Test(
        "every client gets what a PostgreSQL of its own would have answered",
        arguments: [
            Walk(seed: 1), Walk(seed: 2, clients: 1, servers: 1), Walk(seed: 3, clients: 3, servers: 1, statementLimit: 2),
            Walk(seed: 4, clients: 8, servers: 3, statementLimit: 1), Walk(seed: 5, clients: 12, servers: 2, statementLimit: 3, texts: 6),
            Walk(seed: 6, clients: 2, servers: 4, texts: 2), Walk(seed: 7, clients: 20, servers: 5, statementLimit: 5, texts: 12),
        ])
    func walk(_ walk: Walk) throws {
        for round in 0..<4 {
            var random = SeededGenerator(state: walk.seed << 8 | UInt64(round))
            var steps: [String] = []
            do {
                try run(walk, &random, &steps)
            } catch {
                Issue.record("\(walk.testDescription), round \(round): \(error)\n\(steps.suffix(100).joined(separator: "\n"))")
                return
            }
        }
    }

    private func run(_ walk: Walk, _ random: inout SeededGenerator, _ log: inout [String]) throws {
        let relay = Relay(servers: walk.servers, statementLimit: walk.statementLimit)
        var born = 0
        func newborn() -> Scripter {
            born += 1
            return Scripter(ModelClient("c\(born)"), texts: walk.texts)
        }
        var scripters = (0..<walk.clients).map { _ in newborn() }
        for _ in 0..<walk.steps {
            let index = random.below(scripters.count)
            let client = scripters[index].client
            let server = relay.servers[random.below(walk.servers)]
            switch random.below(1000) {
            case 0..<300:
                let before = client.outbox.count
                scripters[index].step(&random)
                for sent in client.outbox.dropFirst(before) { log.append("\(client.token) writes \(comparable(sent))") }
            case 300..<500:
                for _ in 0...random.below(6) {
                    let next = client.outbox.first.map(comparable)
                    guard try relay.forward(client) else { break }
                    log.append("\(client.token) sent \(next ?? "")")
                }
            case 500..<700:
                for _ in 0...random.below(6) {
                    if let next = server.inbox.first {
                        log.append("server \(ObjectIdentifier(server).hashValue % 997) handles \(comparable(next))")
                    }
                    relay.work(server)
                }
            case 700..<995:
                for _ in 0...random.below(6) {
                    if let next = server.outbox.first {
                        log.append("server \(ObjectIdentifier(server).hashValue % 997) answers \(comparable(next))")
                    }
                    try relay.deliver(server)
                }
            default:
                log.append("\(client.token) disappears")
                relay.disappear(client)
                scripters[index] = newborn()
            }
            try relay.check(server)
            try relay.check(client)
            if log.count > 1000 { log.removeFirst(900) }
        }
        // Everybody ends what was begun; then nothing may be left.
        for scripter in scripters {
            if scripter.client.own.isCopyingIn { scripter.client.send(copyDone) }
            scripter.client.send(sync)
        }
        try drain(relay, scripters.map(\.client), &log)
        for scripter in scripters { scripter.client.send(query("rollback")) }
        try drain(relay, scripters.map(\.client), &log)
        for server in relay.servers {
            guard server.session.isReusable else { throw Divergence("a server is not free in the end") }
        }
        for scripter in scripters { try relay.check(scripter.client) }
    }

    /// Lets everything end; a transaction that keeps a server from others is rolled back.
    private func drain(_ relay: Relay, _ clients: [ModelClient], _ log: inout [String]) throws {
        for _ in 0..<clients.count * 2 + 2 {
            var moved = true
            while moved {
                moved = false
                for client in clients {
                    while try relay.forward(client) { moved = true }
                }
                for server in relay.servers {
                    while !server.inbox.isEmpty || !server.outbox.isEmpty {
                        moved = true
                        relay.work(server)
                        while !server.outbox.isEmpty { try relay.deliver(server) }
                    }
                }
            }
            if clients.allSatisfy(\.isQuiet) { return }
            for client in clients where client.isQuiet && client.server != nil { client.send(query("rollback")) }
        }
        let stuck = clients.filter { !$0.isQuiet }.map { "\($0.token) waits for \($0.expected[$0.got.count])" }
        throw Divergence("not everybody was served: \(stuck)")
    }
}
