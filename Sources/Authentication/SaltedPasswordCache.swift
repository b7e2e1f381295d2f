/// Remembers the outcome of PBKDF2, so that logging in to a server again with the same password costs no iterations.
///
/// A value without a lock: give each worker its own. When full it forgets the entry that was unused for longest.
public struct SaltedPasswordCache: Sendable {
    private struct Entry {
        let salted: SaltedPassword
        var lastUse: UInt64
    }

    /// The most entries it holds.
    public let capacity: Int
    private var entries: [KeyDerivation: Entry] = [:]
    private var uses: UInt64 = 0

    /// - Parameter capacity: entries to keep, at least 1.
    public init(capacity: Int = 256) {
        self.capacity = max(1, capacity)
    }

    /// The number of entries held now.
    public var count: Int { entries.count }

    /// The remembered outcome of this derivation.
    public mutating func known(_ derivation: KeyDerivation) -> SaltedPassword? {
        guard let known = entries[derivation]?.salted else { return nil }
        uses += 1
        entries[derivation]?.lastUse = uses
        return known
    }

    /// Remembers the outcome of a derivation.
    public mutating func remember(_ salted: SaltedPassword, of derivation: KeyDerivation) {
        if entries[derivation] == nil, entries.count >= capacity,
            let oldest = entries.min(by: { $0.value.lastUse < $1.value.lastUse })?.key
        {
            entries[oldest] = nil
        }
        uses += 1
        entries[derivation] = Entry(salted: salted, lastUse: uses)
    }

    /// The remembered outcome, or the outcome computed now and remembered.
    public mutating func saltedPassword(password: [UInt8], salt: [UInt8], iterations: Int) -> SaltedPassword {
        let derivation = KeyDerivation(password: password, salt: salt, iterations: iterations)
        if let known = known(derivation) { return known }
        let salted = derivation.run()
        remember(salted, of: derivation)
        return salted
    }

    /// Forgets everything, for when the passwords are read again.
    public mutating func removeAll() {
        entries.removeAll()
    }
}
