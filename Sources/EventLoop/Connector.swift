import CLibevent
import Glibc

/// Opens client sockets without waiting.
public enum Connector {
    /// Starts a connection. The descriptor becomes writable when it is established or has failed (`Socket.connectError`).
    public static func start(to address: SocketAddress, options: SocketOptions) throws(SystemError) -> Int32 {
        let descriptor = Kernel.socket(address.family)
        guard descriptor >= 0 else { throw SystemError(call: "socket", number: errno) }
        Descriptors.note(descriptor)
        guard descriptor < Descriptors.endForServers else {
            Kernel.close(descriptor)
            throw SystemError(call: "socket", number: EMFILE)
        }
        if !address.isUnix { options.apply(to: descriptor) }
        let result = Kernel.connect(descriptor, to: address)
        if result != 0, errno != EINPROGRESS {
            let number = errno
            Kernel.close(descriptor)
            throw SystemError(call: "connect", number: number)
        }
        return descriptor
    }

    /// Whether somebody accepts connections there. Waits; for the start of the process.
    public static func isListening(at address: SocketAddress) -> Bool {
        let descriptor = socket(address.family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return address.withSockaddr { connect(descriptor, $0, $1) } == 0
    }

    /// Closes a descriptor that belongs to no `Socket`.
    public static func discard(_ descriptor: Int32) { Kernel.close(descriptor) }
}

extension Socket {
    /// Whether a connect is still under way. To be asked where it has not failed (`connectError()`): an event that comes meanwhile may be
    /// that of a socket which had the same token before.
    public borrowing func isConnecting() -> Bool { SocketAddress.peer(of: descriptor) == nil }
}
