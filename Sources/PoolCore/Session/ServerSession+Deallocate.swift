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
            guard let (label, target) = named(name, &client), status != .failed || statements.use(target) else { break }
            if target.isPrivate { statements.demote(target.id) }
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
        }
        client.statements.dropUnnamed()
        statements.unnamed = nil
        ledger.owe(.query, .forward)
        switch deallocation {
        case .all, .discardAll: dropping = .all
        case .name: dropping = .perhaps
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

    /// A query with several statements drops names: the server is given them, as empty statements, so that each DEALLOCATE finds its own
    /// whatever the other statements do. Nil: none of the names is the client's.
    mutating func drop(_ names: DeallocatedNames, client: inout ClientSession) -> FrontendAction? {
        assert(ledger.isEmpty && drops.isEmpty && statements.standIns.isEmpty)
        // A name that SQL PREPARE may have taken makes the Parse fail, and then only a Sync lets the query run. It would end the batch.
        let isUnsynced = ledger.isUnsynced
        guard !isUnsynced || !statements.hasForeign else { return nil }
        var writer = MessageWriter()
        for (name, index) in names.all.map({ ($0.name, $0.index) }) {
            let key = named(name, &client)?.key
            drops.append(Drop(key: key, index: index, isLast: index == names.statements - 1))
            guard let key, !key.starts(with: Statement.serverPrefix), !statements.standIns.contains(key) else { continue }
            statements.standIns.append(key)
            writer.parse(name: name, query: "")
            ledger.owe(.parse, .swallow)
        }
        guard !statements.standIns.isEmpty else {
            drops = []
            return nil
        }
        drops.reverse()
        tags = 0
        namesMayChange = true
        if !isUnsynced {
            writer.sync()
            ledger.owe(.sync, .swallow)
        }
        client.statements.dropUnnamed()
        statements.unnamed = nil
        ledger.owe(.query, .forward)
        gate = .untilSettled
        return .forwardBehind(writer.bytes)
    }

    /// A DEALLOCATE of the query at the head has run. False: it is none of those that were looked for.
    mutating func dropNext(client: inout ClientSession) -> Bool {
        guard let drop = drops.popLast() else { return false }
        guard let key = drop.key else { return false }
        client.statements.set(key, to: nil)
        statements.standIns.removeAll { $0 == key }
        return true
    }

    /// Gives the names back that a query has not dropped.
    mutating func closeStandIns() -> FrontendAction {
        let names = statements.standIns
        statements.standIns = []
        updateWatchfulness()
        for _ in names { ledger.owe(.close, .swallow) }
        return .ahead(close: names, parse: nil, name: [])
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
        guard case .name(let name) = deallocation, let (label, target) = named(name, &client),
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
