/// What came of getting a password: the password, or why there is none.
public enum PasswordOutcome: Sendable, Equatable {
    case password(String)
    case failure(String)
}

/// Passwords that expire, by where they come from: which one is used again, and when the next one is got. Those who want the same one
/// wait for the same run. Times are microseconds of one clock.
public struct PasswordCache<Key: Hashable & Sendable, Waiter: Sendable>: Sendable {
    /// What somebody who wants a password hears.
    public enum Answer: Sendable, Equatable {
        case password(String)
        /// It could not be got a moment ago.
        case failure(String)
        /// It is to be got now, by whoever hears this; those who wait are told by `finished`.
        case get
        /// Somebody gets it already.
        case wait
    }

    private struct Entry: Sendable {
        var outcome: PasswordOutcome?
        /// When getting it began. A password is at least as old as that.
        var since: Int64 = 0
        var waiters: [Waiter] = []
        var isBeingGot = false
        /// What is being got now is for those who wait, and for nobody after them.
        var isOutdated = false
        /// Not before this is a password got anew because the server refused the last one.
        var nextRefresh: Int64 = 0
    }

    private var entries: [Key: Entry] = [:]

    /// How long a failure is remembered; and how long the server's refusals are no reason for another run, once a run was for nothing.
    public static var pause: Int64 { 1_000_000 }
    /// Users may come from clients. More than this, and those that nobody waits for are forgotten.
    public static var mostEntries: Int { 10_000 }

    /// How many passwords are known, or being got.
    public var count: Int { entries.count }

    /// An empty cache.
    public init() {}

    /// Somebody wants a password that is no older than `lifetime`. He is kept as a waiter unless the answer is there.
    public mutating func ask(_ key: Key, lifetime: Int64, now: Int64, waiter: @autoclosure () -> Waiter) -> Answer {
        if entries.count >= Self.mostEntries, entries[key] == nil { entries = entries.filter { $0.value.isBeingGot } }
        var entry = entries[key] ?? Entry()
        if !entry.isBeingGot {
            switch entry.outcome {
            case .password(let password) where now - entry.since < lifetime: return .password(password)
            case .failure(let reason) where now - entry.since < Self.pause: return .failure(reason)
            default: break
            }
        }
        let answer: Answer = entry.isBeingGot ? .wait : .get
        if !entry.isBeingGot { (entry.isBeingGot, entry.isOutdated, entry.since) = (true, false, now) }
        entry.waiters.append(waiter())
        entries[key] = entry
        return answer
    }

    /// Getting it is over. Returns those who wait for it.
    public mutating func finished(_ key: Key, _ outcome: PasswordOutcome, now: Int64) -> [Waiter] {
        guard var entry = entries[key] else { return [] }
        let waiters = entry.waiters
        (entry.waiters, entry.isBeingGot) = ([], false)
        entry.outcome = entry.isOutdated ? nil : outcome
        if case .failure = outcome { entry.since = now }
        entries[key] = entry
        return waiters
    }

    /// The server has refused this password. True: the next one who asks gets another one, or waits for it. False: it was got anew a moment
    /// ago because of a refusal, and what came was refused again.
    public mutating func refused(_ key: Key, _ password: String, now: Int64) -> Bool {
        guard var entry = entries[key] else { return true }
        if entry.isBeingGot { return true }
        if case .password(let present) = entry.outcome, !present.utf8.elementsEqual(password.utf8) { return true }
        guard now >= entry.nextRefresh else { return false }
        entry.outcome = nil
        entry.nextRefresh = now + Self.pause
        entries[key] = entry
        return true
    }

    /// The server has taken this password: when it refuses it, it has changed.
    public mutating func accepted(_ key: Key) { entries[key]?.nextRefresh = 0 }

    /// Everything is got anew.
    public mutating func forget() {
        entries = entries.filter { $0.value.isBeingGot }
        for key in entries.keys { entries[key]?.isOutdated = true }
    }
}
