import CLibpq

/// The rows of an answer, as text.
public struct QueryResult: Sendable, Equatable {
    /// A column of the answer.
    public struct Column: Sendable, Equatable {
        /// The name as the server gave it.
        public let name: String
        /// The type's number in `pg_type`.
        public let type: UInt32

        /// Describes a column.
        public init(name: String, type: UInt32) {
            self.name = name
            self.type = type
        }

        /// Whether values are numbers: smallint, integer, bigint, oid, real, double precision or numeric.
        public var isNumeric: Bool { [20, 21, 23, 26, 700, 701, 1700].contains(type) }
    }

    /// The columns; empty for a command without rows.
    public var columns: [Column] = []
    /// The rows; nil stands for NULL.
    public var rows: [[String?]] = []
    /// The command tag, such as `SELECT 3` or `PAUSE`.
    public var tag = ""

    /// An empty answer.
    public init() {}

    init(_ result: OpaquePointer) {
        let width = PQnfields(result)
        columns = (0..<width).map { column in
            Column(name: PQfname(result, column).map { String(cString: $0) } ?? "", type: PQftype(result, column))
        }
        let height = PQntuples(result)
        rows.reserveCapacity(Int(height))
        for row in 0..<height {
            rows.append(
                (0..<width).map { column in
                    guard PQgetisnull(result, row, column) == 0, let value = PQgetvalue(result, row, column) else { return nil }
                    let bytes = UnsafeRawBufferPointer(start: value, count: Int(PQgetlength(result, row, column)))
                    return String(decoding: bytes, as: UTF8.self)
                })
        }
        tag = PQcmdStatus(result).map { String(cString: $0) } ?? ""
    }

    /// The position of a column, nil when there is none of that name.
    public func index(of name: String) -> Int? { columns.firstIndex { $0.name == name } }

    /// The values of one row by the names of their columns; NULLs are missing.
    public func record(_ row: Int) -> [String: String] {
        var record: [String: String] = [:]
        for (column, value) in zip(columns, rows[row]) where value != nil { record[column.name] = value }
        return record
    }

    /// All rows as `record` gives them.
    public var records: [[String: String]] { rows.indices.map(record) }
}
