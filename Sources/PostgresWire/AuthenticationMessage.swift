/// What a server asks for during login.
///
/// PostgreSQL documentation, section "Message Formats", the Authentication messages.
public enum AuthenticationMessage: Equatable, Sendable {
    case ok
    case kerberosV5
    case cleartextPassword
    case md5Password(salt: [UInt8])
    case gss
    case gssContinue(Range<Int>)
    case sspi
    case sasl(mechanisms: [String])
    case saslContinue(Range<Int>)
    case saslFinal(Range<Int>)
    /// A request that this list does not have.
    case other(UInt32)

    /// Nil when the body does not have the form that its request demands.
    public static func read(_ bytes: Span<UInt8>, body: Range<Int>) -> AuthenticationMessage? {
        guard bytes.holds(body), body.count >= 4, let request = readUInt32(bytes, at: body.lowerBound) else { return nil }
        let data = body.lowerBound + 4..<body.upperBound
        switch request {
        case 0: return data.isEmpty ? .ok : nil
        case 2: return data.isEmpty ? .kerberosV5 : nil
        case 3: return data.isEmpty ? .cleartextPassword : nil
        case 5: return data.count == 4 ? .md5Password(salt: [UInt8](copying: bytes, in: data)) : nil
        case 7: return data.isEmpty ? .gss : nil
        case 8: return .gssContinue(data)
        case 9: return data.isEmpty ? .sspi : nil
        case 10: return mechanisms(bytes, in: data).map { .sasl(mechanisms: $0) }
        case 11: return .saslContinue(data)
        case 12: return .saslFinal(data)
        default: return .other(request)
        }
    }

    /// Texts up to an empty one that ends the list, which must end the body.
    private static func mechanisms(_ bytes: Span<UInt8>, in data: Range<Int>) -> [String]? {
        var names: [String] = []
        var start = data.lowerBound
        while let end = firstNUL(bytes, in: start..<data.upperBound) {
            if end == start { return end == data.upperBound - 1 ? names : nil }
            names.append(String(decoding: bytes, in: start..<end))
            start = end + 1
        }
        return nil
    }
}
