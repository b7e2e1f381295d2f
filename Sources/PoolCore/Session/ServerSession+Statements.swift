import Bytes
import PostgresWire

/// Messages that name a prepared statement.
extension ServerSession {
    // MARK: Parse

    mutating func judgeParse(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession, rules: Rules, table: StatementTable
    ) -> FrontendAction {
        // What can't be read is PostgreSQL's to refuse: it reads all of a Parse before it does anything.
        guard let (name, tail) = ParseMessage.read(bytes, body: frame.body(at: offset)) else { return plain(.parse) }
        if let action = readName(bytes.extracting(name), .parse, &client) { return action }
        if name.isEmpty { return parseUnnamed(bytes.extracting(tail), client: &client, rules: rules, table: table) }
        if let action = waitForNames() { return action }
        let label = ClientStatements.key(bytes.extracting(name))
        if client.statements[label] != nil {
            return parseAgain(tail, name: Self.shown(bytes, name))
        }
        if let action = waitForContext() { return action }
        guard client.statements.count < Self.mostNames, let statement = statement(bytes.extracting(tail), rules, table) else {
            return .refuse(.outOfMemory)
        }
        if let refusal = Self.reserved(statement.effects) { return refuse(refusal) }
        let isHeld = statements.mayTakeOver(statement, table.clock)
        let meaning = ClientStatements.Meaning(statement: statement, born: table.clock.moment())
        if isHeld, !statement.hasNotices, status == .idle, !ledger.isRunning, !ledger.isUnsynced {
            if unparsed == nil { unparsed = statement }
            client.statements.set(label, meaning: meaning)
            ledger.owe(.parse, .invented, note: note(.define(name: label, statement, isSent: false)))
            return .drop
        }
        if let action = parseBefore() { return action }
        if isHeld {
            client.statements.set(label, meaning: meaning)
            // It may be refused, or PostgreSQL takes the transaction's snapshot with it: the server has to be asked. Without a name it can be.
            statements.unnamed = statement.id
            ledger.owe(.parse, .forward, note: note(.define(name: label, statement, isSent: false)))
            return .parse(serverName: [], tail: tail.lowerBound, then: [])
        }
        if let plan = statements.plan(of: statement.id) {
            // Too old. Of those who go on with the statement some know what its columns are.
            if !plan.description.isUnknown { describedAnew = statement.id }
            statements.distrust(statement.id)
        }
        if let action = makeRoom(for: statement, rules) { return action }
        client.statements.set(label, meaning: meaning)
        insert(statement, at: meaning.born)
        let serverName = statements.name(of: statement)
        ledger.owe(.parse, .forward, note: note(.define(name: label, statement, isSent: true)))
        guard describedAnew == statement.id else { return .parse(serverName: serverName, tail: tail.lowerBound, then: []) }
        describedAnew = 0
        var use = PlanUse(name: label, statement: statement, born: meaning.born, parsed: meaning.born)
        (use.describes, use.isOwn) = (true, true)
        ledger.owe(.describe, .swallow, note: note(.watch(use)))
        var writer = MessageWriter()
        writer.describe(statement: String(decoding: serverName, as: UTF8.self))
        return .parse(serverName: serverName, tail: tail.lowerBound, then: writer.bytes)
    }

    private mutating func parseUnnamed(
        _ definition: Span<UInt8>, client: inout ClientSession, rules: Rules, table: StatementTable
    ) -> FrontendAction {
        if let action = parseBefore() { return action }
        if mustWaitToReplaceUnnamed { return hold(.untilSettled) }
        if let action = waitForContext() { return action }
        let statement: Statement
        if let previous = client.statements.unnamed, planContext(table) != nil, previous.contextID == contextID,
            previous.definition.hasSameBytes(as: definition)
        {
            statement = previous
        } else {
            guard let fresh = self.statement(definition, rules, table) else { return .refuse(.outOfMemory) }
            statement = fresh
        }
        if let refusal = Self.reserved(statement.effects) {
            client.statements.unnamed = nil
            statements.unnamed = nil
            return refuse(refusal)
        }
        // Behind nothing that may fail it is not skipped: it succeeds, or leaves no unnamed statement behind.
        let void = ledger.mayBeSkipped ? note(Self.replacingUnnamed(of: client)) : 0
        client.statements.unnamed = statement
        statements.unnamed = statement.id
        ledger.owe(.parse, .forward, note: void > 0 ? void : Self.noteUnnamed(statement, version: client.statements.unnamedVersion))
        return .forward
    }

    /// A Parse under a name that the client has already. PostgreSQL looks at the text first: the server parses it without a name, and is
    /// then made to raise an error in place of which the client gets 42P05.
    private mutating func parseAgain(_ tail: Range<Int>, name: String) -> FrontendAction {
        statements.unnamed = nil
        ledger.owe(.parse, .swallow)
        let message = "prepared statement \"\(name)\" already exists"
        ledger.owe(.describe, .forward, note: note(.rename(code: SQLState.duplicateStatement, message: message)))
        var writer = MessageWriter()
        writer.describe(statement: String(decoding: Self.absentName, as: UTF8.self))
        return .parse(serverName: [], tail: tail.lowerBound, then: writer.bytes)
    }

    /// The server is made to raise an error, in place of which the client gets this one.
    private mutating func refuse(_ refusal: Note) -> FrontendAction {
        ledger.owe(.describe, .forward, note: note(refusal))
        var writer = MessageWriter()
        writer.describe(statement: String(decoding: Self.absentName, as: UTF8.self))
        return .send(writer.bytes)
    }

    /// Statements are not mapped: only COPY is looked for.
    mutating func judgeUnmappedParse(_ frame: Frame, _ bytes: Span<UInt8>, at offset: Int) -> FrontendAction {
        if let (_, tail) = ParseMessage.read(bytes, body: frame.body(at: offset)), CopyStatement.starts(bytes, tail) {
            hasUnmappedCopy = true
        }
        statements.unnamed = nil
        return plain(.parse)
    }

    // MARK: Bind

    mutating func judgeBind(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession, rules: Rules, table: StatementTable
    ) -> FrontendAction {
        let portal: Range<Int>
        let name: Range<Int>
        let rest: Int
        switch BindMessage.read(bytes, body: frame.body(at: offset)) {
        case .names(let first, let second, let end): (portal, name, rest) = (first, second, end)
        case .needMore: return .refuse(.nameTooLong(.portalOrStatement))
        case .malformed: return plain(.bind)
        }
        if let action = readName(bytes.extracting(name), .bind, &client) { return action }
        if let action = name.isEmpty ? waitForConfirmation() : waitForNames() { return action }
        guard let meaning = client.statements.meaning(of: bytes.extracting(name)) else {
            ledger.owe(.bind, .forward, note: note(Self.absence(Self.shown(bytes, name))))
            return .bind(serverName: Self.absentName, portal: portal, rest: rest)
        }
        let statement = meaning.statement
        // What was parsed before it belongs to the transaction that it may end.
        if unparsed != nil, !statement.effects.isEmpty || statement.kind == .deallocation, let action = parseBefore() { return action }
        let isFirst: Bool
        switch prepare(meaning, as: bytes.extracting(name), plans: true, client: &client, rules, table) {
        case .wait(let action):
            return action
        case .changed:
            ledger.owe(.bind, .forward, note: note(.changed(name: ClientStatements.key(bytes.extracting(name)))))
            return .bind(serverName: Self.absentName, portal: portal, rest: rest)
        case .lacking:
            let counts = BindCounts.read(bytes, from: rest, to: offset + frame.length)
            ledger.owe(.bind, .forward, note: note(bindLacking(statement, as: Self.shown(bytes, name), counts)))
            return .bind(serverName: Self.absentName, portal: portal, rest: rest)
        case .ready(let first):
            isFirst = first
        }
        var number = notePortal(bytes.extracting(portal), statement, as: bytes.extracting(name), client: &client)
        if number == 0, isFirst {
            number = watch(meaning, as: bytes.extracting(name), isFirst: true, describes: false, client)
        }
        noteBound(bytes.extracting(portal), meaning, as: bytes.extracting(name))
        ledger.owe(.bind, .forward, note: number > 0 ? number : use(of: statement, as: bytes.extracting(name)))
        if trial != nil { collect(frame, bytes, at: offset) }
        return name.isEmpty ? .forward : .bind(serverName: statements.name(of: statement), portal: portal, rest: rest)
    }

    /// Takes note of what a portal means where its Execute is to be watched, or was. 0: there is nothing to take back.
    private mutating func notePortal(
        _ portal: Span<UInt8>, _ statement: Statement, as name: Span<UInt8>, client: inout ClientSession
    ) -> UInt64 {
        var meaning: ClientSession.Portal.Meaning?
        switch statement.kind {
        case .ordinary:
            // The end of a transaction puts settings back.
            if isTouched || mayChangeContext, !statement.effects.isEmpty { meaning = .effects(statement.effects) }
        case .copy: watchesCopy = true
        case .deallocation: meaning = statement.deallocation.map { .deallocation($0) }
        case .effect: meaning = .effects(statement.effects)
        }
        guard meaning != nil || !client.portals.isEmpty else { return 0 }
        let label = Array(copying: portal)
        let previous = client.portals[label]
        guard meaning != nil || previous != nil else { return 0 }
        let own = note(.bindPortal(label, previous: previous, statement, name: Array(copying: name.extracting(first: Self.shownBytes))))
        if statement.kind == .effect, client.isBlind { changeSettings { $0.lose() } }
        client.setPortal(label, to: meaning.map { ClientSession.Portal(meaning: $0, note: own) })
        return own
    }

    /// What is kept of a name to be shown in errors.
    static let shownBytes = 1000
    private static func shown(_ bytes: Span<UInt8>, _ name: Range<Int>) -> String {
        String(decoding: bytes, in: name.prefix(shownBytes))
    }

    /// The note of a message that uses a statement.
    private mutating func use(of statement: Statement, as name: Span<UInt8>) -> UInt64 {
        if name.isEmpty { return Self.unnamedNote | statement.id }
        if name.count > Identifier.significantBytes {
            return note(.use(name: Array(copying: name.extracting(first: Self.shownBytes)), statement))
        }
        return Self.noteUse(of: statement, tag: ClientStatements.tag(BytesHash.of(name)))
    }

    /// What the server will be made to say of a name that the client has not.
    private static func absence(_ name: String) -> Note {
        let what = name.isEmpty ? "unnamed prepared statement" : "prepared statement \"\(name)\""
        return .rename(code: SQLState.invalidStatementName, message: "\(what) does not exist")
    }

    static let stalePlan = "cached plan must not change result type"

    // MARK: Describe and Close

    mutating func judgeDescribe(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession, rules: Rules, table: StatementTable
    ) -> FrontendAction {
        guard let (kind, name) = TargetMessage.read(bytes, body: frame.body(at: offset)) else { return plain(.describe) }
        if let action = readName(bytes.extracting(name), .describe, &client) { return action }
        if kind == .portal {
            ledger.owe(.describe, .forward, note: noteDescribe(portal: bytes.extracting(name), client: &client))
            return .forward
        }
        if let action = name.isEmpty ? waitForConfirmation() : waitForNames() { return action }
        guard let meaning = client.statements.meaning(of: bytes.extracting(name)) else {
            ledger.owe(.describe, .forward, note: note(Self.absence(Self.shown(bytes, name))))
            return .describe(serverName: Self.absentName)
        }
        let isFirst: Bool
        switch prepare(meaning, as: bytes.extracting(name), plans: false, client: &client, rules, table) {
        case .wait(let action):
            return action
        case .changed:
            ledger.owe(.describe, .forward, note: note(.changed(name: ClientStatements.key(bytes.extracting(name)))))
            return .describe(serverName: Self.absentName)
        case .lacking:
            if ledger.awaitsQuery { return hold(.untilSettled) }
            if let known = Self.descriptionOfLacking(meaning.statement) {
                ledger.owe(.describe, .invented, note: note(known))
                return .drop
            }
            ledger.owe(.describe, .forward, note: note(Self.failedTransaction))
            return .describe(serverName: Self.absentName)
        case .ready(let first):
            isFirst = first
        }
        let number =
            noteDescribe(meaning, as: bytes.extracting(name), isFirst: isFirst, client: &client)
            ?? use(of: meaning.statement, as: bytes.extracting(name))
        ledger.owe(.describe, .forward, note: number)
        if trial != nil { collect(frame, bytes, at: offset) }
        return name.isEmpty ? .forward : .describe(serverName: statements.name(of: meaning.statement))
    }

    mutating func judgeClose(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession
    ) -> FrontendAction {
        guard let (kind, name) = TargetMessage.read(bytes, body: frame.body(at: offset)) else { return plain(.close) }
        if let action = readName(bytes.extracting(name), .close, &client) { return action }
        if kind == .portal { return closePortal(bytes.extracting(name), client: &client) }
        if name.isEmpty {
            if mustWaitToReplaceUnnamed { return hold(.untilSettled) }
            let void = ledger.mayBeSkipped ? note(Self.replacingUnnamed(of: client)) : 0
            client.statements.unnamed = nil
            statements.unnamed = nil
            ledger.owe(.close, .forward, note: void)
            return .forward
        }
        if let action = waitForNames() { return action }
        let label = ClientStatements.key(bytes.extracting(name))
        // Inside a COPY it would be an error, and a query that is not answered yet may be one.
        if ledger.awaitsQuery { return hold(.untilSettled) }
        guard let meaning = client.statements.set(label, meaning: nil) else {
            ledger.owe(.close, .invented)
            return .drop
        }
        let statement = meaning.statement
        remember(label, of: statement)
        if statement.isPrivate, statements.contains(statement.id) {
            // Nobody else will ever use it.
            let name = statements.name(of: statement)
            statements.remove(statement.id)
            ledger.owe(.close, .forward, note: note(.forget(name: label, meaning)))
            var writer = MessageWriter()
            writer.close(statement: String(decoding: name, as: UTF8.self))
            return .send(writer.bytes)
        }
        ledger.owe(.close, .invented, note: note(.forget(name: label, meaning)))
        return .drop
    }

    /// Keeps a name that is closed for the errors of messages that are still to be answered.
    private mutating func remember(_ name: [UInt8], of statement: Statement) {
        if !ledger.isRunning {
            if !closedNames.isEmpty { closedNames = [:] }
        } else if closedNames.count < Self.mostOutstanding {
            closedNames[Self.noteUse(of: statement, tag: ClientStatements.tag(BytesHash.of(name.span)))] = name
        }
    }

    private mutating func closePortal(_ portal: Span<UInt8>, client: inout ClientSession) -> FrontendAction {
        guard !client.portals.isEmpty else { return plain(.close) }
        let label = Array(copying: portal)
        guard let previous = client.portals[label] else { return plain(.close) }
        client.setPortal(label, to: nil)
        ledger.owe(.close, .forward, note: note(.bindPortal(label, previous: previous, nil, name: [])))
        return .forward
    }

    // MARK: What names mean

    /// What the client's unnamed statement means depends on answers that have not come.
    private mutating func waitForConfirmation() -> FrontendAction? { fences > 0 ? hold(.untilConfirmed) : nil }

    /// What the client's names mean depends on answers that have not come.
    private mutating func waitForNames() -> FrontendAction? {
        if fences > 0 { return hold(.untilConfirmed) }
        return namesAreCertain ? nil : hold(.untilSettled)
    }

    /// Reads a name in the client's encoding. What is none in it is PostgreSQL's to refuse (22021), before it does anything.
    private mutating func readName(
        _ name: Span<UInt8>, _ request: ReplyLedger.Request, _ client: inout ClientSession
    ) -> FrontendAction? {
        guard NameEncoding.isWide(name) else { return nil }
        if let action = waitForContext() { return action }
        let encoding = parameters["client_encoding"]
        spellNames(&client)
        return encoding != "UTF8" || (try? UTF8Span(validating: name)) != nil ? nil : plain(request)
    }

    /// The client's names are known by the bytes that they have in its present encoding.
    func spellNames(_ client: inout ClientSession) {
        client.statements.spell(in: NameEncoding(client: parameters["client_encoding"], server: settings.defaults["server_encoding"]))
    }

    /// The statement that a name in SQL stands for, and what the name is known by. Nothing is outstanding.
    func named(_ name: String, _ client: inout ClientSession) -> (key: [UInt8], statement: Statement)? {
        if name.utf8.contains(where: { $0 >= 0x80 }) { spellNames(&client) }
        return client.statements.named(name)
    }

    // MARK: What the server holds

    // Nothing of the pooler's own is sent behind a query of the client that is not answered (`awaitsQuery`): where it is a COPY, that ends it,
    // and the error would be about a message that the client has not sent.

    /// Parses without a name.
    mutating func injectUnnamed(_ statement: Statement) -> FrontendAction {
        statements.unnamed = statement.id
        ledger.owe(.parse, .swallow, note: note(.injectUnnamed(statement)))
        return .ahead(close: [], parse: statement, name: [])
    }

    /// Closes what keeps the server from holding this one, too. Nil: there is room.
    private mutating func makeRoom(for statement: Statement, _ rules: Rules) -> FrontendAction? {
        if ledger.awaitsQuery, statements.hasSurplus(for: statement, limit: rules.statementLimit) { return hold(.untilSettled) }
        let closed = closeSurplus(for: statement, rules)
        return closed.isEmpty ? nil : .ahead(close: closed, parse: nil, name: [])
    }

    mutating func closeSurplus(for statement: Statement, _ rules: Rules) -> [[UInt8]] {
        var names: [[UInt8]] = []
        if statements.takeUncertain(statement.id) { names.append(close(statement.id)) }
        while let surplus = statements.takeSurplus(limit: rules.statementLimit) { names.append(close(surplus)) }
        return names
    }

    /// Enters the Close of a statement, which the server does not count for any more; the server's name for it.
    private mutating func close(_ id: UInt64) -> [UInt8] {
        ledger.owe(.close, .swallow, note: note(.evict(id)))
        return statements.name(ofID: id)
    }
}
