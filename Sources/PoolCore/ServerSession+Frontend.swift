import PostgresWire

/// What becomes of a client's message on its way to the server.
public enum FrontendAction: Sendable {
    case forward
    /// Not sent: the server does not need it, or would throw it away.
    case drop
    /// Sent as a Parse of `statement` under its server name.
    case parse(Statement, Preparation)
    /// A Bind: sent with the statement's server name in place of what stands in `name`, and `rest` of the message as it is.
    case bind(serverName: [UInt8], portal: Range<Int>, rest: Int, Preparation)
    /// A Describe of a statement: sent with its server name.
    case describe(serverName: [UInt8], Preparation)
    /// Sent as it is, after a Parse of this statement without a name.
    case forwardAfterUnnamed(Statement)
    case terminate
    case refuse(PoolerError)
}

/// What has to be sent ahead of a message that uses a statement.
public struct Preparation: Sendable {
    /// To be parsed under its server name.
    public var parse: Statement?
    /// To be closed, to stay within the server's limit.
    public var close: [UInt32] = []

    static var none: Preparation { Preparation() }
    public var isEmpty: Bool { parse == nil && close.isEmpty }
}

extension ServerSession {
    /// A server name that is never given to a statement: using it makes the server raise the error that is due, in its place in the
    /// order of replies and with all its consequences for the transaction.
    public static let absentName = Array("SLUICE_0".utf8)

    /// Judges a whole message of the linked client (of Bind, at least its names) and enters it in the ledger.
    @inline(__always)
    public mutating func translate(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession, rules: Rules, table: StatementTable
    ) -> FrontendAction {
        if ledger.isSkipping { return translateWhileSkipping(frame.type) }
        switch frame.type {
        case Frontend.query:
            if rules.refusesSimpleQuery { return .refuse(.simpleQueryDisallowed) }
            if rules.mapsStatements {
                if DeallocateStatement.mayStart(bytes, frame.body(at: offset)),
                    let action = translateDeallocate(frame, bytes, at: offset, client: &client)
                {
                    return action
                }
                if ledger.mayBeSkipped { return queryInBatch(client: &client) }
                if client.statements.unnamed != nil { client.statements.unnamed = nil }
            }
            if statements.unnamed != nil { statements.unnamed = nil }
            ledger.owe(.query, .forward)
            return .forward
        case Frontend.bind:
            return rules.mapsStatements ? translateBind(frame, bytes, at: offset, client: &client, rules: rules) : plain(.bind)
        case Frontend.execute:
            return plain(.execute)
        case Frontend.sync:
            batch &+= 1
            return plain(.sync)
        default:
            return translateOther(frame, bytes, at: offset, client: &client, rules: rules, table: table)
        }
    }

    /// Behind an extended message that fails it is skipped, and then it does not drop the unnamed statement.
    private mutating func queryInBatch(client: inout ClientSession) -> FrontendAction {
        ledger.owe(.query, .forward, note: note(.replaceUnnamed(by: nil, previous: client.statements.unnamed)))
        client.statements.unnamed = nil
        statements.unnamed = nil
        return .forward
    }

    private mutating func plain(_ request: ReplyLedger.Request) -> FrontendAction {
        ledger.owe(request, .forward)
        return .forward
    }

    private mutating func translateWhileSkipping(_ type: UInt8) -> FrontendAction {
        switch type {
        case Frontend.sync:
            batch &+= 1
            return plain(.sync)
        case Frontend.terminate: return .terminate
        default: return .drop
        }
    }

    private mutating func translateOther(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession, rules: Rules, table: StatementTable
    ) -> FrontendAction {
        switch frame.type {
        case Frontend.parse:
            return rules.mapsStatements
                ? translateParse(frame, bytes, at: offset, client: &client, rules: rules, table: table) : plain(.parse)
        case Frontend.describe:
            return rules.mapsStatements ? translateDescribe(frame, bytes, at: offset, client: &client, rules: rules) : plain(.describe)
        case Frontend.close:
            return rules.mapsStatements ? translateClose(frame, bytes, at: offset, client: &client) : plain(.close)
        case Frontend.flush, Frontend.copyData:
            return .forward
        case Frontend.copyDone, Frontend.copyFail:
            return plain(.copyEnd)
        case Frontend.functionCall:
            return plain(.functionCall)
        case Frontend.terminate:
            return .terminate
        default:
            return .refuse(.unknownMessage)
        }
    }

    // MARK: Extended query

    private mutating func translateParse(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession, rules: Rules, table: StatementTable
    ) -> FrontendAction {
        guard let (name, tail) = ParseMessage.read(bytes, body: frame.body(at: offset)) else { return .refuse(.brokenMessage("Parse")) }
        let definition = bytes.extracting(tail)
        if name.isEmpty {
            let previous = client.statements.unnamed
            let statement: Statement
            if let previous, !previous.isRetired, previous.definition.hasSameBytes(as: definition) {
                statement = previous
            } else {
                statement = table.intern(definition)
                client.statements.unnamed = statement
            }
            // Only a Parse that may be skipped has to remember what was there before.
            let void = ledger.mayBeSkipped ? note(.replaceUnnamed(by: statement, previous: previous)) : 0
            fillUnnamed(statement)
            ledger.owe(.parse, .forward, note: void)
            return .forward
        }
        let label = Array(copying: bytes.extracting(name))
        if let existing = client.statements[label] {
            // The server is asked to give the name away once more: its own 42P05, or what else is wrong with the text, comes in its
            // place in the order of replies.
            let preparation = prepare(existing, rules)
            let message = "prepared statement \"\(String(decoding: label, as: UTF8.self))\" already exists"
            ledger.owe(.parse, .forward, note: note(.rename(code: SQLState.duplicateStatement, message: message)))
            return .parse(existing.redefined(Array(copying: definition)), preparation)
        }
        let statement = table.intern(definition)
        client.statements.set(label, to: statement)
        if statements.contains(statement.id), !statements.isInDoubt(statement.id, in: batch) {
            if status != .failed, !ledger.awaitsReady {
                _ = statements.use(statement)
                ledger.owe(.parse, .invented, note: note(.define(name: label, statement, previous: nil, isSent: false)))
                return .drop
            }
            // A failed transaction refuses a Parse, unless it is one of ROLLBACK: the server has to be asked. Without a name it can be.
            fillUnnamed(statement)
            ledger.owe(.parse, .forward, note: note(.define(name: label, statement, previous: nil, isSent: false)))
            return .parse(statement.nameless, .none)
        }
        let closed = makeRoom(statement, rules)
        statements.depart(statement.id, in: batch)
        ledger.owe(.parse, .forward, note: note(.define(name: label, statement, previous: nil, isSent: true)))
        return .parse(statement, Preparation(parse: nil, close: closed))
    }

    @inline(__always)
    private mutating func translateBind(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession, rules: Rules
    ) -> FrontendAction {
        guard case .names(let portal, let name, let rest) = BindMessage.read(bytes, body: frame.body(at: offset)) else {
            return .refuse(.brokenMessage("Bind"))
        }
        if name.isEmpty {
            guard let statement = client.statements.unnamed, !statement.isRetired else {
                return bindAbsent(client.statements.unnamed, name: "", portal: portal, rest: rest)
            }
            if holdsUnnamed(statement) {
                ledger.owe(.bind, .forward, note: statement.id)
                return .forward
            }
            injectUnnamed(statement)
            ledger.owe(.bind, .forward, note: statement.id)
            return .forwardAfterUnnamed(statement)
        }
        guard let statement = client.statements[bytes.extracting(name)], !statement.isRetired else {
            let label = String(decoding: bytes, in: name)
            return bindAbsent(client.statements[bytes.extracting(name)], name: label, portal: portal, rest: rest)
        }
        if statements.use(statement), !statements.isInDoubt(statement.id, in: batch) {
            ledger.owe(.bind, .forward, note: statement.id)
            return .bind(serverName: statement.serverName, portal: portal, rest: rest, .none)
        }
        let preparation = prepare(statement, rules)
        ledger.owe(.bind, .forward, note: statement.id)
        return .bind(serverName: statement.serverName, portal: portal, rest: rest, preparation)
    }

    private mutating func bindAbsent(_ retired: Statement?, name: String, portal: Range<Int>, rest: Int) -> FrontendAction {
        ledger.owe(.bind, .forward, note: note(absence(retired, name)))
        return .bind(serverName: Self.absentName, portal: portal, rest: rest, .none)
    }

    private func absence(_ retired: Statement?, _ name: String) -> Note {
        if retired != nil {
            return .rename(code: SQLState.featureNotSupported, message: "cached plan must not change result type")
        }
        let what = name.isEmpty ? "unnamed prepared statement" : "prepared statement \"\(name)\""
        return .rename(code: SQLState.invalidStatementName, message: "\(what) does not exist")
    }

    private mutating func translateDescribe(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession, rules: Rules
    ) -> FrontendAction {
        guard let (kind, name) = TargetMessage.read(bytes, body: frame.body(at: offset)) else {
            return .refuse(.brokenMessage("Describe"))
        }
        if kind == .portal { return plain(.describe) }
        let wanted = name.isEmpty ? client.statements.unnamed : client.statements[bytes.extracting(name)]
        guard let statement = wanted, !statement.isRetired else {
            ledger.owe(.describe, .forward, note: note(absence(wanted, String(decoding: bytes, in: name))))
            return .describe(serverName: Self.absentName, .none)
        }
        if name.isEmpty {
            if !holdsUnnamed(statement) {
                injectUnnamed(statement)
                ledger.owe(.describe, .forward, note: statement.id)
                return .forwardAfterUnnamed(statement)
            }
            ledger.owe(.describe, .forward, note: statement.id)
            return .forward
        }
        let preparation = prepare(statement, rules)
        ledger.owe(.describe, .forward, note: statement.id)
        return .describe(serverName: statement.serverName, preparation)
    }

    private mutating func translateClose(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession
    ) -> FrontendAction {
        guard let (kind, name) = TargetMessage.read(bytes, body: frame.body(at: offset)) else {
            return .refuse(.brokenMessage("Close"))
        }
        if kind == .portal { return plain(.close) }
        if name.isEmpty {
            let previous = client.statements.unnamed
            client.statements.unnamed = nil
            statements.unnamed = nil
            ledger.owe(.close, .forward, note: note(.replaceUnnamed(by: nil, previous: previous)))
            return .forward
        }
        let label = Array(copying: bytes.extracting(name))
        guard let statement = client.statements.set(label, to: nil) else {
            ledger.owe(.close, .invented)
            return .drop
        }
        ledger.owe(.close, .invented, note: note(.forget(name: label, previous: statement)))
        return .drop
    }

    /// Sees to it that the server has the statement before the message that is about to be entered.
    private mutating func prepare(_ statement: Statement, _ rules: Rules) -> Preparation {
        if statements.use(statement), !statements.isInDoubt(statement.id, in: batch) { return .none }
        let closed = makeRoom(statement, rules)
        statements.depart(statement.id, in: batch)
        ledger.owe(.parse, .swallow, note: note(.inject(statement)))
        return Preparation(parse: statement, close: closed)
    }

    /// Enters a statement that is about to be parsed on the server, and tells what has to be closed first: what is over the limit, and
    /// the statement itself when an earlier part of the pipeline may or may not leave it there.
    private mutating func makeRoom(_ statement: Statement, _ rules: Rules) -> [UInt32] {
        var closed: [UInt32] = []
        if statements.isInDoubt(statement.id, in: batch) {
            oweClose(statement.id, wasHeld: statements.remove(statement.id))
            closed.append(statement.id)
        }
        let evicted = statements.insert(statement, limit: rules.statementLimit)
        for id in evicted { oweClose(id, wasHeld: true) }
        return closed + evicted
    }

    private mutating func oweClose(_ id: UInt32, wasHeld: Bool) {
        statements.depart(id, in: batch)
        ledger.owe(.close, .swallow, note: note(.close(id, wasHeld: wasHeld)))
    }

    // MARK: The unnamed statement

    private mutating func fillUnnamed(_ statement: Statement) {
        statements.unnamed = statement
        unnamedBatch = batch
    }

    /// Whether the server's unnamed slot is sure to hold the statement: not so while an earlier part of the pipeline that fills it is
    /// not answered. If that fails, the slot still holds the statement of some other client.
    @inline(__always)
    private func holdsUnnamed(_ statement: Statement) -> Bool {
        statements.unnamed === statement && (unnamedBatch == batch || ledger.isEmpty)
    }

    private mutating func injectUnnamed(_ statement: Statement) {
        fillUnnamed(statement)
        ledger.owe(.parse, .swallow, note: note(.injectUnnamed))
    }

    // MARK: DEALLOCATE

    /// DEALLOCATE in SQL acts on the client's protocol-level names; nil when the server has to see the text.
    private mutating func translateDeallocate(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession
    ) -> FrontendAction? {
        guard let text = QueryText.read(bytes, body: frame.body(at: offset)),
            let parsed = DeallocateStatement.parse(bytes, text)
        else { return nil }
        switch parsed {
        case .name(let name):
            return deallocate(Array(name.utf8), tag: "DEALLOCATE", client: &client)
        case .savepointWrapped(_, let name):
            // SAVEPOINT a; DEALLOCATE b; RELEASE a: the savepoint protects nothing but the DEALLOCATE. Three tags are due.
            return deallocate(Array(name.utf8), tag: Self.savepointTags, client: &client)
        case .all where !statements.hasForeign:
            return deallocate(nil, tag: "DEALLOCATE ALL", client: &client)
        case .all, .discardAll:
            // What SQL PREPARE left on the server only the server can remove.
            ledger.owe(.query, .forward, note: note(.clear(previous: client.statements, held: statements)))
            client.statements.removeAllNamed()
            client.statements.unnamed = nil
            statements.removeAll()
            return .forward
        }
    }

    /// Forgets a name, or all; nil when the client has no such name.
    private mutating func deallocate(_ name: [UInt8]?, tag: String, client: inout ClientSession) -> FrontendAction? {
        let previous = client.statements
        if let name {
            guard client.statements.set(name, to: nil) != nil else { return nil }
        } else {
            client.statements.removeAllNamed()
        }
        client.statements.unnamed = nil
        ledger.owe(.query, .invented, note: note(.deallocate(tag: tag, name: name, previous: previous)))
        return .drop
    }

    static let savepointTags = "SAVEPOINT;DEALLOCATE;RELEASE"
}
