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
        guard let own = OwnDefaults.replace(bytes, text, escapes: escapes, value: { startup.literal(of: $0) }) else { return nil }
        var writer = MessageWriter()
        writer.message(frame.type, bytes, body: body, replacing: text, by: own.bytes)
        return (writer.bytes, own.shifts)
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

    /// Plain names with commas between them, as SET would write them.
    private static func names(in list: String) -> String? {
        var names: [String] = []
        for part in list.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
            var name = part
            if !names.isEmpty {
                guard name.first == UInt8(ascii: " ") else { return nil }
                name = name.dropFirst()
            }
            if name.count > 2, name.first == UInt8(ascii: "\""), name.last == UInt8(ascii: "\"") {
                name = name.dropFirst().dropLast()
                // Not in need of them, or with quotes of its own.
                if isPlain(name) || name.contains(UInt8(ascii: "\"")) { return nil }
            } else if !isPlain(name) {
                return nil
            }
            names.append(ParameterChange.quoted(String(Substring(name))))
        }
        return names.joined(separator: ", ")
    }

    private static func isPlain(_ name: Substring.UTF8View) -> Bool {
        guard let first = name.first, !(0x30...0x39).contains(first) else { return false }
        return name.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5F }
    }
}
