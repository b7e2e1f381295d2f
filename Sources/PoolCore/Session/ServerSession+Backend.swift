import PostgresWire

/// What becomes of a server's message.
public enum BackendAction: Sendable {
    /// To the linked client.
    case forward
    case swallow
    /// To the linked client, in this wording.
    case replace([UInt8])
    /// ReadyForQuery: `forwards` tells whether the client gets it. The server may be free now.
    case ready(forwards: Bool)
    /// ReadyForQuery of the pooler's own: the client is owed so many of them.
    case resolved(readies: Int)
    /// ReadyForQuery of the pooler's own: these messages of the client are to be judged again, ahead of what it has sent since.
    case again([UInt8])
    /// The linked client gets these messages, and its connection is closed.
    case endClient([UInt8], PoolerError)
    /// An errand of the pooler failed.
    case errandFailed(ServerSession.Errand, ErrorFields)
    /// An errand of the pooler is done.
    case errandDone(ServerSession.Errand)
    /// Nobody is owed this: close the server, and its client with it.
    case violation
}

extension ServerSession {
    /// Judges one message of the server: whole for the kinds that `needsWhole` names, else at least its header.
    @inline(__always)
    public mutating func receive(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession, table: StatementTable
    ) -> BackendAction {
        let verdict = ledger.receive(frame.type)
        if !ledger.lifted.isEmpty { lift(ledger.takeLifted()) }
        switch verdict {
        case .forward:
            return answered(frame, bytes, at: offset, client: &client, table: table) ?? .forward
        case .swallow:
            if frame.type == Backend.commandComplete, let head = ledger.head {
                _ = noteTag(frame, bytes, at: offset, of: head, client: &client, table: table)
            }
            if frame.type == Backend.parameterDescription, let head = ledger.head { _ = takeParameters(head, frame, bytes, at: offset) }
            if tellsNames { takeNames(frame, bytes, at: offset) }
            guard frame.type == Backend.errorResponse else { return .swallow }
            namesLeft = nil
            if dropping != .nothing { failed(ErrorFields(), client: &client) }
            return failErrand(frame, bytes, at: offset)
        case .ready(let owed):
            guard readyForQuery(frame, bytes, at: offset, client: &client, table: table) else { return .violation }
            if mayChangeContext { endEffects(of: owed) }
            if owed.note >= Self.firstNote {
                switch notes.remove(owed.note) {
                case .errand(let errand): return .errandDone(errand)
                case .fence: fences -= 1
                case .namesLeft: settleNames(of: &client)
                default: break
                }
            }
            if trial != nil, let messages = takeRepeated() { return .again(messages) }
            return .ready(forwards: owed.disposition == .forward)
        case .counted:
            return readyForQuery(frame, bytes, at: offset, client: &client, table: table) ? .swallow : .violation
        case .resolved(let readies):
            return readyForQuery(frame, bytes, at: offset, client: &client, table: table) ? .resolved(readies: readies) : .violation
        case .settled(let owed):
            var telling = Telling.asItIs
            if frame.type == Backend.commandComplete {
                telling = noteTag(frame, bytes, at: offset, of: owed, client: &client, table: table)
            }
            guard owed.note >= Self.firstNote else { return owed.disposition == .forward ? .forward : .swallow }
            if frame.type == Backend.portalSuspended, case .effects = notes[owed.note] { changeSettings { $0.lose() } }
            let note = notes.remove(owed.note)
            if case .namesLeft = note {
                if namesLeft == nil { namesLeft = [] }
                settleNames(of: &client)
            }
            if case .watch(let use) = note {
                confirm(use, frame, bytes, at: offset, client: &client)
                if let waiting = trial, waiting.note == owed.note {
                    let action = release(owed.disposition == .forward ? .forward : .swallow, frame, bytes, at: offset)
                    trial = nil
                    return action
                }
            }
            if frame.type == Backend.emptyQueryResponse, case .drop(let name, let statement, let tags) = note {
                return drop(name, statement, tags: tags, client: &client)
            }
            if owed.disposition == .forward, let action = Self.retold(telling) { return action }
            return owed.disposition == .forward ? .forward : .swallow
        case .failed(let owed):
            if isTouched { changeSettings { $0.fail() } }
            let action = fail(owed, frame, bytes, at: offset, client: &client, table: table)
            return refusal(frame, bytes, at: offset) ?? action
        case .violation:
            return .violation
        }
    }

    /// A message for the client that does not end the answer it belongs to. Nil: it is forwarded as it is.
    @inline(__always)
    private mutating func answered(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession, table: StatementTable
    ) -> BackendAction? {
        guard let head = ledger.head else { return nil }
        switch frame.type {
        case Backend.commandComplete:
            return Self.retold(noteTag(frame, bytes, at: offset, of: head, client: &client, table: table))
        case Backend.emptyQueryResponse where head.note >= Self.firstNote:
            guard case .drop(let name, let statement, let tags) = notes[head.note] else { return nil }
            return drop(name, statement, tags: tags, client: &client)
        case Backend.errorResponse:
            if isTouched { changeSettings { $0.fail() } }
            if dropping != .nothing { failed(ErrorFields.read(bytes, body: frame.body(at: offset)) ?? ErrorFields(), client: &client) }
            if let refusal = refusal(frame, bytes, at: offset) { return refusal }
            if !queryShifts.isEmpty, head.request == .query { return unshifted(frame, bytes, at: offset) }
            if head.note >= Self.firstNote, case .rename(let code, let message) = notes[head.note],
                let fields = ErrorFields.read(bytes, body: frame.body(at: offset))
            {
                return rename(fields, code: code, message: message)
            }
            guard head.note >= Self.firstNote, case .drop(let name, let statement, _) = notes[head.note],
                let fields = ErrorFields.read(bytes, body: frame.body(at: offset))
            else { return nil }
            return replace(serverNameOf: statement.id, by: name, in: fields)
        case Backend.parameterDescription:
            return takeParameters(head, frame, bytes, at: offset)
        default:
            break
        }
        return nil
    }

    private mutating func readyForQuery(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession, table: StatementTable
    ) -> Bool {
        guard let status = ReadyForQueryMessage.read(bytes, body: frame.body(at: offset)) else { return false }
        self.status = status
        if isTouched { endTransaction(table) }
        dropping = .nothing
        if hasOwnDefaults, ledger.isEmpty { (hasOwnDefaults, queryShifts) = (false, []) }
        if !drops.isEmpty, ledger.isEmpty { drops = [] }
        if client.reset != nil, ledger.isEmpty { client.reset = nil }
        if status == .idle { hasSet = false }
        // With the transaction its portals have ended, but for those that a later one has bound.
        if status == .idle, !client.portals.isEmpty {
            client.portals = client.portals.filter { notes[$0.value.note] != nil }
        }
        if ledger.isEmpty, !ledger.isUnsynced {
            if formerNames != nil { formerNames = nil }
            if status == .idle, watchesCopy { watchesCopy = false }
        }
        return true
    }

    /// Judges a run of the messages that nearly every answer consists of, as long as nothing is unusual about them: whole, owed to the
    /// client as they are, and nothing to take note of. All of them are forwarded, and settled where they settle something.
    ///
    /// Returns where the run ends, and whether it ended with a ReadyForQuery, so that the shell can count. Without one there is nothing
    /// more, or `receive` has to be asked about what stands there.
    public mutating func passRun(_ bytes: Span<UInt8>, from start: Int) -> (end: Int, isReady: Bool) {
        var at = start
        guard ledger.isRegular, !isWatchful else { return (at, false) }
        while let head = ledger.head, head.disposition == .forward, head.note < Self.firstNote {
            // A message of the head's answer each time, up to the one that closes it.
            answer: while true {
                guard case .frame(let frame) = peekFrame(bytes, at: at), frame.length <= bytes.count &- at else { return (at, false) }
                switch frame.type {
                case Backend.dataRow:
                    at &+= frame.length
                    continue answer
                case Backend.rowDescription:
                    if head.request == .query {
                        at &+= frame.length
                        continue answer
                    }
                    guard head.request == .describe else { return (at, false) }
                case Backend.commandComplete:
                    guard frame.length >= 9, !Self.isUnusualTag(bytes, at: at) else { return (at, false) }
                    if head.request == .query {
                        dropping = .perhaps
                        at &+= frame.length
                        continue answer
                    }
                    guard head.request == .execute else { return (at, false) }
                case Backend.bindComplete:
                    guard head.request == .bind else { return (at, false) }
                case Backend.parseComplete:
                    guard head.request == .parse else { return (at, false) }
                case Backend.readyForQuery:
                    guard head.request == .query || head.request == .sync,
                        let status = ReadyForQueryMessage.read(bytes, body: frame.body(at: at))
                    else { return (at, false) }
                    self.status = status
                    dropping = .nothing
                    if status == .idle { hasSet = false }
                    ledger.settle(head: head)
                    return (at &+ frame.length, true)
                default:
                    return (at, false)
                }
                at &+= frame.length
                ledger.settle(head: head)
                break answer
            }
        }
        return (at, false)
    }

    /// The messages that the pooler has to see whole. They are short, but for errors and notices.
    @inlinable
    public static func needsWhole(_ type: UInt8) -> Bool {
        switch type {
        case Backend.readyForQuery, Backend.parameterStatus, Backend.errorResponse, Backend.commandComplete,
            Backend.backendKeyData, Backend.authentication, Backend.negotiateProtocolVersion, Backend.noticeResponse,
            Backend.notificationResponse:
            true
        default:
            false
        }
    }

    /// The replies that the pooler itself has to give now; empty when the server has to answer something first.
    public mutating func takeInvented(client: inout ClientSession) -> [UInt8] {
        var writer = MessageWriter()
        while let owed = ledger.takeInvented() {
            let note = owed.note >= Self.firstNote ? notes.remove(owed.note) : nil
            switch owed.request {
            case .parse: writer.parseComplete()
            case .close: writer.closeComplete()
            case .describe:
                guard case .description(let parameters) = note else { break }
                writer.parameterDescription(parameters)
                writer.noData()
            default:
                guard case .answer(let tags) = note else { break }
                for tag in tags { writer.commandComplete(tag) }
                writer.readyForQuery(status)
            }
        }
        return writer.bytes
    }

    @inlinable public var hasInvented: Bool { ledger.head?.disposition == .invented }

    private mutating func lift(_ syncs: [ReplyLedger.Owed]) {
        for entry in syncs {
            if case .fence = notes.remove(entry.note) { fences -= 1 }
        }
    }

    // MARK: Errors

    private mutating func failErrand(_ frame: Frame, _ bytes: Span<UInt8>, at offset: Int) -> BackendAction {
        guard let head = ledger.head, head.note >= Self.firstNote, case .errand(let errand) = notes[head.note] else { return .swallow }
        let fields = ErrorFields.read(bytes, body: frame.body(at: offset)) ?? ErrorFields()
        return .errandFailed(errand, fields)
    }

    private mutating func fail(
        _ owed: ReplyLedger.Owed, _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession,
        table: StatementTable
    ) -> BackendAction {
        let skipped = ledger.takeSkipped()
        let used = statement(of: owed)
        let note = owed.note >= Self.firstNote ? notes[owed.note] : nil
        // What the pooler put ahead of a message that waits for it, and the client's name in that message.
        var described: [UInt8]?
        var isAhead = false
        for entry in skipped where entry.note >= Self.firstNote {
            switch notes[entry.note] {
            case .watch(let use):
                if described == nil { described = use.name }
                if use.isOwn { isAhead = true }
            case .inject, .injectUnnamed, .around: isAhead = true
            default: break
            }
        }
        for (index, entry) in skipped.enumerated().reversed() { undo(entry, wasRefused: index == 0, client: &client) }
        // The error of what the pooler put ahead of a client's message belongs to the client, unless it has left: also where the message
        // waits for the outcome, and is skipped now.
        let isClients = (isAhead && hasClient) || skipped.contains { $0.disposition == .forward }
        guard isClients, let fields = ErrorFields.read(bytes, body: frame.body(at: offset)) else {
            trial = nil
            return isClients ? .forward : .swallow
        }
        switch note {
        case .rename(let code, let message):
            return rename(fields, code: code, message: message)
        case .changed(let name):
            let action = rename(fields, code: SQLState.featureNotSupported, message: Self.stalePlan)
            if case .replace = action { client.statements.renew(name, at: table.clock.moment()) }
            return action
        default:
            break
        }
        guard let used else { return .forward }
        // The pooler's own Parse has no name of the client's; the message that needed it has.
        let user = skipped.first { Self.isUse($0.note, of: used.id) }
        let name = used.name ?? user.flatMap { clientsName(usedBy: $0.note, client) } ?? described
        let isPlans = fields.code == SQLState.featureNotSupported && fields.message == Self.stalePlan
        if case .watch(let use) = note, use.isFirst, mayBeStale(use, fields, owed, table) {
            // What it was to be told by this message it has not been told.
            client.statements.renew(ClientStatements.key(use.name.span), at: table.clock.moment())
            if trial != nil, repeats(owed.note) { return .swallow }
        }
        let action = release(replace(serverNameOf: used.id, by: name, in: fields), frame, bytes, at: offset)
        trial = nil
        switch (fields.code, owed.request) {
        case _ where isPlans:
            statement(ofID: used.id, name, note, client)?.outdate(before: table.clock.moment())
            if used.isUnnamed {
                statements.unnamed = nil
                client.statements.renew([], at: 0)
            } else if let name {
                client.statements.renew(ClientStatements.key(name.span), at: table.clock.moment())
            }
        case (SQLState.invalidStatementName, .bind), (SQLState.invalidStatementName, .describe):
            // Dropped on the server by a way that the pooler could not see: the next use parses it again. So may all others have been.
            if !used.isUnnamed {
                statements.doubt(used.id)
                statements.distrust()
            }
        case (SQLState.duplicateStatement, .parse):
            // Made on the server by a way that the pooler could not see.
            if !used.isUnnamed { statements.doubt(used.id) }
        default: break
        }
        return action
    }

    /// Whether a fresh plan might not give this error. If so, the plan is parsed again before it is used again.
    private mutating func mayBeStale(
        _ use: PlanUse, _ fields: ErrorFields, _ owed: ReplyLedger.Owed, _ table: StatementTable
    ) -> Bool {
        switch fields.code?.prefix(2) {
        case "42", "XX", "0A":
            // Types, functions or columns that it refers to have gone, or are others.
            use.statement.outdate(before: table.clock.moment())
            return true
        case "22" where owed.request == .bind:
            // Of a wrong value, or a right one for a parameter that has another type now: for this server only, since anybody may send one.
            statements.distrust(use.statement.id)
            return true
        default:
            return false
        }
    }

    /// The definition with this id, if a name of the client's or a note leads to it.
    private func statement(
        ofID id: UInt64, _ name: [UInt8]?, _ note: Note?, _ client: borrowing ClientSession
    ) -> Statement? {
        switch note {
        case .watch(let use): return use.statement
        case .use(_, let statement), .bindPortal(_, _, let statement?, _): return statement
        default: break
        }
        if let name, let meaning = client.statements.meaning(of: name.span), meaning.statement.id == id { return meaning.statement }
        return client.statements.statement(withID: id)
    }

    /// The statement that a message used or defined, and the client's name for it where that is known.
    private func statement(of owed: ReplyLedger.Owed) -> (id: UInt64, name: [UInt8]?, isUnnamed: Bool)? {
        if owed.note < Self.firstNote {
            return owed.note == 0 ? nil : (Self.statementID(owed.note), nil, owed.note & Self.unnamedNote != 0)
        }
        switch notes[owed.note] {
        case .define(let name, let statement, let isSent): return (statement.id, name, !isSent)
        case .inject(let statement): return (statement.id, nil, false)
        case .drop(let name, let statement, _), .use(let name, let statement): return (statement.id, name, false)
        case .bindPortal(_, _, let statement?, let name): return (statement.id, name.isEmpty ? nil : name, name.isEmpty)
        case .watch(let use): return (use.statement.id, use.name, use.name.isEmpty)
        case .bindPortal, .replaceUnnamed, .forget, .injectUnnamed, .around, .namesLeft, .lend, .evict, .rename, .changed,
            .answer, .description, .effects, .errand, .fence, nil:
            return nil
        }
    }

    /// The client's name for the statement in a message with this note, which is that of a use.
    private func clientsName(usedBy note: UInt64, _ client: borrowing ClientSession) -> [UInt8]? {
        let (id, tag) = (Self.statementID(note), Self.tag(note))
        return client.statements.name(ofID: id, tag: tag) ?? closedNames[note] ?? formerNames?.name(ofID: id, tag: tag)
    }

    /// The error with the client's name for a statement where the server's stands.
    private func replace(serverNameOf id: UInt64, by name: [UInt8]?, in fields: ErrorFields) -> BackendAction {
        guard let message = fields.message, message.utf8.count < 1000, message.contains("SLUICE_"), let name else { return .forward }
        let serverName = String(decoding: statements.name(ofID: id), as: UTF8.self)
        var fields = fields
        fields.message = message.replacing("\"\(serverName)\"", with: "\"\(String(decoding: name, as: UTF8.self))\"")
        var writer = MessageWriter()
        writer.error(fields)
        return .replace(writer.bytes)
    }

    /// DEALLOCATE has run.
    private mutating func drop(
        _ name: [UInt8], _ statement: Statement, tags: [String], client: inout ClientSession
    ) -> BackendAction {
        client.statements.set(name, to: nil)
        var writer = MessageWriter()
        for tag in tags { writer.commandComplete(tag) }
        return .replace(writer.bytes)
    }

    /// The COPY that was interrupted was still reading: what PostgreSQL says of the message, and the end. Nil:
    /// there was no such message, or the COPY had failed before it.
    private mutating func refusal(_ frame: Frame, _ bytes: Span<UInt8>, at offset: Int) -> BackendAction? {
        guard let interruption else { return nil }
        self.interruption = nil
        guard var fields = ErrorFields.read(bytes, body: frame.body(at: offset)), fields.code == SQLState.queryCanceled,
            fields.message?.hasSuffix(Self.interruptionMark) == true
        else { return nil }
        switch interruption {
        case .message(let type):
            fields.code = SQLState.protocolViolation
            fields.message = "unexpected message type 0x\(String(type, radix: 16, uppercase: true)) during COPY from stdin"
        case .endOfStream:
            fields.code = SQLState.connectionFailure
            fields.message = "unexpected EOF on client connection with an open transaction"
        }
        fields[UInt8(ascii: "L")] = nil
        var writer = MessageWriter()
        writer.error(fields)
        return .endClient(writer.bytes, .lostSynchronization)
    }

    private func rename(_ fields: ErrorFields, code: String, message: String) -> BackendAction {
        // Only the error that the made-up name provokes; a cancel or a timeout is passed on as it is.
        switch fields.code {
        case SQLState.invalidStatementName, SQLState.duplicateStatement: break
        case SQLState.protocolViolation where code == SQLState.featureNotSupported: break
        default: return .forward
        }
        var fields = fields
        fields.code = code
        fields.message = message
        if code == SQLState.featureNotSupported {
            // pgjdbc looks at the routine before it prepares again.
            fields[UInt8(ascii: "F")] = "plancache.c"
            fields[UInt8(ascii: "L")] = nil
            fields[Self.routine] = "RevalidateCachedQuery"
        }
        var writer = MessageWriter()
        writer.error(fields)
        return .replace(writer.bytes)
    }

    /// Takes back what was assumed when the message was sent. `wasRefused`: it is the one that failed; else it was never looked at.
    ///
    /// Where a later part of the pipeline has given the unnamed statement another meaning, that is what the server will have, too: it is
    /// left alone. Of a client that has left (its entries are swallowed) nobody can tell, so that nothing is believed of the server's.
    private mutating func undo(_ entry: ReplyLedger.Owed, wasRefused: Bool, client: inout ClientSession) {
        if entry.note < Self.firstNote {
            // The unnamed statement is gone, unless a later part of the pipeline gives it another meaning. That part is not skipped.
            guard entry.request == .parse else { return }
            if entry.disposition == .swallow {
                statements.unnamed = nil
            } else if Self.isLatest(entry.note, client.statements.unnamedVersion) {
                client.statements.unnamed = nil
                statements.unnamed = nil
            }
            return
        }
        guard let note = notes.remove(entry.note) else { return }
        switch note {
        case .define(let name, let statement, let isSent):
            client.statements.set(name, to: nil)
            // Not sent under its name, it may have been sent without one, which empties the slot.
            if isSent { statements.remove(statement.id) } else { statements.unnamed = nil }
        case .replaceUnnamed(let previous, let told, let version):
            if entry.disposition == .swallow {
                statements.unnamed = nil
            } else if client.statements.unnamedVersion == version {
                // A Parse without a name takes the old statement away before anything can go wrong.
                client.statements.restoreUnnamed(wasRefused ? nil : previous, told: told, from: version)
                statements.unnamed = nil
            }
        case .forget(let name, let meaning):
            client.statements.set(name, meaning: meaning)
            if meaning.statement.isPrivate { statements.restore(meaning.statement.id) }
        case .inject(let statement):
            statements.remove(statement.id)
        case .injectUnnamed:
            statements.unnamed = nil
        case .evict(let id):
            statements.restore(id)
        case .bindPortal(let portal, let previous, _, _):
            client.setPortal(portal, to: previous)
        case .fence:
            fences -= 1
        case .rename, .changed, .answer, .description, .effects, .errand, .drop, .use, .watch, .around:
            break
        case .lend:
            hasLent = false
        case .namesLeft:
            namesLeft = nil
            statements.distrust()
        }
    }

    /// The field of an error that names the function which raised it.
    private static let routine = UInt8(ascii: "R")
}
