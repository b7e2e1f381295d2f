/// The words of a command.
enum ConsoleToken: Sendable, Equatable {
    /// Letters, digits, `_`, and what else numbers and names need: `.`, `-`, `*`.
    case word(String)
    /// A name in double quotes.
    case quoted(String)
    /// A text in single quotes.
    case string(String)
    /// `$1`: a value that Bind brings.
    case parameter(Int)
    case equals, comma, semicolon, open, close

    /// Cuts a text into words. The error says where it stopped and why.
    static func list(of text: String) throws(ConsoleError) -> [ConsoleToken] {
        var tokens: [ConsoleToken] = []
        let bytes = Array(text.utf8)
        var at = 0
        while at < bytes.count {
            let byte = bytes[at]
            switch byte {
            case 0x20, 0x09, 0x0A, 0x0D, 0x0C:
                at += 1
            case UInt8(ascii: "-") where at + 1 < bytes.count && bytes[at + 1] == UInt8(ascii: "-"):
                // A comment up to the end of its line.
                while at < bytes.count, bytes[at] != 0x0A { at += 1 }
            case UInt8(ascii: "/") where at + 1 < bytes.count && bytes[at + 1] == UInt8(ascii: "*"):
                guard let end = comment(bytes, from: at) else {
                    throw ConsoleError.invalidCommand(text, detail: "The comment at character \(at + 1) is left open: expected */.")
                }
                at = end
            case UInt8(ascii: "="):
                tokens.append(.equals)
                at += 1
            case UInt8(ascii: ","):
                tokens.append(.comma)
                at += 1
            case UInt8(ascii: ";"):
                tokens.append(.semicolon)
                at += 1
            case UInt8(ascii: "("):
                tokens.append(.open)
                at += 1
            case UInt8(ascii: ")"):
                tokens.append(.close)
                at += 1
            case UInt8(ascii: "\""), UInt8(ascii: "'"):
                guard let (content, end) = quoted(bytes, from: at) else {
                    throw ConsoleError.invalidCommand(
                        text, detail: "The quote at character \(at + 1) is left open: expected another \(Character(Unicode.Scalar(byte))).")
                }
                tokens.append(byte == UInt8(ascii: "'") ? .string(content) : .quoted(content))
                at = end
            case UInt8(ascii: "$"):
                let digits = bytes[(at + 1)...].prefix { (0x30...0x39).contains($0) }
                guard let number = Int(String(decoding: digits, as: UTF8.self)), (1...100).contains(number) else {
                    throw ConsoleError.invalidCommand(text, detail: "Character \(at + 1): expected $1 to $100.")
                }
                tokens.append(.parameter(number))
                at += 1 + digits.count
            default:
                let word = bytes[at...].prefix(while: isWordByte)
                guard !word.isEmpty else {
                    throw ConsoleError.invalidCommand(text, detail: "Character \(at + 1) is not expected here.")
                }
                tokens.append(.word(String(decoding: word, as: UTF8.self)))
                at += word.count
            }
        }
        return tokens
    }

    /// Where a comment ends; comments may hold others, as in PostgreSQL.
    private static func comment(_ bytes: [UInt8], from start: Int) -> Int? {
        var (at, depth) = (start, 0)
        while at + 1 < bytes.count {
            switch (bytes[at], bytes[at + 1]) {
            case (UInt8(ascii: "/"), UInt8(ascii: "*")):
                depth += 1
                at += 2
            case (UInt8(ascii: "*"), UInt8(ascii: "/")):
                depth -= 1
                at += 2
                if depth == 0 { return at }
            default: at += 1
            }
        }
        return nil
    }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x80...: true
        case UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "@"),
            UInt8(ascii: "/"), UInt8(ascii: ":"):
            true
        default: false
        }
    }

    /// What stands between two quotes, and where it ends; a doubled quote stands for one.
    private static func quoted(_ bytes: [UInt8], from start: Int) -> (String, Int)? {
        let quote = bytes[start]
        var content: [UInt8] = []
        var at = start + 1
        while at < bytes.count {
            if bytes[at] == quote {
                if at + 1 < bytes.count, bytes[at + 1] == quote {
                    at += 1
                } else {
                    return (String(decoding: content, as: UTF8.self), at + 1)
                }
            }
            content.append(bytes[at])
            at += 1
        }
        return nil
    }
}
