import PostgresWire

extension ServerSession {
    /// A server name that is never given to a statement: using it makes the server raise the error that is due, in its place in the
    /// order of replies and with all its consequences for the transaction.
    public static let absentName = Array("SLUICE_0".utf8)

    /// So many replies may be outstanding; then a client's next message waits. What the pooler keeps for them is bounded by it.
    static let mostOutstanding = 16_384
    /// So many statements a client may name.
    static let mostNames = 250_000

    /// Judges a whole message of the linked client (of Bind, at least its names) and enters it in the ledger.
    ///
    /// The three steps are public, too (the first one for a run of messages): the shell spares itself the action where there is nothing
    /// to decide.
    @inline(__always)
    public mutating func translate(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession, rules: Rules, table: StatementTable
    ) -> FrontendAction {
        if isPlain, frame.length <= bytes.count &- offset, passes(frame, bytes, at: offset, client: &client, rules: rules) {
            return .forward
        }
        if frame.type == Frontend.bind, let bind = passesBind(frame, bytes, at: offset, client: &client, rules: rules) {
            return .bind(serverName: bind.serverName, portal: bind.portal, rest: bind.rest)
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
        guard isPlain else { return (at, binds, parses) }
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

    /// Messages mean what they seem to mean, nothing has to be waited for, and there is room in the ledger for a burst.
    @inline(__always)
    private var isPlain: Bool { !isWatchful && ledger.isRegular && ledger.count < Self.mostOutstanding }

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
                guard !ledger.mayBeSkipped, client.portals.isEmpty,
                    !StatementEffects.mayHave(bytes, frame.body(at: offset), isInTransaction: status != .idle),
                    !client.statements.hasNames || !Self.hasSeveralStatements(frame, bytes, at: offset)
                else { return false }
                client.statements.dropUnnamed()
                noteStatements(inQuery: frame, bytes, at: offset)
            } else if client.mayReset, DeallocateStatement.mayStart(bytes, frame.body(at: offset)) {
                return false
            }
            statements.unnamed = nil
            ledger.enter(.query, .forward)
        case Frontend.execute:
            // Of the unnamed portal; of another one the end of the name has to be found.
            guard frame.length == 10, bytes[offset &+ 5] == 0, client.portals.isEmpty else {
                return false
            }
            ledger.enter(.execute, .forward)
        case Frontend.sync:
            guard !isAssuming, frame.length == 5 else { return false }
            ledger.enter(.sync, .forward)
        case Frontend.parse:
            // Of the unnamed statement, with the text that it has already; any text that can be told from others by its bytes alone.
            guard rules.mapsStatements, fences == 0, !ledger.mayBeSkipped, frame.length >= 6, bytes[offset &+ 5] == 0,
                let statement = client.statements.unnamed, statement.kind == .ordinary,
                statement.contextID == contextID,
                bytes.extracting(offset &+ 6..<offset &+ frame.length).hasSameBytes(as: statement.definition)
            else { return false }
            client.statements.repeatUnnamed()
            statements.unnamed = statement.id
            ledger.enter(.parse, .forward, note: Self.noteUnnamed(statement, version: client.statements.unnamedVersion))
        case Frontend.bind:
            // Of the unnamed statement to the unnamed portal: two empty names, and at least three counts.
            guard frame.length >= 13, bytes[offset &+ 5] == 0, bytes[offset &+ 6] == 0, rules.mapsStatements, fences == 0,
                client.portals.isEmpty, let statement = client.statements.unnamed, statement.kind == .ordinary,
                statements.unnamed == statement.id,
                client.statements.unnamedTold.isUnknown || client.statements.unnamedTold == statements.unnamedDescription
            else { return false }
            bound = 0
            ledger.enter(.bind, .forward, note: Self.unnamedNote | statement.id)
        case Frontend.describe:
            // Of the unnamed portal, which tells nothing new.
            guard bound == 0, frame.length == 7, bytes[offset &+ 5] == Target.portal.rawValue, bytes[offset &+ 6] == 0 else { return false }
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
    ) -> (portal: Range<Int>, serverName: [UInt8], rest: Int)? {
        guard rules.mapsStatements, fences == 0, isPlain, client.portals.isEmpty, namesAreCertain,
            case .names(let portal, let name, let rest) = BindMessage.read(bytes, body: frame.body(at: offset)), !name.isEmpty,
            let (meaning, tag) = client.statements.tagged(bytes.extracting(name))
        else { return nil }
        let statement = meaning.statement
        let told = meaning.told
        guard statement.kind == .ordinary, portal.isEmpty || told.columns != 0,
            statements.use(statement, told: told, born: meaning.born)
        else { return nil }
        let note = Self.noteUse(of: statement, tag: tag)
        // What is described each time has nothing that a client could go by.
        if portal.isEmpty { bound = told.columns == 0 && !statement.dependsOnSession ? note : 0 }
        ledger.enter(.bind, .forward, note: note)
        return (portal, statements.name(of: statement), rest)
    }

    /// No simple query under way may drop names of the client.
    @inline(__always)
    var namesAreCertain: Bool { !namesMayChange || !ledger.awaitsReady }

    /// Takes note of a simple query that may have a DEALLOCATE among its statements. Where nothing follows in the burst, nearly nobody
    /// sends more before the answer: its text is not searched.
    @inline(__always)
    mutating func noteStatements(inQuery frame: Frame, _ bytes: Span<UInt8>, at offset: Int) {
        let mayHaveMore = frame.length >= bytes.count &- offset || Self.hasSeveralStatements(frame, bytes, at: offset)
        namesMayChange = mayHaveMore || (namesMayChange && ledger.awaitsReady)
    }

    /// Of a query that is passed on in pieces nothing is read.
    private func deallocatedNames(inQuery frame: Frame, _ bytes: Span<UInt8>, at offset: Int) -> DeallocatedNames? {
        guard frame.length <= bytes.count - offset, Self.hasSeveralStatements(frame, bytes, at: offset),
            let text = QueryText.read(bytes, body: frame.body(at: offset))
        else {
            return nil
        }
        let escapes = parameters["standard_conforming_strings"].map { $0 == "off" } ?? false
        return DeallocatedNames.read(bytes, text, escapes: escapes)
    }

    /// Whether a query that is all here has one statement only.
    private func isAlone(inQuery frame: Frame, _ bytes: Span<UInt8>, at offset: Int) -> Bool {
        guard frame.length <= bytes.count - offset, let text = QueryText.read(bytes, body: frame.body(at: offset)) else { return false }
        return DeallocatedNames.isOneStatement(bytes, text, escapes: parameters["standard_conforming_strings"].map { $0 == "off" } ?? false)
    }

    private static func hasSeveralStatements(_ frame: Frame, _ bytes: Span<UInt8>, at offset: Int) -> Bool {
        let text = bytes.extracting(frame.body(at: offset))
        guard let semicolon = text.firstIndex(of: UInt8(ascii: ";")) else { return false }
        for index in semicolon &+ 1..<text.count where text[index] != 0 && text[index] > 0x20 { return true }
        return false
    }

    /// Judges what `passes` does not.
    public mutating func judge(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession, rules: Rules, table: StatementTable
    ) -> FrontendAction {
        if trial != nil { return judgeInTrial(frame, bytes, at: offset, client: &client, rules: rules, table: table) }
        guard mayGoOn() else { return .wait([]) }
        if SmallMessages.hasSurplus(frame, bytes, at: offset) { return .refuse(.surplusBytes(frame.type)) }
        switch ledger.copy {
        case .none: break
        case .receiving: return judgeInCopy(frame.type)
        case .ended:
            if let action = judgeBehindCopy(frame.type) { return action }
        }
        if frame.type == Frontend.terminate { return .terminate }
        if ledger.isUncertain || ledger.count >= Self.mostOutstanding { return hold(.untilSettled) }
        if ledger.isSkipping { return judgeWhileSkipping(frame.type) }
        if !statements.standIns.isEmpty, ledger.isEmpty { return closeStandIns() }
        switch frame.type {
        case Frontend.sync:
            return sync()
        case Frontend.query:
            if rules.mapsStatements, client.mayReset,
                let action = judgeWithValues(frame, bytes, at: offset, client: &client, rules: rules, table: table)
            {
                return action
            }
            return judgeQuery(frame, bytes, at: offset, client: &client, rules: rules)
        case Frontend.parse:
            if rules.mapsStatements, client.mayReset,
                let action = judgeWithValues(frame, bytes, at: offset, client: &client, rules: rules, table: table)
            {
                return action
            }
            return rules.mapsStatements
                ? judgeParse(frame, bytes, at: offset, client: &client, rules: rules, table: table)
                : judgeUnmappedParse(frame, bytes, at: offset)
        case Frontend.bind:
            return rules.mapsStatements ? judgeBind(frame, bytes, at: offset, client: &client, rules: rules, table: table) : plain(.bind)
        case Frontend.describe:
            return rules.mapsStatements
                ? judgeDescribe(frame, bytes, at: offset, client: &client, rules: rules, table: table) : plain(.describe)
        case Frontend.execute:
            return judgeExecute(frame, bytes, at: offset, client: &client, rules: rules)
        case Frontend.close:
            return rules.mapsStatements ? judgeClose(frame, bytes, at: offset, client: &client) : plain(.close)
        case Frontend.flush:
            return .forward
        case Frontend.copyData, Frontend.copyDone, Frontend.copyFail:
            // PostgreSQL throws them away where no COPY reads. Whether one will is known when all that was sent is answered.
            return ledger.isRunning ? hold(.untilSettled) : .drop
        case Frontend.functionCall:
            return plain(.functionCall)
        default:
            return .refuse(.unknownMessage)
        }
    }

    mutating func plain(_ request: ReplyLedger.Request) -> FrontendAction {
        ledger.owe(request, .forward)
        return .forward
    }

    private mutating func sync() -> FrontendAction {
        var fence: UInt64 = 0
        if isAssuming {
            isAssuming = false
            fences += 1
            fence = note(.fence)
        }
        if unparsed != nil { unparsed = nil }
        ledger.owe(.sync, .forward, note: fence)
        return .forward
    }

    private mutating func judgeWhileSkipping(_ type: UInt8) -> FrontendAction {
        switch type {
        case Frontend.sync: return sync()
        case Frontend.query, Frontend.parse, Frontend.bind, Frontend.describe, Frontend.execute, Frontend.close, Frontend.flush,
            Frontend.functionCall, Frontend.copyData, Frontend.copyDone, Frontend.copyFail:
            return .drop
        default: return .refuse(.unknownMessage)
        }
    }

    // MARK: COPY from the client

    /// A COPY reads: what it takes goes on, and anything else ends it and the connection, as with PostgreSQL.
    private mutating func judgeInCopy(_ type: UInt8) -> FrontendAction {
        switch type {
        case Frontend.copyData, Frontend.flush:
            return .forward
        case Frontend.copyDone, Frontend.copyFail, Frontend.sync:
            ledger.enterInCopy(type)
            return .forward
        case Frontend.query, Frontend.parse, Frontend.bind, Frontend.describe, Frontend.execute, Frontend.close, Frontend.functionCall,
            Frontend.terminate:
            return .wait(interruptCopy(.message(type)))
        default:
            return .refuse(.unknownMessage)
        }
    }

    /// Ends the COPY that reads. It may have failed already, with the error still on its way: then the message is an ordinary one. The answer
    /// to a CopyFail tells, and CopyFail means nothing outside a COPY. Returns what is to be sent.
    public mutating func interruptCopy(_ interruption: CopyInterruption) -> [UInt8] {
        self.interruption = interruption
        ledger.enterInCopy(Frontend.copyFail)
        gate = .untilSettled
        var writer = MessageWriter()
        writer.copyFail(message: Self.interruptionMark)
        return writer.bytes
    }

    /// The words of the pooler's own CopyFail, to know its error again.
    static let interruptionMark = "unexpected message from the client, seen by Sluice"

    /// The end of a COPY was sent, and its outcome is not known. Nil: the message has the meaning that it has elsewhere.
    private mutating func judgeBehindCopy(_ type: UInt8) -> FrontendAction? {
        switch type {
        case Frontend.copyData, Frontend.copyDone, Frontend.copyFail:
            // Of the next COPY in the same query, or of none.
            return hold(.untilSettled)
        case Frontend.sync, Frontend.flush, Frontend.terminate:
            return nil
        default:
            // If the COPY fails, Syncs that were sent inside it decide whether this is skipped.
            return ledger.syncsInCopy > 0 ? hold(.untilSettled) : nil
        }
    }

    // MARK: Queries

    mutating func judgeQuery(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession, rules: Rules
    ) -> FrontendAction {
        guard !rules.refusesSimpleQuery else { return .refuse(.simpleQueryDisallowed) }
        let text = QueryText.read(bytes, body: frame.body(at: offset))
        if rules.mapsStatements, let text, let deallocation = DeallocateStatement.parse(bytes, text) {
            guard ledger.isEmpty else { return hold(.untilSettled) }
            if case .name(let name) = deallocation, name.hasPrefix(StatementEffects.reservedPrefix), named(name, &client) == nil {
                return forwardQuery(frame, bytes, at: offset, client: &client)
            }
            return judge(deallocation, client: &client)
        }
        let reset = client.mayReset ? text.flatMap { ResetStatement.parse(bytes, $0) } : nil
        if reset != nil, !ledger.isEmpty { return hold(.untilSettled) }
        let action: FrontendAction
        if rules.mapsStatements {
            action = forwardQuery(frame, bytes, at: offset, client: &client)
        } else {
            statements.unnamed = nil
            action = plain(.query)
        }
        // What the client brought is put back before anything else happens.
        if let reset, case .forward = action {
            client.reset = reset
            gate = .untilSettled
        }
        return action
    }

    private mutating func forwardQuery(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession
    ) -> FrontendAction {
        if let action = parseBefore() { return action }
        let effects = effects(inQuery: frame, bytes, at: offset)
        if !effects.isEmpty {
            guard ledger.isEmpty else { return hold(.untilSettled) }
            if let refusal = Self.reserved(effects.map(\.effect)) {
                client.statements.dropUnnamed()
                statements.unnamed = nil
                ledger.owe(.query, .forward, note: note(refusal))
                gate = .untilSettled
                var writer = MessageWriter()
                writer.query("DEALLOCATE \"\(String(decoding: Self.absentName, as: UTF8.self))\"")
                return .send(writer.bytes)
            }
            queryEffects = effects
            queryTags = 0
            mayChangeContext = true
        }
        if effects.contains(where: { $0.effect == .dropsNames }), isAlone(inQuery: frame, bytes, at: offset),
            let action = judgeBlock(bytes.extracting(offset..<offset + frame.length), client: &client)
        {
            return action
        }
        if client.statements.hasNames, let names = deallocatedNames(inQuery: frame, bytes, at: offset) {
            guard ledger.isEmpty else { return hold(.untilSettled) }
            if let action = drop(names, client: &client) { return action }
        }
        if client.portals[[]] != nil {
            guard ledger.isEmpty else { return hold(.untilSettled) }
            // The query makes an unnamed portal of its own.
            client.portals[[]] = nil
        }
        if mustWaitToReplaceUnnamed { return hold(.untilSettled) }
        let void = ledger.mayBeSkipped ? note(Self.replacingUnnamed(of: client)) : 0
        client.statements.dropUnnamed()
        noteStatements(inQuery: frame, bytes, at: offset)
        statements.unnamed = nil
        ledger.owe(.query, .forward, note: void)
        return .forward
    }

    /// The note for a message that is about to give the client's unnamed statement another meaning, and may be skipped.
    static func replacingUnnamed(of client: borrowing ClientSession) -> Note {
        .replaceUnnamed(
            previous: client.statements.unnamed, told: client.statements.unnamedTold, version: client.statements.unnamedVersion &+ 1)
    }

    /// A message that may be skipped is about to give the client's unnamed statement another meaning, and what it means now is not
    /// certain before an earlier part of the pipeline is answered: nobody could say what to go back to.
    var mustWaitToReplaceUnnamed: Bool { ledger.mayBeSkipped && ledger.awaitsReady }

    /// The pooler has answered a Parse in this batch, and the server has begun no transaction yet: it begins one, since PostgreSQL would
    /// have taken the transaction's snapshot with that Parse.
    mutating func parseBefore() -> FrontendAction? {
        guard let statement = unparsed else { return nil }
        unparsed = nil
        return injectUnnamed(statement)
    }

    // MARK: Execute

    private mutating func judgeExecute(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession, rules: Rules
    ) -> FrontendAction {
        if rules.mapsStatements, !client.portals.isEmpty, let (portal, _) = ExecuteMessage.read(bytes, body: frame.body(at: offset)) {
            if fences > 0 { return hold(.untilConfirmed) }
            let label = Array(copying: bytes.extracting(portal))
            switch client.portals[label]?.meaning {
            case .deallocation(let deallocation):
                guard ledger.isEmpty else { return hold(.untilSettled) }
                client.portals[label] = nil
                return execute(deallocation, portal: label, client: &client)
            case .effects(let effects):
                if effects.contains(.dropsNames), frame.length <= bytes.count - offset, client.statements.hasNames {
                    guard ledger.isEmpty else { return hold(.untilSettled) }
                    mayChangeContext = true
                    if let action = executeBlock(bytes.extracting(offset..<offset + frame.length), effects, client: &client) {
                        client.portals[label] = nil
                        return action
                    }
                }
                client.portals[label] = nil
                mayChangeContext = true
                if effects.contains(.resetAll), client.mayReset, frame.length <= bytes.count - offset,
                    let action = executeResetAll(bytes.extracting(offset..<offset + frame.length), effects, client: client)
                {
                    return action
                }
                guard watchesCopy else {
                    ledger.owe(.execute, .forward, note: note(.effects(effects)))
                    return .forward
                }
                return executeAndWait(note: note(.effects(effects)))
            case nil:
                break
            }
        }
        guard watchesCopy || hasUnmappedCopy else { return plain(.execute) }
        return executeAndWait()
    }

    /// What comes behind it depends on its outcome.
    mutating func executeAndWait(note: UInt64 = 0) -> FrontendAction {
        ledger.owe(.execute, .forward, note: note)
        gate = .untilSettled
        return .forwardAndFlush
    }
}
