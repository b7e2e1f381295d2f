import Bytes
import PostgresWire

/// Whether what a client has left running is certain to be rolled back, whatever becomes of it: then it may be cancelled. Everything else is
/// awaited, as PostgreSQL does it.
///
/// Only what is known counts. A text is known by the excerpt of the last burst, or by the statement that a Bind names.
public enum LostWork {
    /// `burst`: the client's last burst. It counts only if all of it is here, in whole messages.
    public static func isCertain(burst: [UInt8], in session: borrowing ServerSession, statements: ClientStatements) -> Bool {
        // Outside a transaction block any statement may be its own transaction, or (VACUUM, CALL) more than one.
        let isInBlock = session.status != .idle
        guard isInBlock || (session.ledger.isUnsynced && !session.ledger.willBecomeReady) else { return false }
        var commands = 0
        var names: [ArraySlice<UInt8>] = []
        var portals: [ArraySlice<UInt8>] = []
        var at = 0
        while at < burst.count {
            guard case .frame(let frame) = peekFrame(burst.span, at: at), frame.length <= burst.count - at else { return false }
            let body = burst[at + 5..<at + frame.length]
            at += frame.length
            switch frame.type {
            case Frontend.query:
                commands += 1
                guard isInBlock, isCertain(text: body, isInBlock: true) else { return false }
            case Frontend.parse:
                guard let end = body.firstIndex(of: 0), isCertain(text: body[(end + 1)...], isInBlock: isInBlock) else { return false }
                names.append(body[..<end])
            case Frontend.bind:
                guard let portalEnd = body.firstIndex(of: 0), let end = body[(portalEnd + 1)...].firstIndex(of: 0) else { return false }
                let name = body[(portalEnd + 1)..<end]
                portals.append(body[..<portalEnd])
                if names.contains(where: { $0.elementsEqual(name) }) { continue }
                guard let statement = name.isEmpty ? statements.unnamed : statements[Array(name)],
                    isCertain(text: Array(copying: statement.definition.extracting(first: longest + 1))[...], isInBlock: isInBlock)
                else { return false }
            case Frontend.execute:
                commands += 1
                guard let end = body.firstIndex(of: 0), portals.contains(where: { $0.elementsEqual(body[..<end]) }) else { return false }
            case Frontend.functionCall:
                commands += 1
                guard isInBlock else { return false }
            case Frontend.sync:
                guard isInBlock else { return false }
            case Frontend.describe, Frontend.flush, Frontend.copyData, Frontend.copyFail, Frontend.copyDone:
                break
            default:
                return false
            }
        }
        // What is outstanding was sent last. If there is more of it, the burst tells only a part.
        return session.ledger.commandsOutstanding <= commands
    }

    /// `text` ends with a NUL, or where it ends. No quoting is understood: a semicolon is one wherever it stands, and a word behind one is
    /// found inside a literal, too.
    static func isCertain(text: ArraySlice<UInt8>, isInBlock: Bool) -> Bool {
        let text = text.prefix { $0 != 0 }
        guard text.count <= longest else { return false }
        if let semicolon = text.firstIndex(of: UInt8(ascii: ";")),
            text[semicolon...].contains(where: { !isBlank($0) && $0 != UInt8(ascii: ";") })
        {
            guard isInBlock else { return false }
            let lower = text.map(lowercased)
            return !endings.contains { ending in
                lower.indices.contains { lower[$0...].starts(with: ending.utf8) }
            }
        }
        guard let word = StatementShape.firstWord(text.span, 0..<text.count) else {
            return isInBlock && text.allSatisfy { isBlank($0) || $0 == UInt8(ascii: ";") }
        }
        return isInBlock ? !endings.contains(word) : transient.contains(word)
    }

    /// It may be looked at several times.
    private static let longest = 16 * 1024
    /// What may end a block, so that what follows is committed on its own, or is a commit itself.
    private static let endings: Set<String> = ["commit", "end", "prepare", "rollback", "abort"]
    /// What a batch without its Sync never commits.
    private static let transient: Set<String> = ["select", "insert", "update", "delete", "merge", "with", "values", "table"]

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
    private static func lowercased(_ byte: UInt8) -> UInt8 { (0x41...0x5A).contains(byte) ? byte | 0x20 : byte }
}
