import Locking
import PoolCore
import PostgresWire
import Synchronization
import TLS

/// Finds the client that a cancel key was given to, whichever worker it belongs to.
final class CancelDirectory: Sendable {
    struct Address: Sendable {
        let worker: UInt16
        let slot: UInt32
    }

    /// Where a cancel request has to go.
    enum Target: Sendable {
        /// To a client of this process; `key` is the one that it was given.
        case here(Address, key: UInt64)
        /// To another process, with this key.
        case peer(Int, key: UInt64)
        case nowhere(String)
    }

    private let addresses = Locked<[UInt64: Address]>([:])
    /// The setting `peer_id`: 0 means that there are no other processes.
    private let peerID = Atomic<Int>(0)

    func setPeerID(_ id: Int) { peerID.store(id, ordering: .relaxed) }

    /// Draws a key that no other client has. The sign bit of the process id is clear; all others are random unless there are peers.
    func register(_ address: Address) -> UInt64 {
        let peer = peerID.load(ordering: .relaxed)
        return addresses.withLock { addresses in
            while true {
                let key = PeerKey.stamp(SecureRandom.uint64() & ~(1 << 63), peer: peer)
                if addresses[key] == nil {
                    addresses[key] = address
                    return key
                }
            }
        }
    }

    func remove(_ key: UInt64) { addresses.withLock { _ = $0.removeValue(forKey: key) } }

    func find(_ key: UInt64) -> Target {
        let own = peerID.load(ordering: .relaxed)
        let peer = PeerKey.peer(of: key)
        // As it is first: it may have been given before there were peers. A request that other processes have passed on has made hops.
        for known in own > 0 && peer == own ? [key, PeerKey.original(key)] : [key] {
            if let address = addresses.withLock({ $0[known] }) { return .here(address, key: known) }
        }
        guard own > 0, peer > 0, peer != own else { return .nowhere("unknown key") }
        guard let next = PeerKey.forwarded(key) else { return .nowhere("too many hops between peers") }
        return .peer(peer, key: next)
    }

    /// The key as a CancelRequest carries it.
    static func wire(_ key: UInt64) -> CancelKey {
        let secret = (0..<4).map { UInt8(truncatingIfNeeded: key >> (24 - 8 * UInt64($0))) }
        return CancelKey(processID: UInt32(truncatingIfNeeded: key >> 32), secret: secret)!
    }

    /// Tells a client its key.
    static func write(_ key: UInt64, to writer: inout MessageWriter) {
        writer.backendKeyData(processID: UInt32(truncatingIfNeeded: key >> 32), secret: UInt32(truncatingIfNeeded: key))
    }

    /// nil when it can't be one of ours.
    static func key(_ wire: CancelKey) -> UInt64? {
        guard wire.secret.count == 4 else { return nil }
        return wire.secret.reduce(UInt64(wire.processID)) { $0 << 8 | UInt64($1) }
    }
}
