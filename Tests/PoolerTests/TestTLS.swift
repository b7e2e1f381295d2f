import Glibc
import TLS
import TLSCredentials
import Testing

@testable import EventLoop
@testable import Pooler

/// Contexts for both ends of a connection.
enum TestTLS {
    private static let own = Credentials()
    static var server: TLSContext { get throws { try TLSContext(.accepting(own)) } }
    static var client: TLSContext { get throws { try TLSContext(.connecting()) } }
}

func copied(_ bytes: Span<UInt8>) -> [UInt8] { bytes.indices.map { bytes[$0] } }

/// The other end of an encrypted channel, without a socket.
final class FarEnd {
    private let buffers = TLSBuffers(receiveCapacity: 1 << 21)
    let session: TLSSession
    private(set) var wasClosed = false

    init(_ context: TLSContext) throws { session = try TLSSession(connecting: context, host: "localhost", port: 5432, buffers: buffers) }

    private func ciphertext() -> [UInt8] {
        let buffers = buffers
        defer { buffers.clear() }
        return copied(buffers.ciphertext)
    }

    /// The first message of a handshake.
    func start() -> [UInt8] {
        _ = session.start()
        return ciphertext()
    }

    /// Takes bytes of a handshake; returns what it answers.
    func answer(_ bytes: [UInt8]) -> [UInt8] {
        _ = decrypted(bytes)
        return ciphertext()
    }

    func encrypted(_ bytes: [UInt8]) -> [UInt8] {
        let isSent = session.send(bytes.span)
        #expect(isSent)
        return ciphertext()
    }

    func decrypted(_ bytes: [UInt8]) -> [UInt8] {
        if bytes.isEmpty { return [] }
        switch session.receive(bytes.span) {
        case .plaintext(let count): return plaintext(count)
        case .closed(let count):
            wasClosed = true
            return plaintext(count)
        case .failed(let error):
            Issue.record("\(error)")
            return []
        }
    }

    private func plaintext(_ count: Int) -> [UInt8] {
        let buffers = buffers
        return copied(buffers.plaintext(count))
    }

    func goodbye() -> [UInt8] {
        session.shutdown()
        return ciphertext()
    }
}
