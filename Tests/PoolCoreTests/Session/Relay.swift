import Bytes
import ModelPostgres
import PostgresWire
import Testing

@testable import PoolCore

/// What can be compared: whole messages, but of errors only the SQLSTATE.
func comparable(_ frame: Message) -> String {
    let type = Character(Unicode.Scalar(frame[0]))
    if frame[0] == Backend.errorResponse {
        return "E \(ErrorFields.read(frame.span, body: 5..<frame.count)?.code ?? "?")"
    }
    return "\(type) " + frame[5...].map { 32..<127 ~= $0 ? String(Character(Unicode.Scalar($0))) : "." }.joined()
}

/// A client with a PostgreSQL of its own beside the pooled one: what that answers is what the client must get.
final class ModelClient {
    let token: String
    var session = ClientSession()
    var own = ModelPostgres()
    var outbox: [Message] = []
    var expected: [String] = []
    var got: [String] = []
    weak var server: ModelServer?
    /// The connection was closed behind a FATAL error.
    var isClosed = false

    init(_ token: String) { self.token = token }

    func send(_ messages: Message...) {
        for message in messages {
            outbox.append(message)
            expected += own.receive(message).map(comparable)
        }
    }

    /// Nothing is on its way.
    var isQuiet: Bool { outbox.isEmpty && got.count == expected.count }

    func take(_ frames: [Message]) throws {
        for frame in frames {
            let text = comparable(frame)
            // In a failed transaction the pooler can't always find out which of several errors is due.
            guard got.count < expected.count, expected[got.count] == text || (text == "E 25P02" && expected[got.count].hasPrefix("E"))
            else {
                throw Divergence(
                    "client \(token) got \(text) instead of \(got.count < expected.count ? expected[got.count] : "nothing")")
            }
            got.append(expected[got.count])
        }
    }
}

struct Divergence: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// A server connection: the session that is under test, and a model PostgreSQL behind it.
final class ModelServer {
    var session = ServerSession(settings: ServerParameters(empty: ParameterTable().empty))
    var postgres = ModelPostgres()
    var inbox: [Message] = []
    var outbox: [Message] = []
    var client: ModelClient?
    var isAbandoned = false
}

/// What the shell does with the decisions, without its sockets (WorkerCore+FromClient, +FromServer, +Ending).
final class Relay {
    let table = StatementTable()
    var rules: ServerSession.Rules
    var servers: [ModelServer]
    private var nobody = ClientSession()
    /// The statements that clients have given a name, or none, by id: a server's session knows the id of its unnamed one only.
    private var known: [UInt64: String] = [:]

    init(servers: Int = 1, statementLimit: Int = 100) {
        rules = ServerSession.Rules(mapsStatements: true, statementLimit: statementLimit)
        self.servers = (0..<servers).map { _ in ModelServer() }
    }

    // MARK: Towards the server

    /// Hands on one message. False when the client has to wait for a server.
    func forward(_ client: ModelClient) throws -> Bool {
        guard let message = client.outbox.first else { return false }
        if client.server == nil {
            switch message[0] {
            case Frontend.copyData, Frontend.copyDone, Frontend.copyFail, Frontend.flush:
                client.outbox.removeFirst()
                return true
            default: break
            }
            guard let free = servers.last(where: { $0.client == nil && !$0.isAbandoned }) else { return false }
            guard free.session.isReusable else { throw Divergence("an idle server is not reusable") }
            free.session.begin(isShared: true)
            free.client = client
            client.server = free
        }
        guard let server = client.server else { return false }
        guard server.session.mayGoOn() else { return false }
        guard try translate(message, client, server) else { return false }
        client.outbox.removeFirst()
        if server.session.hasInvented {
            try client.take(split(server.session.takeInvented(client: &client.session)))
            settle(server)
        }
        return true
    }

    /// False: the message has to wait.
    private func translate(_ message: Message, _ client: ModelClient, _ server: ModelServer) throws -> Bool {
        guard case .frame(let frame) = peekFrame(message.span, at: 0) else { throw Divergence("no message") }
        while true {
            let action = server.session.translate(frame, message.span, at: 0, client: &client.session, rules: rules, table: table)
            for statement in client.session.statements.all.map(\.statement) { known[statement.id] = statement.text }
            if let statement = client.session.statements.unnamed { known[statement.id] = statement.text }
            guard let messages = action.messages(for: message) else { throw Divergence("refused") }
            server.inbox += messages
            switch action {
            case .ahead, .within: continue
            case .wait: return false
            default: return true
            }
        }
    }

    // MARK: Towards the client

    /// The server handles one message.
    func work(_ server: ModelServer) {
        guard !server.inbox.isEmpty else { return }
        server.outbox += server.postgres.receive(server.inbox.removeFirst())
    }

    /// One message of the server arrives.
    func deliver(_ server: ModelServer) throws {
        guard !server.outbox.isEmpty else { return }
        let frame = server.outbox.removeFirst()
        guard !server.session.ledger.isEmpty else { throw Divergence("\(comparable(frame)) that nobody asked for") }
        let client = server.client
        try invent(server)
        let action = judge(server, frame)
        switch action {
        case .forward, .ready(forwards: true):
            guard let client else { throw Divergence("\(comparable(frame)) forwarded after the client left") }
            try client.take([frame])
        case .replace(let bytes):
            guard let client else { throw Divergence("an error forwarded after the client left") }
            try client.take(split(bytes))
        case .resolved(let readies):
            guard let client else { break }
            for _ in 0..<readies { try client.take([compose { $0.readyForQuery(server.session.status) }]) }
        case .again(let bytes):
            guard let client else { throw Divergence("messages of a client that left are judged again") }
            client.outbox.insert(contentsOf: split(bytes), at: 0)
        case .endClient(let bytes, let error):
            guard let client else { throw Divergence("an error forwarded after the client left") }
            try client.take(split(bytes) + [compose { $0.error(error.fields) }])
            client.isClosed = true
            client.outbox = []
            disappear(client)
        case .swallow, .ready, .errandDone:
            break
        case .errandFailed(let errand, let fields):
            throw Divergence("\(errand) failed: \(fields.code ?? "?")")
        case .violation:
            throw Divergence("\(comparable(frame)) is a violation")
        }
        try invent(server)
        settle(server)
    }

    private func judge(_ server: ModelServer, _ frame: Message) -> BackendAction {
        guard case .frame(let header) = peekFrame(frame.span, at: 0) else { return .violation }
        if let client = server.client {
            return server.session.receive(header, frame.span, at: 0, client: &client.session, table: table)
        }
        return server.session.receive(header, frame.span, at: 0, client: &nobody, table: table)
    }

    private func invent(_ server: ModelServer) throws {
        guard server.session.hasInvented else { return }
        if let client = server.client {
            try client.take(split(server.session.takeInvented(client: &client.session)))
        } else {
            _ = server.session.takeInvented(client: &nobody)
        }
    }

    private func settle(_ server: ModelServer) {
        if server.isAbandoned {
            end(server)
        } else if let client = server.client, server.session.isReusable {
            client.server = nil
            server.client = nil
        } else if let marker = server.session.resyncProbe() {
            server.inbox += split(marker)
        }
    }

    // MARK: Ends

    func disappear(_ client: ModelClient) {
        guard let server = client.server else { return }
        client.server = nil
        server.client = nil
        server.session.abandon()
        server.isAbandoned = true
        end(server)
    }

    private func end(_ server: ModelServer) {
        let orders = split(server.session.ordersToEnd())
        server.inbox += orders
        if orders.isEmpty, server.session.isReusable { server.isAbandoned = false }
    }

    /// Lets everything that is under way come to its end.
    func settleAll(_ clients: ModelClient...) throws { try settleAll(clients) }

    func settleAll(_ clients: [ModelClient]) throws {
        var moved = true
        while moved {
            moved = false
            for client in clients { while try forward(client) { moved = true } }
            for server in servers {
                while !server.inbox.isEmpty || !server.outbox.isEmpty {
                    moved = true
                    work(server)
                    while !server.outbox.isEmpty { try deliver(server) }
                }
            }
        }
        for client in clients where !client.isQuiet {
            throw Divergence(
                "client \(client.token) still waits for \(client.expected.dropFirst(client.got.count).joined(separator: ", "))")
        }
        for server in servers { try check(server) }
    }

    /// A server that owes nothing must really be at rest, and hold just the statements that the session thinks it holds.
    func check(_ server: ModelServer) throws {
        guard server.session.isReusable else { return }
        // What is late of a COPY that failed is thrown away by the server whoever comes next.
        let late = server.inbox.allSatisfy { [Frontend.copyData, Frontend.copyDone, Frontend.copyFail, Frontend.flush].contains($0[0]) }
        guard late, server.outbox.isEmpty, server.postgres.isAtRest else { throw Divergence("settled, but not at rest") }
        let held = Set(server.postgres.named.keys.filter { $0.hasPrefix("SLUICE_") })
        let believed = Set(server.session.statements.ids.map { "SLUICE_\($0)" })
        let uncertain = Set(server.session.statements.uncertain.map { "SLUICE_\($0)" })
        guard held.subtracting(uncertain) == believed else {
            throw Divergence("the server holds \(held), the session believes \(believed)")
        }
        if let unnamed = server.session.statements.unnamed, known[unnamed] != server.postgres.unnamed {
            throw Divergence("the server's unnamed statement is \(server.postgres.unnamed ?? "none"), not \(known[unnamed] ?? "known")")
        }
    }

    /// The client's names must mean what they mean to a PostgreSQL of its own.
    func check(_ client: ModelClient) throws {
        guard client.isQuiet, !client.own.isCopyingIn else { return }
        let names = client.session.statements.texts
        guard names == client.own.named else { throw Divergence("client \(client.token) has \(names), not \(client.own.named)") }
        guard client.session.statements.unnamed?.text == client.own.unnamed else {
            throw Divergence("client \(client.token) has \(client.session.statements.unnamed?.text ?? "no") unnamed statement")
        }
    }

}

/// Messages that lie one behind the other.
func split(_ bytes: [UInt8]) -> [Message] {
    var messages: [Message] = []
    var at = 0
    while case .frame(let frame) = peekFrame(bytes.span, at: at) {
        messages.append(Array(bytes[at..<at + frame.length]))
        at += frame.length
    }
    return messages
}

extension FrontendAction {
    /// What is sent to the server for a client's message; nil when the client is refused, or ends.
    func messages(for message: Message) -> [Message]? {
        switch self {
        case .forward: return [message]
        case .forwardAndFlush: return [message, flush]
        case .forwardBehind(let bytes): return split(bytes) + [message]
        case .drop: return []
        case .wait(let bytes), .send(let bytes): return split(bytes)
        case .bind(let serverName, let portal, let rest):
            let bind = compose {
                $0.bindHeader(message.span, portal: portal, statement: serverName, restLength: message.count - rest)
                $0.bytes += message[rest...]
            }
            return [bind]
        case .describe(let serverName):
            return [compose { $0.describe(statement: String(decoding: serverName, as: UTF8.self)) }]
        case .parse(let serverName, let tail, let more):
            return [compose { $0.parse(name: serverName, tail: Array(message[tail...])) }] + split(more)
        case .ahead(let closed, let statement, let name, let describes):
            return closed.map { closeStatement(String(decoding: $0, as: UTF8.self)) }
                + (statement.map { [Self.parse($0, name: name)] } ?? [])
                + (describes ? [compose { $0.describe(statement: String(decoding: name, as: UTF8.self)) }] : [])
        case .within(let before, let statement, let name, let after):
            return split(before) + [Self.parse(statement, name: name)] + split(after)
        case .terminate, .refuse:
            return nil
        }
    }

    private static func parse(_ statement: Statement, name: [UInt8]) -> Message {
        compose { $0.parse(name: name, tail: statement.definition) }
    }
}

extension Statement {
    /// The SQL.
    var text: String { String(decoding: Array(copying: definition).prefix { $0 != 0 }, as: UTF8.self) }
}

extension ClientStatements {
    /// All names and their SQL.
    var texts: [String: String] {
        var texts: [String: String] = [:]
        for (name, statement) in all { texts[String(decoding: name, as: UTF8.self)] = statement.text }
        return texts
    }
}
