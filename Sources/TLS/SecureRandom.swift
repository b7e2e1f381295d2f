import COpenSSL

/// Unpredictable bytes from OpenSSL's generator, for nonces, salts and cancel keys. May be called from any thread.
public enum SecureRandom {
    /// `count` unpredictable bytes. Traps when the generator cannot be seeded: no login is safe then.
    public static func bytes(_ count: Int) -> [UInt8] {
        precondition(count >= 0 && count <= Int(Int32.max), "RAND_bytes cannot fill \(count) bytes")
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            guard count > 0 else { return }
            precondition(RAND_bytes(buffer.baseAddress, Int32(count)) == 1, "OpenSSL's random generator failed")
            filled = count
        }
    }

    /// 64 unpredictable bits. Traps as ``bytes(_:)`` does.
    public static func uint64() -> UInt64 {
        var value: UInt64 = 0
        let filled = withUnsafeMutableBytes(of: &value) { buffer in
            RAND_bytes(buffer.baseAddress?.assumingMemoryBound(to: UInt8.self), Int32(buffer.count))
        }
        precondition(filled == 1, "OpenSSL's random generator failed")
        return value
    }
}
