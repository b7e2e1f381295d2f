import Bytes
import Locking
import PostgresWire
import Synchronization

/// All statement definitions of a database, each text once (in a context).
///
/// Clients and servers hold references. A definition that only the table still holds is dropped by the next sweep, which comes when the
/// table has doubled, so that adding costs constant time; or earlier, when all tables together are over their budget of bytes.
public final class StatementTable: Sendable {
    private struct Content {
        var buckets: [UInt64: [Statement]] = [:]
        var count = 0
        var lastID: UInt64 = 0
        var sweepAt = 1024
    }

    private let content = Locked(Content())
    let clock = PlanClock()
    private let memory: StatementMemory
    /// The contexts of its statements.
    let contexts = PlanContextTable()

    /// A table whose texts count against that budget.
    public init(memory: StatementMemory = StatementMemory()) {
        self.memory = memory
        memory.add(self)
    }

    deinit { memory.remove(self) }

    /// Time has passed. Plans that are older than `maxAge` seconds (0: however old) answer no further Parse.
    public func advance(to seconds: Int, maxAge: Int) { clock.advance(to: seconds, maxAge: maxAge) }

    /// How many definitions are stored.
    public var count: Int { content.withLock { $0.count } }

    /// The definition with just these bytes, new or shared with everybody who has prepared it in the standard context.
    public func intern(_ definition: Span<UInt8>) -> Statement? { intern(definition, in: .standard) }

    /// The definition with just these bytes, new or shared with everybody who has prepared it in this context. Nil where there is no memory
    /// for one more: its client is to be refused.
    ///
    /// - Parameter context: Nil where it is not known; then nobody else gets the statement.
    func intern(_ definition: Span<UInt8>, in context: PlanContext?, isPrivate: Bool = false) -> Statement? {
        // Whoever asks keeps a name for it, and there may be any number of names.
        guard BlockMemory.admits(Self.costOfName) else { return nil }
        let hash = BytesHash.of(definition)
        var isPrivate = isPrivate || context == nil
        if let context, !isPrivate {
            let candidates = content.withLock { $0.buckets[hash] }
            if let known = Self.known(definition, context, candidates) { return known }
            isPrivate = Self.isOfItsTime(definition) || Statement.dependsOnSession(definition)
        }
        memory.makeRoom(for: definition.count)
        guard let text = ByteBlock(copying: definition) else { return nil }
        let id = content.withLock { content in
            content.lastID += 1
            return content.lastID
        }
        let statement = Statement(id: id, text: text, memory: memory, context: context, isPrivate: isPrivate)
        guard let context, !isPrivate else { return statement }
        return content.withLock { content in
            // Somebody else may have been as quick.
            if let known = Self.known(statement.definition, context, content.buckets[hash]) { return known }
            if content.count >= content.sweepAt { Self.sweep(&content) }
            content.buckets[hash, default: []].append(statement)
            content.count += 1
            return statement
        }
    }

    private static let costOfName = 256

    private static func known(
        _ definition: Span<UInt8>, _ context: PlanContext, _ candidates: [Statement]?
    ) -> Statement? {
        guard let candidates else { return nil }
        for known in candidates where known.contextID == context.id && known.definition.hasSameBytes(as: definition) { return known }
        return nil
    }

    /// The text has 'now' or its like in it: what that means is fixed when it is parsed.
    private static func isOfItsTime(_ definition: Span<UInt8>) -> Bool {
        guard let text = ParseMessage.query(definition, tail: 0..<definition.count) else { return false }
        return TimeLiteral.isIn(definition, text)
    }

    // MARK: Sweeps

    private static func sweep(_ content: inout Content) {
        for hash in Array(content.buckets.keys) { remove(from: &content, hash) { _ in true } }
        content.sweepAt = max(1024, content.count * 2)
    }

    /// Drops those of a bucket that nobody else holds and that `isToGo` wants.
    private static func remove(from content: inout Content, _ hash: UInt64, where isToGo: (Statement) -> Bool) {
        var kept: [Statement] = []
        var candidates = content.buckets.removeValue(forKey: hash) ?? []
        content.count -= candidates.count
        while var statement = candidates.popLast() {
            if !isKnownUniquelyReferenced(&statement) || !isToGo(statement) { kept.append(statement) }
        }
        content.count += kept.count
        if !kept.isEmpty { content.buckets[hash] = kept }
    }

    /// The sizes of the definitions that nobody else holds.
    func unusedSizes() -> [Int] {
        content.withLock { content in
            var sizes: [Int] = []
            // Not over `indices`, which would hold the dictionary a second time.
            var index = content.buckets.startIndex
            while index != content.buckets.endIndex {
                for place in 0..<content.buckets.values[index].count
                where isKnownUniquelyReferenced(&content.buckets.values[index][place]) {
                    sizes.append(content.buckets.values[index][place].size)
                }
                content.buckets.formIndex(after: &index)
            }
            return sizes
        }
    }

    /// Drops the definitions above this size that nobody else holds, and `count` of just this size; returns how many of these are left
    /// to be dropped elsewhere.
    func dropUnused(from size: Int, _ count: Int) -> Int {
        content.withLock { content in
            var hashes: [UInt64] = []
            for (hash, statements) in content.buckets where statements.contains(where: { $0.size >= size }) {
                hashes.append(hash)
            }
            var left = count
            for hash in hashes {
                Self.remove(from: &content, hash) { statement in
                    if statement.size == size, left > 0 {
                        left -= 1
                        return true
                    }
                    return statement.size > size
                }
            }
            return left
        }
    }
}

/// The budget for the texts of statements, over all databases: those that nobody uses any more are dropped where there are too many bytes
/// of them, the largest first. Texts in use are never dropped.
public final class StatementMemory: Sendable {
    private struct WeakTable {
        weak var table: StatementTable?
    }

    private let tables = Locked<[ObjectIdentifier: WeakTable]>([:])
    private let used = Atomic<Int>(0)
    private let texts = Atomic<Int>(0)
    private let limit: Atomic<Int>
    /// From so many bytes on it is looked again; more than the limit where nearly all is in use, so that looking stays rare.
    private let next: Atomic<Int>

    private let looked = Atomic<Int>(0)

    /// How often it was looked which texts nobody uses.
    var sweeps: Int { looked.load(ordering: .relaxed) }

    /// A budget of so many bytes.
    public init(limit: Int = 64 << 20) {
        self.limit = Atomic(limit)
        next = Atomic(limit)
    }

    /// How many texts there are, and of how many bytes.
    public var use: (count: Int, bytes: Int) { (texts.load(ordering: .relaxed), used.load(ordering: .relaxed)) }

    /// There is more than the budget allows: to be asked now and then, for what is given up by those who leave.
    public var isOver: Bool { used.load(ordering: .relaxed) > limit.load(ordering: .relaxed) }

    /// Another budget holds from now on.
    public func limit(to bytes: Int) {
        limit.store(bytes, ordering: .relaxed)
        next.store(bytes, ordering: .relaxed)
    }

    func took(_ bytes: Int) {
        used.add(bytes, ordering: .relaxed)
        texts.add(1, ordering: .relaxed)
    }

    func gaveBack(_ bytes: Int) {
        used.subtract(bytes, ordering: .relaxed)
        texts.subtract(1, ordering: .relaxed)
    }

    func add(_ table: StatementTable) {
        tables.withLock { $0[ObjectIdentifier(table)] = WeakTable(table: table) }
    }

    func remove(_ table: StatementTable) {
        tables.withLock { _ = $0.removeValue(forKey: ObjectIdentifier(table)) }
    }

    /// A text of so many bytes is about to come.
    func makeRoom(for bytes: Int) {
        guard used.load(ordering: .relaxed) + bytes > next.load(ordering: .relaxed) else { return }
        sweep(for: bytes)
    }

    /// Drops texts that nobody uses, the largest first, until the budget is kept.
    ///
    /// - Parameter bytes: of a text that is about to come.
    public func sweep(for bytes: Int = 0) {
        let limit = limit.load(ordering: .relaxed)
        looked.add(1, ordering: .relaxed)
        let all = tables.withLock { $0.values.compactMap(\.table) }
        let sizes = all.flatMap { $0.unusedSizes() }.sorted(by: >)
        // Not just enough: each look costs as much as there are texts.
        var surplus = used.load(ordering: .relaxed) + bytes - (limit - limit / 4)
        var (smallest, count) = (Int.max, 0)
        for size in sizes {
            if surplus <= 0 { break }
            surplus -= size
            count = size == smallest ? count + 1 : 1
            smallest = size
        }
        if count > 0 { for table in all { count = table.dropUnused(from: smallest, count) } }
        next.store(max(limit, used.load(ordering: .relaxed) / 4 * 5 + bytes), ordering: .relaxed)
    }
}
