/// How the cancel keys of processes that share a port are laid out, in PgBouncer's way, so that both can be peers.
///
/// Of the eight bytes that a client gets (process id, then secret), 1 and 2 name the process that gave the key (little endian), and
/// the two lowest bits of the last one count the hops that a request may still make. 45 bits are random.
public enum PeerKey {
    /// What a request starts with, and what the key of a client holds.
    public static let hops: UInt64 = 3

    /// Makes a random key one of process `peer`; 0: there are no peers, and the key stays as it is.
    public static func stamp(_ random: UInt64, peer: Int) -> UInt64 {
        guard peer > 0 else { return random }
        let id = UInt64(truncatingIfNeeded: peer)
        return random & ~0x00ff_ff00_0000_0003 | (id & 0xff) << 48 | (id >> 8 & 0xff) << 40 | hops
    }

    /// The process that gave the key, if it comes from one with peers.
    public static func peer(of key: UInt64) -> Int { Int(key >> 48 & 0xff | (key >> 40 & 0xff) << 8) }

    /// The key as its client got it, however far the request has come.
    public static func original(_ key: UInt64) -> UInt64 { key | hops }

    /// The key for the next process; nil when the request has made all its hops.
    public static func forwarded(_ key: UInt64) -> UInt64? { key & hops > 0 ? key - 1 : nil }
}
