import Locking
import PoolCore
import PostgresWire
import Synchronization
import TLS

/// Finds the client that a cancel key was given to, whichever worker it belongs to.
final class CancelDirectory: Sendable {
    struct Address: Sendable {
        let worker: UInt16
        /// The client knows a key of 32 bytes, and has to show all of it.
        var isKeyLong = false
        let slot: UInt32
    }

    /// Where a cancel request has to go.
    enum Target: Sendable {
        /// To a client of this process; `key` is the one that it was given.
        case here(Address, key: UInt64)
        /// To another process, with this key.
        case peer(Int, key: UInt64)
        case nowhere(CancelRefusal)
    }

    private let addresses = Locked<[UInt64: Address]>([:])
    /// The setting `peer_id`: 0 means that there are no other processes.
    private let peerID = Atomic<Int>(0)

    /// What the rest of long keys is made of: so it needs no memory.
    private let secret = HMACSHA256Key(SecureRandom.bytes(32))
    /// As many bytes as a PostgreSQL 18 gives.
    private static let longSecret = 32

    func setPeerID(_ id: Int) { peerID.store(id, ordering: .relaxed) }

    /// Gives a client a key that no other client has, and tells it. The sign bit of the process id is clear; all others are random unless
    /// there are peers.
    ///
    /// - Parameter takesLongKeys: from protocol 3.2 on. Among peers keys are short all the same, since a PgBouncer may be one of them, and
    ///   reads no others.
    func register(_ address: Address, takesLongKeys: Bool, tell writer: inout MessageWriter) -> UInt64 {
        let peer = peerID.load(ordering: .relaxed)
        var address = address
        address.isKeyLong = takesLongKeys && peer == 0
        let key = draw(address, peer: peer)
        let short = Self.wire(key)
        let secret = address.isKeyLong ? short.secret + rest(of: key) : short.secret
        writer.backendKeyData(CancelKey(processID: short.processID, secret: secret)!)
        return key
    }

    private func draw(_ address: Address, peer: Int) -> UInt64 {
        addresses.withLock { addresses in
            while true {
                let key = PeerKey.stamp(SecureRandom.uint64() & ~(1 << 63), peer: peer)
                if addresses[key] == nil {
                    addresses[key] = address
                    return key
                }
            }
        }
    }

    /// How many clients have keys.
    var count: Int { addresses.withLock { $0.count } }

    func remove(_ key: UInt64) { addresses.withLock { _ = $0.removeValue(forKey: key) } }

    /// What a long key has behind its first eight bytes.
    private func rest(of key: UInt64) -> [UInt8] {
        let bytes = (0..<8).map { UInt8(truncatingIfNeeded: key >> (56 - 8 * UInt64($0))) }
        return Array(secret.authenticationCode(of: bytes).prefix(Self.longSecret - 4))
    }

    /// Where a request with this key has to go.
    func find(_ wire: CancelKey) -> Target {
        let key = wire.secret.prefix(4).reduce(UInt64(wire.processID)) { $0 << 8 | UInt64($1) }
        guard wire.secret.count > 4 else { return find(key) }
        guard let address = addresses.withLock({ $0[key] }), address.isKeyLong,
            constantTimeEqual(Array(wire.secret.dropFirst(4)), rest(of: key))
        else { return .nowhere(.unknownKey) }
        return .here(address, key: key)
    }

    private func find(_ key: UInt64) -> Target {
        let own = peerID.load(ordering: .relaxed)
        let peer = PeerKey.peer(of: key)
        // As it is first: it may have been given before there were peers. A request that other processes have passed on has made hops.
        for known in own > 0 && peer == own ? [key, PeerKey.original(key)] : [key] {
            if let address = addresses.withLock({ $0[known] }), !address.isKeyLong { return .here(address, key: known) }
        }
        guard own > 0, peer > 0, peer != own else { return .nowhere(.unknownKey) }
        guard let next = PeerKey.forwarded(key) else { return .nowhere(.tooManyHops) }
        return .peer(peer, key: next)
    }

    /// A short key as a CancelRequest carries it.
    static func wire(_ key: UInt64) -> CancelKey {
        let secret = (0..<4).map { UInt8(truncatingIfNeeded: key >> (24 - 8 * UInt64($0))) }
        return CancelKey(processID: UInt32(truncatingIfNeeded: key >> 32), secret: secret)!
    }
}
