import PostgresWire

/// Under what a Parse is analysed on this server, and who else may use its plan.
extension ServerSession {
    /// The context in force, for what is parsed next. Nil: it is not known.
    mutating func planContext(_ table: StatementTable) -> PlanContext? {
        if let context { return context }
        guard let values = planSettings.values(parameters) else { return nil }
        let found = table.contexts.intern(values)
        context = found
        contextID = planSettings.hidesObjects ? 0 : found.id
        return found
    }

    /// The statement that a Parse defines here and now.
    @inline(never)
    mutating func statement(_ definition: Span<UInt8>, _ rules: Rules, _ table: StatementTable) -> Statement? {
        table.intern(definition, in: planContext(table), isPrivate: planSettings.hidesObjects || !rules.sharesStatements)
    }

    /// What runs may change the context of what comes behind it.
    mutating func waitForContext() -> FrontendAction? {
        guard mayChangeContext else { return nil }
        guard ledger.isEmpty else { return hold(.untilSettled) }
        mayChangeContext = false
        return nil
    }

    mutating func changeSettings(_ change: (inout PlanSettings) -> Void) {
        change(&planSettings)
        isTouched = planSettings.isTouched
        forgetContext()
        updateWatchfulness()
    }

    mutating func forgetContext() {
        context = nil
        contextID = 0
    }

    // MARK: What runs

    /// The effects of a query that has to be looked at; those of one that is not all here may be any.
    @inline(never)
    func effects(inQuery frame: Frame, _ bytes: Span<UInt8>, at offset: Int) -> [StatementEffects.One] {
        let isWhole = frame.length <= bytes.count - offset
        let body = offset + 5..<min(offset + frame.length, bytes.count)
        guard isTouched || mayChangeContext || StatementEffects.mayHave(bytes, body, isInTransaction: status != .idle) else { return [] }
        guard isWhole, let text = QueryText.read(bytes, body: body) else { return StatementEffects.notRead.all }
        let escapes = parameters["standard_conforming_strings"].map { $0 == "off" } ?? false
        let effects = StatementEffects.read(bytes, text, escapes: escapes)
        return effects.isOnlyEnd && !isTouched && !mayChangeContext ? [] : effects.all
    }

    /// The effects of the command whose tag has come, if it was read.
    func effects(of owed: ReplyLedger.Owed) -> [StatementEffect] {
        if case .effects(let effects) = notes[owed.note] { return effects }
        guard owed.request == .query else { return [] }
        return queryEffects.filter { $0.index == queryTags }.map(\.effect)
    }

    /// A command has run that was looked at, or is SET or RESET.
    mutating func noteEffects(of owed: ReplyLedger.Owed, tag: String, _ table: StatementTable) {
        let effects = effects(of: owed)
        if effects.contains(.catalogue) || (tag == "ROLLBACK" && planSettings.changesCatalogue) { table.clock.beginEpoch() }
        if effects.contains(.dropsNames), !hasLent { statements.distrust() }
        // What a PREPARE that was not read has made may have the name of a statement that a function has dropped.
        if tag == "PREPARE", !effects.contains(.prepare) { statements.distrust() }
        let parameters = parameters
        let isSetting = tag == "SET" || tag == "RESET"
        changeSettings { settings in
            for effect in effects { settings.apply(effect, parameters) }
            switch tag {
            case "COMMIT", "PREPARE TRANSACTION": settings.end(isRollback: false)
            case "ROLLBACK": settings.end(isRollback: true)
            default: if isSetting, effects.isEmpty { settings.lose() }
            }
        }
        if isSetting { noteSetting(effects) }
        if owed.request == .query, !queryEffects.isEmpty { queryTags += 1 }
    }

    /// The server's value of what was set is not the one that the pooler has seen to.
    private mutating func noteSetting(_ effects: [StatementEffect]) {
        guard !effects.isEmpty else {
            settings.doubtUnreported()
            return
        }
        for effect in effects {
            switch effect {
            case .setting(StatementEffect.characteristics, _, _), .resetAll, .anySetting:
                settings.doubtUnreported()
            case .setting(let name, _, _):
                settings.doubtUnreported(name)
            case .temporary, .catalogue, .prepare, .reservedName, .transactionEnd, .isTaggedReset, .isAdded, .dropsNames:
                break
            }
        }
    }

    /// ReadyForQuery has come. With the transaction that changed it the catalogue is another one for everybody, or is again what it was.
    mutating func endTransaction(_ table: StatementTable) {
        let hadChanges = planSettings.changesCatalogue
        let isIdle = status == .idle
        changeSettings { $0.ready(isIdle: isIdle) }
        if isIdle { statements.endPassing() }
        if hadChanges, isIdle { table.clock.beginEpoch() }
    }

    /// The answer to a query has come to its end.
    mutating func endEffects(of owed: ReplyLedger.Owed) {
        if !queryEffects.isEmpty, owed.request == .query, owed.disposition == .forward {
            queryEffects = []
            queryTags = 0
        }
        if mayChangeContext, ledger.isEmpty, !ledger.isUnsynced { mayChangeContext = false }
    }

    /// The client has left; what it sent may yet run.
    mutating func abandonSettings() {
        guard isTouched || mayChangeContext else { return }
        var effects = queryEffects.map(\.effect)
        for number in notes.numbers {
            if case .effects(let more) = notes[number] { effects += more }
        }
        let parameters = parameters
        changeSettings { $0.abandon(effects, parameters) }
        queryEffects = []
        mayChangeContext = false
    }

    // MARK: Names

    /// What is said of a text that names one of the pooler's own statements, which are other clients'. Nil: it does not.
    static func reserved(_ effects: [StatementEffect]) -> Note? {
        for case .reservedName(let name) in effects {
            return .rename(code: SQLState.reservedName, message: "statement name \"\(name)\" is reserved for the pooler")
        }
        return nil
    }

    // MARK: What is parsed later

    /// The statement and the portal of the pooler's own settings around a Parse. Closed before they are made: an error may have kept the
    /// last ones.
    private static let detourName = "SLUICE_S"

    /// Statements around a Parse. `plans`: it is planned between them, too.
    struct Detour {
        let before: [String]
        var plans: Bool
        let after: [String]
    }

    /// What has to be run around the Parse of a statement, so that it is analysed in its own context. Nil: nothing.
    @inline(never)
    mutating func detour(for statement: Statement, _ table: StatementTable) -> Detour? {
        guard let wanted = statement.context, status != .failed else { return nil }
        if let here = planContext(table) {
            if here.id == wanted.id { return nil }
            let plans = !here.writesLike(wanted) && !statement.mayHaveParameters
            return Detour(before: here.changes(to: wanted), plans: plans, after: wanted.changes(to: here))
        }
        // What can't be put back one by one goes back as a whole.
        guard status == .inTransaction, !ledger.awaitsReady else { return nil }
        let name = "\"\(Self.detourName)\""
        return Detour(
            before: ["SAVEPOINT \(name)"] + wanted.all, plans: !statement.mayHaveParameters,
            after: ["ROLLBACK TO SAVEPOINT \(name)", "RELEASE SAVEPOINT \(name)"])
    }

    /// Parses a statement by way of its own context. `note`: that of its Parse. `describe`: that of its Describe, if it is to be described.
    @inline(never)
    mutating func parse(
        _ statement: Statement, name: [UInt8], by detour: Detour, note: UInt64, describe: Note?
    ) -> FrontendAction {
        let before = run(detour.before)
        ledger.owe(.parse, .swallow, note: note)
        var writer = MessageWriter()
        if let describe {
            writer.describe(statement: String(decoding: name, as: UTF8.self))
            ledger.owe(.describe, .swallow, note: self.note(describe))
        }
        if detour.plans {
            // A plan without parameters is made with the first Bind, and kept.
            writer.bind(portal: Self.detourName, statement: String(decoding: name, as: UTF8.self))
            ledger.owe(.bind, .swallow, note: self.note(.around))
        }
        return .within(before: before, parse: statement, name: name, after: writer.bytes + run(detour.after))
    }

    /// The messages that run these statements, entered in the ledger. The unnamed statement and portal are left alone. `note`: that of their
    /// Executes.
    mutating func run(_ texts: [String], note executed: Note = .around) -> [UInt8] {
        var writer = MessageWriter()
        for text in texts {
            closeDetour(&writer)
            writer.parse(name: Self.detourName, query: text)
            writer.bind(portal: Self.detourName, statement: Self.detourName)
            writer.execute(portal: Self.detourName)
            for request in [.parse, .bind] as [ReplyLedger.Request] { ledger.owe(request, .swallow, note: note(.around)) }
            ledger.owe(.execute, .swallow, note: note(executed))
        }
        closeDetour(&writer)
        return writer.bytes
    }

    private mutating func closeDetour(_ writer: inout MessageWriter) {
        writer.close(statement: Self.detourName)
        writer.close(portal: Self.detourName)
        for _ in 0..<2 { ledger.owe(.close, .swallow) }
    }
}
