/// The minor versions of protocol 3 that are spoken here. There is no 3.1: who asks for it is treated as in 3.0.
///
/// PostgreSQL documentation, section "Protocol Versions".
public enum ProtocolVersion {
    /// The newest one. All that it changes are the lengths of cancel keys.
    public static let newestMinor: UInt16 = 2
    /// The first one in which the secret of a cancel key may have another length than four bytes.
    public static let firstMinorOfLongKeys: UInt16 = 2
}

extension StartupPacket {
    /// The minor version that is spoken with this client: the one it asks for, or the newest one.
    public var spokenMinor: UInt16 { min(minor, ProtocolVersion.newestMinor) }

    /// The client has to be told which version is spoken, or which of its protocol options are not known (none is). PostgreSQL 18 tells
    /// nobody who asked for a version that it speaks, and nothing else.
    public var needsNegotiation: Bool { minor > ProtocolVersion.newestMinor || !protocolOptions.isEmpty }
}
