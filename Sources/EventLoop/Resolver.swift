import CLibevent
import Glibc

/// Turns host names into addresses, on a thread of its own for each question, so that a slow name server delays nobody else.
public enum Resolver {
    public struct Failure: Error, Sendable {
        /// The resolver's words, such as `Name or service not known`.
        public let reason: String
    }

    /// All addresses of a host, in the system's order of preference (RFC 6724). Numeric addresses are answered at once.
    public static func resolve(_ host: String, port: UInt16) async -> Result<[SocketAddress], Failure> {
        if let address = SocketAddress(numeric: host, port: port) { return .success([address]) }
        return await withCheckedContinuation { continuation in
            let started = Threads.start(name: "resolver") { continuation.resume(returning: lookUp(host, port)) }
            if let started { continuation.resume(returning: .failure(Failure(reason: started.reason))) }
        }
    }

    /// As `resolve`, but waits: for the start of the process. Empty when there is no such host.
    public static func resolveNow(_ host: String, port: UInt16) -> [SocketAddress] {
        (try? lookUp(host, port).get()) ?? []
    }

    private static func lookUp(_ host: String, _ port: UInt16) -> Result<[SocketAddress], Failure> {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_ADDRCONFIG
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, String(port), &hints, &list)
        defer { if let list { freeaddrinfo(list) } }
        guard status == 0 else { return .failure(Failure(reason: String(cString: gai_strerror(status)))) }
        var addresses: [SocketAddress] = []
        var next = list
        while let entry = next?.pointee {
            if let address = entry.ai_addr { addresses.append(SocketAddress(address, size: entry.ai_addrlen)) }
            next = entry.ai_next
        }
        return addresses.isEmpty ? .failure(Failure(reason: "no address")) : .success(addresses)
    }
}
