import Bytes
import PostgresWire

/// DEALLOCATE inside a DO block. The server has the client's statements under the pooler's names, and no command tag tells what a block has
/// dropped: so it is lent the client's names, as empty statements, and asked afterwards which of them it still has.
///
/// What a function or a procedure drops is not seen: nothing in the text tells that it might.
extension ServerSession {
    /// Stands for all names: only DEALLOCATE ALL drops it.
    private static let witness = Array("SLUICE_D".utf8)

    /// All in one row: of many rows the shell shows the first.
    private static let question =
        "SELECT pg_catalog.string_agg(name, pg_catalog.chr(\(separator))) FROM pg_catalog.pg_prepared_statements"
        + " WHERE NOT from_sql"
    private static let separator: UInt8 = 1

    /// Whether the names can be lent: those that SQL PREPARE may have taken can't.
    private func lendsNames(_ client: borrowing ClientSession) -> Bool {
        client.statements.hasNames && !statements.hasForeign && status != .failed
    }

    /// A simple query that is a DO block with DEALLOCATE in it, and nothing else. Nil: nothing can be dropped by it, or be found out.
    mutating func judgeBlock(_ message: Span<UInt8>, client: inout ClientSession) -> FrontendAction? {
        guard lendsNames(client), !ledger.isUnsynced else { return nil }
        var writer = MessageWriter()
        lendNames(of: &client, &writer)
        writer.sync()
        ledger.owe(.sync, .swallow)
        // The query makes an unnamed portal of its own.
        client.portals[[]] = nil
        client.statements.dropUnnamed()
        statements.unnamed = nil
        ledger.owe(.query, .forward)
        var question = MessageWriter()
        question.query(Self.question)
        ledger.owe(.query, .swallow, note: note(.namesLeft))
        gate = .untilSettled
        return .send(writer.bytes + Array(copying: message) + question.bytes)
    }

    /// The Execute of such a block.
    mutating func executeBlock(
        _ message: Span<UInt8>, _ effects: [StatementEffect], client: inout ClientSession
    ) -> FrontendAction? {
        guard lendsNames(client) else { return nil }
        guard ledger.isEmpty else { return hold(.untilSettled) }
        var writer = MessageWriter()
        lendNames(of: &client, &writer)
        ledger.owe(.execute, .forward, note: note(.effects(effects)))
        let asking = run([Self.question], note: .namesLeft)
        var flush = MessageWriter()
        flush.flush()
        gate = .untilSettled
        return .send(writer.bytes + Array(copying: message) + asking + flush.bytes)
    }

    private mutating func lendNames(of client: inout ClientSession, _ writer: inout MessageWriter) {
        spellNames(&client)
        var names = client.statements.all.map(\.name).filter {
            !$0.contains(0) && !$0.contains(Self.separator) && !$0.starts(with: Statement.serverPrefix)
        }
        names = names.prefix(DeallocatedNames.most) + [Self.witness]
        for name in names {
            statements.standIns.append(name)
            writer.parse(name: String(decoding: name.span, in: 0..<name.count), query: "")
            ledger.owe(.parse, .swallow, note: name == Self.witness ? note(.lend) : 0)
        }
        (namesLeft, hasLent) = (nil, true)
        updateWatchfulness()
    }

    /// The server tells of its statements.
    mutating func takeNames(_ frame: Frame, _ bytes: Span<UInt8>, at offset: Int) {
        guard let head = ledger.head, head.note >= Self.firstNote, case .namesLeft = notes[head.note] else { return }
        let body = frame.body(at: offset)
        switch frame.type {
        case Backend.commandComplete:
            // It has none at all.
            if namesLeft == nil { namesLeft = [] }
        case Backend.dataRow where body.count > 6 && body.upperBound <= bytes.count:
            let names = Array(copying: bytes.extracting(body.lowerBound + 6..<body.upperBound))
            namesLeft = Set(names.split(separator: Self.separator).map { Array($0) })
        default:
            break
        }
    }

    /// It has told all. What it was lent and has not any more, the block has dropped.
    mutating func settleNames(of client: inout ClientSession) {
        defer { hasLent = false }
        guard let left = namesLeft.take(), hasLent else {
            // It could not be asked, or did not take the names.
            statements.distrust()
            return
        }
        guard left.contains(Self.witness) else {
            client.statements.removeAllNamed()
            statements.removeAll()
            updateWatchfulness()
            return
        }
        for name in statements.standIns where !left.contains(name) { client.statements.set(name, to: nil) }
        statements.standIns.removeAll { !left.contains($0) }
        for id in statements.ids where !left.contains(statements.name(ofID: id)) { statements.remove(id) }
        updateWatchfulness()
    }

    /// What the server sends is about its names.
    var tellsNames: Bool {
        guard let head = ledger.head, head.note >= Self.firstNote, case .namesLeft = notes[head.note] else { return false }
        return true
    }
}
