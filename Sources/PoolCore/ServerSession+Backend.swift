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
        switch ledger.receive(frame.type) {
        case .forward:
            if frame.type == Backend.commandComplete {
                noteTag(frame, bytes, at: offset, client: &client, isClients: true)
            } else if frame.type == Backend.errorResponse {
                undoQuery(client: &client)
            }
            return .forward
        case .swallow:
            if frame.type == Backend.commandComplete {
                noteTag(frame, bytes, at: offset, client: &client, isClients: false)
            } else if frame.type == Backend.errorResponse {
                undoQuery(client: &client)
                return failErrand(frame, bytes, at: offset)
            }
            return .swallow
        case .ready(let owed):
            guard let status = ReadyForQueryMessage.read(bytes, body: frame.body(at: offset)) else { return .violation }
            self.status = status
            if owed.note >= Self.firstNote, case .errand(let errand) = notes.removeValue(forKey: owed.note) {
                return .errandDone(errand)
            }
            return .ready(forwards: owed.disposition == .forward)
        case .settled(let owed):
            if frame.type == Backend.commandComplete {
                noteTag(frame, bytes, at: offset, client: &client, isClients: owed.disposition == .forward)
            }
            if owed.note >= Self.firstNote { confirm(owed.note) }
            return owed.disposition == .forward ? .forward : .swallow
        case .failed(let owed):
            return fail(owed, frame, bytes, at: offset, client: &client, table: table)
        case .violation:
            return .violation
        }
    }

    /// The messages that the pooler has to see whole. They are short, but for errors and notices.
    @inline(__always)
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
                if case .deallocate(let tag, _, _) = note { answerDeallocate(tag, owed, note, &writer, client: &client) }
            }
        }
        return writer.bytes
    }

    @inline(__always)
    public var hasInvented: Bool { ledger.head?.disposition == .invented }

    private mutating func answerDeallocate(
        _ tag: String, _ owed: ReplyLedger.Owed, _ note: Note?, _ writer: inout MessageWriter, client: inout ClientSession
    ) {
        if status == .failed || (status == .idle && tag == Self.savepointTags) {
            notes[owed.note] = note
            void([owed], client: &client)
            writer.error(
                status == .failed
                    ? ErrorFields(
                        severity: "ERROR", code: SQLState.failedTransaction,
                        message: "current transaction is aborted, commands ignored until end of transaction block")
                    : ErrorFields(
                        severity: "ERROR", code: SQLState.noActiveTransaction,
                        message: "SAVEPOINT can only be used in transaction blocks"))
        } else {
            for part in tag.split(separator: ";") { writer.commandComplete(String(part)) }
        }
        writer.readyForQuery(status)
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
        if let fields = ErrorFields.read(bytes, body: frame.body(at: offset)) {
            if owed.note >= Self.firstNote, case .rename(let code, let message) = notes[owed.note] {
                action = rename(fields, code: code, message: message)
            } else if owed.note > 0, owed.note < Self.firstNote, fields.code == SQLState.featureNotSupported,
                fields.message == "cached plan must not change result type"
            {
                table.retire(owed.note)
            }
        }
        void(skipped, client: &client)
        return action
    }

    private func rename(_ fields: ErrorFields, code: String, message: String) -> BackendAction {
        // Only the error that the made-up name provokes; a cancel or a timeout is passed on as it is.
        guard fields.code == SQLState.invalidStatementName || fields.code == SQLState.duplicateStatement else { return .forward }
        var fields = fields
        fields.code = code
        fields.message = message
        var writer = MessageWriter()
        writer.error(fields)
        return .replace(writer.bytes)
    }

    // MARK: Command tags

    /// DEALLOCATE ALL and DISCARD ALL empty the server whoever ran them, also inside a function or a script.
    @inline(__always)
    private mutating func noteTag(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession, isClients: Bool
    ) {
        // 5 bytes of header and the tag with its NUL.
        switch frame.length {
        case 13, 17, 20: noteTagOfLength(frame, bytes, at: offset, client: &client, isClients: isClients)
        default: break
        }
    }

    private mutating func noteTagOfLength(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession, isClients: Bool
    ) {
        guard let range = CommandTag.read(bytes, body: frame.body(at: offset)) else { return }
        switch String(decoding: bytes, in: range) {
        case "PREPARE": statements.hasForeign = true
        case "DISCARD ALL":
            parameters = parameters.withoutUnreported
            forgetAllNamed(client: &client, isClients: isClients)
        case "DEALLOCATE ALL":
            forgetAllNamed(client: &client, isClients: isClients)
        default: break
        }
    }
}
