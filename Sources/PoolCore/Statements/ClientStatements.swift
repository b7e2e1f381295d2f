import Bytes
import PostgresWire

/// The prepared statements that one client believes to have: its own names, and the unnamed one.
///
/// Changes are made when a message is sent, so that a pipeline can use what it has just parsed, and taken back when the server
/// refuses or skips the message.
public struct ClientStatements: Sendable {
    /// What a name means.
    struct Meaning: Sendable {
        var statement: Statement
        /// The moment of the client's Parse (`PlanClock`): what an older plan gives may be stale.
        var born: UInt64
        /// What the client was told of its columns and parameters.
        var told = PlanDescription.unknown
    }

    private struct Entry: Hashed {
        let hash: UInt64
        let name: [UInt8]
        var meaning: Meaning
    }

    private var named = HashedTable<Entry>()
    /// A name has bytes that are not ASCII: what it is depends on `client_encoding`.
    private var hasWideNames = false
    /// The encoding in which such names are spelt.
    private var encoding: NameEncoding?
    /// The unnamed statement: lives until the next unnamed Parse or simple Query, across any number of Syncs and servers.
    public var unnamed: Statement? {
        didSet {
            unnamedVersion &+= 1
            unnamedTold = .unknown
        }
    }
    /// What the client was told of its columns and parameters.
    var unnamedTold = PlanDescription.unknown
    /// Changes with every change of `unnamed`, so that what is taken back is not what came later.
    private(set) var unnamedVersion: UInt32 = 0

    public init() {}

    /// The unnamed statement is parsed again, with the same text.
    @inline(__always)
    mutating func repeatUnnamed() {
        unnamedVersion &+= 1
        unnamedTold = .unknown
    }

    /// The unnamed statement is given up, if there is one.
    @inline(__always)
    mutating func dropUnnamed() {
        if unnamed == nil { unnamedVersion &+= 1 } else { unnamed = nil }
    }

    public var isEmpty: Bool { named.isEmpty && unnamed == nil }
    var hasNames: Bool { !named.isEmpty }
    public var count: Int { named.count }

    /// The statement behind a name; nil when the client has none such.
    public subscript(name: Span<UInt8>) -> Statement? {
        if named.isEmpty { return nil }
        if name.count <= Identifier.significantBytes { return find(name, hash: BytesHash.of(name))?.statement }
        let key = name.extracting(..<Identifier.significantBytes)
        return find(key, hash: BytesHash.of(key))?.statement
    }

    public subscript(name: [UInt8]) -> Statement? { self[name.span] }

    /// Not inlined, so that no more is copied than the meaning.
    @inline(never)
    func find(_ name: Span<UInt8>, hash: UInt64) -> Meaning? {
        index(of: name, hash: hash).map { named[$0].meaning }
    }

    /// What a name means; of the empty one, the unnamed statement.
    func meaning(of name: Span<UInt8>) -> Meaning? {
        if name.isEmpty { return unnamed.map { Meaning(statement: $0, born: 0, told: unnamedTold) } }
        if named.isEmpty { return nil }
        let key = name.count > Identifier.significantBytes ? name.extracting(..<Identifier.significantBytes) : name
        return find(key, hash: BytesHash.of(key))
    }

    /// What a name is known by.
    static func key(_ name: Span<UInt8>) -> [UInt8] {
        Array(copying: name.count > Identifier.significantBytes ? name.extracting(..<Identifier.significantBytes) : name)
    }

    /// The statement that a name in SQL stands for, and what the name is known by.
    func named(_ name: String) -> (key: [UInt8], statement: Statement)? {
        let key = Array(name.messageBytes.prefix(Identifier.significantBytes))
        guard let statement = self[key] else { return nil }
        return (key, statement)
    }

    @inline(__always)
    private func index(of name: Span<UInt8>, hash: UInt64) -> Int? {
        named.index(of: hash) { $0.name.hasSameBytes(as: name) }
    }

    /// Gives a name a meaning, or takes it away with nil. Returns what it meant before.
    @discardableResult
    public mutating func set(_ name: [UInt8], to statement: Statement?) -> Statement? {
        set(name, hash: BytesHash.of(name.span), to: statement.map { Meaning(statement: $0, born: 0) })?.statement
    }

    /// The same, with all that is known of it.
    @discardableResult
    mutating func set(_ name: [UInt8], meaning: Meaning?) -> Meaning? {
        set(name, hash: BytesHash.of(name.span), to: meaning)
    }

    @discardableResult
    mutating func set(_ name: [UInt8], hash: UInt64, to meaning: Meaning?) -> Meaning? {
        guard let index = index(of: name.span, hash: hash) else {
            if let meaning {
                if !hasWideNames, NameEncoding.isWide(name.span) { hasWideNames = true }
                named.insert(Entry(hash: hash, name: name, meaning: meaning))
            }
            return nil
        }
        guard let meaning else { return named.remove(at: index).meaning }
        let previous = named[index].meaning
        named[index].meaning = meaning
        return previous
    }

    /// Every name and what it means, in no order.
    var all: [(name: [UInt8], statement: Statement)] { named.all.map { ($0.name, $0.meaning.statement) } }

    /// The definition with this id, if the client uses it.
    func statement(withID id: UInt64) -> Statement? {
        if let unnamed, unnamed.id == id { return unnamed }
        return named.all.first { $0.meaning.statement.id == id }?.meaning.statement
    }

    /// The client's name with this tag for the definition with this id.
    func name(ofID id: UInt64, tag: UInt64) -> [UInt8]? {
        named.index(near: tag) { $0.meaning.statement.id == id && Self.tag($0.hash) == tag }.map { named[$0].name }
    }

    /// As much of a name's hash as a note of the ledger has room for. A client has fewer names (`ServerSession.mostNames`) than tags there
    /// are, so that a tag tells where in the table its name is.
    static let tagBits: UInt64 = 22
    static func tag(_ hash: UInt64) -> UInt64 { hash & (1 << tagBits - 1) }

    /// What a name of at most 63 bytes means, and the name's tag.
    @inline(__always)
    func tagged(_ name: Span<UInt8>) -> (meaning: Meaning, tag: UInt64)? {
        guard !named.isEmpty, !hasWideNames, name.count <= Identifier.significantBytes else { return nil }
        let hash = BytesHash.of(name)
        return find(name, hash: hash).map { ($0, Self.tag(hash)) }
    }

    /// The client has been told of the columns or parameters of what the name means.
    ///
    /// - Parameter born: Of the Parse that the answer is about. The name may have been given to something else since.
    mutating func tell(_ name: [UInt8], born: UInt64, _ description: PlanDescription) {
        guard let index = index(of: name.span, hash: BytesHash.of(name.span)), named[index].meaning.born == born else { return }
        if description.columns != 0 { named[index].meaning.told.columns = description.columns }
        if description.parameters != 0 { named[index].meaning.told.parameters = description.parameters }
    }

    /// The client has heard that the plan behind the name gives something else than it was told. What it asks for from now on is as if it had
    /// parsed the text anew.
    mutating func renew(_ name: [UInt8], at moment: UInt64) {
        guard !name.isEmpty else {
            unnamedTold = .unknown
            return
        }
        guard let index = index(of: name.span, hash: BytesHash.of(name.span)) else { return }
        named[index].meaning.told = .unknown
        named[index].meaning.born = moment
    }

    /// Takes the change to `version` back, unless there have been others since.
    mutating func restoreUnnamed(_ statement: Statement?, told: PlanDescription, from version: UInt32) {
        guard unnamedVersion == version else { return }
        unnamed = statement
        unnamedTold = told
        unnamedVersion = version &- 1
    }

    /// From now on the client spells names in this encoding: those that it has given are the same names in other bytes.
    mutating func spell(in new: NameEncoding) {
        guard encoding != new else { return }
        let old = encoding ?? new
        encoding = new
        guard hasWideNames else { return }
        // What one name becomes another one may still be.
        let wide = named.all.filter { NameEncoding.isWide($0.name.span) }
        for entry in wide { set(entry.name, hash: entry.hash, to: nil) }
        for entry in wide { set(new.name(entry.name, from: old), meaning: entry.meaning) }
    }

    /// DEALLOCATE ALL: every name is free again; the unnamed statement stays, as PostgreSQL keeps it.
    public mutating func removeAllNamed() {
        named.removeAll()
        hasWideNames = false
    }
}
