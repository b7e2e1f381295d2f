// The maps of statements are changed when a message is sent, so that a pipeline can use what it has just prepared. Here they are put
// right when an error cuts the pipeline short: everything outstanding is taken back, last first, and what remains is done again.

extension ServerSession {
    /// These entries, which came before everything outstanding, will never be answered; the first of them was refused.
    mutating func void(_ entries: [ReplyLedger.Owed], client: inout ClientSession) {
        rewind(client: &client) { session, client in
            for (index, entry) in entries.enumerated().reversed() {
                session.takeBack(entry, wasRefused: index == 0, client: &client)
                if entry.note >= Self.firstNote { session.confirm(entry.note) }
            }
        }
    }

    /// A query at the head that would have emptied the maps has failed.
    mutating func undoQuery(client: inout ClientSession) {
        guard let head = ledger.head, case .clear = notes[head.note] else { return }
        rewind(client: &client) { session, client in
            session.takeBack(head, wasRefused: true, client: &client)
            session.notes[head.note] = nil
        }
    }

    /// DEALLOCATE ALL or DISCARD ALL has run: nothing is left but what was sent later.
    mutating func forgetAllNamed(client: inout ClientSession, isClients: Bool) {
        rewind(client: &client) { session, client in
            if isClients { client.statements.removeAllNamed() }
            session.statements.removeAll()
        }
    }

    /// An entry needs no taking back any more.
    mutating func confirm(_ key: UInt32) {
        switch notes.removeValue(forKey: key) {
        case .define(_, let statement, _, isSent: true), .inject(let statement): statements.arrive(statement.id)
        case .close(let id, _): statements.arrive(id)
        default: break
        }
    }

    /// Changes the maps as they were before everything outstanding, then does that again.
    private mutating func rewind(
        client: inout ClientSession, _ change: (inout ServerSession, inout ClientSession) -> Void
    ) {
        let later = Array(ledger.outstanding)
        let unnamed = client.statements.unnamed
        for entry in later.reversed() { takeBack(entry, wasRefused: false, client: &client) }
        change(&self, &client)
        var isUnnamedKnown = true
        for entry in later {
            repeatNote(entry, client: &client, isUnnamedKnown: isUnnamedKnown)
            switch changesUnnamed(entry) {
            case .none: break
            case .known(let statement):
                client.statements.unnamed = statement
                isUnnamedKnown = true
            case .unknown: isUnnamedKnown = false
            }
        }
        if later.contains(where: { if case .none = changesUnnamed($0) { false } else { true } }) { client.statements.unnamed = unnamed }
        // What the slot holds now is not worth knowing: it is filled again when it is needed.
        statements.unnamed = nil
    }

    private enum UnnamedChange {
        case none
        case known(Statement?)
        /// A Parse at the head of its batch, which keeps no note.
        case unknown
    }

    private func changesUnnamed(_ entry: ReplyLedger.Owed) -> UnnamedChange {
        if case .replaceUnnamed(let statement, _) = notes[entry.note] { return .known(statement) }
        switch entry.request {
        case .query: return entry.disposition == .swallow ? .none : .known(nil)
        case .parse: return entry.note == 0 ? .unknown : .none
        default: return .none
        }
    }

    private mutating func takeBack(_ entry: ReplyLedger.Owed, wasRefused: Bool, client: inout ClientSession) {
        if entry.request == .parse, entry.note == 0, wasRefused { client.statements.unnamed = nil }
        guard entry.note >= Self.firstNote, let note = notes[entry.note] else { return }
        switch note {
        case .define(let name, let statement, let previous, let isSent):
            client.statements.set(name, to: previous)
            if isSent { statements.remove(statement.id) }
        case .replaceUnnamed(_, let previous):
            // A Parse without a name takes the old statement away before anything can go wrong.
            client.statements.unnamed = wasRefused ? nil : previous
        case .forget(let name, let previous):
            client.statements.set(name, to: previous)
        case .inject(let statement):
            statements.remove(statement.id)
        case .close(let id, let wasHeld):
            if wasHeld { statements.restore(id) }
        case .deallocate(_, _, let previous):
            client.statements = previous
            // As every simple query, it drops the unnamed statement even when it fails.
            if wasRefused { client.statements.unnamed = nil }
        case .clear(let previous, let held):
            client.statements = previous
            if wasRefused { client.statements.unnamed = nil }
            let foreign = held.hasForeign
            for id in held.ids { statements.restore(id) }
            statements.hasForeign = foreign
        case .injectUnnamed, .rename, .errand:
            break
        }
    }

    private mutating func repeatNote(_ entry: ReplyLedger.Owed, client: inout ClientSession, isUnnamedKnown: Bool) {
        guard entry.note >= Self.firstNote, let note = notes[entry.note] else { return }
        switch note {
        case .define(let name, let statement, _, let isSent):
            let previous = client.statements.set(name, to: statement)
            if isSent { _ = statements.insert(statement, limit: .max) }
            notes[entry.note] = .define(name: name, statement, previous: previous, isSent: isSent)
        case .forget(let name, _):
            notes[entry.note] = .forget(name: name, previous: client.statements.set(name, to: nil))
        case .inject(let statement):
            _ = statements.insert(statement, limit: .max)
        case .close(let id, _):
            notes[entry.note] = .close(id, wasHeld: statements.remove(id))
        case .deallocate(let tag, let name, _):
            notes[entry.note] = .deallocate(tag: tag, name: name, previous: client.statements)
            if let name { client.statements.set(name, to: nil) } else { client.statements.removeAllNamed() }
        case .clear:
            notes[entry.note] = .clear(previous: client.statements, held: statements)
            client.statements.removeAllNamed()
            statements.removeAll()
        case .replaceUnnamed(let statement, _):
            if isUnnamedKnown { notes[entry.note] = .replaceUnnamed(by: statement, previous: client.statements.unnamed) }
        case .injectUnnamed, .rename, .errand:
            break
        }
    }
}
