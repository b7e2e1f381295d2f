/// Remembers the outcome of PBKDF2, so that logging in to a server again with the same password costs no iterations.
///
/// A value without a lock: give each worker its own. When full it forgets the entry that was unused for longest.
public struct SaltedPasswordCache: Sendable {
    private struct Key: Hashable {
        let password: [UInt8]
        let salt: [UInt8]
        let iterations: Int
    }

    private struct Entry {
        let salted: SaltedPassword
        var lastUse: UInt64
    }

    /// The most entries it holds.
    public let capacity: Int
    private var entries: [Key: Entry] = [:]
    private var uses: UInt64 = 0

    /// - Parameter capacity: entries to keep, at least 1.
    public init(capacity: Int = 256) {
        self.capacity = max(1, capacity)
    }

    /// The number of entries held now.
    public var count: Int { entries.count }

    /// The remembered outcome, or the outcome computed now and remembered.
    public mutating func saltedPassword(password: [UInt8], salt: [UInt8], iterations: Int) -> SaltedPassword {
        uses += 1
        let key = Key(password: password, salt: salt, iterations: iterations)
        if let known = entries[key]?.salted {
            entries[key]?.lastUse = uses
            return known
        }
        if entries.count >= capacity, let oldest = entries.min(by: { $0.value.lastUse < $1.value.lastUse })?.key {
            entries[oldest] = nil
        }
        let salted = SaltedPassword.derive(password: password, salt: salt, iterations: iterations)
        entries[key] = Entry(salted: salted, lastUse: uses)
        return salted
    }

    /// Forgets everything, for when the passwords are read again.
    public mutating func removeAll() {
        entries.removeAll()
    }
}
