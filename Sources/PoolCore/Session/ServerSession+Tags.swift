import PostgresWire

/// What the tag of a command tells: some commands change what statements mean, whoever ran them, also inside a function or a script.
extension ServerSession {
    /// What the client is told of a command.
    enum Telling {
        case asItIs
        /// It was RESET when it came, and not SET.
        case reset
        /// It has not come from the client.
        case nothing
    }

    /// What the client is told of a SET that was RESET when it came.
    private static var taggedReset: BackendAction {
        var writer = MessageWriter()
        writer.commandComplete("RESET")
        return .replace(writer.bytes)
    }

    /// The command's tag for the client, where it is told otherwise than it came. Nil: it is told as it is.
    static func retold(_ telling: Telling) -> BackendAction? {
        switch telling {
        case .asItIs: nil
        case .reset: taggedReset
        case .nothing: .swallow
        }
    }

    /// Some commands change what statements mean, whoever ran them, also inside a function or a script.
    @inline(__always)
    mutating func noteTag(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, of owed: ReplyLedger.Owed, client: inout ClientSession,
        table: StatementTable
    ) -> Telling {
        // DO is the shortest tag.
        guard frame.length >= 8, offset + frame.length <= bytes.count else { return .asItIs }
        if owed.request == .query, dropping == .nothing { dropping = .perhaps }
        defer { if !drops.isEmpty { tags += 1 } }
        var telling = Telling.asItIs
        if frame.length >= 9, Self.isUnusualTag(bytes, at: offset) {
            telling = noteUnusualTag(frame, bytes, at: offset, of: owed, client: &client, table: table)
        }
        if isTouched || mayChangeContext, owed.disposition == .forward, isShared,
            let tag = CommandTag.read(bytes, body: frame.body(at: offset))
        {
            noteEffects(of: owed, tag: String(decoding: bytes, in: tag), table)
        }
        return telling
    }

    /// ALTER, CREATE, DROP, DISCARD, DEALLOCATE, PREPARE, LISTEN, RESET, SET; but not SELECT, INSERT, UPDATE, COMMIT, BEGIN. The tag has at
    /// least three letters.
    @inline(__always)
    static func isUnusualTag(_ bytes: Span<UInt8>, at offset: Int) -> Bool {
        switch (bytes[offset + 5], bytes[offset + 6]) {
        case (0x41, 0x4C), (0x43, 0x52), (0x44, 0x52), (0x44, 0x49), (0x44, 0x45), (0x50, 0x52), (0x4C, 0x49), (0x52, 0x45): true
        case (0x53, 0x45): bytes[offset + 7] != 0x4C
        default: false
        }
    }

    private mutating func noteUnusualTag(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, of owed: ReplyLedger.Owed, client: inout ClientSession,
        table: StatementTable
    ) -> Telling {
        guard let range = CommandTag.read(bytes, body: frame.body(at: offset)) else { return .asItIs }
        let tag = String(decoding: bytes, in: range)
        switch tag {
        case "PREPARE":
            statements.hasForeign = true
            if isShared, owed.disposition == .forward { mayChangeContext = true }
        case "DEALLOCATE":
            if case .drop(let name, let statement, _) = notes[owed.note] {
                client.statements.set(name, to: nil)
                statements.remove(statement.id)
            } else if !dropNext(client: &client) {
                // Of a statement that SQL PREPARE has made, or of the pooler's own: somebody has looked up its name.
                statements.distrust()
            }
        case "DISCARD ALL":
            forgetNames(of: &client)
            changeSettings { $0.discard() }
            settings.discard()
            client.noteReset(.all, owed)
            hasSet = true
        case "LISTEN":
            hasListened = true
        case "RESET":
            client.noteReset(client.reset ?? .unknown, owed)
            hasSet = true
            if isShared, owed.disposition == .forward { mayChangeContext = true }
        case "SET":
            if let reset = client.reset {
                client.noteReset(reset, owed)
            } else if !hasOwnDefaults {
                client.noteSet(owed)
            }
            hasSet = true
            // What is known of it is taken note of with its effects.
            if isShared, owed.disposition == .forward { mayChangeContext = true }
            let effects = effects(of: owed)
            if effects.contains(.isTaggedReset) { return .reset }
            return hasOwnDefaults && owed.request == .query && effects.contains(.isAdded) ? .nothing : .asItIs
        case "DEALLOCATE ALL":
            forgetNames(of: &client)
        default:
            // Of what was read it is known; else DDL is told by its tag.
            if Self.isDefinition(tag), effects(of: owed).isEmpty { table.clock.beginEpoch() }
        }
        return .asItIs
    }

    /// A simple query has failed that may have dropped statements.
    ///
    /// Of a query with several statements some have run before. The last one has run, too, if it was the commit that failed: PostgreSQL
    /// sends its tag only after that.
    mutating func failed(_ fields: ErrorFields, client: inout ClientSession) {
        statements.distrust()
        switch fields.code {
        case SQLState.queryCanceled, SQLState.failedTransaction, SQLState.activeTransaction, SQLState.invalidStatementName, nil:
            break
        default:
            // A DEALLOCATE by itself has no errors but these: it has run.
            if dropping == .all {
                client.statements.removeAllNamed()
            } else if let drop = drops.last, drop.isLast, drop.index == tags {
                _ = dropNext(client: &client)
            } else if dropping == .name, let head = ledger.head, case .drop(let name, _, _) = notes[head.note] {
                client.statements.set(name, to: nil)
            }
        }
        dropping = .nothing
    }

    /// The server has dropped all named statements.
    private mutating func forgetNames(of client: inout ClientSession) {
        if !ledger.isEmpty { formerNames = client.statements }
        client.statements.removeAllNamed()
        statements.removeAll()
    }

    /// DDL, after which the same text may mean something else.
    private static func isDefinition(_ tag: String) -> Bool {
        tag.hasPrefix("ALTER ") || tag.hasPrefix("CREATE ") || tag.hasPrefix("DROP ")
    }
}
