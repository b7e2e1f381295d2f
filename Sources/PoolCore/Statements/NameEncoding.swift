import Bytes

/// The encoding in which a client spells names. PostgreSQL converts a name to the server's encoding before it looks it up, so that `\u{E4}` of a
/// client with LATIN1 is `\u{E4}` of one with UTF8, in other bytes.
///
/// Between UTF8 and LATIN1 names are converted. A name that was given under another encoding is found again under that.
struct NameEncoding: Equatable, Sendable {
    /// Its place in `names`; one that is not there is told from others by nothing but that.
    private let code: UInt8

    /// - Parameters:
    ///   - client: `client_encoding`.
    ///   - server: `server_encoding`; where it is SQL_ASCII the server converts nothing.
    init(client: String?, server: String?) {
        let name = server == "SQL_ASCII" ? "SQL_ASCII" : client ?? "SQL_ASCII"
        code = UInt8(Self.names.firstIndex(of: name) ?? Self.names.count)
    }

    private init(code: UInt8) { self.code = code }

    private static let (plain, utf8, latin1) = (UInt8(0), UInt8(1), UInt8(2))

    /// As PostgreSQL writes them. Under SQL_ASCII no name is converted.
    private static let names = [
        "SQL_ASCII", "UTF8", "LATIN1", "BIG5", "EUC_CN", "EUC_JIS_2004", "EUC_JP", "EUC_KR", "EUC_TW", "GB18030", "GBK", "ISO_8859_5",
        "ISO_8859_6", "ISO_8859_7", "ISO_8859_8", "JOHAB", "KOI8R", "KOI8U", "LATIN10", "LATIN2", "LATIN3", "LATIN4", "LATIN5", "LATIN6",
        "LATIN7", "LATIN8", "LATIN9", "MULE_INTERNAL", "SHIFT_JIS_2004", "SJIS", "UHC", "WIN1250", "WIN1251", "WIN1252", "WIN1253",
        "WIN1254", "WIN1255", "WIN1256", "WIN1257", "WIN1258", "WIN866", "WIN874",
    ]

    /// Whether a name has other bytes in other encodings.
    static func isWide(_ name: Span<UInt8>) -> Bool {
        for index in name.indices where name[index] >= 0x80 { return true }
        return false
    }

    /// Stands, with the code of its encoding, behind a name that could not be converted. No client can send it.
    private static let mark: UInt8 = 0

    /// What a name is here that was spelt so under another encoding.
    func name(_ bytes: [UInt8], from old: NameEncoding) -> [UInt8] {
        if bytes.count >= 2, bytes[bytes.count - 2] == Self.mark {
            return name(bytes.dropLast(2), from: NameEncoding(code: bytes[bytes.count - 1]))
        }
        switch (old.code, code) {
        case (Self.latin1, Self.utf8):
            return Array(String(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) })).utf8)
        case (Self.utf8, Self.latin1):
            let scalars = String(decoding: bytes, as: UTF8.self).unicodeScalars
            if scalars.allSatisfy({ $0.value <= 0xFF }) { return scalars.map { UInt8($0.value) } }
        case (Self.plain, _), (_, Self.plain), (code, _):
            return bytes
        default:
            break
        }
        return bytes + [Self.mark, old.code]
    }
}
