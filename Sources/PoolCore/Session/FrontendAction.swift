/// What becomes of a client's message on its way to the server.
public enum FrontendAction: Sendable {
    case forward
    /// Sent as it is, with a Flush behind it.
    case forwardAndFlush
    /// Sent as it is, with these messages ahead of it.
    case forwardBehind([UInt8])
    /// Not sent: the server does not need it, or would throw it away.
    case drop
    /// A Bind: sent with the statement's server name in place of what stands in `name`, and `rest` of the message as it is.
    case bind(serverName: [UInt8], portal: Range<Int>, rest: Int)
    /// A Describe of a statement: sent with its server name.
    case describe(serverName: [UInt8])
    /// A Parse: sent with this name in place of its own, and from `tail` on as it is. Then come these messages.
    case parse(serverName: [UInt8], tail: Int, then: [UInt8])
    /// These messages are sent in its place.
    case send([UInt8])
    /// Statements are closed, one is parsed on the server under this name, and described; the message itself is to be judged again then.
    case ahead(close: [[UInt8]], parse: Statement?, name: [UInt8], describes: Bool = false)
    /// A statement is parsed on the server with these messages around it; the message itself is to be judged again then.
    case within(before: [UInt8], parse: Statement, name: [UInt8], after: [UInt8])
    /// Neither sent nor used up, and to be judged again when the gate is open; these bytes are sent.
    case wait([UInt8])
    case terminate
    case refuse(PoolerError)
}
