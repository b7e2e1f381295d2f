import Bytes
import Configuration
import PoolCore
import PostgresWire

/// What a startup packet means under the configuration in force.
///
/// Clients of one application send the same packet over and over; a storm of short connections is the common case. So the outcome of
/// reading it is kept, together with the greeting that follows the password, and the next client with the same bytes starts from
/// there.
final class LoginTemplate {
    /// Name of the login user.
    let user: String
    /// The name that the client asked for.
    let databaseName: String
    /// Nil when there is no such database, which is told only after the password was right.
    let database: Database?
    /// A stream of the server's log instead of queries.
    let replication: ReplicationMode?
    /// Run-time parameters of the packet, those of `options` included, in order, with their names as they came.
    let parameters: [Parameter]
    /// What is wrong with the parameters.
    let refusal: PoolerError?
    /// NegotiateProtocolVersion, if one is due.
    let negotiation: [UInt8]
    /// From protocol 3.2 on.
    let takesLongKeys: Bool
    let limits: CapacityLedger.ClientLimits
    /// Which configuration it was made under. A login may take a minute, and a reload may come meanwhile.
    let configurationNumber: Int
    /// What the user list says about the user; nil when it does not know the name.
    let credential: Credential?
    /// The pool, once the first client with this packet has got so far.
    var shard: PoolShard?
    var welcome: Welcome?

    /// The greeting of the pool with the client's own parameters in it.
    struct Welcome {
        let greeting: SharedPool.Greeting
        let parameters: ParameterSet
        /// The ParameterStatus messages.
        let messages: [UInt8]
        let idleSessionTimeout: Int64
    }

    init(
        user: String, databaseName: String, database: Database?, replication: ReplicationMode?, parameters: [Parameter],
        refusal: PoolerError?, negotiation: [UInt8], takesLongKeys: Bool,
        limits: CapacityLedger.ClientLimits, configurationNumber: Int, credential: Credential?
    ) {
        self.user = user
        self.databaseName = databaseName
        self.database = database
        self.replication = replication
        self.parameters = parameters
        self.refusal = refusal
        self.negotiation = negotiation
        self.takesLongKeys = takesLongKeys
        self.limits = limits
        self.configurationNumber = configurationNumber
        self.credential = credential
    }
}

extension LoginTemplate {
    /// The `idle_session_timeout` of the packet, in microseconds. Nil: there is none, or one that only PostgreSQL can read.
    var idleSessionTimeout: Int64? {
        parameters.last { Self.isIdleSessionTimeout($0) }.flatMap { SessionTimeout.microseconds($0.value) }
    }

    static func isIdleSessionTimeout(_ parameter: Parameter) -> Bool { parameter.key == "idle_session_timeout" }

    /// What the client calls itself.
    var applicationName: String? { parameters.last { $0.key == "application_name" }?.value }
}

/// The templates of one worker, by the bytes of the packet. All are void when the configuration changes.
struct LoginTemplates {
    private struct Entry {
        let packet: [UInt8]
        let template: LoginTemplate
    }

    private var entries: [UInt64: Entry] = [:]

    /// Packets that are kept; more than that many different ones come from clients that differ in each connection.
    private static let limit = 256
    /// Longer packets are rare, and would make the table large.
    private static let longestPacket = 1024

    /// The template for the packet at the start of `bytes` and the packet's length; nil when it is not known, or not whole.
    func find(_ bytes: Span<UInt8>) -> (template: LoginTemplate, length: Int)? {
        guard !entries.isEmpty, let length = Self.length(bytes) else { return nil }
        let packet = bytes.extracting(..<length)
        guard let entry = entries[BytesHash.of(packet)], entry.packet.hasSameBytes(as: packet) else { return nil }
        return (entry.template, length)
    }

    mutating func remember(_ template: LoginTemplate, for bytes: Span<UInt8>) {
        guard let length = Self.length(bytes) else { return }
        if entries.count >= Self.limit { entries.removeAll(keepingCapacity: true) }
        let packet = bytes.extracting(..<length)
        entries[BytesHash.of(packet)] = Entry(packet: [UInt8](copying: packet), template: template)
    }

    mutating func removeAll() { entries = [:] }

    private static func length(_ bytes: Span<UInt8>) -> Int? {
        guard let word = readUInt32(bytes, at: 0), word > 8, word <= longestPacket, bytes.count >= word else { return nil }
        return Int(word)
    }
}
