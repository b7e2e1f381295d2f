/// What is known about a Bind message of which some bytes may be missing.
public enum BindNames: Equatable, Sendable {
    /// Both names without their NULs, and where the formats and the values begin.
    case names(portal: Range<Int>, statement: Range<Int>, rest: Int)
    /// The names are not complete yet.
    case needMore
    /// The names do not end inside the body.
    case malformed
}

/// Reads the beginning of Bind.
///
/// PostgreSQL documentation, section "Message Formats", Bind.
public enum BindMessage {
    /// Finds the names. `body` is the whole body that the header announced; its end may lie beyond `bytes`, so that a
    /// large Bind can be passed on while it arrives.
    @inlinable
    public static func read(_ bytes: Span<UInt8>, body: Range<Int>) -> BindNames {
        guard body.lowerBound >= 0 else { return .malformed }
        let limit = min(body.upperBound, bytes.count)
        let missing: BindNames = limit < body.upperBound ? .needMore : .malformed
        guard limit >= body.lowerBound, let portalEnd = firstNUL(bytes, in: body.lowerBound..<limit) else { return missing }
        guard let statementEnd = firstNUL(bytes, in: portalEnd &+ 1..<limit) else { return missing }
        // PostgreSQL looks the names up before it reads what follows them: whether that is right is not asked here.
        return .names(portal: body.lowerBound..<portalEnd, statement: portalEnd &+ 1..<statementEnd, rest: statementEnd &+ 1)
    }
}
