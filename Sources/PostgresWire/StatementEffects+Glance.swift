/// What a glance at a text tells, so that ordinary ones are not read.
extension StatementEffects {
    /// Whether a query has to be read for its effects: all that ordinary queries cost. `isInTransaction`: what it does may last, so that
    /// its whole text is looked at.
    @inlinable @inline(__always)
    public static func mayHave(_ bytes: Span<UInt8>, _ range: Range<Int>, isInTransaction: Bool) -> Bool {
        guard bytes.holds(range) else { return false }
        var index = range.lowerBound
        while index < range.upperBound, DeallocateStatement.isSpace(bytes[index]) { index &+= 1 }
        guard index <= range.upperBound &- 8 else { return isReadWhenShort(bytes, index..<range.upperBound) }
        // Setting bit 5 makes capitals small.
        if !isInTransaction, bytes[index &+ 2] | 0x20 == UInt8(ascii: "l"), bytes[index &+ 1] | 0x20 == UInt8(ascii: "e"),
            bytes[index] | 0x20 == UInt8(ascii: "s"), bytes[index &+ 7] & 0xFC | 0x20 != 0x70
        {
            // SELECT, and no word behind it that begins with p to s, as set_config and pg_catalog do.
            return false
        }
        return isRead(bytes, index..<range.upperBound, isInTransaction: isInTransaction)
    }

    @usableFromInline
    static func isRead(_ bytes: Span<UInt8>, _ range: Range<Int>, isInTransaction: Bool) -> Bool {
        switch stem(bytes, range.lowerBound) {
        case 0x73656C:  // SELECT
            return mentions(bytes, range)
        case 0x696E73, 0x757064, 0x64656C, 0x776974:  // INSERT, UPDATE, DELETE, WITH
            return isInTransaction && mentions(bytes, range)
        case 0x626567, 0x636F6D, 0x726F6C, 0x656E64, 0x736176, 0x72656C, 0x737461:
            // BEGIN, COMMIT, ROLLBACK, END, SAVEPOINT, RELEASE, START: there may be more behind them.
            return range.count > 80 || hasMore(bytes, range)
        default:
            return true
        }
    }

    private static func stem(_ bytes: Span<UInt8>, _ index: Int) -> UInt32 {
        UInt32(bytes[index] | 0x20) << 16 | UInt32(bytes[index &+ 1] | 0x20) << 8 | UInt32(bytes[index &+ 2] | 0x20)
    }

    /// Of less than eight bytes.
    @usableFromInline
    static func isReadWhenShort(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        guard range.count >= 3 else { return range.count > 1 }
        switch stem(bytes, range.lowerBound) {
        case 0x626567, 0x636F6D, 0x656E64: return hasMore(bytes, range)  // BEGIN, COMMIT, END
        default: return true
        }
    }

    @usableFromInline
    static func hasMore(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        var index = range.lowerBound
        while index < range.upperBound, bytes[index] != UInt8(ascii: ";") { index &+= 1 }
        while index < range.upperBound, bytes[index] == UInt8(ascii: ";") || bytes[index] == 0 || DeallocateStatement.isSpace(bytes[index])
        {
            index &+= 1
        }
        return index < range.upperBound
    }

    /// Whether a text has one of the words that are looked for inside a statement, or more than one statement.
    @usableFromInline
    static func mentions(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        var index = range.lowerBound
        let end = range.upperBound &- 3
        while index < end {
            let byte = bytes[index]
            if byte | 0x20 == UInt8(ascii: "t") {
                let next = bytes[index &+ 1]
                // set_config; temp, temporary, pg_temp.
                if next == UInt8(ascii: "_"), bytes[index &+ 2] | 0x20 == UInt8(ascii: "c") { return true }
                if next | 0x20 == UInt8(ascii: "e"), bytes[index &+ 2] | 0x20 == UInt8(ascii: "m"),
                    bytes[index &+ 3] | 0x20 == UInt8(ascii: "p")
                {
                    return true
                }
            } else if byte == UInt8(ascii: ";") {
                return true
            }
            index &+= 1
        }
        return false
    }
}
