/// The fields of ErrorResponse and NoticeResponse, in the order in which they came or will go.
///
/// PostgreSQL documentation, section "Error and Notice Message Fields".
public struct ErrorFields: Hashable, Sendable {
    /// One field: a letter that says what it is, and its text.
    public struct Field: Hashable, Sendable {
        public let letter: UInt8
        public var value: String

        public init(letter: UInt8, value: String) {
            self.letter = letter
            self.value = value
        }
    }

    /// The letters that the accessors below use.
    public enum Letter {
        public static let severity: UInt8 = 0x53  // S
        public static let nonlocalizedSeverity: UInt8 = 0x56  // V
        public static let code: UInt8 = 0x43  // C
        public static let message: UInt8 = 0x4D  // M
        public static let detail: UInt8 = 0x44  // D
        public static let hint: UInt8 = 0x48  // H
        public static let position: UInt8 = 0x50  // P
    }

    public private(set) var fields: [Field]

    public init(fields: [Field] = []) {
        self.fields = fields
    }

    /// The fields of an error that the pooler itself reports, with the severity in both of its forms.
    public init(severity: String, code: String, message: String, detail: String? = nil, hint: String? = nil) {
        self.init()
        self.severity = severity
        self.nonlocalizedSeverity = severity
        self.code = code
        self.message = message
        self.detail = detail
        self.hint = hint
    }

    /// The first field with this letter. Setting replaces it, appends a new one, or with nil removes all of the letter.
    public subscript(letter: UInt8) -> String? {
        get { fields.first { $0.letter == letter }?.value }
        set {
            guard let newValue else { return fields.removeAll { $0.letter == letter } }
            if let index = fields.firstIndex(where: { $0.letter == letter }) {
                fields[index].value = newValue
            } else {
                fields.append(Field(letter: letter, value: newValue))
            }
        }
    }

    /// ERROR, FATAL, PANIC, WARNING, NOTICE, DEBUG, INFO or LOG, perhaps in the server's language.
    public var severity: String? {
        get { self[Letter.severity] }
        set { self[Letter.severity] = newValue }
    }

    /// The severity in English; PostgreSQL sends it since 9.6.
    public var nonlocalizedSeverity: String? {
        get { self[Letter.nonlocalizedSeverity] }
        set { self[Letter.nonlocalizedSeverity] = newValue }
    }

    /// The SQLSTATE. Some servers and middlemen leave it out.
    public var code: String? {
        get { self[Letter.code] }
        set { self[Letter.code] = newValue }
    }

    public var message: String? {
        get { self[Letter.message] }
        set { self[Letter.message] = newValue }
    }

    public var detail: String? {
        get { self[Letter.detail] }
        set { self[Letter.detail] = newValue }
    }

    public var hint: String? {
        get { self[Letter.hint] }
        set { self[Letter.hint] = newValue }
    }

    /// Where in the query the error lies, in characters from 1.
    public var position: String? {
        get { self[Letter.position] }
        set { self[Letter.position] = newValue }
    }

    /// Reads a body. Any set of fields will do, and what follows the closing NUL is passed over; nil when a field or the
    /// closing NUL is missing.
    public static func read(_ bytes: Span<UInt8>, body: Range<Int>) -> ErrorFields? {
        guard bytes.holds(body) else { return nil }
        var fields: [Field] = []
        var start = body.lowerBound
        while start < body.upperBound {
            let letter = bytes[start]
            if letter == 0 { return ErrorFields(fields: fields) }
            guard let end = firstNUL(bytes, in: start + 1..<body.upperBound) else { return nil }
            fields.append(Field(letter: letter, value: String(decoding: bytes, in: start + 1..<end)))
            start = end + 1
        }
        return nil
    }
}
