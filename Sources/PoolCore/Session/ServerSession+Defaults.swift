import PostgresWire

/// RESET and DEFAULT of what a client brought, on a server that has it from a SET and not from its own login.
extension ServerSession {
    /// Judges a Query or Parse that asks for values of its client's start, with the values that the client brought in their places. Nil: it asks
    /// for none.
    @inline(never)
    mutating func judgeWithValues(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, client: inout ClientSession, rules: Rules, table: StatementTable
    ) -> FrontendAction? {
        guard let (own, shifts) = withOwnDefaults(frame, bytes, at: offset, client), case .frame(let frame) = peekFrame(own.span, at: 0)
        else { return nil }
        let action =
            frame.type == Frontend.query
            ? judgeQuery(frame, own.span, at: 0, client: &client, rules: rules)
            : judgeParse(frame, own.span, at: 0, client: &client, rules: rules, table: table)
        hasOwnDefaults = true
        switch action {
        case .forward:
            // Nothing else is outstanding: it may change what comes behind it.
            if frame.type == Frontend.query { queryShifts = shifts }
            return .send(own)
        case .forwardAndFlush:
            var writer = MessageWriter()
            writer.flush()
            return .send(own + writer.bytes)
        case .forwardBehind(let messages):
            queryShifts = shifts
            return .send(messages + own)
        case .parse(let serverName, let tail, let more):
            var writer = MessageWriter()
            writer.parse(name: serverName, tail: own.span.extracting(tail...))
            return .send(writer.bytes + more)
        default:
            // Nothing of the message itself is sent, or it is judged again.
            return action
        }
    }

    /// The message with the values that its client brought, where it asks for those of its start. Nil: it does not.
    @inline(never)
    private func withOwnDefaults(
        _ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, _ client: borrowing ClientSession
    ) -> (message: [UInt8], shifts: [OwnDefaults.Shift])? {
        guard isShared, let startup = client.startup, frame.length <= bytes.count - offset else { return nil }
        let body = frame.body(at: offset)
        let text: Range<Int>
        switch frame.type {
        case Frontend.query:
            guard let found = QueryText.read(bytes, body: body) else { return nil }
            text = found
        case Frontend.parse:
            guard let (_, tail) = ParseMessage.read(bytes, body: body), let found = ParseMessage.query(bytes, tail: tail) else {
                return nil
            }
            text = found
        default:
            return nil
        }
        guard OwnDefaults.mayBe(in: bytes, text) else { return nil }
        let escapes = parameters["standard_conforming_strings"].map { $0 == "off" } ?? false
        let own = OwnDefaults.replace(
            bytes, text, escapes: escapes, all: { startup.defaults.map(\.name) }, value: { startup.literal(of: $0) })
        guard let own else { return nil }
        var writer = MessageWriter()
        writer.message(frame.type, bytes, body: body, replacing: text, by: own.bytes)
        return (writer.bytes, own.shifts)
    }

    /// The Execute of a portal that is RESET ALL: what its client has brought is set behind it, for what follows in the batch. Nil: it has
    /// brought nothing that can be set so.
    mutating func executeResetAll(
        _ message: Span<UInt8>, _ effects: [StatementEffect], client: borrowing ClientSession
    ) -> FrontendAction? {
        guard isShared, let startup = client.startup else { return nil }
        let own = startup.defaults.filter { startup.literal(of: $0.name) != nil }
        guard !own.isEmpty else { return nil }
        let settings = own.map { StatementEffect.setting(name: $0.name, .literal($0.value), isLocal: false) }
        ledger.owe(.execute, .forward, note: note(.effects(effects + settings)))
        var writer = MessageWriter()
        let sets = run(own.map { ParameterChange.set($0).sql })
        if watchesCopy {
            gate = .untilSettled
            writer.flush()
        }
        return .send(Array(copying: message) + sets + writer.bytes)
    }

    /// The error of a query, with the place where it is in the text that the client has sent. Nil: it tells none.
    func unshifted(_ frame: Frame, _ bytes: Span<UInt8>, at offset: Int) -> BackendAction? {
        guard var fields = ErrorFields.read(bytes, body: frame.body(at: offset)), let position = fields[Self.position].flatMap({ Int($0) })
        else { return nil }
        fields[Self.position] = String(OwnDefaults.position(position, before: queryShifts))
        var writer = MessageWriter()
        writer.error(fields)
        return .replace(writer.bytes)
    }

    /// The field of an error that tells a place in the query's text.
    private static let position = UInt8(ascii: "P")
}

extension ParameterSet {
    /// What RESET ALL goes back to, the names in lower case. It passes over the role.
    var defaults: [Parameter] {
        let all = reported.map { Parameter(name: $0.key, value: $0.value) } + unreported
        return all.filter { $0.name != "role" && $0.name != "session_authorization" }
    }

    /// The value of a setting in SQL, so that SET makes of it the same text; nil: there is none, or SET writes it in another way. The name is in
    /// lower case.
    func literal(of key: String) -> String? {
        guard let value = self[key] ?? unreported.first(where: { $0.name.hasSameBytes(as: key) })?.value,
            value.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F })
        else { return nil }
        return Self.lists.contains(key) ? Self.names(in: value) : ParameterChange.quoted(value)
    }

    /// SET puts each of their values into quotes where it has to.
    private static let lists: Set<String> = ["search_path", "temp_tablespaces"]

    /// The names of a list, each by itself, as PostgreSQL reads them (`SplitIdentifierString`). SET may write the list in another way: an
    /// empty one becomes `""`, which names no schema either. Nil: it is none.
    private static func names(in list: String) -> String? {
        var rest = Substring(list).utf8[...]
        var names: [String] = []
        func skipBlanks() { rest = rest.drop { $0 == 0x20 } }
        skipBlanks()
        if rest.isEmpty { return "''" }
        while true {
            var name: [UInt8] = []
            if rest.first == UInt8(ascii: "\"") {
                rest = rest.dropFirst()
                while let byte = rest.popFirst() {
                    if byte == UInt8(ascii: "\"") {
                        guard rest.first == byte else { break }
                        rest = rest.dropFirst()
                    } else if rest.isEmpty {
                        return nil
                    }
                    name.append(byte)
                }
            } else {
                while let byte = rest.first, byte != UInt8(ascii: ","), byte != 0x20 {
                    name.append((0x41...0x5A).contains(byte) ? byte | 0x20 : byte)
                    rest = rest.dropFirst()
                }
                if name.isEmpty { return nil }
            }
            names.append(ParameterChange.quoted(String(decoding: name, as: UTF8.self)))
            skipBlanks()
            guard let comma = rest.popFirst() else { return names.joined(separator: ", ") }
            guard comma == UInt8(ascii: ",") else { return nil }
            skipBlanks()
        }
    }
}
