import CLibevent
import Glibc

/// Turns host names into addresses with the C library, which waits: for the start of the process. See `NameResolver`.
public enum Resolver {
    /// All addresses of a host, in the system's order of preference (RFC 6724); empty when there are none.
    public static func resolveNow(_ host: String, port: UInt16) -> [SocketAddress] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_ADDRCONFIG
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, String(port), &hints, &list)
        defer { if let list { freeaddrinfo(list) } }
        guard status == 0 else { return [] }
        var addresses: [SocketAddress] = []
        var next = list
        while let entry = next?.pointee {
            if let address = entry.ai_addr { addresses.append(SocketAddress(address, size: entry.ai_addrlen)) }
            next = entry.ai_next
        }
        return addresses
    }
}
