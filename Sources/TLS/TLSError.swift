import COpenSSL

/// Why a TLS connection can't go on.
public struct TLSError: Error, Sendable, Equatable, CustomStringConvertible {
    /// OpenSSL's words.
    public let reason: String

    public init(reason: String) { self.reason = reason }

    public var description: String { reason }

    /// What OpenSSL has noted on this thread since the last call, which is forgotten.
    static func taken(otherwise text: String = "unknown error") -> TLSError {
        let code = ERR_get_error()
        ERR_clear_error()
        return TLSError(reason: code == 0 ? text : Self.text(code))
    }

    private static func text(_ code: UInt) -> String {
        if let reason = ERR_reason_error_string(code) { return String(cString: reason) }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            ERR_error_string_n(code, buffer.baseAddress, buffer.count)
            return String(cString: buffer.baseAddress!)
        }
    }
}
