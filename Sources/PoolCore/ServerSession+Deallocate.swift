import PostgresWire

/// DEALLOCATE and DISCARD ALL in SQL. Drivers use them for protocol-level statements, of which the server knows the pooler's names only.
///
/// All that was sent before them is answered when they are judged, and what comes behind them waits for their outcome: what names mean is
/// certain on both sides.
extension ServerSession {
    /// As a simple query.
    mutating func judge(_ deallocation: DeallocateStatement, client: inout ClientSession) -> FrontendAction {
        assert(ledger.isEmpty)
        switch deallocation {
        case .name(let name):
            guard let (label, target) = client.statements.named(name), status != .failed || statements.use(target) else { break }
            // Where the query ends an open batch, or may find its transaction failed, the server has to see it.
            guard ledger.isUnsynced || status == .failed else {
                return answer(["DEALLOCATE"], client: &client) { $0.set(label, to: nil) }
            }
            return replaceQuery(label, target, tags: ["DEALLOCATE"], client: &client) { "DEALLOCATE \($0)" }
        case .all:
            // What SQL PREPARE left on the server only the server can remove; its command tag then clears the maps.
            if ledger.isUnsynced || status == .failed || statements.hasForeign { break }
            return answer(["DEALLOCATE ALL"], client: &client) { $0.removeAllNamed() }
        case .discardAll:
            break
        case .savepointWrapped(let savepoint, let name):
            // SAVEPOINT a; DEALLOCATE b; RELEASE a: the savepoint protects nothing but the DEALLOCATE. Three tags are due; outside a
            // transaction it is an error.
            guard status == .inTransaction, let (label, target) = client.statements.named(name) else { break }
            let tags = ["SAVEPOINT", "DEALLOCATE", "RELEASE"]
            guard ledger.isUnsynced else { return answer(tags, client: &client) { $0.set(label, to: nil) } }
            let quoted = Self.quoted(savepoint)
            return replaceQuery(label, target, tags: tags, client: &client) { "SAVEPOINT \(quoted);DEALLOCATE \($0);RELEASE \(quoted)" }
        }
        client.statements.dropUnnamed()
        statements.unnamed = nil
        ledger.owe(.query, .forward)
        switch deallocation {
        case .all, .discardAll: dropping = .all
        case .name, .savepointWrapped: dropping = .perhaps
        }
        gate = .untilSettled
        return .forward
    }

    /// The pooler does it and answers. The server hears nothing, so that its unnamed statement stays.
    private mutating func answer(
        _ tags: [String], client: inout ClientSession, _ change: (inout ClientStatements) -> Void
    ) -> FrontendAction {
        change(&client.statements)
        client.statements.dropUnnamed()
        ledger.owe(.query, .invented, note: note(.answer(tags)))
        return .drop
    }

    /// The server does it under its own name for the statement. `text` is the query with that name, in quotes. A server without the
    /// statement gets an empty query, which ends an open batch just as well.
    private mutating func replaceQuery(
        _ name: [UInt8], _ target: Statement, tags: [String], client: inout ClientSession, _ text: (String) -> String
    ) -> FrontendAction {
        client.statements.dropUnnamed()
        statements.unnamed = nil
        ledger.owe(.query, .forward, note: note(.drop(name: name, target, tags: tags)))
        dropping = .name
        gate = .untilSettled
        var writer = MessageWriter()
        writer.query(statements.use(target) ? text(serverName(of: target)) : "")
        return .send(writer.bytes)
    }

    private func serverName(of statement: Statement) -> String {
        Self.quoted(String(decoding: statements.name(of: statement), as: UTF8.self))
    }

    private static func quoted(_ name: String) -> String {
        "\"\(name.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\""))\""
    }

    /// The Execute of a portal that is a DEALLOCATE or DISCARD ALL: its name is looked up now, as PostgreSQL does it.
    mutating func execute(_ deallocation: DeallocateStatement, portal: [UInt8], client: inout ClientSession) -> FrontendAction {
        assert(ledger.isEmpty)
        guard case .name(let name) = deallocation, let (label, target) = client.statements.named(name),
            status != .failed || statements.use(target)
        else { return executeAndWait() }
        let text = statements.use(target) ? "DEALLOCATE \(serverName(of: target))" : ""
        statements.unnamed = nil
        // In place of the client's unnamed portal, or in one of the pooler's own.
        let own = portal.isEmpty ? "" : String(decoding: Self.absentName, as: UTF8.self)
        var writer = MessageWriter()
        writer.parse(name: "", query: text)
        writer.bind(portal: own, statement: "")
        writer.execute(portal: own)
        ledger.owe(.parse, .swallow)
        ledger.owe(.bind, .swallow)
        ledger.owe(.execute, .forward, note: note(.drop(name: label, target, tags: ["DEALLOCATE"])))
        if !portal.isEmpty {
            writer.close(portal: own)
            ledger.owe(.close, .swallow)
        }
        writer.flush()
        gate = .untilSettled
        return .send(writer.bytes)
    }
}
