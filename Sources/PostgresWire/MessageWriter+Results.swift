/// Results in the extended protocol, where the client chooses the format of each column.
extension MessageWriter {
    /// RowDescription of columns that belong to no table, each in its format: 0 text, 1 binary. Columns without a format are text.
    public mutating func rowDescription(_ columns: [Column], formats: [UInt16]) {
        let start = begin(Backend.rowDescription)
        half(UInt16(clamping: columns.count))
        for (index, column) in columns.prefix(Int(UInt16.max)).enumerated() {
            text(column.name)
            word(0)
            half(0)
            word(column.type)
            half(UInt16(bitPattern: column.size))
            word(.max)
            half(index < formats.count ? formats[index] : 0)
        }
        end(start)
    }

    /// DataRow of values in whatever format they are, nil for NULL.
    public mutating func dataRow(bytes row: [[UInt8]?]) {
        let start = begin(Backend.dataRow)
        half(UInt16(clamping: row.count))
        for value in row.prefix(Int(UInt16.max)) {
            guard let value else {
                word(.max)
                continue
            }
            word(UInt32(clamping: value.count))
            bytes.append(contentsOf: value)
        }
        end(start)
    }

    /// ParameterDescription: the type numbers of a statement's parameters.
    public mutating func parameterDescription(_ types: [UInt32]) {
        let start = begin(Backend.parameterDescription)
        half(UInt16(clamping: types.count))
        for type in types.prefix(Int(UInt16.max)) { word(type) }
        end(start)
    }
}
