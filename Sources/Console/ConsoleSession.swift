import Bytes
import PostgresWire

/// What a command brought.
public enum ConsoleOutcome: Sendable {
    case done(tag: String, table: ConsoleTable? = nil, notices: [ErrorFields] = [])
    case failed(ConsoleError)
}

/// What the shell has to do after a message.
public enum ConsoleAction: Sendable {
    /// Send this (nothing, if it is empty) and go on with the next message.
    case reply([UInt8])
    /// Send this, carry the command out, and hand the outcome to `finish`; nothing else is read meanwhile.
    case run(ConsoleCommand, first: [UInt8])
    case terminate
    /// The stream can't be followed, or is no console's: close with this text.
    case refuse(String)
}

/// The protocol of one console client: simple and extended queries become commands, outcomes become messages. A value without a
/// socket; commands are carried out by somebody else.
public struct ConsoleSession: Sendable {
    /// Longer messages are answered with an error and thrown away. The longest command has less than 1,000 bytes.
    public static let messageLimit = 64 * 1024
    /// Prepared statements that one client may have.
    private static let statementLimit = 200
    /// Portals, which keep rows. Nobody reads so many answers at the same time.
    private static let portalLimit = 20

    private struct Portal: Sendable {
        var command: ConsoleCommand
        var formats: [UInt16]
        /// Rows that Execute has not asked for yet, once the command has run.
        var rest: ArraySlice<[Cell]>?
        var tag = ""
    }

    private struct Statement: Sendable {
        var prepared: ConsoleGrammar.Prepared
        var types: [UInt32]
    }

    /// What the outcome of the running command is written as.
    private enum Pending: Sendable {
        case simple
        case portal(String, limit: Int)
    }

    /// What the client may do.
    public let rights: Rights
    private var statements: [String: Statement] = [:]
    private var portals: [String: Portal] = [:]
    private var status = TransactionStatus.idle
    private var isSkipping = false
    private var pending: Pending?

    /// A client with these rights that has logged in.
    public init(rights: Rights) {
        self.rights = rights
    }

    /// A command runs: nothing is to be received before `finish`.
    public var isBusy: Bool { pending != nil }

    // MARK: Messages

    /// Handles one whole message.
    public mutating func receive(_ frame: Frame, _ bytes: Span<UInt8>, at offset: Int) -> ConsoleAction {
        let body = frame.body(at: offset)
        if isSkipping, frame.type != Frontend.sync, frame.type != Frontend.terminate { return .reply([]) }
        switch frame.type {
        case Frontend.query:
            guard let range = QueryText.read(bytes, body: body) else { return .refuse("broken Query packet") }
            return simple(String(decoding: bytes, in: range))
        case Frontend.sync:
            isSkipping = false
            // Portals live as long as their transaction.
            if status == .idle { portals = [:] }
            var writer = MessageWriter()
            writer.readyForQuery(status)
            return .reply(writer.bytes)
        case Frontend.flush: return .reply([])
        case Frontend.terminate: return .terminate
        case Frontend.parse, Frontend.bind, Frontend.describe, Frontend.execute, Frontend.close:
            do throws(ConsoleError) {
                return try extended(frame, bytes, body)
            } catch {
                isSkipping = true
                return .reply(message(error))
            }
        default: return .refuse("unknown pkt")
        }
    }

    /// A message that is longer than `messageLimit`: what is answered while its bytes are thrown away.
    public mutating func refuseLong(_ frame: Frame) -> [UInt8] {
        if isSkipping { return [] }
        let error = ConsoleError(
            "console command of \(frame.length) bytes is too long", detail: "The longest that is read has \(Self.messageLimit) bytes.")
        var bytes = message(error)
        if frame.type == Frontend.query {
            var writer = MessageWriter()
            writer.readyForQuery(status)
            bytes += writer.bytes
        } else {
            isSkipping = true
        }
        return bytes
    }

    private mutating func message(_ error: ConsoleError) -> [UInt8] {
        if status == .inTransaction { status = .failed }
        var writer = MessageWriter()
        writer.error(error.fields)
        return writer.bytes
    }

    private mutating func simple(_ text: String) -> ConsoleAction {
        do throws(ConsoleError) {
            let command = try allowed(try ConsoleGrammar.parse(text))
            statements[""] = nil
            portals[""] = nil
            pending = .simple
            return run(command)
        } catch {
            var writer = MessageWriter()
            writer.bytes = message(error)
            writer.readyForQuery(status)
            return .reply(writer.bytes)
        }
    }

    /// The command, if the client may run it.
    private func allowed(_ command: ConsoleCommand) throws(ConsoleError) -> ConsoleCommand {
        if let needed = command.specification?.rights, rights < needed { throw ConsoleError.accessNeeded }
        return command
    }

    /// What needs nothing but the session itself is answered here.
    private mutating func run(_ command: ConsoleCommand) -> ConsoleAction {
        switch command {
        case .empty:
            return .reply(finish(.done(tag: "")))
        case .courtesy(let tag, let transaction):
            let hasFailed = status == .failed
            switch transaction {
            case .begin: status = .inTransaction
            case .goOn: status = status == .idle ? .idle : .inTransaction
            case .end: status = .idle
            case nil: break
            }
            if tag == "DISCARD ALL" { statements = [:] }
            return .reply(finish(.done(tag: hasFailed && tag == "COMMIT" ? "ROLLBACK" : tag)))
        case .deallocate(let name):
            guard let name else {
                statements = [:]
                return .reply(finish(.done(tag: "DEALLOCATE ALL")))
            }
            guard statements.removeValue(forKey: name) != nil else { return .reply(finish(.failed(Self.noStatement(name)))) }
            return .reply(finish(.done(tag: "DEALLOCATE")))
        case .setSession(let key):
            let notice = ErrorFields(
                severity: "NOTICE", code: SQLState.successfulCompletion, message: "SET ignored",
                detail: "\(key) has no meaning on the console.")
            return .reply(finish(.done(tag: "SET", notices: [notice])))
        case .showSession(let name):
            let table = ConsoleTable(columns: command.columns ?? [], rows: [[.text(SessionParameters.value(of: name))]])
            return .reply(finish(.done(tag: "SHOW", table: table)))
        case .help:
            let notice = ErrorFields(
                severity: "NOTICE", code: SQLState.successfulCompletion, message: "Console usage", detail: CommandTable.usage)
            return .reply(finish(.done(tag: "SHOW", notices: [notice])))
        default:
            return .run(command, first: [])
        }
    }

    /// The messages for what the running command brought.
    public mutating func finish(_ outcome: ConsoleOutcome) -> [UInt8] {
        guard let pending else { return [] }
        self.pending = nil
        var writer = MessageWriter()
        switch (outcome, pending) {
        case (.failed(let error), .simple):
            writer.bytes = message(error)
            writer.readyForQuery(status)
        case (.failed(let error), .portal):
            isSkipping = true
            writer.bytes = message(error)
        case (.done(let tag, let table, let notices), .simple):
            for notice in notices { writer.notice(notice) }
            if let table {
                writer.rowDescription(table.columns.map { $0.type.column($0.name) })
                for row in table.rows { writer.dataRow(row.map(\.text)) }
            }
            if tag.isEmpty { writer.emptyQueryResponse() } else { writer.commandComplete(tag) }
            if status == .idle { portals = [:] }
            writer.readyForQuery(status)
        case (.done(let tag, let table, let notices), .portal(let name, let limit)):
            for notice in notices { writer.notice(notice) }
            portals[name]?.rest = table?.rows[...] ?? []
            portals[name]?.tag = tag
            writeRows(of: name, limit: limit, &writer)
        }
        return writer.bytes
    }

    /// As many rows as Execute asked for.
    private mutating func writeRows(of name: String, limit: Int, _ writer: inout MessageWriter) {
        guard var portal = portals[name], let rest = portal.rest else { return }
        let columns = portal.command.columns ?? []
        let now = limit > 0 ? rest.prefix(limit) : rest
        for row in now {
            writer.dataRow(
                bytes: zip(columns, row).enumerated().map { index, pair in
                    pair.0.type.bytes(of: pair.1, isBinary: Self.format(portal.formats, index) == 1)
                })
        }
        let left = rest.dropFirst(now.count)
        // An empty slice would keep all the rows behind it.
        portal.rest = left.isEmpty ? [] : left
        if limit > 0, now.count == limit, !(portal.rest?.isEmpty ?? true) {
            writer.portalSuspended()
        } else if portal.tag.isEmpty {
            writer.emptyQueryResponse()
        } else {
            writer.commandComplete(portal.tag)
        }
        portals[name] = portal
    }

    private static func format(_ formats: [UInt16], _ index: Int) -> UInt16 {
        formats.isEmpty ? 0 : formats.count == 1 ? formats[0] : index < formats.count ? formats[index] : 0
    }

    // MARK: Extended

    private mutating func extended(_ frame: Frame, _ bytes: Span<UInt8>, _ body: Range<Int>) throws(ConsoleError) -> ConsoleAction {
        var writer = MessageWriter()
        switch frame.type {
        case Frontend.parse:
            try parse(bytes, body)
            writer.parseComplete()
        case Frontend.bind:
            try bind(bytes, body)
            writer.bindComplete()
        case Frontend.describe:
            try describe(bytes, body, &writer)
        case Frontend.close:
            guard let (kind, range) = TargetMessage.read(bytes, body: body) else { return .refuse("broken Close packet") }
            let name = String(decoding: bytes, in: range)
            if kind == .statement { statements[name] = nil } else { portals[name] = nil }
            writer.closeComplete()
        default:
            return try execute(bytes, body)
        }
        return .reply(writer.bytes)
    }

    private mutating func parse(_ bytes: Span<UInt8>, _ body: Range<Int>) throws(ConsoleError) {
        guard let (name, tail) = ParseMessage.read(bytes, body: body), let query = ParseMessage.query(bytes, tail: tail) else {
            throw ConsoleError("broken Parse packet")
        }
        let label = String(decoding: bytes, in: name)
        if !label.isEmpty, statements[label] != nil {
            throw ConsoleError("prepared statement \"\(label)\" already exists", code: SQLState.duplicateStatement)
        }
        guard statements.count < Self.statementLimit || label.isEmpty else {
            throw ConsoleError("too many prepared statements", code: SQLState.programLimitExceeded)
        }
        let prepared = try ConsoleGrammar.prepare(String(decoding: bytes, in: query))
        // Wrong commands are told now, as PostgreSQL does; values don't change what is wrong.
        _ = try prepared.command(Array(repeating: "0", count: prepared.parameterCount))
        var types: [UInt32] = []
        for index in stride(from: query.upperBound + 3, to: tail.upperBound, by: 4) { types.append(word(bytes, index)) }
        statements[label] = Statement(prepared: prepared, types: types)
    }

    private func word(_ bytes: Span<UInt8>, _ at: Int) -> UInt32 {
        guard at >= 0, at + 4 <= bytes.count else { return 0 }
        return (0..<4).reduce(0) { $0 << 8 | UInt32(bytes[at + $1]) }
    }

    private mutating func bind(_ bytes: Span<UInt8>, _ body: Range<Int>) throws(ConsoleError) {
        guard case .names(let portal, let name, let rest) = BindMessage.read(bytes, body: body),
            let values = BindValues.read(bytes, from: rest, to: body.upperBound)
        else { throw ConsoleError("broken Bind packet") }
        let statement = try self.statement(String(decoding: bytes, in: name))
        guard values.values.count >= statement.prepared.parameterCount else {
            throw ConsoleError(
                "bind message supplies \(values.values.count) parameters, but \(statement.prepared.parameterCount) are needed")
        }
        var texts: [String] = []
        for (index, value) in values.values.enumerated() {
            let type = index < statement.types.count ? statement.types[index] : 0
            texts.append(try text(of: value, type: type, number: index + 1))
        }
        let command = try statement.prepared.command(texts)
        let label = String(decoding: bytes, in: portal)
        guard portals.count < Self.portalLimit || portals[label] != nil || label.isEmpty else {
            throw ConsoleError("too many portals", code: SQLState.programLimitExceeded)
        }
        portals[label] = Portal(command: command, formats: values.resultFormats)
    }

    private func text(of value: BindValues.Value, type: UInt32, number: Int) throws(ConsoleError) -> String {
        guard let bytes = value.bytes else { throw ConsoleError("parameter $\(number) is NULL, which no command takes") }
        switch (value.format, type) {
        case (1, 20), (1, 21), (1, 23), (1, 26):
            guard [2, 4, 8].contains(bytes.count) else {
                throw ConsoleError("parameter $\(number) has \(bytes.count) bytes, which no integer has")
            }
            let bits = bytes.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            let shift = UInt64(64 - 8 * bytes.count)
            return String(Int64(bitPattern: bits << shift) >> Int64(shift))
        case (1, 0), (1, 25), (1, 19), (1, 1043), (0, _):
            return String(decoding: bytes, as: UTF8.self)
        default:
            throw ConsoleError(
                "parameter $\(number) comes in the binary form of type \(type), which the console does not know: expected text")
        }
    }

    private func statement(_ name: String) throws(ConsoleError) -> Statement {
        guard let statement = statements[name] else { throw Self.noStatement(name) }
        return statement
    }

    private static func noStatement(_ name: String) -> ConsoleError {
        ConsoleError(
            name.isEmpty ? "unnamed prepared statement does not exist" : "prepared statement \"\(name)\" does not exist",
            code: SQLState.invalidStatementName)
    }

    private func portal(_ name: String) throws(ConsoleError) -> Portal {
        guard let portal = portals[name] else {
            throw ConsoleError("portal \"\(name)\" does not exist", code: SQLState.invalidCursorName)
        }
        return portal
    }

    private func describe(_ bytes: Span<UInt8>, _ body: Range<Int>, _ writer: inout MessageWriter) throws(ConsoleError) {
        guard let (kind, range) = TargetMessage.read(bytes, body: body) else { throw ConsoleError("broken Describe packet") }
        let name = String(decoding: bytes, in: range)
        let columns: [Column]?
        var formats: [UInt16] = []
        if kind == .statement {
            let statement = try self.statement(name)
            let count = statement.prepared.parameterCount
            // Whatever is not told is text.
            writer.parameterDescription(
                (0..<count).map { index in
                    let type = index < statement.types.count ? statement.types[index] : 0
                    return type == 0 ? 25 : type
                })
            columns = try statement.prepared.command(Array(repeating: "0", count: count)).columns
        } else {
            let portal = try self.portal(name)
            columns = portal.command.columns
            formats = (0..<(columns?.count ?? 0)).map { Self.format(portal.formats, $0) }
        }
        guard let columns else {
            writer.noData()
            return
        }
        writer.rowDescription(columns.map { $0.type.column($0.name) }, formats: formats)
    }

    private mutating func execute(_ bytes: Span<UInt8>, _ body: Range<Int>) throws(ConsoleError) -> ConsoleAction {
        guard let (range, limit) = ExecuteMessage.read(bytes, body: body) else { throw ConsoleError("broken Execute packet") }
        let name = String(decoding: bytes, in: range)
        let portal = try self.portal(name)
        let rows = Int(Int32(truncatingIfNeeded: limit))
        if portal.rest != nil {
            var writer = MessageWriter()
            writeRows(of: name, limit: rows, &writer)
            return .reply(writer.bytes)
        }
        let command = try allowed(portal.command)
        pending = .portal(name, limit: rows)
        return run(command)
    }
}
