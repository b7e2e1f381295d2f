import Synchronization

/// A number that several workers count.
final class Counter: Sendable {
    private let value = Atomic<Int>(0)

    func load() -> Int { value.load(ordering: .relaxed) }
    func add(_ count: Int) { value.add(count, ordering: .relaxed) }
}
