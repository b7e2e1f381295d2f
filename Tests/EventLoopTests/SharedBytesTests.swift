import EventLoop
import Glibc
import Testing

/// What processes of one user have in common.
@Suite struct SharedBytesTests {
    private static func name(_ test: String) -> String { "sluice-test-\(getpid())-\(test)" }
    private static func exists(_ name: String) -> Bool { Files.exists("/dev/shm/\(name)-\(geteuid())") }

    @Test func theFirstChoosesAndTheLastTakesItAway() throws {
        let name = Self.name("first")
        let first = try SharedBytes(named: name, orElse: [1, 2, 3])
        let second = try SharedBytes(named: name, orElse: [4, 5, 6])
        #expect(first.bytes == [1, 2, 3] && second.bytes == [1, 2, 3])
        first.leave()
        #expect(Self.exists(name))
        let third = try SharedBytes(named: name, orElse: [7, 8, 9])
        #expect(third.bytes == [1, 2, 3])
        third.leave()
        #expect(Self.exists(name))
        second.leave()
        #expect(!Self.exists(name))
    }

    @Test func afterTheLastSomebodyElseChooses() throws {
        let name = Self.name("last")
        for value in UInt8(0)..<3 {
            let only = try SharedBytes(named: name, orElse: [value])
            #expect(only.bytes == [value])
            only.leave()
            #expect(!Self.exists(name))
        }
    }

    @Test func whatACrashHasLeftIsFound() throws {
        let name = Self.name("crash")
        var crashed: SharedBytes? = try SharedBytes(named: name, orElse: [1, 2])
        #expect(crashed?.bytes == [1, 2])
        crashed = nil
        #expect(Self.exists(name))
        let next = try SharedBytes(named: name, orElse: [3, 4])
        #expect(next.bytes == [1, 2])
        next.leave()
        // Half of it is none.
        try Files.create("/dev/shm/\(name)-\(geteuid())", content: "x")
        chmod("/dev/shm/\(name)-\(geteuid())", 0o600)
        let another = try SharedBytes(named: name, orElse: [5, 6])
        #expect(another.bytes == [5, 6])
        another.leave()
    }

    @Test func whatOthersCanReadIsNotUsed() throws {
        let path = "/dev/shm/\(Self.name("open"))-\(geteuid())"
        try Files.create(path, content: "ab")
        defer { Files.remove(path) }
        #expect(throws: SystemError.self) { try SharedBytes(named: Self.name("open"), orElse: [1, 2]) }
    }

    @Test func allWhoComeAndGoAtOnceAgree() async throws {
        let name = Self.name("many")
        let stays = try SharedBytes(named: name, orElse: [42])
        await withTaskGroup(of: Bool.self) { group in
            for number in 0..<50 {
                group.addTask {
                    guard let one = try? SharedBytes(named: name, orElse: [UInt8(number)]) else { return false }
                    defer { one.leave() }
                    return one.bytes == [42]
                }
            }
            for await isRight in group { #expect(isRight) }
        }
        stays.leave()
        #expect(!Self.exists(name))
    }
}
