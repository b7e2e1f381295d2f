import COpenSSL
import Locking

/// Unpredictable bytes from OpenSSL's generator, for nonces, salts and cancel keys. May be called from any thread.
///
/// The generator is asked for a block at a time: each call of it costs a system call and a microsecond, whatever the size. A byte is
/// given out once and wiped from the block.
public enum SecureRandom {
    private struct Block {
        var bytes = [UInt8](repeating: 0, count: size)
        /// Bytes from here on have not been given out.
        var position = size

        static let size = 4096

        mutating func fill(_ target: UnsafeMutableRawBufferPointer) {
            guard let start = target.baseAddress else { return }
            #if DEBUG
                if let simulated = SecureRandom.simulated { return simulated(target) }
            #endif
            bytes.withUnsafeMutableBytes { block in
                if target.count > block.count {
                    SecureRandom.draw(target)
                    return
                }
                if block.count - position < target.count {
                    SecureRandom.draw(block)
                    position = 0
                }
                let source = block.baseAddress! + position
                start.copyMemory(from: source, byteCount: target.count)
                OPENSSL_cleanse(source, target.count)
                position += target.count
            }
        }
    }

    private static let block = Locked(Block())

    #if DEBUG
        /// Fills in place of the generator while a simulation runs (room `Simulation`): what happens depends on its seed alone.
        nonisolated(unsafe) static var simulated: ((UnsafeMutableRawBufferPointer) -> Void)?
    #endif

    private static func draw(_ target: UnsafeMutableRawBufferPointer) {
        let filled = RAND_bytes(target.baseAddress?.assumingMemoryBound(to: UInt8.self), Int32(target.count))
        precondition(filled == 1, "OpenSSL's random generator failed")
    }

    /// `count` unpredictable bytes. Traps when the generator cannot be seeded: no login is safe then.
    public static func bytes(_ count: Int) -> [UInt8] {
        precondition(count >= 0 && count <= Int(Int32.max), "RAND_bytes cannot fill \(count) bytes")
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            let target = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count])
            block.withLock { $0.fill(target) }
            filled = count
        }
    }

    /// Unpredictable bytes without an allocation. Traps as ``bytes(_:)`` does.
    @inlinable
    public static func inline<let count: Int>() -> InlineArray<count, UInt8> {
        var value = InlineArray<count, UInt8>(repeating: 0)
        var target = value.mutableSpan
        target.withUnsafeMutableBytes { fill($0) }
        return value
    }

    @usableFromInline
    static func fill(_ target: UnsafeMutableRawBufferPointer) { block.withLock { $0.fill(target) } }

    /// 64 unpredictable bits. Traps as ``bytes(_:)`` does.
    public static func uint64() -> UInt64 {
        var value: UInt64 = 0
        withUnsafeMutableBytes(of: &value) { fill($0) }
        return value
    }
}
