import Bytes

/// How a password is checked against a directory: `auth_ldap_options`, or what follows `ldap` in an HBA rule. The names and their
/// meaning are those of PostgreSQL's `ldap` method.
public struct LDAPOptions: Sendable, Hashable {
    /// How deep a search goes.
    public enum Scope: String, Sendable, CaseIterable {
        case base, one, sub
    }

    /// `ldapserver`: names or addresses, separated by blanks.
    public var servers: [String] = []
    /// `ldapport`; nil means the scheme's own, 389 or 636.
    public var port: Int?
    /// `ldapscheme=ldaps`: TLS from the first byte.
    public var usesLDAPS = false
    /// `ldaptls=1`: the connection turns to TLS by StartTLS.
    public var startsTLS = false
    /// `ldapprefix`: stands before the user name in the name to bind as.
    public var prefix: String?
    /// `ldapsuffix`: stands after it.
    public var suffix: String?
    /// `ldapbasedn`: where the search for the user begins. Its presence chooses search and bind.
    public var baseDN: String?
    /// `ldapbinddn`: who searches; nil means anonymous.
    public var bindDN: String?
    /// `ldapbindpasswd`: the password of that one. Secret: not for logs.
    public var bindPassword: String?
    /// `ldapsearchattribute`; nil means `uid`.
    public var searchAttribute: String?
    /// `ldapsearchfilter`, in which `$username` stands for the user.
    public var searchFilter: String?
    /// The scope of `ldapurl`.
    public var scope = Scope.sub

    /// Reads `name=value` pairs that are separated by blanks or commas. A value, or a pair, may stand in double quotes, where two of them mean
    /// one.
    public init(parsing text: String) throws(InvalidValue) {
        for pair in try Self.pairs(text) { try apply(pair.name, pair.value) }
        if let conflict = searchesAndBindsDirectly { throw InvalidValue(conflict) }
        guard !servers.isEmpty else { throw InvalidValue("ldapserver is missing: expected it, or ldapurl") }
        guard baseDN != nil || prefix != nil || suffix != nil else {
            throw InvalidValue("ldapbasedn, ldapprefix or ldapsuffix is missing: one of them tells how a user name becomes an entry")
        }
        guard searchAttribute == nil || searchFilter == nil else {
            throw InvalidValue("ldapsearchattribute and ldapsearchfilter do not go together")
        }
        if let searchAttribute, !Self.isAttribute(searchAttribute) {
            throw InvalidValue(
                "ldapsearchattribute \"\(searchAttribute)\": expected the name of an attribute, of letters, digits, '-', '.' and ';'")
        }
    }

    /// Whether this can be the description of an attribute (RFC 4512, section 2.5); else it could change the filter that it stands in.
    private static func isAttribute(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                    UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: ";"):
                    true
                default: false
                }
            }
    }

    private var searchesAndBindsDirectly: String? {
        let isSearch = baseDN != nil || bindDN != nil || bindPassword != nil || searchAttribute != nil || searchFilter != nil
        guard isSearch, prefix != nil || suffix != nil else { return nil }
        return "ldapprefix and ldapsuffix do not go together with ldapbasedn, ldapbinddn, ldapbindpasswd, ldapsearchattribute, "
            + "ldapsearchfilter and ldapurl"
    }

    private mutating func apply(_ name: String, _ value: String) throws(InvalidValue) {
        switch name {
        case "ldapserver": servers = value.utf8.split(separator: 0x20).map { String(decoding: Array($0), as: UTF8.self) }
        case "ldapport": port = try ValueSyntax.integer(value, in: 1...65535)
        case "ldapscheme":
            guard value == "ldap" || value == "ldaps" else { throw InvalidValue("ldapscheme \"\(value)\": expected ldap or ldaps") }
            usesLDAPS = value == "ldaps"
        case "ldaptls": startsTLS = try ValueSyntax.boolean(value)
        case "ldapprefix": prefix = value
        case "ldapsuffix": suffix = value
        case "ldapbasedn": baseDN = value
        case "ldapbinddn": bindDN = value
        case "ldapbindpasswd": bindPassword = value
        case "ldapsearchattribute": searchAttribute = value
        case "ldapsearchfilter": searchFilter = value
        case "ldapurl": try applyURL(value)
        default: throw InvalidValue("unknown LDAP option \"\(name)\"")
        }
    }

    /// `ldap[s]://host[:port]/basedn[?[attribute][?[scope][?[filter]]]]` (RFC 4516, as far as PostgreSQL takes it).
    private mutating func applyURL(_ url: String) throws(InvalidValue) {
        let rest: Substring
        if url.hasPrefix("ldap://") {
            rest = url.dropFirst(7)
        } else if url.hasPrefix("ldaps://") {
            rest = url.dropFirst(8)
            usesLDAPS = true
        } else {
            throw InvalidValue("ldapurl: expected ldap:// or ldaps://")
        }
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        try applyHost(rest[..<slash])
        guard slash < rest.endIndex else { return }
        let parts = rest[rest.index(after: slash)...].split(separator: "?", omittingEmptySubsequences: false)
        guard parts.count <= 4 else { throw InvalidValue("ldapurl: extensions are not supported") }
        let texts = try parts.map { (part) throws(InvalidValue) -> String in try Self.unescaped(part) }
        if let base = texts.first, !base.isEmpty { baseDN = base }
        if texts.count > 1, !texts[1].isEmpty { searchAttribute = texts[1] }
        if texts.count > 2, !texts[2].isEmpty {
            guard let scope = Scope(rawValue: texts[2]) else { throw InvalidValue("ldapurl: unknown scope \"\(texts[2])\"") }
            self.scope = scope
        }
        if texts.count > 3, !texts[3].isEmpty { searchFilter = texts[3] }
    }

    private mutating func applyHost(_ host: Substring) throws(InvalidValue) {
        var name = host
        // An IPv6 address has colons of its own and stands in brackets.
        let searchFrom = host.lastIndex(of: "]") ?? host.startIndex
        if let colon = host[searchFrom...].lastIndex(of: ":") {
            port = try ValueSyntax.integer(String(host[host.index(after: colon)...]), in: 1...65535)
            name = host[..<colon]
        }
        guard !name.isEmpty else { throw InvalidValue("ldapurl: the host is missing") }
        servers = [String(name)]
    }

    private static func unescaped(_ text: Substring) throws(InvalidValue) -> String {
        var bytes: [UInt8] = []
        var left = Array(text.utf8)[...]
        while let byte = left.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = left.popFirst().flatMap(Hexadecimal.value), let low = left.popFirst().flatMap(Hexadecimal.value),
                high + low > 0
            else { throw InvalidValue("ldapurl: % is not followed by two hexadecimal digits") }
            bytes.append(high << 4 | low)
        }
        guard let result = String(validating: bytes, as: UTF8.self) else { throw InvalidValue("ldapurl is not valid UTF-8") }
        return result
    }

    /// The pairs, and the bytes of the text that each stands in.
    static func pairs(_ text: String) throws(InvalidValue) -> [(name: String, value: String, source: Range<Int>)] {
        guard text.utf8.count <= maximumBytes else { throw InvalidValue("the LDAP options are longer than \(maximumBytes) bytes") }
        var words: [[UInt8]] = []
        var sources: [Range<Int>] = []
        var isInWord = false
        var isQuoted = false
        var afterQuote = false
        let bytes = Array(text.utf8)
        for (offset, byte) in bytes.enumerated() {
            let isBetween = isBlank(byte) || (byte == UInt8(ascii: ",") && beginsOption(bytes[(offset + 1)...]))
            if isBetween, !isQuoted {
                isInWord = false
                afterQuote = false
                continue
            }
            if !isInWord {
                words.append([])
                sources.append(offset..<offset)
                isInWord = true
            }
            sources[sources.count - 1] = sources[sources.count - 1].lowerBound..<offset + 1
            if byte == UInt8(ascii: "\"") {
                // The second of two quotes inside quotes is one that is meant.
                if !isQuoted, afterQuote { words[words.count - 1].append(byte) }
                isQuoted.toggle()
                afterQuote = !isQuoted
                continue
            }
            afterQuote = false
            words[words.count - 1].append(byte)
        }
        guard !isQuoted else { throw InvalidValue("a quote in the LDAP options is not closed") }
        var pairs: [(name: String, value: String, source: Range<Int>)] = []
        for (word, source) in zip(words, sources) {
            guard let equals = word.firstIndex(of: UInt8(ascii: "=")), equals > 0, !word.contains(0) else {
                // Not repeated: it may be the rest of a password with a blank in it.
                throw InvalidValue("what has no name is no LDAP option: expected name=value; a value with blanks needs double quotes")
            }
            pairs.append(
                (String(decoding: word[..<equals], as: UTF8.self), String(decoding: word[(equals + 1)...], as: UTF8.self), source))
        }
        return pairs
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }

    /// A comma stands in most values. One with the name of an option behind it stands between two, as PostgreSQL takes them.
    private static func beginsOption(_ bytes: ArraySlice<UInt8>) -> Bool {
        var left = bytes.drop(while: isBlank)
        if left.first == UInt8(ascii: "\"") { left = left.dropFirst() }
        guard let equals = left.prefix(32).firstIndex(of: UInt8(ascii: "=")) else { return false }
        return names.contains(String(decoding: left[..<equals], as: UTF8.self))
    }

    private static let names: Set<String> = [
        "ldapserver", "ldapport", "ldapscheme", "ldaptls", "ldapprefix", "ldapsuffix", "ldapbasedn", "ldapbinddn", "ldapbindpasswd",
        "ldapsearchattribute", "ldapsearchfilter", "ldapurl",
    ]

    /// PgBouncer's limit is 1023; an HBA line is not limited there.
    private static let maximumBytes = 8192
}

extension LDAPOptions {
    /// Where to connect, as `ldap_initialize` takes it: one URI for each server, separated by blanks.
    public var uris: String {
        let scheme = usesLDAPS ? "ldaps" : "ldap"
        return servers.map { server in
            let isBareIPv6 = server.utf8.contains(UInt8(ascii: ":")) && !server.hasPrefix("[")
            let host = isBareIPv6 ? "[\(server)]" : server
            return "\(scheme)://\(host):\(port ?? (usesLDAPS ? 636 : 389))"
        }.joined(separator: " ")
    }

    /// The entry to bind as, where no search is needed.
    public func bindName(user: String) -> String { (prefix ?? "") + user + (suffix ?? "") }

    /// The filter that finds a user. What has a meaning in filters is escaped in the name (RFC 4515, section 3).
    public func filter(user: String) -> String {
        let name = Self.escaped(user)
        if let searchFilter { return Self.replacing("$username", with: name, in: searchFilter) }
        return "(\(searchAttribute ?? "uid")=\(name))"
    }

    private static func escaped(_ name: String) -> String {
        var result = ""
        for scalar in name.unicodeScalars {
            switch scalar {
            case "*": result += "\\2a"
            case "(": result += "\\28"
            case ")": result += "\\29"
            case "\\": result += "\\5c"
            case "\0": result += "\\00"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    private static func replacing(_ pattern: String, with replacement: String, in text: String) -> String {
        var result: [UInt8] = []
        var left = Array(text.utf8)[...]
        let wanted = Array(pattern.utf8)
        while let byte = left.first {
            if left.starts(with: wanted) {
                result += Array(replacement.utf8)
                left = left.dropFirst(wanted.count)
            } else {
                result.append(byte)
                left = left.dropFirst()
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}
