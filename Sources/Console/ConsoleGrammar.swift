import Configuration

/// Turns the text of a command into a `ConsoleCommand`, along the specifications of `CommandTable`.
public struct ConsoleGrammar {
    /// PgBouncer's limits, in bytes.
    static let verbLimit = 15
    static let argumentLimit = 63
    static let valueLimit = 255

    /// A text cut into words, in which values may still be missing.
    public struct Prepared: Sendable, Equatable {
        let text: String
        let tokens: [ConsoleToken]

        /// How many values Bind has to bring.
        public var parameterCount: Int {
            tokens.reduce(0) { most, token in
                if case .parameter(let number) = token { max(most, number) } else { most }
            }
        }

        /// The command with these values in their places.
        public func command(_ values: [String]) throws(ConsoleError) -> ConsoleCommand {
            var filled: [ConsoleToken] = []
            for token in tokens {
                guard case .parameter(let number) = token else {
                    filled.append(token)
                    continue
                }
                guard number <= values.count else { throw ConsoleError("there is no parameter $\(number)", code: "42P02") }
                filled.append(.string(values[number - 1]))
            }
            var grammar = ConsoleGrammar(text: text, tokens: filled)
            return try grammar.command()
        }
    }

    /// Cuts a text into words.
    public static func prepare(_ text: String) throws(ConsoleError) -> Prepared {
        Prepared(text: text, tokens: try ConsoleToken.list(of: text))
    }

    /// Understands a text without missing values.
    public static func parse(_ text: String) throws(ConsoleError) -> ConsoleCommand {
        try prepare(text).command([])
    }

    private let text: String
    private var tokens: ArraySlice<ConsoleToken>

    private init(text: String, tokens: [ConsoleToken]) {
        self.text = text
        self.tokens = tokens[...]
    }

    private func invalid(_ detail: String? = nil) -> ConsoleError { .invalidCommand(text, detail: detail) }

    /// The error about a word that is none, with what it may have been meant for.
    private func misspelt(_ word: String, among words: [String], command: (String) -> String) -> ConsoleError {
        let nearest = Names.nearest(to: word, among: words.map { $0.lowercased() })
        return .invalidCommand(text, hint: nearest.map { "Did you mean \(command($0.uppercased()))?" })
    }

    private mutating func command() throws(ConsoleError) -> ConsoleCommand {
        // One semicolon at the end is welcome.
        while tokens.last == .semicolon { tokens.removeLast() }
        guard let first = tokens.popFirst() else { return .empty }
        guard case .word(let word) = first else { throw invalid("Expected a command at the beginning.") }
        if tokens.contains(.semicolon) { throw invalid("Expected one command at a time.") }
        if let courtesy = try courtesy(word.uppercased()) { return courtesy }
        guard word.utf8.count <= Self.verbLimit, let specification = CommandTable.named(word) else {
            throw misspelt(word, among: CommandTable.all.map(\.verb.rawValue)) { $0 }
        }
        let command = try command(specification)
        guard tokens.isEmpty else { throw invalid(expected(specification)) }
        return command
    }

    private func expected(_ specification: CommandSpecification) -> String {
        "Expected " + specification.syntax.joined(separator: ", or ") + "."
    }

    private mutating func command(_ specification: CommandSpecification) throws(ConsoleError) -> ConsoleCommand {
        switch specification.argument {
        case .topic: return try show()
        case .assignment: return try assignment(specification)
        case .question: return try question(specification)
        case .none:
            return .reload
        case .setting:
            guard let key = try argument() else { throw invalid(expected(specification)) }
            return .reset(key: key.uppercased() == "ALL" ? nil : key.lowercased())
        case .clientID:
            guard let word = try argument() else { throw invalid(expected(specification)) }
            return .killClient(try clientID(word))
        case .shutdownMode:
            guard let word = try argument() else { return .shutdown(.atOnce) }
            switch word.uppercased() {
            case "WAIT_FOR_SERVERS": return .shutdown(.waitForServers)
            case "WAIT_FOR_CLIENTS": return .shutdown(.waitForClients)
            default: throw invalid(expected(specification))
            }
        case .database:
            guard let name = try argument() else { throw ConsoleError("a database is required") }
            return specification.verb == .disable ? .disable(name) : .enable(name)
        case .optionalDatabase:
            let name = try argument()
            switch specification.verb {
            case .pause: return .pause(name)
            case .resume: return .resume(name)
            case .reconnect: return .reconnect(name)
            case .kill: return .kill(name)
            default: return .waitClose(name)
            }
        }
    }

    /// One word or quoted name, if there is any.
    private mutating func argument(limit: Int = Self.argumentLimit) throws(ConsoleError) -> String? {
        // Drivers that put values into the text themselves write them as ('lab'::text).
        if tokens.first == .open {
            tokens.removeFirst()
            guard tokens.first != .open, let value = try argument(limit: limit), tokens.popFirst() == .close else {
                throw invalid("Expected one value between ( and ).")
            }
            return value
        }
        let value: String
        switch tokens.first {
        case .word(let word), .quoted(let word), .string(let word): value = word
        default: return nil
        }
        guard value.utf8.count <= limit else { throw invalid("An argument is longer than \(limit) bytes.") }
        let first = tokens.removeFirst()
        if case .string = first, case .word(let type) = tokens.first, type.hasPrefix("::") { tokens.removeFirst() }
        return value
    }

    private mutating func take(_ keyword: String) -> Bool {
        guard case .word(let word) = tokens.first, word.uppercased() == keyword else { return false }
        tokens.removeFirst()
        return true
    }

    private func clientID(_ text: String) throws(ConsoleError) -> UInt64 {
        let isHexadecimal = text.hasPrefix("0x")
        guard let id = isHexadecimal ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text) else {
            throw ConsoleError("invalid client pointer supplied", detail: "\"\(text)\" is no number: expected the id of SHOW CLIENTS.")
        }
        return id
    }

    // MARK: SHOW

    private mutating func show() throws(ConsoleError) -> ConsoleCommand {
        if tokens == [.word("1")] || tokens == [.word("SESSION"), .word("AUTHORIZATION")] {
            // A pool's way to ask whether the connection lives.
            defer { tokens = [] }
            return .showSession(tokens.count == 1 ? "?column?" : "session_authorization")
        }
        if take("TRANSACTION") {
            guard take("ISOLATION"), take("LEVEL") else { throw invalid() }
            return .showSession("transaction_isolation")
        }
        guard let word = try argument() else { throw invalid("Expected a topic.") }
        let name = word.lowercased()
        if name == "help" { return .help }
        if SessionParameters.shown[name] != nil { return .showSession(name) }
        guard let topic = ShowTopic.named(name) else {
            throw misspelt(name, among: ShowTopic.all.map { $0.name.uppercased() }) { "SHOW \($0)" }
        }
        return .show(topic: topic.name, try selection(of: topic.columns))
    }

    private mutating func selection(of columns: [Column]) throws(ConsoleError) -> Selection {
        var selection = Selection()
        if take("WHERE") {
            repeat {
                let column = try column(of: columns)
                guard tokens.popFirst() == .equals, let value = try argument(limit: Self.valueLimit) else {
                    throw invalid("WHERE: expected column = value.")
                }
                selection.conditions.append(.init(column: column, value: value))
            } while take("AND")
        }
        if take("ORDER") {
            guard take("BY") else { throw invalid("Expected ORDER BY.") }
            repeat {
                let column = try column(of: columns)
                let isDescending = take("DESC")
                if !isDescending { _ = take("ASC") }
                selection.orders.append(.init(column: column, isDescending: isDescending))
            } while takeComma()
        }
        return selection
    }

    private mutating func takeComma() -> Bool {
        guard tokens.first == .comma else { return false }
        tokens.removeFirst()
        return true
    }

    private mutating func column(of columns: [Column]) throws(ConsoleError) -> String {
        let name = try argument()?.lowercased()
        guard let name else { throw invalid("Expected a column.") }
        guard columns.contains(where: { $0.name == name }) else {
            throw ConsoleError(
                "no such column: \(name)", code: "42703",
                hint: "The columns are \(columns.map(\.name).joined(separator: ", ")).")
        }
        return name
    }

    // MARK: SET

    private mutating func assignment(_ specification: CommandSpecification) throws(ConsoleError) -> ConsoleCommand {
        let isOfSession = take("SESSION") || take("LOCAL")
        // SET SESSION CHARACTERISTICS AS TRANSACTION ...: what a driver believes of its transactions.
        if isOfSession, take("CHARACTERISTICS") { return setSession("transaction characteristics") }
        if take("TRANSACTION") { return setSession("transaction") }
        if take("NAMES") { return setSession("client_encoding") }
        if take("TIME") {
            guard take("ZONE") else { throw invalid(expected(specification)) }
            return setSession("timezone")
        }
        guard let key = try argument()?.lowercased() else { throw invalid(expected(specification)) }
        guard tokens.first == .equals || take("TO") else { throw invalid(expected(specification)) }
        if tokens.first == .equals { tokens.removeFirst() }
        let value = try argument(limit: Self.valueLimit)
        if SessionParameters.settable.contains(key) {
            // PostgreSQL takes lists there.
            return setSession(key)
        }
        guard let value else { throw invalid(expected(specification)) }
        return .set(key: key, value: value)
    }

    /// Whatever else stands there is PostgreSQL's business.
    private mutating func setSession(_ name: String) -> ConsoleCommand {
        tokens = []
        return .setSession(name)
    }

    // MARK: WHY

    private mutating func question(_ specification: CommandSpecification) throws(ConsoleError) -> ConsoleCommand {
        if take("CLIENT"), let word = try argument() {
            return .whyClient(try clientID(word), try selection(of: WaitReport.columns))
        }
        if take("POOL"), let database = try argument(), let user = try argument(limit: 127) {
            return .whyPool(database: database, user: user, try selection(of: WaitReport.columns))
        }
        throw invalid(expected(specification))
    }

    // MARK: Courtesies

    /// What drivers send around everything, whatever they are connected to.
    private mutating func courtesy(_ word: String) throws(ConsoleError) -> ConsoleCommand? {
        switch word {
        case "ROLLBACK" where tokens.contains(where: { if case .word(let word) = $0 { word.uppercased() == "TO" } else { false } }):
            tokens = []
            return .courtesy(tag: "ROLLBACK", .goOn)
        case "SAVEPOINT", "RELEASE":
            tokens = []
            return .courtesy(tag: word, nil)
        case "DEALLOCATE":
            _ = take("PREPARE")
            if take("ALL") { return .deallocate(nil) }
            let isPlain = if case .word = tokens.first { true } else { false }
            guard let name = try argument() else { throw invalid("Expected DEALLOCATE name, or DEALLOCATE ALL.") }
            // As in PostgreSQL, a name without quotes means its lower case.
            return .deallocate(isPlain ? name.lowercased() : name)
        case "BEGIN", "START":
            tokens = []
            return .courtesy(tag: word == "START" ? "START TRANSACTION" : "BEGIN", .begin)
        case "COMMIT", "END":
            tokens = []
            return .courtesy(tag: "COMMIT", .end)
        case "ROLLBACK", "ABORT":
            tokens = []
            return .courtesy(tag: "ROLLBACK", .end)
        case "DISCARD", "UNLISTEN":
            var tag = word
            if word == "DISCARD", case .word(let what) = tokens.first { tag += " " + what.uppercased() }
            tokens = []
            return .courtesy(tag: tag, nil)
        default:
            return nil
        }
    }
}
