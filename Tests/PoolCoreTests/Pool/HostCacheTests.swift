import PoolCore
import Testing

@Suite struct HostCacheTests {
    private let second: Int64 = 1_000_000

    @Test func anAnswerHoldsForItsTime() {
        var cache = HostCache<Int>()
        #expect(cache.find("a", now: 0) == .unknown)
        cache.keep(.addresses([1]), of: "a", timeToLive: 10 * second, now: 0)
        cache.keep(.failure("no"), of: "b", timeToLive: 5 * second, now: 0)
        #expect(cache.find("a", now: 10 * second - 1) == .addresses([1]))
        #expect(cache.find("a", now: 10 * second) == .unknown)
        #expect(cache.find("b", now: 4 * second) == .failure("no"))
        #expect(cache.find("b", now: 5 * second) == .unknown)
    }

    @Test func addressesTakeTurns() {
        var cache = HostCache<Int>()
        cache.keep(.addresses([1, 2, 3]), of: "a", timeToLive: second, now: 0)
        #expect(cache.find("a", now: 0) == .addresses([1, 2, 3]))
        #expect(cache.find("a", now: 0) == .addresses([2, 3, 1]))
        #expect(cache.find("a", now: 0) == .addresses([3, 1, 2]))
        // The turn outlives the answer.
        cache.keep(.addresses([1, 2]), of: "a", timeToLive: second, now: second)
        #expect(cache.find("a", now: second) == .addresses([2, 1]))
    }

    @Test func whatCouldNotBeReachedComesLastForAWhile() {
        var cache = HostCache<Int>()
        cache.keep(.addresses([1, 2]), of: "a", timeToLive: 1000 * second, now: 0)
        cache.couldNotReach(1, now: 0)
        for _ in 0..<4 { #expect(cache.find("a", now: second) == .addresses([2, 1])) }
        let later = HostCache<Int>.penalty
        #expect(Set([cache.find("a", now: later), cache.find("a", now: later)].map { "\($0)" }).count == 2)
    }

    @Test func aNameThatLeadsNowhereIsLookedUpAgain() {
        var cache = HostCache<Int>()
        cache.keep(.addresses([1, 2]), of: "a", timeToLive: 1000 * second, now: 0)
        cache.keep(.addresses([2]), of: "b", timeToLive: 1000 * second, now: 0)
        cache.couldNotReach(1, now: 0)
        #expect(cache.find("a", now: 0) == .addresses([2, 1]))
        cache.couldNotReach(2, now: 0)
        #expect(cache.find("a", now: 0) == .unknown)
        #expect(cache.find("b", now: 0) == .unknown)
        cache.couldNotReach(7, now: 0)
    }

    @Test func linesForTheOperator() {
        var cache = HostCache<Int>()
        cache.keep(.addresses([1]), of: "b", timeToLive: 10 * second, now: 0)
        cache.keep(.addresses([2, 3]), of: "a", timeToLive: 5 * second, now: 0)
        cache.keep(.failure("no"), of: "c", timeToLive: 5 * second, now: 0)
        #expect(
            cache.lines(now: second) == [
                HostCache.Line(name: "a", timeToLive: 4, addresses: [2, 3]), HostCache.Line(name: "b", timeToLive: 9, addresses: [1]),
            ])
        #expect(cache.lines(now: 6 * second).map(\.name) == ["b"])
    }

    @Test func leftoversAreSwept() {
        var cache = HostCache<Int>()
        for name in 0..<1000 { cache.keep(.addresses([1]), of: "\(name)", timeToLive: 1, now: Int64(name)) }
        #expect(cache.lines(now: 0).count < 200)
    }
}
