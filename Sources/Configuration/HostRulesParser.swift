extension HostRules {
    /// Reads an HBA file. A line that is not understood is skipped with a warning, as PgBouncer does; the others count.
    ///
    /// - Parameters:
    ///   - file: its name, for the warnings.
    ///   - read: reads the files of names that `@` leads to; relative names are relative to the working directory.
    public init(parsing bytes: [UInt8], file: String, read: @escaping FileReader) {
        var lines = AccessFileLines(bytes)
        while let line = lines.next() {
            do throws(InvalidValue) {
                var parser = HostRuleParser(line: line, number: lines.number, read: read)
                rules.append(try parser.rule())
            } catch {
                warnings.append("\(file):\(lines.number): hba: \(error.message); the line is skipped")
            }
        }
    }
}

/// Reads one line.
private struct HostRuleParser {
    var line: AccessFileLine
    let number: Int
    let read: FileReader

    /// Files of names may lead to others; this ends those that lead to themselves.
    private static let maximumDepth = 10

    mutating func rule() throws(InvalidValue) -> HostRule {
        let kinds = HostRule.Connection.allCases.map(\.rawValue)
        guard let kind = try line.single("connection type") else { throw missing("connection type") }
        guard !kind.isQuoted, let connection = HostRule.Connection(rawValue: kind.text) else {
            throw InvalidValue("unknown connection type \"\(kind.text)\": expected \(ValueSyntax.oneOf(kinds))")
        }
        guard let databaseWords = try line.field() else { throw missing("database") }
        let databases = try databaseNames(databaseWords, depth: 0)
        guard let userWords = try line.field() else { throw missing("user") }
        let users = try userNames(userWords, depth: 0)
        let range = connection == .local ? nil : try addressRange()
        let method = try method()
        var rule = HostRule(connection: connection, databases: databases, users: users, range: range, method: method, line: number)
        if method == .ldap {
            let options = try line.rest()
            _ = try LDAPOptions(parsing: options)
            rule.ldapOptions = options
        } else {
            while let option = try line.single("option") { try apply(option, to: &rule) }
        }
        return rule
    }

    private func missing(_ what: String) -> InvalidValue { InvalidValue("the \(what) is missing") }

    // MARK: Names

    private func databaseNames(_ words: [AccessFileWord], depth: Int) throws(InvalidValue) -> HostRule.Names {
        var names = HostRule.Names()
        for word in words {
            if word.isKeyword("all") {
                names.isAll = true
            } else if word.isKeyword("sameuser") {
                names.isSameUser = true
            } else if word.isKeyword("replication") {
                names.isReplication = true
            } else if word.isKeyword("samerole") || word.isKeyword("samegroup") || isGroup(word) {
                throw InvalidValue("\"\(word.text)\" is not supported: the pooler does not know who is a member of which role")
            } else if let path = includedFile(word) {
                let more = try databaseNames(try self.words(of: path, depth: depth), depth: depth + 1)
                names.names.formUnion(more.names)
                names.isAll = names.isAll || more.isAll
                names.isSameUser = names.isSameUser || more.isSameUser
                names.isReplication = names.isReplication || more.isReplication
            } else {
                names.names.insert(try name(word, "database", limit: 63))
            }
        }
        return names
    }

    private func userNames(_ words: [AccessFileWord], depth: Int) throws(InvalidValue) -> HostRule.Names {
        var names = HostRule.Names()
        for word in words {
            if word.isKeyword("all") {
                names.isAll = true
            } else if isGroup(word) {
                throw InvalidValue("\"\(word.text)\" is not supported: the pooler does not know who is a member of which role")
            } else if let path = includedFile(word) {
                let more = try userNames(try self.words(of: path, depth: depth), depth: depth + 1)
                names.names.formUnion(more.names)
                names.isAll = names.isAll || more.isAll
            } else {
                names.names.insert(try name(word, "user", limit: Names.maximumUserBytes))
            }
        }
        return names
    }

    private func isGroup(_ word: AccessFileWord) -> Bool { !word.isQuoted && word.text.hasPrefix("+") }

    private func includedFile(_ word: AccessFileWord) -> String? {
        !word.isQuoted && word.text.hasPrefix("@") ? String(word.text.dropFirst()) : nil
    }

    private func name(_ word: AccessFileWord, _ what: String, limit: Int) throws(InvalidValue) -> String {
        guard word.text.utf8.count <= limit else { throw InvalidValue("the \(what) name is longer than \(limit) bytes") }
        guard !word.text.isEmpty else { throw InvalidValue("the \(what) name is empty") }
        return word.text
    }

    /// Names in a file stand between white space or commas, on any number of lines.
    private func words(of path: String, depth: Int) throws(InvalidValue) -> [AccessFileWord] {
        guard !path.isEmpty else { throw InvalidValue("a file name is missing after @") }
        guard depth < Self.maximumDepth else { throw InvalidValue("files of names are nested deeper than \(Self.maximumDepth) levels") }
        let bytes: [UInt8]
        do throws(ConfigurationError) { bytes = try read(path) } catch { throw InvalidValue(error.description) }
        var lines = AccessFileLines(bytes)
        var words: [AccessFileWord] = []
        while var line = lines.next() {
            while let field = try line.field() { words += field }
        }
        return words
    }

    // MARK: Address

    private mutating func addressRange() throws(InvalidValue) -> NetworkRange? {
        guard let word = try line.single("address") else { throw missing("address") }
        if word.isKeyword("all") { return nil }
        if word.isKeyword("samehost") || word.isKeyword("samenet") { throw InvalidValue("address \"\(word.text)\" is not supported") }
        let parts = word.text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let address = NetworkAddress(text: String(first)) else {
            throw InvalidValue(
                "\"\(word.text)\" is not an address: expected all, ADDRESS/BITS or ADDRESS MASK, for host names are not looked up")
        }
        if parts.count == 2 {
            guard (1...3).contains(parts[1].utf8.count), parts[1].utf8.allSatisfy({ (48...57).contains($0) }), let bits = Int(parts[1]),
                let range = NetworkRange(address, prefix: bits)
            else {
                throw InvalidValue("\"\(word.text)\" has a wrong mask: expected a number of bits from 0 to \(address.bytes.count * 8)")
            }
            return range
        }
        guard let maskWord = try line.single("mask") else { throw missing("mask after \"\(word.text)\"") }
        guard let mask = NetworkAddress(text: maskWord.text), let range = NetworkRange(address, mask: mask) else {
            throw InvalidValue("\"\(maskWord.text)\" is not a mask for \(word.text)")
        }
        return range
    }

    // MARK: Method

    private mutating func method() throws(InvalidValue) -> HostMethod {
        guard let word = try line.single("method") else { throw missing("method") }
        guard !word.isQuoted, let method = HostMethod(rawValue: word.text) else {
            throw InvalidValue(
                "unknown method \"\(word.text)\": expected \(ValueSyntax.oneOf(HostMethod.allCases.map(\.rawValue).sorted()))")
        }
        return method
    }

    private func apply(_ option: AccessFileWord, to rule: inout HostRule) throws(InvalidValue) {
        let parts = option.text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0] == "map", rule.method == .cert || rule.method == .peer else {
            throw InvalidValue("unknown option \"\(option.text)\" of method \(rule.method.rawValue)")
        }
        guard !parts[1].isEmpty else { throw InvalidValue("map= has no name") }
        rule.map = String(parts[1])
    }
}
