extension SocketAddress {
    /// The other end of a connection as lines of the log name it: `127.0.0.1:5432`, `[::1]:5432`, or `unix(PID):PORT`, with the process
    /// at the other end and the number in the socket's name.
    public static func logName(ofPeerOf descriptor: Int32) -> String {
        guard let peer = peer(of: descriptor) else { return "?" }
        guard peer.isUnix else { return peer.description }
        let port = peer.numberInPath ?? local(of: descriptor)?.numberInPath ?? 0
        return "unix(\(PeerIdentity(of: descriptor)?.processID ?? 0)):\(port)"
    }

    /// 6432 of `/tmp/.s.PGSQL.6432`.
    private var numberInPath: Int? {
        let path = bytes.dropFirst(2).prefix { $0 != 0 || bytes[2] == 0 }
        guard let dot = path.lastIndex(of: UInt8(ascii: ".")) else { return nil }
        return Int(String(decoding: path[(dot + 1)...], as: UTF8.self))
    }
}
