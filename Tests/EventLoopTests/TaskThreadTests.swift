import Glibc
import Synchronization
import Testing

@testable import EventLoop

/// On a loop of its own, as a worker is.
private actor Answering {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
    init(_ loop: EventLoop) { self.loop = loop }
    func thread() -> UInt { UInt(pthread_self()) }
}

private final class Seen: Sendable {
    let numbers = Mutex<[Int]>([])
}

private func thread() -> UInt { UInt(pthread_self()) }
private func threadOfAnAsyncFunction() async -> UInt { thread() }

@Suite struct TaskThreadTests {
    @Test("a task runs on the thread, before and after it has asked an actor on a loop, and so do its children", .timeLimit(.minutes(1)))
    func places() async throws {
        let tasks = TaskThread(name: "tasks")
        let loop = try EventLoop(tick: 1_000_000)
        let actor = Answering(loop)
        // Waits for the thread.
        let task = Task(executorPreference: tasks) {
            let before = thread()
            let asked = await actor.thread()
            let after = thread()
            let inner = await threadOfAnAsyncFunction()
            let children = await withTaskGroup(of: UInt.self) { group in
                for _ in 0..<3 { group.addTask { thread() } }
                return await group.reduce(into: []) { $0.append($1) }
            }
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                Threads.start(name: "other") { continuation.resume() }
            }
            return (asked, [before, after, inner, thread()] + children)
        }
        try #require(tasks.start() == nil)
        try #require(Threads.start(name: "loop") { loop.run { _, _ in } } == nil)
        let (asked, others) = await task.value
        loop.stop()
        #expect(Set(others).count == 1 && !others.contains(asked))
    }

    @Test("tasks run in the order in which they are made", .timeLimit(.minutes(1)))
    func order() async throws {
        let tasks = TaskThread(name: "tasks")
        let seen = Seen()
        var all: [Task<Void, Never>] = []
        for number in 0..<1000 { all.append(Task(executorPreference: tasks) { seen.numbers.withLock { $0.append(number) } }) }
        try #require(tasks.start() == nil)
        for task in all { await task.value }
        #expect(seen.numbers.withLock { $0 } == Array(0..<1000))
    }
}
