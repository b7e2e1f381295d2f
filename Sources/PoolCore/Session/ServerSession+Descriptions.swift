import Bytes
import PostgresWire

/// A Bind or Describe whose answer tells something of the plan that it used.
struct PlanUse: Sendable {
    /// The client's name; empty for the unnamed statement. As long as errors show it.
    let name: [UInt8]
    let statement: Statement
    /// The moment of the client's Parse.
    let born: UInt64
    /// That of the server's.
    let parsed: UInt64
    /// The plan has served no name that is as young: see `Fitness.old`.
    var isFirst = false
    /// What the answer says is taken note of, for the plan, and as what the name was told.
    var describes = false
    /// The pooler asks for itself: the client is told nothing.
    var isOwn = false
    /// Of the client's unnamed statement when the message was sent.
    var unnamedVersion: UInt32 = 0
}

/// A batch of a client whose first message uses a plan that may be stale, where a Parse of the client's own would have given one that is not.
/// If so, it is repeated: its client is told nothing.
struct PlanTrial: Sendable {
    enum Stage: Sendable {
        case collecting
        /// Its Sync has been sent.
        case complete
        /// Its first message has failed; the answer to its Sync is awaited.
        case failed
    }

    /// Of the first message.
    let note: UInt64
    var stage = Stage.collecting
    var messages: [UInt8] = []
    /// The first half of the answer to a Describe, of which the other half may be an error.
    var withheld: [UInt8] = []
    /// What is longer is not repeated.
    static let longest = 64 * 1024
}

/// What a plan is good for, and what clients were told of it.
extension ServerSession {
    /// What stands between a name and its use.
    enum Preparation {
        /// `isFirst`: see `PlanUse`.
        case ready(isFirst: Bool)
        /// The message is judged again, or waits.
        case wait(FrontendAction)
        /// The plan gives something else than the client was told.
        case changed
        /// The transaction has failed, and the server has no plan: see `bindLacking`.
        case lacking
    }

    /// Sees to it that the server has a good plan of what a name means, before the message that uses it is entered.
    ///
    /// - Parameter plans: It is a Bind, with which PostgreSQL makes the plan. A Describe makes none, and has none of the errors of that.
    @inline(never)
    mutating func prepare(
        _ meaning: ClientStatements.Meaning, as name: Span<UInt8>, plans: Bool, client: inout ClientSession, _ rules: Rules,
        _ table: StatementTable
    ) -> Preparation {
        if name.isEmpty { return prepareUnnamed(meaning, plans: plans, client: &client, table) }
        let statement = meaning.statement
        if statements.use(statement, told: meaning.told, born: meaning.born) { return .ready(isFirst: false) }
        let fitness = statements.fitness(statement, told: meaning.told, born: meaning.born, plans: plans)
        if isFailed {
            // PostgreSQL does not look whether a plan is stale, and parses nothing but what ends the transaction.
            guard fitness == .missing else { return .ready(isFirst: false) }
            if ledger.awaitsReady { return .wait(hold(.untilSettled)) }
            if !statement.endsTransaction { return .lacking }
        }
        switch fitness {
        case .good:
            if let plan = statements.plan(of: statement.id), !meaning.told.isUnknown {
                // What the client does not know yet can't have been different.
                client.statements.tell(ClientStatements.key(name), born: meaning.born, plan.description)
            }
            return .ready(isFirst: false)
        case .old:
            return .ready(isFirst: statement.kind == .ordinary)
        case .changed:
            // What was parsed before this plan gives something else for certain.
            if let plan = statements.plan(of: statement.id) { statement.outdate(before: plan.parsed) }
            return .changed
        case .undescribed:
            guard ledger.isEmpty else { return .wait(hold(.untilSettled)) }
            let parsed = statements.plan(of: statement.id)?.parsed ?? 0
            ledger.owe(.describe, .swallow, note: note(.watch(ownDescribe(meaning, as: name, parsed: parsed))))
            return .wait(.ahead(close: [], parse: nil, name: statements.name(of: statement), describes: true))
        case .missing, .stale:
            return parse(meaning, as: name, plans: plans, rules, table).map { .wait($0) } ?? .ready(isFirst: false)
        }
    }

    /// The transaction has failed, and nothing of the present batch can have ended it.
    private var isFailed: Bool { status == .failed && !ledger.isUnsynced }

    private func ownDescribe(_ meaning: ClientStatements.Meaning, as name: Span<UInt8>, parsed: UInt64) -> PlanUse {
        PlanUse(
            name: Array(copying: name.extracting(first: Self.shownBytes)), statement: meaning.statement, born: meaning.born, parsed: parsed,
            describes: true, isOwn: true)
    }

    /// Parses what a name means ahead of the message that needs it, and has it described if the client was told something of it.
    private mutating func parse(
        _ meaning: ClientStatements.Meaning, as name: Span<UInt8>, plans: Bool, _ rules: Rules, _ table: StatementTable
    ) -> FrontendAction? {
        if ledger.awaitsQuery { return hold(.untilSettled) }
        if let action = waitForContext() { return action }
        let statement = meaning.statement
        statements.distrust(statement.id)
        let describes = !meaning.told.isUnknown && !isFailed
        let moment = table.clock.moment()
        var detour = detour(for: statement, table)
        let closed = closeSurplus(for: statement, rules)
        if detour != nil, !closed.isEmpty { return .ahead(close: closed, parse: nil, name: []) }
        insert(statement, at: moment)
        if !plans, detour?.plans == true {
            // The plan is made by the first Bind, under settings that are not its own: this one is not kept for that.
            detour?.plans = false
            statements.leaveUnplanned(statement.id)
        }
        let describe = describes ? Note.watch(ownDescribe(meaning, as: name, parsed: moment)) : nil
        let inject = note(.inject(statement))
        let serverName = statements.name(of: statement)
        if let detour { return parse(statement, name: serverName, by: detour, note: inject, describe: describe) }
        ledger.owe(.parse, .swallow, note: inject)
        if let describe { ledger.owe(.describe, .swallow, note: note(describe)) }
        return .ahead(close: closed, parse: statement, name: serverName, describes: describes)
    }

    /// Enters a statement that is parsed here and now.
    mutating func insert(_ statement: Statement, at moment: UInt64) {
        statements.insert(statement, at: moment)
        if !statement.isPrivate, isTouched, planSettings.hidesObjects { statements.notePassing(statement.id) }
    }

    /// The same for the client's unnamed statement, which the server's slot has to hold.
    private mutating func prepareUnnamed(
        _ meaning: ClientStatements.Meaning, plans: Bool, client: inout ClientSession, _ table: StatementTable
    ) -> Preparation {
        let statement = meaning.statement
        let isHeld = statements.unnamed == statement.id
        if isHeld, meaning.told.isUnknown || isFailed { return .ready(isFirst: false) }
        let here = statements.unnamedDescription
        if isHeld, here.covers(meaning.told) {
            guard here.agrees(with: meaning.told) else { return .changed }
            client.statements.unnamedTold = here
            return .ready(isFirst: false)
        }
        if isFailed, !isHeld {
            if ledger.awaitsReady { return .wait(hold(.untilSettled)) }
            if !statement.endsTransaction { return .lacking }
        }
        if ledger.awaitsQuery { return .wait(hold(.untilSettled)) }
        let describe = meaning.told.isUnknown || isFailed ? nil : Note.watch(ownDescribe(meaning, as: Span(), parsed: 0))
        if isHeld, let describe {
            guard ledger.isEmpty else { return .wait(hold(.untilSettled)) }
            ledger.owe(.describe, .swallow, note: note(describe))
            return .wait(.ahead(close: [], parse: nil, name: [], describes: true))
        }
        if let action = waitForContext() { return .wait(action) }
        var detour = detour(for: statement, table)
        if !plans { detour?.plans = false }
        statements.unnamed = statement.id
        let inject = note(.injectUnnamed(statement))
        if let detour { return .wait(parse(statement, name: [], by: detour, note: inject, describe: describe)) }
        ledger.owe(.parse, .swallow, note: inject)
        if let describe { ledger.owe(.describe, .swallow, note: note(describe)) }
        return .wait(.ahead(close: [], parse: statement, name: [], describes: describe != nil))
    }

    // MARK: What a client is told

    /// Takes note of a Bind, for a Describe of its portal.
    mutating func noteBound(_ portal: Span<UInt8>, _ meaning: ClientStatements.Meaning, as name: Span<UInt8>) {
        var note: UInt64 = 0
        if !name.isEmpty, meaning.told.columns == 0, !meaning.statement.dependsOnSession {
            let key = name.count > Identifier.significantBytes ? name.extracting(..<Identifier.significantBytes) : name
            note = Self.noteUse(of: meaning.statement, tag: ClientStatements.tag(BytesHash.of(key)))
        }
        if portal.isEmpty {
            bound = note
        } else if note != 0 || boundPortal != nil {
            boundPortal = note == 0 ? nil : (Array(copying: portal), note)
        }
    }

    /// The note of a portal's Describe, which tells the client of columns. 0: there is nothing to take note of.
    mutating func noteDescribe(portal: Span<UInt8>, client: inout ClientSession) -> UInt64 {
        var use = bound
        if !portal.isEmpty { use = boundPortal.flatMap { $0.name.hasSameBytes(as: portal) ? $0.note : nil } ?? 0 }
        guard use != 0 else { return 0 }
        if portal.isEmpty { bound = 0 } else { boundPortal = nil }
        let id = Self.statementID(use)
        guard let name = client.statements.name(ofID: id, tag: Self.tag(use)), let meaning = client.statements.meaning(of: name.span),
            let plan = statements.plan(of: id)
        else { return 0 }
        guard plan.description.columns == 0 else {
            client.statements.tell(name, born: meaning.born, PlanDescription(columns: plan.description.columns))
            return 0
        }
        return note(
            .watch(PlanUse(name: name, statement: meaning.statement, born: meaning.born, parsed: plan.parsed, describes: true)))
    }

    /// The note of a Describe of a statement. Nil: it tells nothing that is not known.
    mutating func noteDescribe(
        _ meaning: ClientStatements.Meaning, as name: Span<UInt8>, isFirst: Bool, client: inout ClientSession
    ) -> UInt64? {
        let statement = meaning.statement
        var describes = !meaning.told.isWhole && !statement.dependsOnSession
        let plan = name.isEmpty ? (0, statements.unnamedDescription) : statements.plan(of: statement.id) ?? (0, .unknown)
        if describes, plan.1.isWhole {
            describes = false
            if name.isEmpty {
                client.statements.unnamedTold = plan.1
            } else {
                client.statements.tell(ClientStatements.key(name), born: meaning.born, plan.1)
            }
        }
        guard describes || isFirst else { return nil }
        return watch(meaning, as: name, isFirst: isFirst, describes: describes, client)
    }

    /// The note of a message that uses a plan.
    mutating func watch(
        _ meaning: ClientStatements.Meaning, as name: Span<UInt8>, isFirst: Bool, describes: Bool, _ client: borrowing ClientSession
    ) -> UInt64 {
        let parsed = name.isEmpty ? 0 : statements.plan(of: meaning.statement.id)?.parsed ?? 0
        let isAlone = isFirst && status == .idle && !ledger.isRunning && !ledger.isUnsynced
        let number = note(
            .watch(
                PlanUse(
                    name: Array(copying: name.extracting(first: Self.shownBytes)), statement: meaning.statement, born: meaning.born,
                    parsed: parsed, isFirst: isFirst, describes: describes, unnamedVersion: client.statements.unnamedVersion)))
        if isAlone { trial = PlanTrial(note: number) }
        return number
    }

    // MARK: What the server answers

    /// The server has to be heard in whole.
    public var needsDescription: Bool {
        guard let head = ledger.head, head.note >= Self.firstNote else { return false }
        switch notes[head.note] {
        case .watch(let use) where head.request == .describe: return use.describes || trial != nil
        case .namesLeft: return true
        default: return false
        }
    }

    /// A ParameterDescription has come for this entry. What is returned is said of it.
    mutating func takeParameters(_ owed: ReplyLedger.Owed, _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int) -> BackendAction? {
        guard owed.note >= Self.firstNote, case .watch(let use) = notes[owed.note] else { return nil }
        if use.describes {
            describedParameters = PlanDescription.digest(parameters: frame, bytes, at: offset)
            describedTypes = ParameterDescription.types(bytes, body: frame.body(at: offset), atMost: Statement.mostKnownParameters)
        }
        guard trial?.note == owed.note else { return nil }
        guard frame.length <= bytes.count - offset else {
            trial = nil
            return nil
        }
        trial?.withheld = Array(copying: bytes.extracting(offset..<offset + frame.length))
        return .swallow
    }

    /// What was withheld of an answer goes ahead of its end.
    mutating func release(_ action: BackendAction, _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int) -> BackendAction {
        guard let withheld = trial?.withheld, !withheld.isEmpty else { return action }
        trial = nil
        switch action {
        case .forward: return .replace(withheld + Array(copying: bytes.extracting(offset..<min(offset + frame.length, bytes.count))))
        case .replace(let end): return .replace(withheld + end)
        default: return action
        }
    }

    /// The message of this note has been answered as it should be.
    mutating func confirm(_ use: PlanUse, _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession) {
        if use.isFirst { statements.validate(use.statement.id, parsed: use.parsed, at: use.born) }
        guard use.describes, frame.type == Backend.rowDescription || frame.type == Backend.noData else { return }
        let description = PlanDescription(
            columns: PlanDescription.digest(columns: frame, bytes, at: offset), parameters: describedParameters)
        if frame.type == Backend.noData, describedParameters != 0, let types = describedTypes { use.statement.learn(parameters: types) }
        describedParameters = 0
        describedTypes = nil
        if use.name.isEmpty {
            if statements.unnamed == use.statement.id, use.isOwn || use.unnamedVersion == client.statements.unnamedVersion {
                statements.unnamedDescription = description
                if !use.isOwn { client.statements.unnamedTold = description }
            }
            return
        }
        statements.describe(use.statement.id, parsed: use.parsed, description)
        if !use.isOwn { client.statements.tell(ClientStatements.key(use.name.span), born: use.born, description) }
    }

    // MARK: A batch that may be repeated

    /// Judges a message of a batch that may be repeated, and keeps it.
    @inline(never)
    mutating func judgeInTrial(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession, rules: Rules, table: StatementTable
    ) -> FrontendAction {
        let running = trial
        trial = nil
        let action = judge(frame, bytes, at: offset, client: &client, rules: rules, table: table)
        trial = running
        switch action {
        case .ahead, .within, .wait: break
        default: collect(frame, bytes, at: offset)
        }
        return action
    }

    /// A message of the batch has been judged, and is sent.
    mutating func collect(_ frame: Frame, _ bytes: Span<UInt8>, at offset: Int) {
        guard var trial, trial.stage == .collecting else { return }
        self.trial = nil
        switch frame.type {
        case Frontend.bind, Frontend.describe, Frontend.execute, Frontend.close, Frontend.parse, Frontend.flush, Frontend.sync: break
        default: return
        }
        guard frame.length <= bytes.count - offset, trial.messages.count + frame.length <= PlanTrial.longest else { return }
        for index in offset..<offset + frame.length { trial.messages.append(bytes[index]) }
        if frame.type == Frontend.sync {
            trial.stage = .complete
            // What came behind it would be done before it.
            gate = .untilSettled
        }
        self.trial = trial
    }

    /// The first message of a batch has failed. Whether all of it will be repeated: then the client hears nothing.
    mutating func repeats(_ note: UInt64) -> Bool {
        guard let found = trial, found.note == note else { return false }
        trial = nil
        guard found.stage == .complete, ledger.count == 1, ledger.swallowSync() else { return false }
        trial = found
        trial?.stage = .failed
        return true
    }

    /// The client's messages that are to be judged again, now that their Sync is answered. Nil: there are none.
    mutating func takeRepeated() -> [UInt8]? {
        guard let trial, trial.stage == .failed else { return nil }
        self.trial = nil
        return trial.messages
    }
}
