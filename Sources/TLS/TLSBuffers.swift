import COpenSSL
import Glibc

/// One worker's buffers between its sockets and its TLS sessions.
///
/// OpenSSL sees no socket: it reads what one `recv` brought, however many records that are, and writes into one buffer, however many
/// records become of it, which leaves in one `send`. All sessions of a worker share the buffers and the BIO in front of them, because
/// each call uses them up before the next one.
public final class TLSBuffers {
    /// What the BIO's functions see.
    struct State {
        var input: UnsafePointer<UInt8>?
        var inputCount = 0
        var output: UnsafeMutablePointer<UInt8>
        var outputCount = 0
        var outputCapacity: Int
    }

    let state: UnsafeMutablePointer<State>
    let bio: OpaquePointer
    let plain: UnsafeMutablePointer<UInt8>
    let plainCapacity: Int
    private static let outputCapacity = 1 << 18

    /// - Parameter receiveCapacity: the most bytes that a single `recv` brings.
    public init(receiveCapacity: Int) {
        // Decrypting makes less of what arrived; but the rest of a record that began earlier may come with it.
        plainCapacity = receiveCapacity + Int(SSL3_RT_MAX_PLAIN_LENGTH) + 1024
        plain = .allocate(capacity: plainCapacity)
        state = .allocate(capacity: 1)
        state.initialize(to: State(output: .allocate(capacity: Self.outputCapacity), outputCapacity: Self.outputCapacity))
        guard let bio = BIO_new(Self.method) else { preconditionFailure("OpenSSL is out of memory") }
        BIO_set_data(bio, state)
        BIO_set_init(bio, 1)
        self.bio = bio
    }

    deinit {
        BIO_free(bio)
        plain.deallocate()
        state.pointee.output.deallocate()
        state.deallocate()
    }

    /// The first bytes that the last ``TLSSession/receive(_:)`` decrypted.
    @_lifetime(borrow self)
    public func plaintext(_ count: Int) -> Span<UInt8> {
        precondition(count <= plainCapacity)
        let span = Span<UInt8>(_unsafeStart: plain, count: count)
        return _overrideLifetime(span, borrowing: self)
    }

    /// What is to be sent to the peer now.
    public var ciphertext: Span<UInt8> {
        @_lifetime(borrow self)
        get {
            let span = Span<UInt8>(_unsafeStart: state.pointee.output, count: state.pointee.outputCount)
            return _overrideLifetime(span, borrowing: self)
        }
    }

    /// Whether nothing is to be sent.
    public var isEmpty: Bool { state.pointee.outputCount == 0 }

    /// Forgets what has been sent. Memory that one huge message needed is given back.
    public func clear() {
        state.pointee.outputCount = 0
        if state.pointee.outputCapacity > 1 << 20 {
            state.pointee.output.deallocate()
            state.pointee.output = .allocate(capacity: Self.outputCapacity)
            state.pointee.outputCapacity = Self.outputCapacity
        }
    }

    @inline(__always)
    private static func append(_ bytes: UnsafeBufferPointer<UInt8>, to state: UnsafeMutablePointer<State>) {
        guard let address = bytes.baseAddress, bytes.count > 0 else { return }
        if state.pointee.outputCount + bytes.count > state.pointee.outputCapacity { grow(state, bytes.count) }
        memcpy(state.pointee.output + state.pointee.outputCount, address, bytes.count)
        state.pointee.outputCount += bytes.count
    }

    private static func grow(_ state: UnsafeMutablePointer<State>, _ more: Int) {
        let capacity = max(state.pointee.outputCapacity * 2, state.pointee.outputCount + more)
        let fresh = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
        fresh.update(from: state.pointee.output, count: state.pointee.outputCount)
        state.pointee.output.deallocate()
        state.pointee.output = fresh
        state.pointee.outputCapacity = capacity
    }

    // MARK: The BIO

    // SAFETY (nonisolated(unsafe)): made once, and never changed after.
    private nonisolated(unsafe) static let method: OpaquePointer = {
        guard let method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "worker's buffers") else {
            preconditionFailure("OpenSSL is out of memory")
        }
        BIO_meth_set_read(method) { bio, target, room in
            guard let target, let data = BIO_get_data(bio) else { return -1 }
            let state = data.assumingMemoryBound(to: State.self)
            BIO_clear_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_WRITE | BIO_FLAGS_IO_SPECIAL | BIO_FLAGS_SHOULD_RETRY)
            let count = min(state.pointee.inputCount, Int(room))
            guard count > 0, let source = state.pointee.input else {
                BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY)
                return -1
            }
            memcpy(target, source, count)
            state.pointee.input = source + count
            state.pointee.inputCount -= count
            return Int32(count)
        }
        BIO_meth_set_write(method) { bio, source, count in
            guard let source, let data = BIO_get_data(bio), count > 0 else { return -1 }
            BIO_clear_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_WRITE | BIO_FLAGS_IO_SPECIAL | BIO_FLAGS_SHOULD_RETRY)
            let bytes = UnsafeRawPointer(source).assumingMemoryBound(to: UInt8.self)
            append(UnsafeBufferPointer(start: bytes, count: Int(count)), to: data.assumingMemoryBound(to: State.self))
            return count
        }
        BIO_meth_set_ctrl(method) { _, command, _, _ in command == BIO_CTRL_FLUSH ? 1 : 0 }
        return method
    }()
}
