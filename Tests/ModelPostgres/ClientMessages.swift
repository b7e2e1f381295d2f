import PostgresWire

/// A message of a client, or an answer of a server, as one array.
public typealias Message = [UInt8]

public func compose(_ write: (inout MessageWriter) -> Void) -> Message {
    var writer = MessageWriter()
    write(&writer)
    return writer.bytes
}

public func query(_ text: String) -> Message { compose { $0.query(text) } }
public func parse(_ name: String, _ text: String) -> Message { compose { $0.parse(name: name, query: text) } }
public func bind(_ statement: String, portal: String = "", _ values: String...) -> Message {
    compose { $0.bind(portal: portal, statement: statement, parameters: values) }
}
public func describe(_ statement: String) -> Message { compose { $0.describe(statement: statement) } }
public func describePortal(_ portal: String) -> Message { compose { $0.describe(portal: portal) } }
public func closeStatement(_ statement: String) -> Message { compose { $0.close(statement: statement) } }
public func execute(_ portal: String = "", rows: UInt32 = 0) -> Message { compose { $0.execute(portal: portal, maximumRows: rows) } }
public func copyData(_ text: String) -> Message { compose { $0.copyData(Array(text.utf8)) } }
public let sync = compose { $0.sync() }
public let flush = compose { $0.flush() }
public let copyDone = compose { $0.copyDone() }
public let copyFail = compose { $0.copyFail(message: "no more") }
