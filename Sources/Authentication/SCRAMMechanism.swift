import TLS

/// What both sides of SCRAM-SHA-256 (RFC 5802, RFC 7677) agree on.
public enum SCRAMMechanism {
    /// Without channel binding.
    public static let name = "SCRAM-SHA-256"
    /// With channel binding of the type `tls-server-end-point` (RFC 5929): over TLS, where the accepting side has a certificate.
    public static let plusName = "SCRAM-SHA-256-PLUS"

    /// The names as bytes.
    static let nameBytes = Array(name.utf8)
    static let plusNameBytes = Array(plusName.utf8)

    /// What a client-first-message of the mechanism with channel binding begins with (the GS2 header without an authorization identity).
    static let bindingHeader = bindingFlag + Array(",,".utf8)
    /// Its first part.
    static let bindingFlag = Array("p=tls-server-end-point".utf8)

    /// A fresh nonce of 18 random bytes in Base64, as long as PostgreSQL's.
    public static func randomNonce() -> String {
        String(decoding: randomNonceBytes(), as: UTF8.self)
    }

    /// A fresh nonce, as ``randomNonce()`` makes it.
    static func randomNonceBytes() -> [UInt8] {
        let random: InlineArray<18, UInt8> = SecureRandom.inline()
        var nonce: [UInt8] = []
        Base64.append(random.span, to: &nonce)
        return nonce
    }

    /// The most bytes of one message; PostgreSQL's limit.
    static let maximumClientMessage = 1024
    /// The most bytes of a message from a server: its nonce and salt of at most 1 kB each, and what surrounds them.
    static let maximumServerMessage = 4096
    /// The most bytes of the nonce that both sides made together.
    static let maximumNonce = 1024
    /// The most bytes of a salt that a server may send.
    static let maximumSalt = 1024
    /// The iteration counts that a server may ask for; each costs the pooler two compressions.
    static let iterationLimits = 1...1_000_000

    /// Whether a nonce consists of at least one printable ASCII character and holds no comma (RFC 5802, section 7).
    static func isNonce(_ bytes: Span<UInt8>) -> Bool {
        for index in bytes.indices where bytes[index] < 0x21 || bytes[index] > 0x7e || bytes[index] == UInt8(ascii: ",") { return false }
        return !bytes.isEmpty
    }

    /// Reads a `posit-number`: digits without a leading zero, here at most ten of them.
    static func positiveNumber(_ digits: some Collection<UInt8>) -> Int? {
        guard (1...10).contains(digits.count), digits.first != UInt8(ascii: "0") else { return nil }
        var value = 0
        for digit in digits {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
            value = value * 10 + Int(digit - UInt8(ascii: "0"))
        }
        return value
    }

    /// `ClientProof` from `ClientKey` and back: the exclusive or with `ClientSignature` (RFC 5802, section 3).
    ///
    /// - Precondition: the key has 32 bytes.
    static func mask(_ key: inout [UInt8], _ clientSignature: SHA256Digest) {
        precondition(key.count == SCRAMKeys.size)
        var bytes = key.mutableSpan
        for index in clientSignature.indices { bytes[index] ^= clientSignature[index] }
    }
}
