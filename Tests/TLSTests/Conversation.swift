import TLSCredentials
import Testing

@testable import TLS

/// Two sessions of ours that talk to each other, in whatever pieces.
final class Conversation {
    let client: TLSSession
    let server: TLSSession
    let clientBuffers = TLSBuffers(receiveCapacity: 1 << 17)
    let serverBuffers = TLSBuffers(receiveCapacity: 1 << 17)
    var pieces = 1 << 17
    /// On the way, in each direction.
    var toServer: [UInt8] = []
    var toClient: [UInt8] = []
    /// What has come out.
    var atServer: [UInt8] = []
    var atClient: [UInt8] = []
    var serverError: TLSError?
    var clientError: TLSError?
    var serverWasClosed = false
    var clientWasClosed = false

    init(_ server: TLSContext, _ client: TLSContext, host: String? = "localhost") throws {
        self.server = try TLSSession(accepting: server, buffers: serverBuffers)
        self.client = try TLSSession(connecting: client, host: host, port: 5432, buffers: clientBuffers)
        _ = self.client.start()
        collect()
    }

    func collect() {
        toServer += clientBuffers.copiedCiphertext
        clientBuffers.clear()
        toClient += serverBuffers.copiedCiphertext
        serverBuffers.clear()
    }

    /// Carries bytes until nothing moves any more.
    func run() {
        while !toServer.isEmpty || !toClient.isEmpty {
            if !toServer.isEmpty {
                let piece = Array(toServer.prefix(pieces))
                toServer.removeFirst(piece.count)
                switch server.receive(piece) {
                case .plaintext(let count): atServer += serverBuffers.copiedPlaintext(count)
                case .closed(let count):
                    atServer += serverBuffers.copiedPlaintext(count)
                    serverWasClosed = true
                case .failed(let error):
                    serverError = serverError ?? error
                    toServer = []
                }
                collect()
            }
            if !toClient.isEmpty {
                let piece = Array(toClient.prefix(pieces))
                toClient.removeFirst(piece.count)
                switch client.receive(piece) {
                case .plaintext(let count): atClient += clientBuffers.copiedPlaintext(count)
                case .closed(let count):
                    atClient += clientBuffers.copiedPlaintext(count)
                    clientWasClosed = true
                case .failed(let error):
                    clientError = clientError ?? error
                    toClient = []
                }
                collect()
            }
        }
    }

    @discardableResult
    func sendFromClient(_ bytes: [UInt8]) -> Bool {
        defer { collect() }
        return client.send(bytes)
    }

    @discardableResult
    func sendFromServer(_ bytes: [UInt8]) -> Bool {
        defer { collect() }
        return server.send(bytes)
    }
}

extension TLSBuffers {
    var copiedCiphertext: [UInt8] { ciphertext.withUnsafeBufferPointer { Array($0) } }
    func copiedPlaintext(_ count: Int) -> [UInt8] { plaintext(count).withUnsafeBufferPointer { Array($0) } }
}

extension TLSSession {
    func receive(_ bytes: [UInt8]) -> TLSReceived { receive(bytes.span) }
    func send(_ bytes: [UInt8]) -> Bool { send(bytes.span) }
}
