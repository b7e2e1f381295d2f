/// What has to happen when entries of the ledger are settled or become void, by the numbers that the entries carry.
///
/// Entries are settled nearly in the order in which they were made, so a note is found by how far it stands behind the oldest one: nothing
/// is hashed. It takes as much room as there are entries from the oldest note on, of which `ServerSession.mostOutstanding` bounds the number.
struct NoteQueue<Note: Sendable>: Sendable {
    /// Of the slots from `start` on, the first `length` are those of the notes from `oldest` on; nil: it has been taken out.
    private var slots: [Note?] = []
    private var start = 0
    private var length = 0
    private var oldest: UInt64
    private var count = 0
    /// What a long pipeline has needed is given back when it is answered.
    private static var kept: Int { 64 }

    /// Numbers count from `first` on.
    init(from first: UInt64) { oldest = first }

    var isEmpty: Bool { count == 0 }

    /// The note with this number, unless it has been taken out.
    subscript(number: UInt64) -> Note? {
        guard let index = index(of: number) else { return nil }
        return slots[index]
    }

    /// Keeps a note; returns its number, which no other one will ever have.
    mutating func append(_ note: consuming Note) -> UInt64 {
        let end = start &+ length
        if end < slots.count { slots[end] = note } else { grow(with: note) }
        defer { length &+= 1 }
        count &+= 1
        return oldest &+ UInt64(length)
    }

    private mutating func grow(with note: consuming Note) {
        // Somebody is never quite without notes: at most half of the storage is behind the queue.
        if start > slots.count / 2 {
            slots.removeFirst(start)
            start = 0
        }
        slots.append(note)
    }

    /// Takes out the note with this number. Nil: there is none (any more).
    @discardableResult
    mutating func remove(_ number: UInt64) -> Note? {
        guard let index = index(of: number), let note = slots[index].take() else { return nil }
        count &-= 1
        if count == 0 {
            oldest &+= UInt64(length)
            start = 0
            length = 0
            if slots.count > Self.kept { slots = [] }
        } else {
            while slots[start] == nil {
                start &+= 1
                length &-= 1
                oldest &+= 1
            }
        }
        return note
    }

    /// The numbers of all notes, oldest first.
    var numbers: [UInt64] { (0..<length).filter { slots[start + $0] != nil }.map { oldest + UInt64($0) } }

    private func index(of number: UInt64) -> Int? {
        guard number >= oldest, number &- oldest < UInt64(length) else { return nil }
        return start &+ Int(number &- oldest)
    }
}
