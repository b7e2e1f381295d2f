/// A word of `pg_hba.conf` or `pg_ident.conf`. A quoted one is a plain name, whatever it says.
struct AccessFileWord: Equatable {
    let text: String
    let isQuoted: Bool

    init(_ text: String, isQuoted: Bool = false) {
        self.text = text
        self.isQuoted = isQuoted
    }

    /// Whether it stands for the keyword, and not for a thing of that name.
    func isKeyword(_ keyword: String) -> Bool { !isQuoted && text == keyword }
}

/// One line of such a file, taken apart as PostgreSQL does: fields between white space, words of a field between commas, `"` around
/// what is meant literally (two of them mean one), `#` begins a comment.
struct AccessFileLine {
    /// The line as it stands there, without its comment.
    private let bytes: ArraySlice<UInt8>
    private var position: Int

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        position = bytes.startIndex
    }

    /// The next field; nil at the end of the line.
    mutating func field() throws(InvalidValue) -> [AccessFileWord]? {
        skipBlanks()
        guard position < bytes.endIndex else { return nil }
        var words = [try word()]
        while true {
            let end = position
            skipBlanks()
            guard position < bytes.endIndex, bytes[position] == Self.comma else {
                position = end
                return words
            }
            position += 1
            skipBlanks()
            guard position < bytes.endIndex else { throw InvalidValue("a name is missing after the comma") }
            words.append(try word())
        }
    }

    /// The next field, which must be one word; nil at the end of the line.
    mutating func single(_ what: String) throws(InvalidValue) -> AccessFileWord? {
        guard let words = try field() else { return nil }
        guard let word = words.first, words.count == 1 else { throw InvalidValue("expected one \(what), found a list") }
        return word
    }

    /// What is left of the line, without the blanks around it.
    mutating func rest() throws(InvalidValue) -> String {
        skipBlanks()
        var end = bytes.endIndex
        while end > position, Self.isBlank(bytes[end - 1]) { end -= 1 }
        defer { position = bytes.endIndex }
        return try Self.text(bytes[position..<end])
    }

    private mutating func word() throws(InvalidValue) -> AccessFileWord {
        var content: [UInt8] = []
        var isQuoted = false
        while position < bytes.endIndex {
            let byte = bytes[position]
            if byte == Self.quote {
                isQuoted = isQuoted || content.isEmpty
                try appendQuoted(to: &content)
            } else if byte == Self.comma || Self.isBlank(byte) {
                break
            } else {
                content.append(byte)
                position += 1
            }
        }
        guard !content.isEmpty || isQuoted else { throw InvalidValue("a name is missing before the comma") }
        return AccessFileWord(try Self.text(content[...]), isQuoted: isQuoted)
    }

    private mutating func appendQuoted(to content: inout [UInt8]) throws(InvalidValue) {
        position += 1
        while position < bytes.endIndex {
            let byte = bytes[position]
            position += 1
            if byte == Self.quote {
                guard position < bytes.endIndex, bytes[position] == Self.quote else { return }
                position += 1
            }
            content.append(byte)
        }
        throw InvalidValue("a quote is not closed")
    }

    private mutating func skipBlanks() {
        while position < bytes.endIndex, Self.isBlank(bytes[position]) { position += 1 }
    }

    private static func text(_ bytes: ArraySlice<UInt8>) throws(InvalidValue) -> String {
        guard !bytes.contains(0), let text = String(validating: bytes, as: UTF8.self) else {
            throw InvalidValue("the line is not valid UTF-8")
        }
        return text
    }

    fileprivate static let comma = UInt8(ascii: ",")
    fileprivate static let quote = UInt8(ascii: "\"")
    fileprivate static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
}

/// Goes through the lines of a file; empty ones and comments are left out.
struct AccessFileLines {
    private let bytes: [UInt8]
    private var position = 0
    /// The line that `next` has returned, counted from 1.
    private(set) var number = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func next() -> AccessFileLine? {
        while position < bytes.count {
            number += 1
            let end = bytes[position...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
            let line = Self.withoutComment(bytes[position..<end])
            position = end + 1
            if line.contains(where: { !AccessFileLine.isBlank($0) }) { return AccessFileLine(line) }
        }
        return nil
    }

    /// A `#` inside quotes is data.
    private static func withoutComment(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var isQuoted = false
        for index in line.indices {
            if line[index] == AccessFileLine.quote { isQuoted.toggle() }
            if line[index] == UInt8(ascii: "#"), !isQuoted { return line[..<index] }
        }
        return line
    }
}
