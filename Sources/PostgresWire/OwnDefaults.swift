/// Takes the statements of a text that lead back to a session's start, and gives them the value to which they are to lead.
///
/// `RESET name`, `SET [SESSION | LOCAL] name { TO | = } DEFAULT`, `SET [SESSION | LOCAL] TIME ZONE { DEFAULT | LOCAL }` and
/// `SET NAMES [DEFAULT]` go back to what the server has from its own login. On a server that is shared, a client has brought another
/// value. A RESET ALL stays, and where other statements follow, SETs of all that the client has brought stand behind it. PostgreSQL
/// documentation, SET and RESET.
public struct OwnDefaults {
    /// So many pieces of a text are replaced, of which a RESET has two. A text that has more is left as it is.
    public static let most = 100

    /// Stands behind the first word of what was `RESET`, whose command tag differs.
    static let resetMark = "/*RESET*/"
    /// Stands behind the first word of a statement that its client has not sent.
    static let addedMark = "/*ADDED*/"

    /// What replaces the bytes in `range`.
    private struct Edit {
        let range: Range<Int>
        let words: String
    }

    private var edits: [Edit] = []

    /// A text with values in place of defaults.
    public struct Text: Sendable {
        public let bytes: [UInt8]
        /// Places behind which the text is longer than the one that came, and by how many characters each makes it so. In characters of this
        /// text, counted from 1 as PostgreSQL counts them in errors.
        public let shifts: [Shift]
    }

    public struct Shift: Sendable, Equatable {
        public let place: Int
        public let added: Int
    }

    /// What a position in a text with values was in the text that came.
    public static func position(_ position: Int, before shifts: [Shift]) -> Int {
        shifts.reduce(position) { position >= $1.place ? $0 - $1.added : $0 }
    }

    /// The text in `range` with values. Nil: it has no such statement, or more than `most`.
    ///
    /// - Parameters:
    ///   - escapes: A backslash escapes in ordinary strings (`standard_conforming_strings = off`).
    ///   - all: The settings that RESET ALL leads back to such values, in lower case.
    ///   - value: The value of a setting, as SQL; nil leaves the statement as it is. The name is in lower case.
    public static func replace(
        _ bytes: Span<UInt8>, _ range: Range<Int>, escapes: Bool, all: () -> [String] = { [] }, value: (String) -> String?
    ) -> Text? {
        guard bytes.holds(range) else { return nil }
        let text = bytes.extracting(range)
        var tokens = SQLTokens(text, escapes: escapes)
        var found = OwnDefaults()
        while true {
            guard tokens.skipBlanks() else { return nil }
            let start = tokens.index
            switch tokens.next() {
            case .end:
                return found.edits.isEmpty ? nil : found.edited(text)
            case .broken:
                return nil
            case .semicolon:
                continue
            case .word("reset"):
                found.reset(start..<tokens.index, tokens, value)
                found.resetAll(tokens, all, value)
            case .word("set"):
                found.set(tokens, value)
            default:
                break
            }
            guard found.edits.count <= most else { return nil }
            tokens.skipStatement()
        }
    }

    private func edited(_ text: Span<UInt8>) -> Text {
        var out: [UInt8] = []
        var shifts: [Shift] = []
        var at = 0
        var characters = 0
        func copy(_ range: Range<Int>) {
            for index in range {
                out.append(text[index])
                // A byte of UTF-8 that begins a character.
                if text[index] & 0xC0 != 0x80 { characters += 1 }
            }
        }
        for edit in edits {
            copy(at..<edit.range.lowerBound)
            out.append(contentsOf: edit.words.utf8)
            characters += edit.words.utf8.count
            shifts.append(Shift(place: characters + 1, added: edit.words.utf8.count - edit.range.count))
            at = edit.range.upperBound
        }
        copy(at..<text.count)
        return Text(bytes: out, shifts: shifts)
    }

    // MARK: One statement

    /// What follows RESET, which stands in `first`.
    private mutating func reset(_ first: Range<Int>, _ rest: SQLTokens, _ value: (String) -> String?) {
        var tokens = rest
        guard let name = Self.name(&tokens) else { return }
        let end = tokens.index
        guard Self.isEnd(tokens), let words = value(name.setting) else { return }
        edits.append(Edit(range: first, words: "SET" + Self.resetMark))
        edits.append(Edit(range: end..<end, words: (name.isTimeZone ? " " : " TO ") + words))
    }

    /// What follows RESET, if it is ALL and not the last statement: what that does is put right behind the text.
    private mutating func resetAll(_ rest: SQLTokens, _ all: () -> [String], _ value: (String) -> String?) {
        var tokens = rest
        guard tokens.next() == .word("all") else { return }
        let end = tokens.index
        guard tokens.next() == .semicolon else { return }
        while tokens.peek() == .semicolon { _ = tokens.next() }
        guard tokens.peek() != .end else { return }
        var words = ""
        for name in all() {
            guard let text = value(name) else { continue }
            let quoted = name.split(separator: ".").map { "\"\($0.replacing("\"", with: "\"\""))\"" }.joined(separator: ".")
            words += "; SET\(Self.addedMark) \(quoted) TO \(text)"
        }
        if !words.isEmpty { edits.append(Edit(range: end..<end, words: words)) }
    }

    /// What follows SET.
    private mutating func set(_ rest: SQLTokens, _ value: (String) -> String?) {
        var tokens = rest
        let place = tokens.index
        switch tokens.next() {
        case .word("local"), .word("session"): break
        default: tokens.index = place
        }
        let start = tokens.index
        if tokens.next() == .word("names") {
            let end = tokens.index
            if Self.isEnd(tokens) {
                guard let words = value("client_encoding") else { return }
                edits.append(Edit(range: end..<end, words: " " + words))
                return
            }
            if replaceLast(tokens, isLocalToo: false, { value("client_encoding") }) { return }
        }
        tokens.index = start
        guard let name = Self.name(&tokens) else { return }
        let behind = tokens.index
        switch tokens.next() {
        case .word("to") where !name.isTimeZone, .equalsSign where !name.isTimeZone: break
        default:
            guard name.isTimeZone else { return }
            tokens.index = behind
        }
        _ = replaceLast(tokens, isLocalToo: name.isTimeZone) { value(name.setting) }
    }

    /// The statement ends with DEFAULT, in place of which the value stands. False: it does not.
    private mutating func replaceLast(_ rest: SQLTokens, isLocalToo: Bool, _ value: () -> String?) -> Bool {
        var tokens = rest
        guard tokens.skipBlanks() else { return false }
        let start = tokens.index
        let word = tokens.next()
        guard word == .word("default") || (isLocalToo && word == .word("local")) else { return false }
        let end = tokens.index
        guard Self.isEnd(tokens), let words = value() else { return false }
        edits.append(Edit(range: start..<end, words: words))
        return true
    }

    /// The name of a setting, in lower case. `isTimeZone`: it is spelt in two words.
    private static func name(_ tokens: inout SQLTokens) -> (setting: String, isTimeZone: Bool)? {
        var name: String
        switch tokens.next() {
        case .word("all"), .word("session"), .word("transaction"): return nil
        case .word("time"):
            let place = tokens.index
            if tokens.next() == .word("zone") { return ("timezone", true) }
            tokens.index = place
            name = "time"
        case .word(let first), .quoted(let first): name = first.lowercased()
        default: return nil
        }
        while true {
            let place = tokens.index
            guard tokens.next() == .dot else {
                tokens.index = place
                return (name, false)
            }
            switch tokens.next() {
            case .word(let more), .quoted(let more): name += "." + more.lowercased()
            default: return nil
            }
        }
    }

    private static func isEnd(_ tokens: SQLTokens) -> Bool {
        var tokens = tokens
        switch tokens.next() {
        case .end, .semicolon: return true
        default: return false
        }
    }

    /// Whether this mark stands behind the word behind which `tokens` stands.
    static func isMarked(_ tokens: SQLTokens, _ mark: String) -> Bool {
        let mark = mark.utf8
        guard tokens.index + mark.count <= tokens.text.count else { return false }
        return zip(tokens.index..., mark).allSatisfy { tokens.text[$0] == $1 }
    }

    // MARK: A glance

    /// Whether a text may have such a statement: it has one of the words RESET, DEFAULT, LOCAL, NAMES.
    public static func mayBe(in bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        guard bytes.holds(range) else { return false }
        var index = range.lowerBound
        let end = range.upperBound &- 4
        while index < end {
            // Setting bit 5 makes capitals small.
            switch (bytes[index] | 0x20, bytes[index &+ 1] | 0x20, bytes[index &+ 2] | 0x20, bytes[index &+ 3] | 0x20) {
            case (0x72, 0x65, 0x73, 0x65), (0x64, 0x65, 0x66, 0x61), (0x6C, 0x6F, 0x63, 0x61), (0x6E, 0x61, 0x6D, 0x65): return true
            default: index &+= 1
            }
        }
        return false
    }
}
