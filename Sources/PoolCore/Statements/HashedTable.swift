/// What a `HashedTable` holds: something that carries its hash with it.
protocol Hashed: Sendable {
    /// All bits of it are well mixed. Different elements may have the same.
    var hash: UInt64 { get }
}

/// A hash table for elements whose hash is known: looking something up costs a few instructions, while Swift's `Dictionary` would hash
/// the hash again (some ninety, twice for each Bind).
///
/// Open addressing with linear probing; what is removed leaves no mark, because those behind it move up.
struct HashedTable<Element: Hashed>: Sendable {
    /// A power of two of them, a quarter empty at least; none at first.
    private var slots: [Element?] = []
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    /// All elements, in no order.
    var all: some Sequence<Element> { slots.lazy.compactMap { $0 } }

    /// An element by its index.
    subscript(index: Int) -> Element {
        get { slots[index]! }
        _modify { yield &slots[index]! }
    }

    /// The index of the element with this hash of which `isWanted` is true, valid until the next insertion or removal.
    @inline(__always)
    func index(of hash: UInt64, where isWanted: (Element) -> Bool) -> Int? {
        if slots.isEmpty { return nil }
        var index = home(of: hash)
        while let found = slots[index]?.hash {
            if found == hash, isWanted(slots[index]!) { return index }
            index = (index &+ 1) & (slots.count &- 1)
        }
        return nil
    }

    /// As `index(of:where:)`, for who knows the lowest bits of the hash only, as many as the table has slots for.
    func index(near hash: UInt64, where isWanted: (Element) -> Bool) -> Int? {
        if slots.isEmpty { return nil }
        var index = home(of: hash)
        while let element = slots[index] {
            if isWanted(element) { return index }
            index = (index &+ 1) & (slots.count &- 1)
        }
        return nil
    }

    /// Adds an element; whether there is one like it already is the caller's business.
    mutating func insert(_ element: Element) {
        if (count + 1) * 4 > slots.count * 3 { grow() }
        place(element)
        count += 1
    }

    /// Takes an element out.
    @discardableResult
    mutating func remove(at index: Int) -> Element {
        let removed = slots[index]!
        var gap = index
        var next = (gap + 1) & (slots.count - 1)
        while let element = slots[next] {
            // It may move up if its home is not behind the gap.
            let home = home(of: element.hash)
            if (next &- home) & (slots.count - 1) >= (next &- gap) & (slots.count - 1) {
                slots[gap] = element
                gap = next
            }
            next = (next + 1) & (slots.count - 1)
        }
        slots[gap] = nil
        count -= 1
        return removed
    }

    mutating func removeAll() {
        slots = []
        count = 0
    }

    @inline(__always)
    private func home(of hash: UInt64) -> Int { Int(truncatingIfNeeded: hash) & (slots.count &- 1) }

    private mutating func place(_ element: Element) {
        var index = home(of: element.hash)
        while slots[index] != nil { index = (index + 1) & (slots.count - 1) }
        slots[index] = element
    }

    private mutating func grow() {
        let old = slots
        slots = Array(repeating: nil, count: max(4, old.count * 2))
        for element in old { if let element { place(element) } }
    }
}
