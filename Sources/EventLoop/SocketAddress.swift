import CLibevent
import Glibc

/// The address of a socket: IPv4, IPv6, or a Unix socket (in the file system or, with a leading `@`, in the abstract namespace).
public struct SocketAddress: Sendable, Hashable {
    /// A `sockaddr` of the family, as the kernel takes it.
    let bytes: [UInt8]

    var family: Int32 { Int32(UInt16(bytes[0]) | UInt16(bytes[1]) << 8) }
    public var isUnix: Bool { family == AF_UNIX }

    private init<Address>(_ address: Address, size: Int = MemoryLayout<Address>.size) {
        bytes = withUnsafeBytes(of: address) { Array($0.prefix(size)) }
    }

    /// A numeric address; nil when `host` is a name.
    public init?(numeric host: String, port: UInt16) {
        var four = sockaddr_in()
        if inet_pton(AF_INET, host, &four.sin_addr) == 1 {
            four.sin_family = sa_family_t(AF_INET)
            four.sin_port = port.bigEndian
            self.init(four)
            return
        }
        var six = sockaddr_in6()
        guard inet_pton(AF_INET6, host, &six.sin6_addr) == 1 else { return nil }
        six.sin6_family = sa_family_t(AF_INET6)
        six.sin6_port = port.bigEndian
        self.init(six)
    }

    init(_ four: in_addr) {
        self.init(sockaddr_in(sin_family: sa_family_t(AF_INET), sin_port: 0, sin_addr: four, sin_zero: (0, 0, 0, 0, 0, 0, 0, 0)))
    }

    init(_ six: in6_addr) {
        self.init(sockaddr_in6(sin6_family: sa_family_t(AF_INET6), sin6_port: 0, sin6_flowinfo: 0, sin6_addr: six, sin6_scope_id: 0))
    }

    /// The same host with a TCP port.
    public func with(port: UInt16) -> SocketAddress {
        var copy = bytes
        if !isUnix, copy.count >= 4 {
            copy[2] = UInt8(port >> 8)
            copy[3] = UInt8(port & 0xff)
        }
        return SocketAddress(bytes: copy)
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    /// Whether the system knows a way there. Sends nothing.
    var hasRoute: Bool {
        let descriptor = socket(family, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return with(port: 9).withSockaddr { connect(descriptor, $0, $1) } == 0
    }

    /// Every interface, IPv4.
    public static func any(port: UInt16) -> SocketAddress { SocketAddress(numeric: "0.0.0.0", port: port)! }
    /// Every interface, IPv6.
    public static func anyIPv6(port: UInt16) -> SocketAddress { SocketAddress(numeric: "::", port: port)! }

    /// Whether it stands for every interface.
    public var isAny: Bool { !isUnix && addressBytes.allSatisfy { $0 == 0 } }

    /// Whether it is an address of the loopback interface.
    public var isLoopback: Bool {
        let bytes = addressBytes
        return bytes.count == 4 ? bytes[0] == 127 : bytes.count == 16 && bytes.dropLast().allSatisfy { $0 == 0 } && bytes[15] == 1
    }

    /// A Unix socket; nil when the path is too long for the kernel (107 bytes).
    public init?(unixPath path: String) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let name = Array(path.utf8)
        let room = MemoryLayout.size(ofValue: address.sun_path)
        guard !name.isEmpty, name.count < room else { return nil }
        withUnsafeMutableBytes(of: &address.sun_path) { target in
            target.copyBytes(from: name)
            if name[0] == UInt8(ascii: "@") { target[0] = 0 }
        }
        // An abstract name ends where the address ends, not at a NUL.
        self.init(address, size: 2 + name.count + (name[0] == UInt8(ascii: "@") ? 0 : 1))
    }

    /// What a resolver or the kernel filled in.
    init(_ pointer: UnsafePointer<sockaddr>, size: socklen_t) {
        bytes = Array(UnsafeRawBufferPointer(start: pointer, count: Int(size)))
    }

    func withSockaddr<Result>(_ body: (__CONST_SOCKADDR_ARG, socklen_t) -> Result) -> Result {
        bytes.withUnsafeBytes { bytes in
            // A copy in aligned memory: an array of bytes promises no alignment.
            withUnsafeTemporaryAllocation(byteCount: bytes.count, alignment: 8) { aligned in
                aligned.copyMemory(from: bytes)
                let address = UnsafePointer(aligned.baseAddress!.assumingMemoryBound(to: sockaddr.self))
                return body(__CONST_SOCKADDR_ARG(__sockaddr__: address), socklen_t(bytes.count))
            }
        }
    }

    /// The host part: a numeric address without brackets, or `unix`.
    public var host: String {
        if isUnix { return "unix" }
        return withSockaddr { address, size in
            withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { text in
                guard getnameinfo(address.__sockaddr__, size, text.baseAddress, 64, nil, 0, NI_NUMERICHOST) == 0 else { return "?" }
                return String(cString: text.baseAddress!)
            }
        }
    }

    /// The TCP port; 0 for Unix sockets.
    public var port: UInt16 {
        isUnix || bytes.count < 4 ? 0 : UInt16(bytes[2]) << 8 | UInt16(bytes[3])
    }

    /// The 4 or 16 bytes of the IP address, in network byte order; empty for Unix sockets.
    public var addressBytes: [UInt8] {
        switch family {
        case AF_INET where bytes.count >= 8: Array(bytes[4..<8])
        case AF_INET6 where bytes.count >= 24: Array(bytes[8..<24])
        default: []
        }
    }

    /// As log lines show it: `127.0.0.1:5432`, `[::1]:5432`, `unix`.
    public var description: String {
        if isUnix { return "unix" }
        return family == AF_INET6 ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    /// The other end of a connected descriptor.
    public static func peer(of descriptor: Int32) -> SocketAddress? {
        #if DEBUG
            if let simulated = Kernel.simulated { return simulated.address(of: descriptor, isPeer: true) }
        #endif
        return name(descriptor, getpeername)
    }
    /// This end of a descriptor.
    public static func local(of descriptor: Int32) -> SocketAddress? {
        #if DEBUG
            if let simulated = Kernel.simulated { return simulated.address(of: descriptor, isPeer: false) }
        #endif
        return name(descriptor, getsockname)
    }

    private static func name(
        _ descriptor: Int32, _ call: (Int32, __SOCKADDR_ARG, UnsafeMutablePointer<socklen_t>?) -> Int32
    ) -> SocketAddress? {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutablePointer(to: &storage) { storage in
            let address = UnsafeMutableRawPointer(storage).assumingMemoryBound(to: sockaddr.self)
            guard call(descriptor, __SOCKADDR_ARG(__sockaddr__: address), &size) == 0 else { return nil }
            // An unnamed Unix socket has no more than its family.
            return SocketAddress(address, size: max(size, 2))
        }
    }
}
