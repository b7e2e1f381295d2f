import Testing

@testable import PoolCore

/// Room between pools that share a size (RoomClaims), and between those that share a limit (Eviction).
@Suite struct RoomClaimsTests {
    private static func pool(_ value: String?, user: String = "app") -> CapacityLedger.PoolKey {
        let startup = value.map { StartupValues(of: [Parameter(name: "temp_buffers", value: $0)]) { _ in true } } ?? .none
        return CapacityLedger.PoolKey(database: "lab", user: user, startup: startup)
    }

    @Test func aPoolOfTheSameFamilyThatHasWaitedLongerComesFirst() {
        var rooms = RoomClaims()
        let (own, a, b) = (Self.pool(nil), Self.pool("1"), Self.pool("2"))
        #expect(rooms.isEmpty && rooms.takeRival(of: own, oldestDemand: .max, now: 0) == nil)
        #expect(rooms.claim(a, since: 200_000, now: 300_000) == true)
        #expect(rooms.claim(b, since: 100_000, now: 300_000) == true)
        #expect(rooms.claim(Self.pool("3", user: "other"), since: 1, now: 300_000) == true)
        #expect(rooms.takeRival(of: own, oldestDemand: .max, now: 300_000) == b)
        #expect(rooms.takeRival(of: a, oldestDemand: .max, now: 300_000) == nil)
        #expect(rooms.takeRival(of: own, oldestDemand: .max, now: 300_000) == a)
        #expect(rooms.takeRival(of: own, oldestDemand: .max, now: 300_000) == nil)
    }

    @Test func thePoolsOwnClientsMayGoFirstForATurn() {
        var rooms = RoomClaims()
        let (own, other) = (Self.pool(nil), Self.pool("1"))
        _ = rooms.claim(other, since: 100_000, now: 200_000)
        #expect(rooms.takeRival(of: own, oldestDemand: 150_000, now: 200_000) == nil)
        #expect(rooms.takeRival(of: own, oldestDemand: 150_001, now: 200_000) == other)
    }

    @Test func aClaimIsNewsOnceInATurnAndVoidWhenItIsNotRepeated() {
        var rooms = RoomClaims()
        let (own, other) = (Self.pool(nil), Self.pool("1"))
        #expect(rooms.claim(other, since: 0, now: 0) && !rooms.claim(other, since: 0, now: 50_000))
        #expect(rooms.claim(other, since: 0, now: 100_001) == true)
        var late = rooms
        #expect(rooms.takeRival(of: own, oldestDemand: .max, now: 1_100_000) == other)
        #expect(late.takeRival(of: own, oldestDemand: .max, now: 1_100_001) == nil && late.isEmpty)
    }

    @Test func roomThatIsMadeForOnePoolIsTakenByNoOther() {
        var rooms = RoomClaims()
        let (own, other) = (Self.pool(nil), Self.pool("1"))
        #expect(!rooms.isYielding(own))
        rooms.beginYielding(to: other)
        #expect(rooms.isYielding(own) && !rooms.isYielding(other) && !rooms.isYielding(Self.pool(nil, user: "else")))
        rooms.endYielding()
        #expect(!rooms.isYielding(own))
    }

    // MARK: Eviction

    @Test func idleServersMakeRoomForTheLimitThatTheyCountAgainst() {
        let wanting = CapacityLedger.PoolKey(database: "lab", user: "app")
        func counts(_ database: String, _ user: String, _ limit: ServerCloseReason.EvictingLimit, hasDemand: Bool = false) -> Bool {
            Eviction.counts(CapacityLedger.PoolKey(database: database, user: user), hasDemand: hasDemand, against: limit, of: wanting)
        }
        #expect(counts("lab", "x", .database) && !counts("y", "app", .database) && !counts("lab", "x", .database, hasDemand: true))
        #expect(counts("y", "app", .user) && !counts("lab", "x", .user) && !counts("y", "app", .user, hasDemand: true))
        #expect(counts("lab", "app", .pool, hasDemand: true) && !counts("lab", "x", .pool))
        #expect(Eviction.counts(Self.pool("1"), hasDemand: true, against: .pool, of: Self.pool("2")))
    }

    @Test func aVerdictNamesTheLimitThatMakesRoomNecessary() {
        typealias Verdict = CapacityLedger.ServerVerdict
        let limits = [Verdict.granted, .grantedFromReserve, .poolFull, .databaseFull, .userFull].map(\.evictingLimit)
        #expect(limits == [nil, nil, .pool, .database, .user])
    }
}
