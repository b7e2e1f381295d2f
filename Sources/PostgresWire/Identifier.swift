/// A name as PostgreSQL keeps it.
public enum Identifier {
    /// Names are the same if as many of their first bytes are (`NAMEDATALEN`, less the NUL).
    @inlinable public static var significantBytes: Int { 63 }
}
