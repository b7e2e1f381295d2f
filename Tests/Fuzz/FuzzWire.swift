// Fuzzes the room PostgresWire with libFuzzer; run.sh compiles this file together with the room's sources and Harness.swift.

/// The parts that can be tried, each with its properties.
enum FuzzTarget: String, CaseIterable {
    case frames, readers, errors, startup, options, deallocate, text

    func run(_ bytes: [UInt8]) {
        switch self {
        case .frames: fuzzFrames(bytes)
        case .readers: fuzzReaders(bytes)
        case .errors: fuzzErrors(bytes)
        case .startup: fuzzStartup(bytes)
        case .options: fuzzOptions(bytes)
        case .deallocate: fuzzDeallocate(bytes)
        case .text: fuzzText(bytes)
        }
    }
}

/// The complete frames of a stream, and whether it is malformed after them.
private func frames(_ bytes: [UInt8]) -> ([Frame], malformed: Bool) {
    var found: [Frame] = []
    var offset = 0
    while true {
        switch peekFrame(bytes.span, at: offset) {
        case .malformed: return (found, true)
        case .short: return (found, false)
        case .frame(let frame):
            check(frame.length >= 5, "a frame has a header")
            guard offset + frame.length <= bytes.count else { return (found, false) }
            found.append(frame)
            offset += frame.length
        }
    }
}

private func fuzzText(_ bytes: [UInt8]) {
    let text = String(decoding: bytes.span, in: 0..<bytes.count)
    check(text.messageBytes == bytes, "a text gives the bytes that it was made of")
    check(!text.printable.utf8.contains(0xF4) || bytes.contains(0xF4), "only what came is shown")
}

/// The first byte chooses where the rest is cut.
private func fuzzFrames(_ input: [UInt8]) {
    guard let first = input.first else { return }
    let bytes = Array(input.dropFirst())
    let whole = frames(bytes)
    let total = whole.0.reduce(0) { $0 + $1.length }
    check(total <= bytes.count, "frames never exceed the input")
    let head = frames(Array(bytes[..<(bytes.count * Int(first) / 255)]))
    let consumed = head.0.reduce(0) { $0 + $1.length }
    let tail = frames(Array(bytes[consumed...]))
    check(head.0 + tail.0 == whole.0, "a split stream has the same frames")
    check(head.malformed ? whole.malformed : tail.malformed == whole.malformed, "a split stream fails where the whole does")
}

/// The first byte is how many bytes of the body are missing, halved, or lie after it, when odd.
private func fuzzReaders(_ input: [UInt8]) {
    guard let first = input.first else { return }
    let bytes = Array(input.dropFirst())
    let shift = Int(first / 2)
    let body = first % 2 == 0 ? 0..<bytes.count + shift : 0..<max(0, bytes.count - shift)
    let span = bytes.span
    func inside(_ ranges: Range<Int>...) {
        check(body.upperBound <= bytes.count, "a body that is not all there is not read")
        for range in ranges { check(body.contains(range.lowerBound) || range.isEmpty, "a range begins in the body") }
        for range in ranges { check(range.upperBound <= body.upperBound, "a range ends in the body") }
    }
    var writer = MessageWriter()
    if let parse = ParseMessage.read(span, body: body) {
        inside(parse.name, parse.tail)
        check(ParseMessage.query(span, tail: parse.tail) != nil, "a tail that was read has a query")
        writer.parse(name: [UInt8](copying: span, in: parse.name), tail: [UInt8](copying: span, in: parse.tail))
        check(writer.bytes.dropFirst(5).elementsEqual(bytes[body]), "Parse is written as it was read")
    }
    writer.removeAll()
    switch BindMessage.read(span, body: body) {
    case .malformed: break
    case .needMore: check(body.upperBound > bytes.count, "Bind wants no more than its body")
    case .names(let portal, let statement, let rest):
        check(rest <= bytes.count && rest <= body.upperBound, "the rest of Bind begins in the body")
        let name = [UInt8](copying: span, in: statement)
        writer.bindHeader(span, portal: portal, statement: name, restLength: body.upperBound - rest)
        check(writer.bytes.dropFirst(5).elementsEqual(bytes[..<rest]), "Bind is written as it was read")
        check(peekFrame(writer.bytes.span, at: 0) == .frame(Frame(type: Frontend.bind, length: body.count + 5)), "Bind keeps its length")
    }
    if let target = TargetMessage.read(span, body: body) { inside(target.name) }
    if let execute = ExecuteMessage.read(span, body: body) { inside(execute.portal) }
    if let query = QueryText.read(span, body: body) { inside(query) }
    if let tag = CommandTag.read(span, body: body) { inside(tag) }
    if let parameter = ParameterStatusMessage.read(span, body: body) { inside(parameter.name, parameter.value) }
    writer.removeAll()
    if let key = BackendKeyDataMessage.read(span, body: body) {
        inside(body)
        writer.backendKeyData(key)
        check(writer.bytes.dropFirst(5).elementsEqual(bytes[body]), "BackendKeyData is written as it was read")
    }
    if ReadyForQueryMessage.read(span, body: body) != nil { check(body.count == 1, "ReadyForQuery has one byte") }
    if let negotiation = NegotiateProtocolVersionMessage.read(span, body: body) {
        inside(body)
        check(negotiation.unrecognized.count <= body.count, "no more names than bytes")
    }
    switch AuthenticationMessage.read(span, body: body) {
    case .gssContinue(let data), .saslContinue(let data), .saslFinal(let data): inside(data)
    case .sasl(let mechanisms): check(mechanisms.count <= body.count, "no more mechanisms than bytes")
    default: break
    }
    if let end = firstNUL(span, in: body) {
        inside(end..<end + 1)
        check(bytes[..<end].allSatisfy { $0 != 0 } && bytes[end] == 0, "the first NUL is the first")
    } else {
        check(body.upperBound > bytes.count || !bytes[body].contains(0), "a NUL is found")
    }
}

private func fuzzErrors(_ bytes: [UInt8]) {
    guard let fields = ErrorFields.read(bytes.span, body: 0..<bytes.count) else { return }
    var first = MessageWriter()
    first.error(fields)
    guard let again = ErrorFields.read(first.bytes.span, body: 5..<first.bytes.count) else {
        fatalError("broken property: what was written can be read")
    }
    check(again == fields, "fields are read as they were written")
    var second = MessageWriter()
    second.error(again)
    check(first.bytes == second.bytes, "encoding is stable")
}

/// The first byte chooses how much has arrived.
private func fuzzStartup(_ input: [UInt8]) {
    guard let first = input.first else { return }
    let bytes = Array(input.dropFirst())
    let whole = StartupRequest.parse(bytes.span, limit: 10_000)
    let prefix = Array(bytes[..<(bytes.count * Int(first) / 255)])
    switch (StartupRequest.parse(prefix.span, limit: 10_000), whole) {
    case (.needMore, _), (.malformed, .malformed), (.brokenCancel, .brokenCancel): break
    case (.complete(_, let early), .complete(_, let length)): check(early == length, "more bytes do not change a request")
    default: fatalError("broken property: more bytes do not change the result")
    }
    guard case .complete(let request, let length) = whole else { return }
    check(length <= bytes.count, "a request never exceeds the input")
    var writer = MessageWriter()
    switch request {
    case .startup(let packet):
        let options = packet.options.map { [("options", $0)] } ?? []
        let parameters = packet.parameters + packet.protocolOptions + options
        writer.startup(minor: packet.minor, parameters: parameters)
        guard case .complete(.startup(let again), writer.bytes.count) = StartupRequest.parse(writer.bytes.span, limit: .max) else {
            fatalError("broken property: what was written can be read")
        }
        let read = again.parameters + again.protocolOptions + (again.options.map { [("options", $0)] } ?? [])
        check(read.elementsEqual(parameters, by: ==), "parameters are read as they were written")
    case .cancel(let key):
        writer.cancelRequest(key: key)
        check(writer.bytes.elementsEqual(bytes[..<length]), "a cancel request is written as it was read")
    case .directTLS: check(length == 0, "TLS keeps its bytes")
    case .ssl, .gssEncryption: check(length == 8, "a request for encryption has eight bytes")
    case .oldProtocol, .unknownProtocol: break
    }
}

private func fuzzOptions(_ bytes: [UInt8]) {
    guard let settings = try? StartupOptions.parse(String(decoding: bytes, as: UTF8.self)) else { return }
    var options = ""
    for setting in settings {
        check(!setting.name.isEmpty, "no setting is without a name")
        check(!setting.name.utf8.contains(UInt8(ascii: "-")), "a name has no hyphen")
        options += "-c "
        for scalar in "\(setting.name)=\(setting.value)".unicodeScalars { options.unicodeScalars += ["\\", scalar] }
        options += " "
    }
    guard let again = try? StartupOptions.parse(options) else { fatalError("broken property: what was written can be read") }
    check(again.elementsEqual(settings, by: ==), "settings are read as they were written")
}

private func fuzzDeallocate(_ bytes: [UInt8]) {
    let range = 0..<bytes.count
    for escapes in [false, true] {
        guard let found = DeallocatedNames.read(bytes.span, range, escapes: escapes) else { continue }
        check(!found.all.isEmpty && found.all.allSatisfy { $0.index < found.statements }, "names have their places among the statements")
        check(found.statements <= bytes.count, "a statement has at least one byte")
    }
    guard let statement = DeallocateStatement.parse(bytes.span, range) else { return }
    func quoted(_ name: String) -> String {
        check((1...63).contains(name.messageBytes.count), "a name has 1 to 63 bytes, in whatever encoding it came")
        return "\"" + String(name.unicodeScalars.flatMap { $0 == "\"" ? [$0, $0] : [$0] }.map(Character.init)) + "\""
    }
    let text =
        switch statement {
        case .name(let name): "DEALLOCATE " + quoted(name)
        case .all: "DEALLOCATE ALL"
        case .discardAll: "DISCARD ALL"
        }
    let written = text.messageBytes
    check(DeallocateStatement.parse(written.span, 0..<written.count) == statement, "a statement is read as it was written")
}
