import Bytes
import Locking
import PostgresWire
import Synchronization

/// The definition of a prepared statement: the text of a Parse message without its name. Stored once for each database, whoever prepared it.
public final class Statement: Sendable {
    /// Unique in the process, from 1; never used again for another text.
    public let id: UInt64
    private let text: ByteBlock
    /// Query text, NUL, number of parameter types (Int16), the types (Int32 each), as in a Parse message (section 55.7).
    public var definition: Span<UInt8> {
        @_lifetime(borrow self)
        get { text.bytes(ofConstantOf: self) }
    }
    /// Bytes of the definition.
    var size: Int { text.count }

    /// A Bind may have to bring values.
    var mayHaveParameters: Bool {
        let definition = definition
        for index in definition.indices.dropLast()
        where definition[index] == UInt8(ascii: "$") && (0x30...0x39).contains(definition[index + 1]) {
            return true
        }
        // Types that the Parse gives are of parameters, too.
        return ParseMessage.query(definition, tail: 0..<definition.count).map { $0.upperBound + 3 != definition.count } ?? true
    }

    /// The name under which servers know it, unless there is a doubt about that name (`ServerStatements.name`).
    public let serverName: [UInt8]
    private let outdated = Atomic<UInt64>(0)

    /// Plans of it that were valid only before this moment (`PlanClock`) are parsed again, on every server.
    @inline(__always)
    var validFrom: UInt64 { outdated.load(ordering: .relaxed) }

    /// A plan of it has turned out to be stale.
    func outdate(before moment: UInt64) { outdated.max(moment, ordering: .relaxed) }

    /// What its columns are depends on what the session has: on a cursor, on what SQL PREPARE has made, on settings. It is described by the
    /// server each time, and no other client's Parse is answered with it.
    let dependsOnSession: Bool

    /// Under what its text was analysed first, and is analysed wherever it is parsed again. Nil: that is not known.
    let context: PlanContext?
    /// No other client's Parse is answered with it.
    let isPrivate: Bool
    /// The number of its context; of a private statement that of none.
    let contextID: UInt64

    /// The types of its parameters, if it was described and has no columns.
    private let learned = Locked<[UInt32]?>(nil)
    static let mostKnownParameters = 100

    /// It has been described: no columns, and these parameters.
    func learn(parameters: [UInt32]) { learned.withLock { $0 = parameters } }

    /// PostgreSQL says something when it parses the text: the pooler does not answer a Parse of it.
    let hasNotices: Bool

    private let memory: StatementMemory

    /// What a portal of it has to be watched for.
    enum Kind: Sendable {
        case ordinary
        /// Its Execute may read from the client.
        case copy
        /// DEALLOCATE, of which the meaning depends on the client's names, or DISCARD ALL.
        case deallocation
        /// It changes what a later Parse may mean (`effects`).
        case effect
    }

    let kind: Kind
    /// What it does to settings and temporary objects.
    let effects: [StatementEffect]

    /// It ends a transaction, also one that has failed.
    var endsTransaction: Bool { effects.contains(.transactionEnd) }

    /// How many parameters it has, as its text tells.
    var parameterCount: Int? {
        let definition = definition
        guard let text = ParseMessage.query(definition, tail: 0..<definition.count),
            let used = StatementShape.read(definition, text, escapes: context?.escapes ?? false).parameters
        else { return nil }
        return max(used, (definition.count - text.upperBound - 3) / 4)
    }

    /// The types of its parameters, if it is known to have no columns and these are known, too.
    var parametersWithoutColumns: [UInt32]? {
        if let known = learned.withLock({ $0 }) { return known }
        let definition = definition
        guard let text = ParseMessage.query(definition, tail: 0..<definition.count) else { return nil }
        let shape = StatementShape.read(definition, text, escapes: context?.escapes ?? false)
        guard shape.hasNoColumns, let used = shape.parameters else { return nil }
        var types: [UInt32] = []
        var at = text.upperBound + 3
        while let type = readUInt32(definition, at: at), type != 0 {
            types.append(type)
            at += 4
        }
        return types.count >= used && at == definition.count ? types : nil
    }

    /// What a statement of the kind `deallocation` drops.
    var deallocation: DeallocateStatement? { Self.deallocation(in: definition) }

    private static func deallocation(in definition: Span<UInt8>) -> DeallocateStatement? {
        guard let text = ParseMessage.query(definition, tail: 0..<definition.count) else { return nil }
        return DeallocateStatement.parse(definition, text)
    }

    init(
        id: UInt64, text: consuming ByteBlock, memory: StatementMemory, context: PlanContext?, isPrivate: Bool
    ) {
        self.id = id
        self.memory = memory
        self.context = context
        self.isPrivate = isPrivate
        contextID = isPrivate ? .max : context?.id ?? .max
        effects = Self.effects(of: text.bytes, escapes: context?.escapes ?? false)
        dependsOnSession = Self.dependsOnSession(text.bytes)
        hasNotices = text.count > Identifier.significantBytes && Identifier.mayBeCut(text.bytes, 0..<text.count)
        if Self.deallocation(in: text.bytes) != nil {
            kind = .deallocation
        } else if CopyStatement.starts(text.bytes, 0..<text.count) {
            kind = .copy
        } else {
            kind = effects.isEmpty || effects == [.transactionEnd] ? .ordinary : .effect
        }
        memory.took(text.count)
        self.text = text
        serverName = Self.serverName(id)
    }

    /// FETCH, EXECUTE and SHOW.
    static func dependsOnSession(_ definition: Span<UInt8>) -> Bool {
        guard let text = ParseMessage.query(definition, tail: 0..<definition.count) else { return false }
        return SessionStatement.starts(definition, text)
    }

    private static func effects(of definition: Span<UInt8>, escapes: Bool) -> [StatementEffect] {
        guard let text = ParseMessage.query(definition, tail: 0..<definition.count),
            StatementEffects.mayHave(definition, text, isInTransaction: true)
        else { return isEnd(definition) ? [.transactionEnd] : [] }
        return StatementEffects.read(definition, text, escapes: escapes).all.map(\.effect)
    }

    /// COMMIT, ROLLBACK or END.
    private static func isEnd(_ definition: Span<UInt8>) -> Bool {
        guard let text = ParseMessage.query(definition, tail: 0..<definition.count), text.count < 200 else { return false }
        return StatementEffects.read(definition, text, escapes: false).all.first?.effect == .transactionEnd
    }

    deinit { memory.gaveBack(text.count) }

    /// The name under which servers know the statement with this id.
    public static func serverName(_ id: UInt64) -> [UInt8] {
        var name: [UInt8] = []
        name.reserveCapacity(serverPrefix.count + 20)
        name.append(contentsOf: serverPrefix)
        let start = name.count
        var rest = id
        repeat {
            name.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10))
            rest /= 10
        } while rest > 0
        name[start...].reverse()
        return name
    }

    static let serverPrefix = Array(StatementEffects.reservedPrefix.utf8)
}
