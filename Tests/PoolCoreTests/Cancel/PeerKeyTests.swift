import PoolCore
import Testing

@Suite struct PeerKeyTests {
    @Test(arguments: [1, 2, 255, 256, 4660, 16383]) func aKeyNamesItsProcess(peer: Int) {
        for random: UInt64 in [0, 1 << 63 - 1, 0x0123_4567_89ab_cdef] {
            let key = PeerKey.stamp(random, peer: peer)
            #expect(PeerKey.peer(of: key) == peer)
            #expect(key & 3 == 3 && key >> 63 == 0)
            // Bytes 1 and 2, little endian.
            #expect(key >> 48 & 0xff == UInt64(peer) & 0xff && key >> 40 & 0xff == UInt64(peer) >> 8)
            // All else stays random.
            #expect((key ^ random) & ~0x00ff_ff00_0000_0003 == 0)
        }
    }

    @Test func withoutPeersTheKeyStaysAsItIs() {
        #expect(PeerKey.stamp(0x0123_4567_89ab_cdef, peer: 0) == 0x0123_4567_89ab_cdef)
    }

    @Test func hopsAreCounted() throws {
        let key = PeerKey.stamp(0x0123_4567_89ab_cdef, peer: 7)
        let first = try #require(PeerKey.forwarded(key))
        let second = try #require(PeerKey.forwarded(first))
        let third = try #require(PeerKey.forwarded(second))
        #expect(PeerKey.forwarded(third) == nil)
        for hop in [first, second, third] {
            #expect(PeerKey.original(hop) == key)
            #expect(PeerKey.peer(of: hop) == 7)
        }
    }
}
