import EventLoop
import Glibc
import Locking
import Testing

/// Work that must not stall a loop.
@Suite struct ThreadGroupTests {
    /// A place that holds threads until it is opened.
    final class Gate: Sendable {
        private let state = Locked((isOpen: false, waiting: 0, done: 0))

        func pass() {
            state.withLock { $0.waiting += 1 }
            while !state.withLock({ $0.isOpen }) { usleep(500) }
            state.withLock { $0.done += 1 }
        }

        func open() { state.withLock { $0.isOpen = true } }
        var waiting: Int { state.withLock { $0.waiting } }
        var done: Int { state.withLock { $0.done } }

        func wait(until condition: (Gate) -> Bool) {
            for _ in 0..<60_000 where !condition(self) { usleep(1000) }
            #expect(condition(self))
        }
    }

    @Test func everyJobRunsOnce() {
        let group = ThreadGroup(name: "test", threads: 3, capacity: 10_000)
        let gate = Gate()
        gate.open()
        for _ in 0..<2000 { #expect(group.submit { gate.pass() }) }
        gate.wait { $0.done == 2000 }
        for _ in 0..<2000 { #expect(group.submit { gate.pass() }) }
        gate.wait { $0.done == 4000 }
    }

    @Test func theQueueEnds() {
        let group = ThreadGroup(name: "test", threads: 2, capacity: 3)
        let gate = Gate()
        // Submitted one after the other, so that none finds the others still queued.
        for count in 1...2 {
            #expect(group.submit { gate.pass() })
            gate.wait { $0.waiting == count }
        }
        for _ in 0..<3 { #expect(group.submit { gate.pass() }) }
        #expect(!group.submit { gate.pass() })
        #expect(gate.waiting == 2)
        gate.open()
        gate.wait { $0.done == 5 }
        #expect(group.submit { gate.pass() })
        gate.wait { $0.done == 6 }
    }

    /// Jobs that are only for show stand back behind those that somebody needs.
    @Test func aJobMayRefuseToWaitBehindOthers() {
        let group = ThreadGroup(name: "test", threads: 1, capacity: 10)
        let gate = Gate()
        #expect(group.submit { gate.pass() })
        gate.wait { $0.waiting == 1 }
        #expect(group.submit(behindAtMost: 0) { gate.pass() })
        #expect(!group.submit(behindAtMost: 0) { gate.pass() })
        #expect(group.submit(behindAtMost: 1) { gate.pass() })
        #expect(!group.submit(behindAtMost: 1) { gate.pass() })
        gate.open()
        gate.wait { $0.done == 3 }
    }
}
