import CRevision

/// What the program was built from.
public enum Revision {
    /// The first 12 digits of the commit's hash, with a `+` where the tree had other changes; nil where nobody has written it into the
    /// program (`scripts/stamp.sh`).
    public static let text: String? = String(cString: sluice_revision()).split(separator: " ").first.map(String.init)

    /// The same behind a version number: ` (commit 0123456789ab)`, or nothing.
    public static let suffix = text.map { " (commit \($0))" } ?? ""
}
