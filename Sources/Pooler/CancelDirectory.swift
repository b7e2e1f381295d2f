import Locking
import PostgresWire
import Synchronization
import TLS

/// Finds the client that a cancel key was given to, whichever worker it belongs to.
final class CancelDirectory: Sendable {
    struct Address: Sendable {
        let worker: UInt16
        let slot: UInt32
    }

    private let addresses = Locked<[UInt64: Address]>([:])

    /// Draws a key that no other client has: 63 random bits, the sign bit of the process id is clear.
    func register(_ address: Address) -> UInt64 {
        addresses.withLock { addresses in
            while true {
                let key = SecureRandom.uint64() & ~(1 << 63)
                if addresses[key] == nil {
                    addresses[key] = address
                    return key
                }
            }
        }
    }

    func remove(_ key: UInt64) { addresses.withLock { _ = $0.removeValue(forKey: key) } }

    func find(_ key: UInt64) -> Address? { addresses.withLock { $0[key] } }

    /// The key as BackendKeyData carries it.
    static func wire(_ key: UInt64) -> CancelKey {
        let secret = (0..<4).map { UInt8(truncatingIfNeeded: key >> (24 - 8 * UInt64($0))) }
        return CancelKey(processID: UInt32(truncatingIfNeeded: key >> 32), secret: secret)!
    }

    /// nil when it can't be one of ours.
    static func key(_ wire: CancelKey) -> UInt64? {
        guard wire.secret.count == 4 else { return nil }
        return wire.secret.reduce(UInt64(wire.processID)) { $0 << 8 | UInt64($1) }
    }
}
