import COpenSSL

/// The hash functions that PostgreSQL's password methods are made of.
///
/// All of them are pure functions and may be called from any thread. They use OpenSSL's low-level functions:
/// EVP's one-shot calls look the algorithm up each time, which takes several times as long as hashing a short message.
public enum Digest {
    /// SHA-256 (FIPS 180-4): 32 bytes.
    public static func sha256(_ message: [UInt8]) -> [UInt8] {
        SHA256State.initial.digest(of: message)
    }

    /// SHA-256 of a span.
    public static func sha256(_ message: Span<UInt8>) -> SHA256Digest {
        SHA256State.initial.digest(of: message)
    }

    /// MD5 (RFC 1321): 16 bytes. For PostgreSQL's `md5` password method only; it protects nothing else.
    public static func md5(_ message: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: Int(MD5_DIGEST_LENGTH)) { digest, count in
            var context = MD5_CTX()
            MD5_Init(&context)
            MD5_Update(&context, message, message.count)
            MD5_Final(digest.baseAddress, &context)
            count = Int(MD5_DIGEST_LENGTH)
        }
    }

    /// HMAC-SHA-256 (RFC 2104): 32 bytes. A key longer than a block of 64 bytes is hashed first, as the RFC says.
    public static func hmacSHA256(key: [UInt8], message: [UInt8]) -> [UInt8] {
        HMACSHA256Key(key).authenticationCode(of: message)
    }

    /// PBKDF2 with HMAC-SHA-256 (RFC 8018, section 5.2) for one block of output: 32 bytes, the `Hi` of SCRAM (RFC 5802).
    ///
    /// - Parameter iterations: at least 1. The time spent is proportional to it, so limit what a peer may ask for.
    public static func pbkdf2SHA256(password: [UInt8], salt: [UInt8], iterations: Int) -> [UInt8] {
        precondition(iterations >= 1, "PBKDF2 needs at least one iteration")
        let key = HMACSHA256Key(password)
        return key.iterated(from: key.authenticationCode(of: salt + [0, 0, 0, 1]), count: iterations)
    }
}

/// What SHA-256 makes of a message.
public typealias SHA256Digest = InlineArray<32, UInt8>

/// An HMAC key after its two padded blocks were compressed: what remains per message is the message.
///
/// Worth keeping where a key is used again: of the six compressions for a SCRAM message, two are the key's.
public struct HMACSHA256Key: Sendable {
    private let inner: SHA256State
    private let outer: SHA256State

    /// A key of any length; one longer than a block is hashed first.
    public init(_ key: [UInt8]) {
        let short = key.count > SHA256State.blockSize ? Digest.sha256(key) : key
        inner = SHA256State(firstBlock: short, mask: 0x36)
        outer = SHA256State(firstBlock: short, mask: 0x5c)
    }

    /// HMAC-SHA-256 of a message with this key.
    public func authenticationCode(of message: Span<UInt8>) -> SHA256Digest {
        outer.digest(of: inner.digest(of: message).span)
    }

    /// The same as an array.
    public func authenticationCode(of message: [UInt8]) -> [UInt8] {
        outer.digest(of: inner.digest(of: message))
    }

    /// The exclusive or of `first` and its `count - 1` successors, each the authentication code of the one before.
    ///
    /// A digest of 32 bytes and its padding fill exactly one block, so one round is two compressions and nothing else.
    fileprivate func iterated(from first: [UInt8], count: Int) -> [UInt8] {
        var innerBlock = SHA256State.paddedDigestBlock(first)
        var outerBlock = innerBlock
        var result = first
        innerBlock.withUnsafeMutableBytes { innerBytes in
            outerBlock.withUnsafeMutableBytes { outerBytes in
                for _ in 1..<count {
                    inner.compress(innerBytes, into: outerBytes)
                    outer.compress(outerBytes, into: innerBytes)
                    for index in 0..<SHA256State.digestSize { result[index] ^= innerBytes[index] }
                }
            }
        }
        OPENSSL_cleanse(&innerBlock, innerBlock.count)
        OPENSSL_cleanse(&outerBlock, outerBlock.count)
        return result
    }
}

/// SHA-256 at a block boundary, copied instead of computed again.
private struct SHA256State {
    static let blockSize = 64
    static let digestSize = 32
    static let initial = SHA256State()

    private var context = SHA256_CTX()

    private init() {
        SHA256_Init(&context)
    }

    init(firstBlock key: [UInt8], mask: UInt8) {
        self.init()
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Self.blockSize) { block in
            block.initialize(repeating: mask)
            for index in key.indices { block[index] ^= key[index] }
            SHA256_Update(&context, block.baseAddress, Self.blockSize)
        }
    }

    func digest(of message: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: Self.digestSize) { digest, count in
            message.withUnsafeBufferPointer { finish($0, digest.baseAddress!) }
            count = Self.digestSize
        }
    }

    func digest(of message: Span<UInt8>) -> SHA256Digest {
        var digest = SHA256Digest(repeating: 0)
        var target = digest.mutableSpan
        target.withUnsafeMutableBufferPointer { digest in
            message.withUnsafeBufferPointer { message in finish(message, digest.baseAddress!) }
        }
        return digest
    }

    /// Goes on with `message` as the rest of what is hashed.
    private func finish(_ message: UnsafeBufferPointer<UInt8>, _ digest: UnsafeMutablePointer<UInt8>) {
        var context = context
        SHA256_Update(&context, message.baseAddress, message.count)
        SHA256_Final(digest, &context)
    }

    /// A digest as the last block of a message of 96 bytes: the key's block came before it.
    static func paddedDigestBlock(_ digest: [UInt8]) -> [UInt8] {
        let bits = (blockSize + digestSize) * 8
        return digest + [0x80] + [UInt8](repeating: 0, count: 29) + [UInt8(bits >> 8), UInt8(bits & 0xff)]
    }

    /// Compresses one block on top of this state and writes the digest over the first 32 bytes of `output`.
    @inline(__always)
    func compress(_ block: UnsafeMutableRawBufferPointer, into output: UnsafeMutableRawBufferPointer) {
        var context = context
        SHA256_Transform(&context, block.baseAddress?.assumingMemoryBound(to: UInt8.self))
        let h = context.h
        output.storeBytes(of: h.0.bigEndian, toByteOffset: 0, as: UInt32.self)
        output.storeBytes(of: h.1.bigEndian, toByteOffset: 4, as: UInt32.self)
        output.storeBytes(of: h.2.bigEndian, toByteOffset: 8, as: UInt32.self)
        output.storeBytes(of: h.3.bigEndian, toByteOffset: 12, as: UInt32.self)
        output.storeBytes(of: h.4.bigEndian, toByteOffset: 16, as: UInt32.self)
        output.storeBytes(of: h.5.bigEndian, toByteOffset: 20, as: UInt32.self)
        output.storeBytes(of: h.6.bigEndian, toByteOffset: 24, as: UInt32.self)
        output.storeBytes(of: h.7.bigEndian, toByteOffset: 28, as: UInt32.self)
    }
}
