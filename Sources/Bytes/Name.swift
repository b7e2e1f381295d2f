#if canImport(Glibc)
    import Glibc
#endif

extension String {
    /// Whether both texts are the same bytes, as PostgreSQL compares names and values. `==` calls texts equal that look equal ("é" as
    /// one code point, and as "e" with an accent behind it): two users, two schemas, two passwords for PostgreSQL.
    @inlinable
    public func hasSameBytes(as other: String) -> Bool {
        let same = utf8.withContiguousStorageIfAvailable { mine in
            other.utf8.withContiguousStorageIfAvailable { theirs in
                mine.count == theirs.count && (mine.isEmpty || memcmp(mine.baseAddress!, theirs.baseAddress!, mine.count) == 0)
            }
        }
        // A text that is not kept as UTF-8 in one piece; none is on Linux.
        return (same ?? nil) ?? utf8.elementsEqual(other.utf8)
    }
}

extension Sequence<String> {
    /// Whether one of them is this name, byte for byte.
    public func containsName(_ name: String) -> Bool { contains { $0.hasSameBytes(as: name) } }
}

/// The name of a user, a database or the like: equal when the bytes are.
@frozen
public struct Name: Sendable, Hashable {
    public let text: String

    @inlinable
    public init(_ text: String) { self.text = text }

    @inlinable
    public static func == (left: Name, right: Name) -> Bool { left.text.hasSameBytes(as: right.text) }

    @inlinable
    public func hash(into hasher: inout Hasher) {
        // Texts with the same bytes look alike, too.
        text.hash(into: &hasher)
    }
}

/// A dictionary with names as keys, in place of `[String: Value]`, which would take names that look alike for one.
///
/// Look-ups are inlinable: as generic code of another module each costs a thousand instructions, and a login makes several.
@frozen
public struct NameTable<Value> {
    @usableFromInline var entries: [Name: Value] = [:]

    @inlinable
    public init() {}

    /// How many names there are.
    public var count: Int { entries.count }
    public var isEmpty: Bool { entries.isEmpty }
    /// In no order, but in the one of ``values``.
    public var keys: [String] { entries.keys.map(\.text) }
    public var values: Dictionary<Name, Value>.Values { entries.values }

    @inlinable
    public subscript(name: String) -> Value? {
        get { entries[Name(name)] }
        _modify { yield &entries[Name(name)] }
    }

    @inlinable
    public subscript(name: String, default value: @autoclosure () -> Value) -> Value {
        get { entries[Name(name), default: value()] }
        _modify { yield &entries[Name(name), default: value()] }
    }

    /// Changes a value where it is, and returns what `body` does; nil when there is none of that name.
    @inlinable
    public mutating func update<Result>(_ name: String, _ body: (inout Value) -> Result) -> Result? {
        guard let index = entries.index(forKey: Name(name)) else { return nil }
        return body(&entries.values[index])
    }

    /// Those entries that `isKept` wants.
    public func filter(_ isKept: ((key: String, value: Value)) throws -> Bool) rethrows -> NameTable {
        var kept = NameTable()
        for entry in self where try isKept(entry) { kept[entry.key] = entry.value }
        return kept
    }
}

extension NameTable: Sendable where Value: Sendable {}
extension NameTable: Equatable where Value: Equatable {}

extension NameTable: Sequence {
    public struct Iterator: IteratorProtocol {
        fileprivate var entries: Dictionary<Name, Value>.Iterator

        public mutating func next() -> (key: String, value: Value)? { entries.next().map { ($0.key.text, $0.value) } }
    }

    public func makeIterator() -> Iterator { Iterator(entries: entries.makeIterator()) }
}

extension NameTable: ExpressibleByDictionaryLiteral {
    public init(dictionaryLiteral elements: (String, Value)...) {
        for (name, value) in elements { entries[Name(name)] = value }
    }
}

/// A set of names, in place of `Set<String>`.
public struct NameSet: Sendable, Hashable {
    private var names: Set<Name> = []

    public init() {}

    public init(_ names: some Sequence<String>) { self.names = Set(names.map { Name($0) }) }

    public var count: Int { names.count }
    public var isEmpty: Bool { names.isEmpty }
    public func contains(_ name: String) -> Bool { names.contains(Name(name)) }

    /// Whether it was not there.
    @discardableResult
    public mutating func insert(_ name: String) -> Bool { names.insert(Name(name)).inserted }

    /// Whether it was there.
    @discardableResult
    public mutating func remove(_ name: String) -> Bool { names.remove(Name(name)) != nil }

    public mutating func formUnion(_ more: some Sequence<String>) { for name in more { insert(name) } }
}

extension NameSet: Sequence {
    public struct Iterator: IteratorProtocol {
        fileprivate var names: Set<Name>.Iterator

        public mutating func next() -> String? { names.next()?.text }
    }

    public func makeIterator() -> Iterator { Iterator(names: names.makeIterator()) }
}

extension NameSet: ExpressibleByArrayLiteral {
    public init(arrayLiteral elements: String...) { self.init(elements) }
}
