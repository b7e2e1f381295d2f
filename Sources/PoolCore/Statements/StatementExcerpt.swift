import Bytes
import PostgresWire

/// Turns the first bytes of what a client sent into the text of its statement: for WHY and the log, long after it was sent.
public enum StatementExcerpt {
    /// How many bytes of a text are shown.
    public static let limit = 200

    /// The beginning of the statement that a Query, Parse or Bind carries or names; nil when the bytes don't tell. A character that the
    /// limit cuts in two is left out.
    public static func text(of message: [UInt8], statements: ClientStatements) -> String? {
        guard message.count > 5 else { return nil }
        let body = message[5...]
        switch message[0] {
        case Frontend.query:
            return text(body)
        case Frontend.parse:
            guard let end = body.firstIndex(of: 0) else { return nil }
            return text(body[(end + 1)...])
        case Frontend.bind:
            guard let portalEnd = body.firstIndex(of: 0), let end = body[(portalEnd + 1)...].firstIndex(of: 0) else { return nil }
            let name = Array(body[(portalEnd + 1)..<end])
            let statement = name.isEmpty ? statements.unnamed : statements[name]
            return statement.flatMap { text(Array(copying: $0.definition.extracting(first: limit + 1))[...]) }
        default:
            return nil
        }
    }

    private static func text(_ bytes: ArraySlice<UInt8>) -> String? {
        var text = bytes.prefix { $0 != 0 }.prefix(limit)
        // The first byte of a character tells how many follow it.
        if text.count == limit, let start = text.lastIndex(where: { $0 & 0xC0 != 0x80 }), text[start] >= 0xC0 {
            let length = text[start] >= 0xF0 ? 4 : text[start] >= 0xE0 ? 3 : 2
            if text.endIndex - start < length { text = text[..<start] }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
