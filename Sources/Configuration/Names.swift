/// Checks of the names that a configuration brings in, and what a misspelt one may mean. The limits are bytes of UTF-8.
public enum Names {
    /// The console's own database.
    static let console = "pgbouncer"

    static func checkDatabase(_ name: String) throws(InvalidValue) {
        try checkNotReserved(name)
        guard name.utf8.count <= 63 else { throw InvalidValue("the database name is longer than 63 bytes") }
    }

    static func checkUser(_ name: String) throws(InvalidValue) {
        guard name.utf8.count <= maximumUserBytes else { throw InvalidValue("the user name is longer than \(maximumUserBytes) bytes") }
    }

    static func checkNotReserved(_ name: String) throws(InvalidValue) {
        guard name != console else { throw InvalidValue("database name \"\(name)\" is reserved for the console") }
    }

    static let maximumUserBytes = 127
    static let maximumSecretBytes = 65535

    /// The name out of `candidates` that somebody most likely meant, if any comes close.
    public static func nearest(to name: String, among candidates: some Sequence<String>) -> String? {
        // A swap of two letters counts as two errors; more than a third of the letters wrong is another word.
        let limit = name.utf8.count < 4 ? 1 : Swift.max(2, Swift.min(3, name.utf8.count / 3))
        var best: (name: String, distance: Int)?
        for candidate in candidates where abs(candidate.utf8.count - name.utf8.count) <= limit {
            let distance = editDistance(Array(name.lowercased().utf8), Array(candidate.lowercased().utf8))
            if distance <= limit, distance < best?.distance ?? Int.max { best = (candidate, distance) }
        }
        return best?.name
    }

    private static func editDistance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var previous = Array(0...right.count)
        for (row, byte) in left.enumerated() {
            var current = [row + 1]
            for (column, other) in right.enumerated() {
                current.append(Swift.min(previous[column] + (byte == other ? 0 : 1), previous[column + 1] + 1, current[column] + 1))
            }
            previous = current
        }
        return previous[right.count]
    }
}
