import PoolCore
import Testing

@Suite struct PasswordCacheTests {
    typealias Cache = PasswordCache<String, Int>
    private let second: Int64 = 1_000_000

    /// One run, for one who asks.
    private func got(_ password: String, at time: Int64 = 0) -> Cache {
        var cache = Cache()
        #expect(cache.ask("a", lifetime: 0, now: time, waiter: 1) == .get)
        #expect(cache.finished("a", .password(password), now: time) == [1])
        return cache
    }

    @Test func thoseWhoWantTheSameOneShareARun() {
        var cache = Cache()
        #expect(cache.ask("a", lifetime: second, now: 0, waiter: 1) == .get)
        #expect(cache.ask("a", lifetime: second, now: 1, waiter: 2) == .wait)
        #expect(cache.ask("b", lifetime: second, now: 1, waiter: 3) == .get)
        #expect(cache.finished("a", .password("x"), now: 2) == [1, 2])
        #expect(cache.finished("b", .failure("no"), now: 2) == [3])
        #expect(cache.ask("a", lifetime: second, now: 3, waiter: 4) == .password("x"))
        #expect(cache.finished("c", .password("x"), now: 4) == [])
    }

    /// It counts from the beginning of the run: that is when a token may have been made.
    @Test func aPasswordHoldsForItsLifetime() {
        var cache = Cache()
        #expect(cache.ask("a", lifetime: 10, now: 100, waiter: 1) == .get)
        #expect(cache.finished("a", .password("x"), now: 105) == [1])
        #expect(cache.ask("a", lifetime: 10, now: 109, waiter: 2) == .password("x"))
        #expect(cache.ask("a", lifetime: 10, now: 110, waiter: 2) == .get)
        #expect(cache.finished("a", .password("y"), now: 111) == [2])
        #expect(cache.ask("a", lifetime: 0, now: 111, waiter: 3) == .get)
    }

    @Test func aFailureHoldsForTheMomentInWhichOthersWouldRunIntoIt() {
        var cache = Cache()
        #expect(cache.ask("a", lifetime: 10 * second, now: 0, waiter: 1) == .get)
        #expect(cache.finished("a", .failure("no"), now: 5 * second) == [1])
        #expect(cache.ask("a", lifetime: 10 * second, now: 6 * second - 1, waiter: 2) == .failure("no"))
        #expect(cache.ask("a", lifetime: 10 * second, now: 6 * second, waiter: 2) == .get)
    }

    @Test func aRefusedPasswordIsGotAnewOnce() {
        var cache = got("x")
        #expect(cache.refused("a", "x", now: 100) == true)
        // Somebody else heard the same.
        #expect(cache.ask("a", lifetime: second, now: 100, waiter: 2) == .get)
        #expect(cache.refused("a", "x", now: 101) == true)
        #expect(cache.ask("a", lifetime: second, now: 101, waiter: 3) == .wait)
        #expect(cache.finished("a", .password("y"), now: 102) == [2, 3])
        #expect(cache.refused("a", "x", now: 103) == true)
        #expect(cache.ask("a", lifetime: second, now: 103, waiter: 4) == .password("y"))
        // Refused again: not before a second has passed.
        #expect(cache.refused("a", "y", now: 104) == false)
        #expect(cache.ask("a", lifetime: second, now: 104, waiter: 4) == .password("y"))
        #expect(cache.refused("a", "y", now: 100 + Cache.pause) == true)
        #expect(cache.ask("a", lifetime: 10 * second, now: 100 + Cache.pause, waiter: 4) == .get)
    }

    /// A token is another one with each run, so that it is another one is no reason to try again.
    @Test func tokensThatAreAllRefusedAreGotOnceASecond() {
        var cache = got("token 0")
        var runs = 0
        for time in stride(from: Int64(0), to: 10 * second, by: 10_000) {
            let password = "token \(runs)"
            guard cache.refused("a", password, now: time) else { continue }
            #expect(cache.ask("a", lifetime: 60 * second, now: time, waiter: 1) == .get)
            runs += 1
            #expect(cache.finished("a", .password("token \(runs)"), now: time) == [1])
        }
        #expect(runs == 10)
    }

    @Test func aPasswordThatWasTakenMayBeRefusedAtOnceLater() {
        var cache = got("x")
        #expect(cache.refused("a", "x", now: 1) == true)
        #expect(cache.ask("a", lifetime: second, now: 1, waiter: 2) == .get)
        #expect(cache.finished("a", .password("y"), now: 2) == [2])
        cache.accepted("a")
        #expect(cache.refused("a", "y", now: 3) == true)
        #expect(cache.ask("a", lifetime: second, now: 3, waiter: 3) == .get)
        cache.accepted("unknown")
        #expect(cache.refused("unknown", "y", now: 3) == true)
    }

    @Test func aReloadForgetsWhatIsKnownAndWhatIsUnderWay() {
        var cache = got("x")
        #expect(cache.ask("b", lifetime: second, now: 0, waiter: 2) == .get)
        cache.forget()
        #expect(cache.ask("a", lifetime: second, now: 1, waiter: 3) == .get)
        #expect(cache.finished("b", .password("old"), now: 1) == [2])
        #expect(cache.ask("b", lifetime: second, now: 1, waiter: 4) == .get)
        #expect(cache.finished("b", .password("new"), now: 2) == [4])
        #expect(cache.ask("b", lifetime: second, now: 2, waiter: 5) == .password("new"))
    }

    @Test func namesOfStrangersFillNoMemory() {
        var cache = PasswordCache<Int, Int>()
        #expect(cache.ask(-1, lifetime: second, now: 0, waiter: 7) == .get)
        for user in 0..<3 * Cache.mostEntries {
            guard cache.ask(user, lifetime: .max, now: 0, waiter: 1) == .get else { continue }
            _ = cache.finished(user, .password("x"), now: 0)
        }
        #expect(cache.count <= Cache.mostEntries)
        #expect(cache.finished(-1, .password("x"), now: 0) == [7])
    }
}
