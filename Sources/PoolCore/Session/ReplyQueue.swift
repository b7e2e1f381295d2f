/// The entries of a `ReplyLedger`, oldest first.
///
/// Entries are added and taken out for every message of every transaction, and the queue is empty between two of them. So taking one out
/// moves an index and touches no storage, which a `Deque` would first make sure to own; what has been taken out is written over by the
/// next transaction.
@usableFromInline
struct ReplyQueue: RandomAccessCollection, MutableCollection, Sendable {
    @usableFromInline typealias Element = ReplyLedger.Owed

    /// Those of `slots` from `start` on that are in the queue are `count` many.
    @usableFromInline var slots: [Element] = []
    @usableFromInline var start = 0
    @usableFromInline var count = 0

    /// What a long pipeline has needed is given back when it is answered.
    private static let kept = 256

    @inlinable init() {}

    @inlinable var startIndex: Int { 0 }
    @inlinable var endIndex: Int { count }
    @inlinable var isEmpty: Bool { count == 0 }
    @inlinable var first: Element? { count == 0 ? nil : slots[start] }

    @inlinable
    subscript(position: Int) -> Element {
        get {
            precondition(position < count)
            return slots[start &+ position]
        }
        set {
            precondition(position < count)
            slots[start &+ position] = newValue
        }
    }

    @inline(__always)
    mutating func append(_ element: Element) {
        let end = start &+ count
        if end < slots.count { slots[end] = element } else { grow(with: element) }
        count &+= 1
    }

    private mutating func grow(with element: Element) {
        // A pipeline that is never quite answered: at most half of the storage is behind the queue.
        if start > slots.count / 2 {
            slots.removeFirst(start)
            start = 0
        }
        slots.append(element)
    }

    @discardableResult @inline(__always)
    mutating func removeFirst() -> Element {
        let element = self[0]
        dropFirst()
        return element
    }

    @inline(__always)
    mutating func dropFirst() {
        precondition(count > 0)
        count &-= 1
        if count > 0 {
            start &+= 1
        } else {
            start = 0
            if slots.count > Self.kept { slots = [] }
        }
    }

    /// Takes out the element behind the first.
    @discardableResult
    mutating func removeSecond() -> Element {
        let second = self[1]
        slots[start &+ 1] = slots[start]
        dropFirst()
        return second
    }

    mutating func removeAll(where isUnwanted: (Element) -> Bool) {
        slots = filter { !isUnwanted($0) }
        start = 0
        count = slots.count
    }
}
