/// What a server sends. PostgreSQL documentation, section "Message Formats" (B).
extension MessageWriter {
    /// AuthenticationOk and its relatives.
    public mutating func authentication(_ request: AuthenticationRequest) {
        let start = begin(Backend.authentication)
        switch request {
        case .ok:
            word(0)
        case .cleartextPassword:
            word(3)
        case .md5Password(let salt):
            word(5)
            bytes.append(contentsOf: salt)
        case .sasl(let mechanisms):
            word(10)
            // An empty name would end the list.
            for mechanism in mechanisms where mechanism.utf8.first ?? 0 != 0 { text(mechanism) }
            bytes.append(0)
        case .saslContinue(let data):
            word(11)
            bytes.append(contentsOf: data)
        case .saslFinal(let data):
            word(12)
            bytes.append(contentsOf: data)
        }
        end(start)
    }

    /// ParameterStatus.
    public mutating func parameterStatus(name: String, value: String) {
        let start = begin(Backend.parameterStatus)
        text(name)
        text(value)
        end(start)
    }

    /// BackendKeyData.
    public mutating func backendKeyData(_ key: CancelKey) {
        let start = begin(Backend.backendKeyData)
        word(key.processID)
        bytes.append(contentsOf: key.secret)
        end(start)
    }

    /// BackendKeyData with a secret of four bytes.
    public mutating func backendKeyData(processID: UInt32, secret: UInt32) {
        let start = begin(Backend.backendKeyData)
        word(processID)
        word(secret)
        end(start)
    }

    /// ReadyForQuery.
    @inlinable
    public mutating func readyForQuery(_ status: TransactionStatus) {
        bytes.append(Backend.readyForQuery)
        word(5)
        bytes.append(status.rawValue)
    }

    /// ErrorResponse.
    public mutating func error(_ fields: ErrorFields) { encode(Backend.errorResponse, fields) }

    /// NoticeResponse.
    public mutating func notice(_ fields: ErrorFields) { encode(Backend.noticeResponse, fields) }

    private mutating func encode(_ type: UInt8, _ fields: ErrorFields) {
        let start = begin(type)
        // A field with the letter NUL would end the list.
        for field in fields.fields where field.letter != 0 {
            bytes.append(field.letter)
            text(field.value)
        }
        bytes.append(0)
        end(start)
    }

    /// ParseComplete.
    @inlinable
    public mutating func parseComplete() { empty(Backend.parseComplete) }

    /// BindComplete.
    @inlinable
    public mutating func bindComplete() { empty(Backend.bindComplete) }

    /// CloseComplete.
    @inlinable
    public mutating func closeComplete() { empty(Backend.closeComplete) }

    /// EmptyQueryResponse.
    public mutating func emptyQueryResponse() { empty(Backend.emptyQueryResponse) }

    /// NoData.
    public mutating func noData() { empty(Backend.noData) }

    /// PortalSuspended.
    public mutating func portalSuspended() { empty(Backend.portalSuspended) }

    /// CommandComplete.
    public mutating func commandComplete(_ tag: String) {
        let start = begin(Backend.commandComplete)
        text(tag)
        end(start)
    }

    /// NegotiateProtocolVersion for major version 3, which PostgreSQL writes into the word's upper half.
    public mutating func negotiateProtocolVersion(newestMinor: UInt16, unrecognized: [String] = []) {
        let start = begin(Backend.negotiateProtocolVersion)
        half(3)
        half(newestMinor)
        word(UInt32(clamping: unrecognized.count))
        for name in unrecognized { text(name) }
        end(start)
    }

    /// A column of `rowDescription`: its name and its type, of which the protocol wants the number and the size.
    public struct Column: Hashable, Sendable {
        public let name: String
        public let type: UInt32
        public let size: Int16

        public init(name: String, type: UInt32, size: Int16) {
            self.name = name
            self.type = type
            self.size = size
        }

        public static func text(_ name: String) -> Column { Column(name: name, type: 25, size: -1) }
        public static func integer(_ name: String) -> Column { Column(name: name, type: 23, size: 4) }
        public static func bigInteger(_ name: String) -> Column { Column(name: name, type: 20, size: 8) }
        public static func numeric(_ name: String) -> Column { Column(name: name, type: 1700, size: -1) }
    }

    /// RowDescription of columns that belong to no table and come as text.
    public mutating func rowDescription(_ columns: [Column]) {
        let start = begin(Backend.rowDescription)
        half(UInt16(clamping: columns.count))
        for column in columns.prefix(Int(UInt16.max)) {
            text(column.name)
            word(0)
            half(0)
            word(column.type)
            half(UInt16(bitPattern: column.size))
            word(.max)
            half(0)
        }
        end(start)
    }

    /// DataRow of text values, nil for NULL.
    public mutating func dataRow(_ row: [String?]) {
        let start = begin(Backend.dataRow)
        // The table is read by people and their tools.
        values(row.map { $0?.printable })
        end(start)
    }
}
