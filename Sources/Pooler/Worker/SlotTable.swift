/// Connections by small numbers, which serve as tokens of the loop and as names in the pool's queues.
struct SlotTable<Element: AnyObject> {
    private var elements: [Element?] = []
    private var free: [UInt32] = []

    private(set) var count = 0

    subscript(slot: UInt32) -> Element? {
        Int(slot) < elements.count ? elements[Int(slot)] : nil
    }

    /// A slot for a connection that is about to be made.
    mutating func reserve() -> UInt32 {
        if let slot = free.popLast() { return slot }
        elements.append(nil)
        return UInt32(elements.count - 1)
    }

    mutating func set(_ slot: UInt32, _ element: Element) {
        assert(elements[Int(slot)] == nil)
        elements[Int(slot)] = element
        count += 1
    }

    mutating func remove(_ slot: UInt32) {
        guard elements[Int(slot)] != nil else { return }
        elements[Int(slot)] = nil
        free.append(slot)
        count -= 1
    }

    /// All connections, as they are now: the table may change while the caller goes through them.
    var all: [Element] { elements.compactMap { $0 } }

    /// Some of the connections: those in `count` slots from one on, and the slot to go on with, nil at the end.
    func slice(from slot: Int, count: Int) -> (elements: [Element], next: Int?) {
        let end = min(elements.count, slot + count)
        guard slot < end else { return ([], nil) }
        return (elements[slot..<end].compactMap { $0 }, end < elements.count ? end : nil)
    }

    /// Any one of the connections.
    var any: Element? { elements.lazy.compactMap { $0 }.first }

    /// The slots that are taken.
    var slots: [UInt32] { elements.indices.filter { elements[$0] != nil }.map { UInt32($0) } }

    /// Goes through all connections without a copy of the table: for what only looks.
    func visit(_ body: (Element) -> Void) {
        for element in elements { if let element { body(element) } }
    }
}

/// What a token of the loop names.
enum TokenKind: UInt32 {
    case client, server, listener, cancel

    func token(_ slot: UInt32) -> UInt32 { slot << 2 | rawValue }
}
