/// What a statement may change of that which the meaning of a later Parse depends on: settings, temporary objects, the transaction.
public enum StatementEffect: Hashable, Sendable {
    /// A setting gets a value.
    public enum Value: Hashable, Sendable {
        case literal(String)
        /// Back to what it is without a SET.
        case standard
        /// Not to be read from the text.
        case unknown
    }

    /// The name of what SET SESSION CHARACTERISTICS changes, which is more than one setting.
    public static let characteristics = "session characteristics"

    /// SET, RESET or `set_config` of one setting; the name in lower case.
    case setting(name: String, Value, isLocal: Bool)
    /// RESET ALL.
    case resetAll
    /// It was RESET before it got a value (`OwnDefaults`), which its client is told.
    case isTaggedReset
    /// The client has not sent it (`OwnDefaults`), and hears nothing of it.
    case isAdded
    /// It is a DO block with the word DEALLOCATE in it.
    case dropsNames
    /// Any setting may have been changed until the transaction ends: DO, CALL, EXECUTE, `set_config` of a name that is no literal.
    case anySetting
    /// There may be a temporary object. `isLasting`: it may outlive the transaction.
    case temporary(isLasting: Bool)
    /// The catalogue has changed, or may have: DDL that is not about temporary objects, DO, CALL.
    case catalogue
    /// PREPARE.
    case prepare
    /// PREPARE, EXECUTE or DEALLOCATE of a name that is the pooler's own.
    case reservedName(String)
    /// COMMIT, ROLLBACK and their like; ROLLBACK TO SAVEPOINT, too.
    case transactionEnd
}

/// The effects of the statements of a text, in their order.
public struct StatementEffects: Equatable, Sendable {
    /// One effect. A statement may have several.
    public struct One: Equatable, Sendable {
        public let effect: StatementEffect
        /// How many statements stand ahead of it, empty ones not counted: so many command tags come before its own.
        public let index: Int
    }

    public private(set) var all: [One] = []
    /// The text ends transactions only, which matters where something in them was changed.
    public var isOnlyEnd: Bool { all.allSatisfy { $0.effect == .transactionEnd } }

    /// Those of a text that can't be read.
    public static let notRead = StatementEffects(all: [One(effect: .anySetting, index: 0)])

    /// With this the pooler's own names of statements begin.
    public static let reservedPrefix = "SLUICE_"

    /// So many are kept of one text; a text that has more may change anything.
    private static let most = 100

    /// The effects of the text in `range`. `escapes`: a backslash escapes in ordinary strings (`standard_conforming_strings = off`).
    public static func read(_ bytes: Span<UInt8>, _ range: Range<Int>, escapes: Bool) -> StatementEffects {
        guard bytes.holds(range) else { return StatementEffects() }
        var tokens = SQLTokens(bytes.extracting(range), escapes: escapes)
        var found = StatementEffects()
        var calls = Calls()
        var index = 0
        var isStart = true
        // The first effect of the statement, and how many words of ON COMMIT DROP were just read.
        var (first, words) = (0, 0)
        while found.all.count <= most {
            let token = tokens.next()
            switch token {
            case .end:
                return found
            case .broken:
                // PostgreSQL refuses such a text, or it is not what it seems.
                found.add(.anySetting, index)
                return found
            case .semicolon:
                if !isStart { index += 1 }
                isStart = true
            default:
                if isStart {
                    isStart = false
                    (first, words) = (found.all.count, 0)
                    found.begin(token, &tokens, index)
                    continue
                }
                switch (words, token) {
                case (_, .word("on")): words = 1
                case (1, .word("commit")): words = 2
                case (2, .word("drop")): found.endTemporary(from: first)
                default: words = 0
                }
                found.inside(token, &tokens, index, &calls)
            }
        }
        return found
    }

    /// The statement that has these effects says ON COMMIT DROP.
    private mutating func endTemporary(from first: Int) {
        for place in all.indices.dropFirst(first) where all[place].effect == .temporary(isLasting: true) {
            all[place] = One(effect: .temporary(isLasting: false), index: all[place].index)
        }
    }

    private mutating func add(_ effect: StatementEffect, _ index: Int) {
        if all.count == Self.most {
            all.append(One(effect: .anySetting, index: index))
        } else if all.count < Self.most {
            all.append(One(effect: effect, index: index))
        }
    }

    // MARK: One statement

    private mutating func begin(_ first: SQLToken, _ tokens: inout SQLTokens, _ index: Int) {
        switch first {
        case .word("set"):
            let wasReset = OwnDefaults.isMarked(tokens, OwnDefaults.resetMark)
            let wasAdded = OwnDefaults.isMarked(tokens, OwnDefaults.addedMark)
            add(Self.set(&tokens), index)
            if wasReset { add(.isTaggedReset, index) }
            if wasAdded { add(.isAdded, index) }
        case .word("reset"):
            add(Self.reset(&tokens), index)
        case .word("do"), .word("call"):
            add(.anySetting, index)
            add(.catalogue, index)
            if first == .word("do"), Self.mentionsDeallocate(tokens) { add(.dropsNames, index) }
        case .word("execute"):
            add(.anySetting, index)
            addReserved(&tokens, index)
        case .word("deallocate"):
            let place = tokens.index
            if tokens.next() != .word("prepare") { tokens.index = place }
            addReserved(&tokens, index)
        case .word("create"):
            if !Self.isTemporary(tokens) { add(.catalogue, index) }
        case .word("alter"), .word("drop"), .word("grant"), .word("revoke"), .word("import"), .word("security"), .word("reassign"):
            add(.catalogue, index)
        case .word("commit"), .word("end"), .word("rollback"), .word("abort"):
            add(.transactionEnd, index)
        case .word("prepare"):
            let place = tokens.index
            if tokens.next() == .word("transaction") {
                add(.transactionEnd, index)
            } else {
                tokens.index = place
                add(.prepare, index)
                addReserved(&tokens, index)
            }
        default:
            break
        }
    }

    /// Whether the rest of the statement has the word in it, whatever stands around it.
    private static func mentionsDeallocate(_ tokens: SQLTokens) -> Bool {
        let word = Array("deallocate".utf8)
        var index = tokens.index
        var behind = tokens
        behind.skipStatement()
        while index + word.count <= behind.index {
            // Setting bit 5 makes capitals small.
            if tokens.text[index] | 0x20 == word[0], word.indices.allSatisfy({ tokens.text[index + $0] | 0x20 == word[$0] }) { return true }
            index += 1
        }
        return false
    }

    /// Without taking the name, which may be that of something else.
    private mutating func addReserved(_ tokens: inout SQLTokens, _ index: Int) {
        let place = tokens.index
        if case .quoted(let name) = tokens.next(), name.hasPrefix(Self.reservedPrefix) { add(.reservedName(name), index) }
        tokens.index = place
    }

    /// What follows CREATE.
    private static func isTemporary(_ tokens: SQLTokens) -> Bool {
        var tokens = tokens
        while true {
            switch tokens.next() {
            case .word("or"), .word("replace"), .word("local"), .word("global"): continue
            case .word("temp"), .word("temporary"): return true
            default: return false
            }
        }
    }

    private mutating func inside(
        _ token: SQLToken, _ tokens: inout SQLTokens, _ index: Int, _ calls: inout Calls
    ) {
        switch token {
        case .word("set_config"), .quoted("set_config"):
            add(Self.setConfig(&tokens, &calls), index)
        case .word("temp"), .word("temporary"), .word("pg_temp"), .quoted("pg_temp"):
            add(.temporary(isLasting: true), index)
        default:
            break
        }
    }

    /// What follows SET.
    private static func set(_ tokens: inout SQLTokens) -> StatementEffect {
        var isLocal = false
        var token = tokens.next()
        if token == .word("local") || token == .word("session") {
            let place = tokens.index
            let next = tokens.next()
            switch (token, next) {
            case (.word("session"), .word("characteristics")):
                return .setting(name: StatementEffect.characteristics, .unknown, isLocal: false)
            case (.word("session"), .word("authorization")):
                // The role goes with it, to a value that depends on who logged in.
                return .setting(name: "role", .unknown, isLocal: false)
            case (_, .equalsSign), (_, .word("to")), (_, .dot):
                tokens.index = place
            default:
                isLocal = token == .word("local")
                token = next
            }
        }
        switch token {
        case .word("transaction"), .word("constraints"):
            return .setting(name: "transaction", .unknown, isLocal: true)
        case .word("session") where isLocal:
            return .setting(name: "role", .unknown, isLocal: true)
        case .word("role"):
            // SET role TO x is the same.
            let place = tokens.index
            let next = tokens.next()
            if next != .word("to"), next != .equalsSign { tokens.index = place }
            let value = value(&tokens, isList: false)
            return .setting(name: "role", value, isLocal: isLocal)
        case .word("names"):
            return .setting(name: "client_encoding", value(&tokens, isList: false), isLocal: isLocal)
        case .word("schema"):
            return .setting(name: "search_path", value(&tokens, isList: true), isLocal: isLocal)
        case .word("time"):
            guard tokens.next() == .word("zone") else { return .anySetting }
            let value = value(&tokens, isList: false)
            return .setting(name: "timezone", value == .literal("local") ? .standard : value, isLocal: isLocal)
        case .word("xml"):
            guard tokens.next() == .word("option") else { return .anySetting }
            return .setting(name: "xmloption", value(&tokens, isList: false), isLocal: isLocal)
        case .word(let first), .quoted(let first):
            var name = first.lowercased()
            var next = tokens.next()
            while next == .dot {
                switch tokens.next() {
                case .word(let more), .quoted(let more): name += "." + more.lowercased()
                default: return .anySetting
                }
                next = tokens.next()
            }
            guard next == .word("to") || next == .equalsSign else { return .anySetting }
            return .setting(name: name, value(&tokens, isList: name == "search_path"), isLocal: isLocal)
        default:
            return .anySetting
        }
    }

    /// A value, or several with commas between them. `isList`: of names, which PostgreSQL puts into quotes.
    private static func value(_ tokens: inout SQLTokens, isList: Bool) -> StatementEffect.Value {
        var parts: [String] = []
        while true {
            switch tokens.next() {
            case .word("default") where parts.isEmpty:
                return isEnd(tokens) ? .standard : .unknown
            case .word(let text), .quoted(let text):
                parts.append(isList ? quoted(text) : text)
            case .string(let text?):
                parts.append(isList ? quoted(text) : text)
            case .number(let text):
                parts.append(text)
            case .symbol(UInt8(ascii: "-")):
                guard case .number(let text) = tokens.next() else { return .unknown }
                parts.append("-" + text)
            default:
                return .unknown
            }
            let place = tokens.index
            guard tokens.next() == .comma else {
                tokens.index = place
                return isEnd(tokens) ? .literal(parts.joined(separator: ", ")) : .unknown
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

    /// As PostgreSQL keeps a name in a list.
    private static func quoted(_ name: String) -> String {
        var isPlain = !name.isEmpty
        for (index, byte) in name.utf8.enumerated() {
            switch byte {
            case 0x61...0x7A, 0x5F: break
            case 0x30...0x39 where index > 0: break
            default: isPlain = false
            }
        }
        return isPlain ? name : "\"\(name.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\""))\""
    }

    private static func reset(_ tokens: inout SQLTokens) -> StatementEffect {
        switch tokens.next() {
        case .word("all"): return .resetAll
        case .word("session"): return .setting(name: "role", .unknown, isLocal: false)
        case .word("time"): return .setting(name: "timezone", .standard, isLocal: false)
        case .word(let name), .quoted(let name): return .setting(name: name.lowercased(), .standard, isLocal: false)
        default: return .anySetting
        }
    }

    /// `set_config('name', 'value', true)`: what stands behind the word.
    private static func setConfig(_ tokens: inout SQLTokens, _ calls: inout Calls) -> StatementEffect {
        guard tokens.next() == .opening, case .string(let name?) = tokens.next(),
            tokens.next() == .comma
        else { return .anySetting }
        let unknown = StatementEffect.setting(name: name.lowercased(), .unknown, isLocal: false)
        guard case .string(let value?) = tokens.next(), tokens.next() == .comma
        else { return unknown }
        let isLocal = tokens.next()
        guard isLocal == .word("true") || isLocal == .word("false"), tokens.next() == .closing else {
            return unknown
        }
        // Where and how often it runs is not known: only the value alone is certain.
        let isAlone = calls.isAlone(tokens)
        return .setting(name: name.lowercased(), isAlone ? .literal(value) : .unknown, isLocal: isLocal == .word("true"))
    }

    /// What was found behind a call of `set_config`.
    private struct Calls {
        /// How far was read, and whether there was nothing but other calls. The same holds for each of them, so that a text with many is read
        /// ahead once.
        private var end = 0
        private var areAlone = false

        /// Nothing follows but the next call, so that it runs once.
        mutating func isAlone(_ tokens: SQLTokens) -> Bool {
            guard tokens.index >= end else { return areAlone }
            var tokens = tokens
            areAlone = Self.passCalls(&tokens)
            end = tokens.index
            return areAlone
        }

        private static func passCalls(_ tokens: inout SQLTokens) -> Bool {
            while true {
                switch tokens.next() {
                case .end, .semicolon: return true
                case .comma: guard passCall(&tokens) else { return false }
                default: return false
                }
            }
        }

        private static func passCall(_ tokens: inout SQLTokens) -> Bool {
            var next = tokens.next()
            if next == .word("pg_catalog") {
                guard tokens.next() == .dot else { return false }
                next = tokens.next()
            }
            guard next == .word("set_config") else { return false }
            while true {
                switch tokens.next() {
                case .closing: return true
                case .string, .number, .word, .opening, .comma, .symbol(UInt8(ascii: "$")): continue
                default: return false
                }
            }
        }
    }
}
