import PostgresWire

/// What becomes of a client's message on its way to the server.
public enum FrontendAction: Sendable {
    case forward
    /// Not sent: the server does not need it, or would throw it away.
    case drop
    /// A Parse: sent with this name in place of its own, and from `tail` on as it is.
    case parse(serverName: [UInt8], tail: Int, Preparation)
    /// A Bind: sent with the statement's server name in place of what stands in `name`, and `rest` of the message as it is.
    case bind(serverName: [UInt8], portal: Range<Int>, rest: Int, Preparation)
    /// A Describe of a statement: sent with its server name.
    case describe(serverName: [UInt8], Preparation)
    /// Sent as it is, after a Parse of this statement without a name.
    case forwardAfterUnnamed(Statement)
    /// Sent, and nothing after it before it is answered: what comes next means something else then.
    case forwardAndWait
    /// A Query: sent with this text instead of its own.
    case query(String, Preparation)
    /// Neither sent nor used up: to be looked at again when a ReadyForQuery has come.
    case wait
    /// Sent as a Parse without a name of this statement instead of its own text.
    case parseUnnamed(Statement, Preparation)
    case terminate
    case refuse(PoolerError)
}

/// What has to be sent ahead of a message that uses a statement.
public struct Preparation: Sendable {
    /// To be parsed under its server name.
    public var parse: Statement?
    /// To be closed, to stay within the server's limit.
    public var close: [UInt64] = []

    static var none: Preparation { Preparation() }
    public var isEmpty: Bool { parse == nil && close.isEmpty }
}

extension ServerSession {
    /// A server name that is never given to a statement: using it makes the server raise the error that is due, in its place in the
    /// order of replies and with all its consequences for the transaction.
    public static let absentName = Array("SLUICE_0".utf8)

    /// Judges a whole message of the linked client (of Bind, at least its names) and enters it in the ledger.
    ///
    /// The three steps are public, too (the first one for a run of messages): the shell spares itself the action where there is nothing
    /// to decide.
    @inline(__always)
    public mutating func translate(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession, rules: Rules, table: StatementTable
    ) -> FrontendAction {
        if !ledger.isSkipping, frame.length <= bytes.count &- offset,
            passes(frame, bytes, at: offset, client: &client, rules: rules)
        {
            return .forward
        }
        if frame.type == Frontend.bind, let bind = passesBind(frame, bytes, at: offset, client: &client, rules: rules) {
            return .bind(serverName: bind.statement.serverName, portal: bind.portal, rest: bind.rest, .none)
        }
        return judge(frame, bytes, at: offset, client: &client, rules: rules, table: table)
    }

    /// Judges a run of the messages that most bursts consist of, as long as nothing is unusual about them: whole, not longer than
    /// `limit`, sent as they are, answered as always. All of them are forwarded, and entered in the ledger.
    ///
    /// Returns where the run ends, and how many messages of the kinds that are counted it has. What stands there, if anything does, is for
    /// `passesBind` and `judge`.
    public mutating func passRun(
        _ bytes: Span<UInt8>, from start: Int, limit: Int, client: inout ClientSession, rules: Rules
    ) -> (end: Int, binds: Int, parses: Int) {
        var at = start
        var (binds, parses) = (0, 0)
        guard !ledger.isSkipping else { return (at, binds, parses) }
        while case .frame(let frame) = peekFrame(bytes, at: at), frame.length <= bytes.count &- at, frame.length <= limit,
            passes(frame, bytes, at: at, client: &client, rules: rules)
        {
            if frame.type == Frontend.bind {
                binds &+= 1
            } else if frame.type == Frontend.parse {
                parses &+= 1
            }
            at &+= frame.length
        }
        return (at, binds, parses)
    }

    /// One message of a run, whole. False: nothing was done.
    @inline(__always)
    private mutating func passes(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession, rules: Rules
    ) -> Bool {
        switch frame.type {
        case Frontend.query:
            guard !rules.refusesSimpleQuery else { return false }
            if rules.mapsStatements {
                // Behind an extended message that fails it is skipped, and then it does not drop the unnamed statement.
                guard !ledger.mayBeSkipped, !DeallocateStatement.mayStart(bytes, frame.body(at: offset)) else { return false }
                client.statements.dropUnnamed()
            }
            if statements.unnamed != nil { statements.unnamed = nil }
            ledger.enter(.query, .forward)
        case Frontend.execute:
            guard client.deallocations.isEmpty else { return false }
            ledger.enter(.execute, .forward)
        case Frontend.sync:
            guard !isAssuming else { return false }
            ledger.enter(.sync, .forward)
        case Frontend.parse:
            // Of the unnamed statement, with the text that it has already; any text that can be told from others by its bytes alone.
            guard rules.mapsStatements, fences == 0, !ledger.mayBeSkipped, frame.length >= 6, bytes[offset &+ 5] == 0,
                let statement = client.statements.unnamed, !statement.isRetired, !statement.mayDeallocate,
                bytes.extracting(offset &+ 6..<offset &+ frame.length).hasSameBytes(as: statement.definition)
            else { return false }
            client.statements.repeatUnnamed()
            if statements.unnamed !== statement { statements.unnamed = statement }
            ledger.enter(.parse, .forward, note: statement.id)
        case Frontend.bind:
            // Of the unnamed statement to the unnamed portal: two empty names, and at least three counts.
            guard rules.mapsStatements, fences == 0, client.deallocations.isEmpty, frame.length >= 13, bytes[offset &+ 5] == 0,
                bytes[offset &+ 6] == 0, let statement = client.statements.unnamed, !statement.isRetired, statements.unnamed === statement
            else { return false }
            ledger.enter(.bind, .forward, note: statement.id)
        case Frontend.describe:
            // Of the unnamed portal.
            guard frame.length == 7, bytes[offset &+ 5] == Target.portal.rawValue, bytes[offset &+ 6] == 0 else { return false }
            ledger.enter(.describe, .forward)
        default:
            return false
        }
        return true
    }

    /// A Bind of a named statement that the server holds: where its parts lie, and what to send in place of the name. Entered in the
    /// ledger. Nil: nothing was done, ask `judge`.
    @inline(__always)
    public mutating func passesBind(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession, rules: Rules
    ) -> (portal: Range<Int>, statement: Statement, rest: Int)? {
        guard rules.mapsStatements, fences == 0, !ledger.isSkipping, client.deallocations.isEmpty,
            case .names(let portal, let name, let rest) = BindMessage.read(bytes, body: frame.body(at: offset)), !name.isEmpty,
            let statement = client.statements[bytes.extracting(name)], !statement.isRetired, statements.use(statement)
        else { return nil }
        ledger.owe(.bind, .forward, note: statement.id)
        return (portal, statement, rest)
    }

    /// Judges what `passes` does not.
    public mutating func judge(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession, rules: Rules, table: StatementTable
    ) -> FrontendAction {
        if ledger.isSkipping { return translateWhileSkipping(frame.type) }
        switch frame.type {
        case Frontend.query:
            if rules.refusesSimpleQuery { return .refuse(.simpleQueryDisallowed) }
            if DeallocateStatement.mayStart(bytes, frame.body(at: offset)),
                let action = translateDeallocate(frame, bytes, at: offset, client: &client, rules: rules)
            {
                return action
            }
            // DEALLOCATE that the server has to see, or a query in a batch.
            ledger.owe(.query, .forward, note: ledger.mayBeSkipped ? note(replacingUnnamed(of: client)) : 0)
            client.statements.unnamed = nil
            statements.unnamed = nil
            return .forward
        case Frontend.bind:
            return rules.mapsStatements ? translateBind(frame, bytes, at: offset, client: &client, rules: rules) : plain(.bind)
        case Frontend.execute:
            return executeDeallocate(frame, bytes, at: offset, &client)
        case Frontend.sync:
            return sync()
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

    /// The note for a message that is about to give the client's unnamed statement another meaning, or none.
    private func replacingUnnamed(of client: ClientSession) -> Note {
        .replaceUnnamed(previous: client.statements.unnamed, version: client.statements.unnamedVersion &+ 1)
    }

    private mutating func sync() -> FrontendAction {
        var fence: UInt64 = 0
        if isAssuming {
            isAssuming = false
            fences += 1
            fence = note(.fence)
        }
        ledger.owe(.sync, .forward, note: fence)
        return .forward
    }

    private mutating func plain(_ request: ReplyLedger.Request) -> FrontendAction {
        ledger.owe(request, .forward)
        return .forward
    }

    private mutating func translateWhileSkipping(_ type: UInt8) -> FrontendAction {
        switch type {
        case Frontend.sync: return sync()
        case Frontend.terminate: return .terminate
        default: return .drop
        }
    }

    // MARK: Extended query

    private mutating func translateParse(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession, rules: Rules, table: StatementTable
    ) -> FrontendAction {
        guard let (name, tail) = ParseMessage.read(bytes, body: frame.body(at: offset)) else { return .refuse(.brokenMessage("Parse")) }
        let definition = bytes.extracting(tail)
        if name.isEmpty {
            if DeallocateStatement.mayStart(bytes, tail), fences == 0,
                let action = translateDeallocate(parsing: tail, bytes, &client, rules, table)
            {
                return action
            }
            if fences > 0 { return .wait }
            let statement: Statement
            if let previous = client.statements.unnamed, !previous.isRetired, previous.definition.hasSameBytes(as: definition) {
                statement = previous
            } else {
                guard let fresh = table.intern(definition) else { return .refuse(.outOfMemory) }
                statement = fresh
            }
            // Only a Parse that may be skipped has to remember what was there before.
            let void = ledger.mayBeSkipped ? note(replacingUnnamed(of: client)) : statement.id
            client.statements.unnamed = statement
            statements.unnamed = statement
            ledger.owe(.parse, .forward, note: void)
            return .forward
        }
        if fences > 0 { return .wait }
        let label = Array(copying: bytes.extracting(name))
        if let existing = client.statements[label] {
            // The server is asked to give the name away once more: its own 42P05, or what else is wrong with the text, comes in its
            // place in the order of replies.
            let preparation = prepare(existing, rules)
            let message = "prepared statement \"\(String(decoding: label, as: UTF8.self))\" already exists"
            ledger.owe(.parse, .forward, note: note(.rename(code: SQLState.duplicateStatement, message: message, stale: 0)))
            return .parse(serverName: existing.serverName, tail: tail.lowerBound, preparation)
        }
        guard let statement = table.intern(definition) else { return .refuse(.outOfMemory) }
        client.statements.set(label, to: statement)
        if statements.use(statement) {
            if status != .failed, !ledger.awaitsReady {
                ledger.owe(.parse, .invented, note: note(.define(name: label, statement, previous: nil, isSent: false)))
                return .drop
            }
            // A failed transaction refuses a Parse, unless it is one of ROLLBACK: the server has to be asked. Without a name it can be.
            statements.unnamed = statement
            ledger.owe(.parse, .forward, note: note(.define(name: label, statement, previous: nil, isSent: false)))
            return .parse(serverName: [], tail: tail.lowerBound, .none)
        }
        let evicted = statements.insert(statement, limit: rules.statementLimit)
        closeEvicted(evicted)
        ledger.owe(.parse, .forward, note: note(.define(name: label, statement, previous: nil, isSent: true)))
        return .parse(serverName: statement.serverName, tail: tail.lowerBound, Preparation(parse: nil, close: evicted))
    }

    private mutating func translateBind(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession, rules: Rules
    ) -> FrontendAction {
        guard case .names(let portal, let name, let rest) = BindMessage.read(bytes, body: frame.body(at: offset)) else {
            return .refuse(.brokenMessage("Bind"))
        }
        if fences > 0 { return .wait }
        if !client.deallocations.isEmpty {
            client.bind(portal: Array(copying: bytes.extracting(portal)), to: name.isEmpty ? client.statements.unnamed : nil)
        }
        if name.isEmpty {
            guard let statement = client.statements.unnamed, !statement.isRetired else {
                return bindAbsent(client.statements.unnamed, name: "", portal: portal, rest: rest)
            }
            if statements.unnamed === statement {
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
        let preparation = prepare(statement, rules)
        ledger.owe(.bind, .forward, note: statement.id)
        return .bind(serverName: statement.serverName, portal: portal, rest: rest, preparation)
    }

    private mutating func bindAbsent(_ retired: Statement?, name: String, portal: Range<Int>, rest: Int) -> FrontendAction {
        ledger.owe(.bind, .forward, note: note(absence(retired, name)))
        return .bind(serverName: Self.absentName, portal: portal, rest: rest, .none)
    }

    private func absence(_ retired: Statement?, _ name: String) -> Note {
        if let retired {
            return .rename(code: SQLState.featureNotSupported, message: Self.stalePlan, stale: retired.id)
        }
        let what = name.isEmpty ? "unnamed prepared statement" : "prepared statement \"\(name)\""
        return .rename(code: SQLState.invalidStatementName, message: "\(what) does not exist", stale: 0)
    }

    private mutating func translateDescribe(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession, rules: Rules
    ) -> FrontendAction {
        guard let (kind, name) = TargetMessage.read(bytes, body: frame.body(at: offset)) else {
            return .refuse(.brokenMessage("Describe"))
        }
        if kind == .portal { return plain(.describe) }
        if fences > 0 { return .wait }
        let wanted = name.isEmpty ? client.statements.unnamed : client.statements[bytes.extracting(name)]
        guard let statement = wanted, !statement.isRetired else {
            ledger.owe(.describe, .forward, note: note(absence(wanted, String(decoding: bytes, in: name))))
            return .describe(serverName: Self.absentName, .none)
        }
        if name.isEmpty {
            if statements.unnamed !== statement {
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
        if fences > 0 { return .wait }
        if name.isEmpty {
            ledger.owe(.close, .forward, note: note(replacingUnnamed(of: client)))
            client.statements.unnamed = nil
            statements.unnamed = nil
            return .forward
        }
        let label = Array(copying: bytes.extracting(name))
        guard let statement = client.statements.set(label, to: nil) else {
            ledger.owe(.close, .invented)
            return .drop
        }
        ledger.owe(.close, .invented, note: note(.forget(name: label, statement)))
        return .drop
    }

    static let stalePlan = "cached plan must not change result type"

    /// Sees to it that the server has the statement before the message that is about to be entered.
    private mutating func prepare(_ statement: Statement, _ rules: Rules) -> Preparation {
        if statements.use(statement) { return .none }
        let evicted = statements.insert(statement, limit: rules.statementLimit)
        closeEvicted(evicted)
        ledger.owe(.parse, .swallow, note: note(.inject(statement)))
        return Preparation(parse: statement, close: evicted)
    }

    private mutating func injectUnnamed(_ statement: Statement) {
        statements.unnamed = statement
        ledger.owe(.parse, .swallow, note: note(.injectUnnamed(statement)))
    }

    private mutating func closeEvicted(_ ids: [UInt64]) {
        for id in ids { ledger.owe(.close, .swallow, note: note(.evict(id))) }
    }

    // MARK: DEALLOCATE

    /// DEALLOCATE in SQL acts on the client's protocol-level names; nil when the server has to see the text.
    private mutating func translateDeallocate(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession, rules: Rules
    ) -> FrontendAction? {
        guard let text = QueryText.read(bytes, body: frame.body(at: offset)),
            let parsed = DeallocateStatement.parse(bytes, text)
        else { return nil }
        if fences > 0 { return .wait }
        let previous = client.statements
        switch parsed {
        case .name(let name):
            let label = Array(name.utf8)
            // An open extended batch ends here, so the server has to see something.
            if ledger.isUnsynced { return dropOnServer(label, &client, rules) }
            guard client.statements.set(label, to: nil) != nil else { return nil }
            client.statements.unnamed = nil
            ledger.owe(.query, .invented, note: note(.deallocate(tag: "DEALLOCATE", previous: previous)))
            return .drop
        case .all:
            // What SQL PREPARE left on the server only the server can remove; its command tag then clears the maps.
            if statements.hasForeign || ledger.isUnsynced { return forwardAndWait(&client) }
            client.statements = ClientStatements()
            ledger.owe(.query, .invented, note: note(.deallocate(tag: "DEALLOCATE ALL", previous: previous)))
            return .drop
        case .savepointWrapped(_, let name):
            // Outside a transaction it is an error.
            if (status == .idle && ledger.isEmpty) || ledger.isUnsynced { return nil }
            // SAVEPOINT a; DEALLOCATE b; RELEASE a: the savepoint protects nothing but the DEALLOCATE. Three tags are due.
            guard client.statements.set(Array(name.utf8), to: nil) != nil else { return nil }
            client.statements.unnamed = nil
            ledger.owe(.query, .invented, note: note(.deallocate(tag: Self.savepointTags, previous: previous)))
            return .drop
        case .discardAll:
            return forwardAndWait(&client)
        }
    }

    /// The command tag will empty the client's map, and a Parse behind it in the same packet (Npgsql sends that) has to find it empty.
    private mutating func forwardAndWait(_ client: inout ClientSession) -> FrontendAction {
        client.statements.unnamed = nil
        statements.unnamed = nil
        ledger.owe(.query, .forward)
        return .forwardAndWait
    }

    /// DEALLOCATE of one of the client's names, run by the server under its own name for it.
    private mutating func dropOnServer(_ name: [UInt8], _ client: inout ClientSession, _ rules: Rules) -> FrontendAction? {
        guard let target = client.statements[name], !target.isRetired else { return nil }
        let preparation = prepare(target, rules)
        client.statements.unnamed = nil
        statements.unnamed = nil
        ledger.owe(.query, .forward, note: note(.drop(name: name, target)))
        return .query(Self.deallocation(of: target), preparation)
    }

    private static func deallocation(of statement: Statement) -> String {
        "DEALLOCATE \"\(String(decoding: statement.serverName, as: UTF8.self))\""
    }

    private mutating func executeDeallocate(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, _ client: inout ClientSession
    ) -> FrontendAction {
        guard !client.deallocations.isEmpty, let (portal, _) = ExecuteMessage.read(bytes, body: frame.body(at: offset)),
            let deallocation = client.takeDeallocation(portal: bytes.extracting(portal))
        else { return plain(.execute) }
        ledger.owe(.execute, .forward, note: note(.drop(name: deallocation.name, deallocation.statement)))
        return .forward
    }

    /// DEALLOCATE of one of the client's names in the extended protocol: the server is made to drop what it knows under its own name.
    private mutating func translateDeallocate(
        parsing tail: Range<Int>, _ bytes: Span<UInt8>, _ client: inout ClientSession, _ rules: Rules, _ table: StatementTable
    ) -> FrontendAction? {
        guard let query = ParseMessage.query(bytes, tail: tail), case .name(let name) = DeallocateStatement.parse(bytes, query),
            let target = client.statements[Array(name.utf8)], !target.isRetired
        else { return nil }
        let definition = Array(Self.deallocation(of: target).utf8) + [0, 0, 0]
        guard let statement = table.intern(definition.span) else { return .refuse(.outOfMemory) }
        let preparation = prepare(target, rules)
        let void = note(replacingUnnamed(of: client))
        client.statements.unnamed = statement
        client.expect(ClientSession.Deallocation(name: Array(name.utf8), statement: target, query: statement))
        statements.unnamed = statement
        ledger.owe(.parse, .forward, note: void)
        return .parseUnnamed(statement, preparation)
    }

    static let savepointTags = "SAVEPOINT;DEALLOCATE;RELEASE"
}
