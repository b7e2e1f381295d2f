/// Elements by their ids, in the order in which they were used last: whatever their number, the oldest one is at hand, and a use costs a
/// few writes.
///
/// The elements lie in an array, linked to a ring from the newest to the oldest one. A hash table tells where.
struct RecencyTable<Element: Sendable>: Sendable {
    private struct Place: Hashed {
        let id: UInt64
        let index: Int32
        var hash: UInt64 { RecencyTable.hash(id) }
    }

    /// An element and its neighbours. Of one that is free, `older` is the next one that is.
    private struct Node {
        var id: UInt64
        var element: Element
        /// The next one in the direction of the newest, and behind that the oldest.
        var newer: Int32
        var older: Int32
    }

    private static var none: Int32 { -1 }

    private var places = HashedTable<Place>()
    private var nodes: [Node] = []
    private var newest = none
    private var free = none

    var count: Int { places.count }

    /// Ids are the pooler's own numbers: neighbours have to be spread, nobody has to be kept out.
    @inline(__always)
    private static func hash(_ id: UInt64) -> UInt64 {
        let product = id.multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
        return product.high ^ product.low
    }

    /// All ids, the newest first.
    var ids: some Sequence<UInt64> {
        sequence(state: (index: newest, left: count)) { [nodes] state -> UInt64? in
            guard state.left > 0 else { return nil }
            let node = nodes[Int(state.index)]
            state = (node.older, state.left - 1)
            return node.id
        }
    }

    /// The id of the element whose last use is the longest ago.
    var oldest: UInt64? { newest == Self.none ? nil : nodes[Int(nodes[Int(newest)].newer)].id }

    /// The index of an element, valid until that one is removed.
    @inline(__always)
    func index(of id: UInt64) -> Int? {
        places.index(of: Self.hash(id)) { $0.id == id }.map { Int(places[$0].index) }
    }

    /// An element by its index.
    subscript(index: Int) -> Element {
        get { nodes[index].element }
        _modify { yield &nodes[index].element }
    }

    /// The element is being used: it is the newest one.
    @inline(__always)
    mutating func touch(_ index: Int) {
        let index = Int32(truncatingIfNeeded: index)
        if index != newest { renew(index) }
    }

    private mutating func renew(_ index: Int32) {
        // The ring only has to be turned for the oldest one.
        if index != nodes[Int(newest)].newer {
            unlink(index)
            link(index)
        }
        newest = index
    }

    /// The element is the oldest one from now on.
    mutating func demote(_ index: Int) {
        touch(index)
        newest = nodes[index].older
    }

    /// Adds an element as the newest one, in place of one with the same id.
    mutating func enter(_ element: Element, as id: UInt64) {
        if let index = index(of: id) {
            nodes[index].element = element
            return touch(index)
        }
        let index = free == Self.none ? Int32(nodes.count) : free
        let node = Node(id: id, element: element, newer: index, older: index)
        if free == Self.none {
            nodes.append(node)
        } else {
            free = nodes[Int(index)].older
            nodes[Int(index)] = node
        }
        if newest != Self.none { link(index) }
        newest = index
        places.insert(Place(id: id, index: index))
    }

    /// Takes an element out; whether there was one.
    @discardableResult
    mutating func remove(_ id: UInt64) -> Bool {
        guard let place = places.index(of: Self.hash(id), where: { $0.id == id }) else { return false }
        let index = places.remove(at: place).index
        let older = nodes[Int(index)].older
        unlink(index)
        if newest == index { newest = older == index ? Self.none : older }
        nodes[Int(index)].older = free
        free = index
        return true
    }

    mutating func removeAll() { self = RecencyTable() }

    private mutating func unlink(_ index: Int32) {
        let (newer, older) = (nodes[Int(index)].newer, nodes[Int(index)].older)
        nodes[Int(newer)].older = older
        nodes[Int(older)].newer = newer
    }

    /// Puts a node between the newest and the oldest one.
    private mutating func link(_ index: Int32) {
        let oldest = nodes[Int(newest)].newer
        nodes[Int(index)].older = newest
        nodes[Int(index)].newer = oldest
        nodes[Int(oldest)].older = index
        nodes[Int(newest)].newer = index
    }
}
