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
        if ledger.hasDropped { lift(ledger.takeDropped()) }
        // All that came before the COPY has been confirmed, and the ReadyForQuery of a Sync behind it will never come.
        if frame.type == Backend.copyInResponse, fences > 0 { lift(ledger.syncsBehindCopy) }
        switch verdict {
        case .forward:
            if frame.type == Backend.commandComplete, let head = ledger.head {
                noteTag(frame, bytes, at: offset, of: head, client: &client, table: table)
            }
            return .forward
        case .swallow:
            if frame.type == Backend.commandComplete, let head = ledger.head {
                noteTag(frame, bytes, at: offset, of: head, client: &client, table: table)
            }
            return frame.type == Backend.errorResponse ? failErrand(frame, bytes, at: offset) : .swallow
        case .ready(let owed):
            guard let status = ReadyForQueryMessage.read(bytes, body: frame.body(at: offset)) else { return .violation }
            self.status = status
            if owed.note >= Self.firstNote {
                switch notes.removeValue(forKey: owed.note) {
                case .errand(let errand): return .errandDone(errand)
                case .fence: fences -= 1
                default: break
                }
            }
            if client.isResetting { client.isResetting = false }
            return .ready(forwards: owed.disposition == .forward)
        case .settled(let owed):
            if frame.type == Backend.commandComplete {
                noteTag(frame, bytes, at: offset, of: owed, client: &client, table: table)
            }
            if owed.note >= Self.firstNote { notes[owed.note] = nil }
            return owed.disposition == .forward ? .forward : .swallow
        case .failed(let owed):
            return fail(owed, frame, bytes, at: offset, client: &client, table: table)
        case .violation:
            return .violation
        }
    }

    /// Judges a run of the messages that nearly every answer consists of, as long as nothing is unusual about them: whole, owed to the
    /// client as they are, and nothing to take note of. All of them are forwarded, and settled where they settle something.
    ///
    /// Returns where the run ends, and whether it ended with a ReadyForQuery, so that the shell can count. Without one there is nothing
    /// more, or `receive` has to be asked about what stands there.
    public mutating func passRun(_ bytes: Span<UInt8>, from start: Int) -> (end: Int, isReady: Bool) {
        var at = start
        guard !ledger.isUncertain, !ledger.isCopyingIn else { return (at, false) }
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
            let note = owed.note >= Self.firstNote ? notes.removeValue(forKey: owed.note) : nil
            switch owed.request {
            case .parse: writer.parseComplete()
            case .close: writer.closeComplete()
            default:
                if case .deallocate(let tag, let previous) = note {
                    answerDeallocate(tag, previous, &writer, client: &client)
                }
            }
        }
        return writer.bytes
    }

    @inlinable public var hasInvented: Bool { ledger.head?.disposition == .invented }

    private func answerDeallocate(
        _ tag: String, _ previous: ClientStatements, _ writer: inout MessageWriter, client: inout ClientSession
    ) {
        if status == .failed {
            client.statements = previous
            writer.error(
                ErrorFields(
                    severity: "ERROR", code: SQLState.failedTransaction,
                    message: "current transaction is aborted, commands ignored until end of transaction block"))
        } else {
            for part in tag.split(separator: ";") { writer.commandComplete(String(part)) }
        }
        writer.readyForQuery(status)
    }

    private mutating func lift(_ syncs: [ReplyLedger.Owed]) {
        for entry in syncs {
            if case .fence = notes.removeValue(forKey: entry.note) { fences -= 1 }
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
        // The error of what the pooler put ahead of a client's message belongs to the client, unless it has left.
        var action: BackendAction = skipped.contains { $0.disposition == .forward } ? .forward : .swallow
        var stale: UInt64 = 0
        if case .forward = action, let fields = ErrorFields.read(bytes, body: frame.body(at: offset)) {
            if owed.note >= Self.firstNote, case .rename(let code, let message, let id) = notes[owed.note] {
                action = rename(fields, code: code, message: message)
                if case .replace = action { stale = id }
            } else if owed.note > 0, owed.note < Self.firstNote, fields.code == SQLState.featureNotSupported,
                fields.message == Self.stalePlan
            {
                stale = owed.note
            } else if owed.note > 0, owed.note < Self.firstNote, fields.code == SQLState.invalidStatementName {
                // Dropped on the server by a way that the pooler could not see: the next use parses it again.
                statements.remove(owed.note)
            } else if owed.request == .bind, owed.note > 0, owed.note < Self.firstNote, fields[Self.routine] == "PortalSetResultFormat",
                let statement = client.statements.statement(withID: owed.note), statement.epoch != table.epoch
            {
                // The client asks for the columns of before a DDL, and this server has parsed the text after it. PostgreSQL alone
                // would have said that the plan is stale, and only that makes drivers prepare again.
                action = rename(fields, code: SQLState.featureNotSupported, message: Self.stalePlan)
                stale = owed.note
            }
        }
        for (index, entry) in skipped.enumerated().reversed() { undo(entry, wasRefused: index == 0, client: &client) }
        if stale != 0 {
            statements.demote(stale)
            client.statements.renew(stale, in: table)
        }
        return action
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
    private mutating func undo(_ entry: ReplyLedger.Owed, wasRefused: Bool, client: inout ClientSession) {
        if entry.note < Self.firstNote {
            // A later Parse of the same pipeline may have given the unnamed statement another meaning already, or the same again.
            guard entry.request == .parse, !definesUnnamedLater else { return }
            if client.statements.unnamed?.id == entry.note { client.statements.unnamed = nil }
            if statements.unnamed?.id == entry.note { statements.unnamed = nil }
            return
        }
        guard let note = notes.removeValue(forKey: entry.note) else { return }
        switch note {
        case .define(let name, let statement, let previous, let isSent):
            client.statements.set(name, to: previous)
            // Not sent under its name, it may have been sent without one, which empties the slot.
            if isSent { statements.remove(statement.id) } else { statements.unnamed = nil }
        case .replaceUnnamed(let previous, let version):
            // A Parse without a name takes the old statement away before anything can go wrong.
            client.statements.restoreUnnamed(wasRefused ? nil : previous, from: version)
            statements.unnamed = nil
        case .forget(let name, let statement):
            client.statements.set(name, to: statement)
        case .inject(let statement):
            statements.remove(statement.id)
        case .injectUnnamed(let statement):
            if statements.unnamed === statement { statements.unnamed = nil }
        case .evict(let id):
            statements.restore(id)
        case .deallocate(_, let previous):
            client.statements = previous
        case .fence:
            fences -= 1
        case .rename, .errand, .drop:
            break
        }
    }

    /// A Parse without a name, as the client sent it, is still to be answered.
    private var definesUnnamedLater: Bool {
        for entry in ledger.owed where entry.request == .parse && entry.disposition == .forward && entry.note > 0 {
            if entry.note < Self.firstNote { return true }
            if case .replaceUnnamed = notes[entry.note] { return true }
        }
        return false
    }

    // MARK: Command tags

    /// The field of an error that names the function which raised it.
    private static let routine = UInt8(ascii: "R")

    /// Some commands change what statements mean, whoever ran them, also inside a function or a script.
    @inline(__always)
    private mutating func noteTag(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, of owed: ReplyLedger.Owed, client: inout ClientSession,
        table: StatementTable
    ) {
        guard frame.length >= 9, offset + 9 <= bytes.count else { return }
        if Self.isUnusualTag(bytes, at: offset) { noteUnusualTag(frame, bytes, at: offset, of: owed, client: &client, table: table) }
    }

    /// ALTER, CREATE, DROP, DISCARD, DEALLOCATE, PREPARE, LISTEN, RESET, SET; but not SELECT, INSERT, UPDATE, COMMIT, BEGIN. The tag has at
    /// least three letters.
    @inline(__always)
    private static func isUnusualTag(_ bytes: Span<UInt8>, at offset: Int) -> Bool {
        switch (bytes[offset + 5], bytes[offset + 6]) {
        case (0x41, 0x4C), (0x43, 0x52), (0x44, 0x52), (0x44, 0x49), (0x44, 0x45), (0x50, 0x52), (0x4C, 0x49), (0x52, 0x45): true
        case (0x53, 0x45): bytes[offset + 7] != 0x4C
        default: false
        }
    }

    private mutating func noteUnusualTag(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, of owed: ReplyLedger.Owed, client: inout ClientSession,
        table: StatementTable
    ) {
        guard let range = CommandTag.read(bytes, body: frame.body(at: offset)) else { return }
        let tag = String(decoding: bytes, in: range)
        switch tag {
        case "PREPARE": statements.hasForeign = true
        case "DEALLOCATE":
            guard case .drop(let name, let statement) = notes[owed.note] else { return }
            client.statements.set(name, to: nil)
            statements.remove(statement.id)
        case "DISCARD ALL":
            client.statements = ClientStatements()
            statements.removeAll()
            parameters = parameters.withoutUnreported
            client.isResetting = owed.disposition == .forward
        case "LISTEN":
            hasListened = true
        case "RESET":
            if owed.disposition == .forward {
                parameters = parameters.withUnknownValues(of: parameters)
                client.isResetting = true
            }
        case "SET":
            if isShared, owed.disposition == .forward { parameters = parameters.withUnknownValues(of: parameters) }
        case "DEALLOCATE ALL":
            client.statements.removeAllNamed()
            statements.removeAll()
        default:
            if Self.tagsThatChangeResults.contains(tag) { table.beginEpoch() }
        }
    }

    /// After these the same text may have other result columns.
    private static let tagsThatChangeResults: Set<String> = [
        "ALTER TABLE", "ALTER VIEW", "ALTER MATERIALIZED VIEW", "ALTER TYPE", "ALTER DOMAIN", "ALTER FUNCTION", "ALTER SCHEMA",
        "DROP TABLE", "DROP VIEW", "DROP MATERIALIZED VIEW", "DROP TYPE", "DROP FUNCTION", "DROP SCHEMA", "CREATE VIEW",
    ]
}
