/// What a client sends. PostgreSQL documentation, section "Message Formats" (F).
extension MessageWriter {
    /// StartupMessage. A parameter without a name would end the list and is left out.
    public mutating func startup(major: UInt16 = 3, minor: UInt16 = 0, parameters: [(name: String, value: String)]) {
        let start = bytes.count
        word(0)
        half(major)
        half(minor)
        for parameter in parameters where !parameter.name.utf8.prefix(while: { $0 != 0 }).isEmpty {
            text(parameter.name)
            text(parameter.value)
        }
        bytes.append(0)
        end(start)
    }

    /// CancelRequest.
    public mutating func cancelRequest(key: CancelKey) {
        let start = bytes.count
        word(0)
        word(StartupCode.cancelRequest)
        word(key.processID)
        bytes.append(contentsOf: key.secret)
        end(start)
    }

    /// SSLRequest.
    public mutating func sslRequest() {
        word(8)
        word(StartupCode.sslRequest)
    }

    /// GSSENCRequest.
    public mutating func gssEncryptionRequest() {
        word(8)
        word(StartupCode.gssEncryptionRequest)
    }

    /// Query.
    public mutating func query(_ statement: String) {
        let start = begin(Frontend.query)
        text(statement)
        end(start)
    }

    /// Parse with a tail from `ParseMessage.read`.
    @inlinable
    public mutating func parse(name: String, tail: [UInt8]) {
        let start = begin(Frontend.parse)
        text(name)
        bytes.append(contentsOf: tail)
        end(start)
    }

    /// Parse with a name as bytes and a tail from `ParseMessage.read`.
    @inlinable
    public mutating func parse(name: [UInt8], tail: [UInt8]) {
        let start = begin(Frontend.parse)
        text(name)
        bytes.append(contentsOf: tail)
        end(start)
    }

    /// Parse with a name as bytes and a tail that lies elsewhere.
    @inlinable
    public mutating func parse(name: [UInt8], tail: Span<UInt8>) {
        let start = begin(Frontend.parse)
        text(name)
        bytes.append(copying: tail, in: tail.indices)
        end(start)
    }

    /// Parse with a tail that still lies in the buffer it was read from.
    @inlinable
    public mutating func parse(name: String, _ source: Span<UInt8>, tail: Range<Int>) {
        let start = begin(Frontend.parse)
        text(name)
        bytes.append(copying: source, in: tail)
        end(start)
    }

    /// A message of this type whose body is the one in `body`, with other words in place of those in `range`.
    public mutating func message(_ type: UInt8, _ source: Span<UInt8>, body: Range<Int>, replacing range: Range<Int>, by words: [UInt8]) {
        let start = begin(type)
        raw(source, body.lowerBound..<range.lowerBound)
        bytes += words
        raw(source, range.upperBound..<body.upperBound)
        end(start)
    }

    /// Parse. At most 65,535 types are written, as the protocol allows.
    public mutating func parse(name: String, query: String, types: [UInt32] = []) {
        let start = begin(Frontend.parse)
        text(name)
        text(query)
        half(UInt16(clamping: types.count))
        for type in types.prefix(Int(UInt16.max)) { word(type) }
        end(start)
    }

    /// The header and the names of a Bind whose `restLength` further bytes follow from elsewhere.
    ///
    /// The portal's name stays as it lies in `source`, the statement's name changes, and what `BindMessage.read` calls the
    /// rest is passed on untouched.
    @inlinable
    public mutating func bindHeader(_ source: Span<UInt8>, portal: Range<Int>, statement: String, restLength: Int) {
        let start = begin(Frontend.bind)
        text(source, portal)
        text(statement)
        end(start, following: restLength)
    }

    /// The same with the statement's name as bytes.
    @inlinable
    public mutating func bindHeader(_ source: Span<UInt8>, portal: Range<Int>, statement: [UInt8], restLength: Int) {
        let start = begin(Frontend.bind)
        text(source, portal)
        text(statement)
        end(start, following: restLength)
    }

    /// Bind with text parameters, nil for NULL, and text results.
    public mutating func bind(portal: String = "", statement: String, parameters: [String?] = []) {
        let start = begin(Frontend.bind)
        text(portal)
        text(statement)
        half(0)
        values(parameters)
        half(0)
        end(start)
    }

    /// Describe a statement.
    @inlinable
    public mutating func describe(statement: String) { target(Frontend.describe, .statement, statement) }

    /// Describe a portal.
    public mutating func describe(portal: String) { target(Frontend.describe, .portal, portal) }

    /// Close a statement.
    @inlinable
    public mutating func close(statement: String) { target(Frontend.close, .statement, statement) }

    /// Close a portal.
    public mutating func close(portal: String) { target(Frontend.close, .portal, portal) }

    @inlinable
    mutating func target(_ type: UInt8, _ kind: Target, _ name: String) {
        let start = begin(type)
        bytes.append(kind.rawValue)
        text(name)
        end(start)
    }

    /// Execute.
    public mutating func execute(portal: String = "", maximumRows: UInt32 = 0) {
        let start = begin(Frontend.execute)
        text(portal)
        word(maximumRows)
        end(start)
    }

    /// Sync.
    @inlinable
    public mutating func sync() { empty(Frontend.sync) }

    /// Flush.
    @inlinable
    public mutating func flush() { empty(Frontend.flush) }

    /// Terminate.
    @inlinable
    public mutating func terminate() { empty(Frontend.terminate) }

    /// PasswordMessage: a password in clear or the answer to an MD5 request.
    public mutating func password(_ password: String) {
        let start = begin(Frontend.password)
        text(password)
        end(start)
    }

    /// PasswordMessage with bytes in the client's own encoding.
    public mutating func password(_ password: [UInt8]) {
        let start = begin(Frontend.password)
        text(password)
        end(start)
    }

    /// SASLInitialResponse; without data the length is -1.
    public mutating func saslInitialResponse(mechanism: String, data: [UInt8]?) {
        let start = begin(Frontend.password)
        text(mechanism)
        word(data.map { UInt32(clamping: $0.count) } ?? .max)
        bytes.append(contentsOf: data ?? [])
        end(start)
    }

    /// SASLResponse.
    public mutating func saslResponse(_ data: [UInt8]) {
        let start = begin(Frontend.password)
        bytes.append(contentsOf: data)
        end(start)
    }

    /// CopyFail.
    public mutating func copyFail(message: String) {
        let start = begin(Frontend.copyFail)
        text(message)
        end(start)
    }

    /// CopyData, which both sides send.
    public mutating func copyData(_ data: [UInt8]) {
        let start = begin(Frontend.copyData)
        bytes.append(contentsOf: data)
        end(start)
    }

    /// CopyDone, which both sides send.
    public mutating func copyDone() { empty(Frontend.copyDone) }
}
