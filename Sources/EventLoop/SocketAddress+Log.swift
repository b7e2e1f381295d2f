import Glibc

extension SocketAddress {
    /// The other end of a connection as lines of the log name it: `127.0.0.1:5432`, `[::1]:5432`, or `unix(PID):PORT`, with the process
    /// at the other end and the number in the socket's name.
    public static func logName(ofPeerOf descriptor: Int32) -> String {
        guard let peer = peer(of: descriptor) else { return "?" }
        guard peer.isUnix else { return peer.description }
        let port = peer.numberInPath ?? local(of: descriptor)?.numberInPath ?? 0
        return "unix(\(PeerIdentity(of: descriptor)?.processID ?? 0)):\(port)"
    }

    /// The same with the machine's name behind a process, which may be one of many machines' at a server: `unix(PID@HOST):PORT`.
    public static func fullName(ofPeerOf descriptor: Int32) -> String {
        guard let identity = PeerIdentity(of: descriptor) else { return logName(ofPeerOf: descriptor) }
        let port = peer(of: descriptor)?.numberInPath ?? local(of: descriptor)?.numberInPath ?? 0
        return "unix(\(identity.processID)@\(hostName)):\(port)"
    }

    private static let hostName: String = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { text in
        guard let start = text.baseAddress, gethostname(start, text.count - 1) == 0 else { return "localhost" }
        text[text.count - 1] = 0
        return String(cString: start)
    }

    /// 6432 of `/tmp/.s.PGSQL.6432`.
    private var numberInPath: Int? {
        let path = bytes.dropFirst(2).prefix { $0 != 0 || bytes[2] == 0 }
        guard let dot = path.lastIndex(of: UInt8(ascii: ".")) else { return nil }
        return Int(String(decoding: path[(dot + 1)...], as: UTF8.self))
    }
}
