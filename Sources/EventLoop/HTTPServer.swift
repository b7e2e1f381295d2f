import CLibevent
import Glibc
import Locking

/// What an HTTP client asked for.
public struct HTTPRequest: Sendable, Equatable {
    /// `GET`, `HEAD`, ... or `OTHER`.
    public let method: String
    /// The path without the query, decoded no further.
    public let path: String
    /// The header `Accept-Encoding`, as it came; empty when there was none.
    public let acceptEncoding: String

    /// Describes a request.
    public init(method: String, path: String, acceptEncoding: String = "") {
        self.method = method
        self.path = path
        self.acceptEncoding = acceptEncoding
    }
}

/// What it gets.
public struct HTTPResponse: Sendable {
    /// Bytes that many connections may send at the same time without copies of their own.
    public final class Body: @unchecked Sendable {
        // SAFETY (@unchecked Sendable): written in `init` only.
        let bytes: UnsafeRawBufferPointer

        /// Keeps a copy of the bytes.
        public init(_ bytes: [UInt8]) {
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
            copy.copyBytes(from: bytes)
            self.bytes = UnsafeRawBufferPointer(copy)
        }

        deinit { bytes.deallocate() }

        /// How many there are.
        public var count: Int { bytes.count }
        /// A copy.
        public var copy: [UInt8] { Array(bytes) }
    }

    public let status: Int
    public let headers: [(name: String, value: String)]
    public let body: Body

    /// Puts a response together. Length, date and `Connection: close` are added on sending.
    public init(status: Int, headers: [(name: String, value: String)], body: Body) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// A text of one line.
    public static func plain(_ status: Int, _ text: String, _ headers: [(name: String, value: String)] = []) -> HTTPResponse {
        HTTPResponse(
            status: status, headers: [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")] + headers,
            body: Body(Array((text + "\n").utf8)))
    }
}

/// A small HTTP server through libevent's evhttp, on a loop and a thread of its own: whatever comes here, no other loop notices.
///
/// Everything is bounded. So many connections at once (`maximumConnections`), the rest waits in the kernel's backlog; each carries one
/// request and is closed after it; headers, bodies, silence and the life of a connection have limits. While all places are taken, a
/// connection that has not said what it wants for a quarter of a second gives up its place.
public final class HTTPServer: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): after `start` all members are touched by the loop's thread only, but for `mailbox`, which takes what
    // other threads have to say.

    /// Answers a request. Runs on `tasks`, and so on no loop.
    public typealias Handler = @Sendable (HTTPRequest) async -> HTTPResponse

    /// Connections that are served at the same time. Where descriptors are few, most are for clients and servers.
    static let maximumConnections = max(4, min(128, Descriptors.total / 8))
    private static let headerLimit = 16 * 1024
    private static let bodyLimit = 1024
    /// Seconds without a byte, and seconds in all, after which a connection is closed.
    private static let silenceLimit: Int32 = 10
    private static let lifeLimit: Int64 = 30_000_000
    /// Microseconds that an answer may take, and that a connection may take to ask while others wait for its place.
    private static let answerLimit: Int64 = 5_000_000
    private static let patience: Int64 = 250_000

    private enum Message: Sendable {
        case listen([Int32])
        case answer(UInt64, HTTPResponse)
    }

    private let loop: EventLoop
    private let mailbox: Mailbox<Message>
    private var mail: MailReader<Message>
    private let tasks: TaskThread
    private let handler: Handler
    private let server: OpaquePointer
    private var listeners: [(listener: OpaquePointer, bound: OpaquePointer)] = []
    /// By descriptor; some may have been closed since the last `prune`.
    private var connections: [Int32: Connection] = [:]
    /// Buffers of connections that were accepted in this turn.
    private var fresh: [OpaquePointer] = []
    private var pending: [UInt64: Pending] = [:]
    private var ticketOfConnection: [OpaquePointer: UInt64] = [:]
    private var lastTicket: UInt64 = 0
    private var isFull = false

    private struct Connection {
        let inode: UInt64
        let since: Int64
        var hasAsked = false
    }

    private struct Pending {
        let request: OpaquePointer
        let since: Int64
        let isHead: Bool
    }

    /// Makes a server that listens nowhere yet. Requests are answered by tasks of `tasks`.
    public init(tasks: TaskThread, handler: @escaping Handler) throws(SystemError) {
        self.tasks = tasks
        loop = try EventLoop(tick: 100_000)
        mailbox = Mailbox(waking: loop)
        mail = MailReader(mailbox)
        guard let server = evhttp_new(loop.base) else { throw SystemError(call: "evhttp_new", number: ENOMEM) }
        self.server = server
        self.handler = handler
        evhttp_set_timeout(server, Self.silenceLimit)
        evhttp_set_max_headers_size(server, Self.headerLimit)
        evhttp_set_max_body_size(server, Self.bodyLimit)
        // All methods get as far as `handler`, which can say what is allowed.
        evhttp_set_allowed_methods(server, UInt16.max)
        let this = Unmanaged.passUnretained(self).toOpaque()
        evhttp_set_gencb(
            server,
            { request, context in
                guard let request, let context else { return }
                Unmanaged<HTTPServer>.fromOpaque(context).takeUnretainedValue().received(request)
            }, this)
        evhttp_set_bevcb(
            server, { _, context in Unmanaged<HTTPServer>.fromOpaque(context!).takeUnretainedValue().connected() }, this)
    }

    /// Accepts on these listening descriptors, which become the server's own, instead of those before. Connections that have been
    /// accepted are served to their end.
    public func listen(on descriptors: [Int32]) { mailbox.post(.listen(descriptors)) }

    private func replaceListeners(_ descriptors: [Int32]) {
        let old = listeners
        listeners = []
        for descriptor in descriptors {
            guard let listener = evconnlistener_new(loop.base, nil, nil, UInt32(LEV_OPT_CLOSE_ON_FREE), 0, descriptor) else {
                close(descriptor)
                continue
            }
            guard let bound = evhttp_bind_listener(server, listener) else {
                evconnlistener_free(listener)
                continue
            }
            // No descriptor was left. It is tried again with the next tick, in place of at once and for ever.
            evconnlistener_set_error_cb(listener) { listener, _ in
                Descriptors.note(-1)
                evconnlistener_disable(listener)
            }
            if isFull { evconnlistener_disable(listener) }
            listeners.append((listener, bound))
        }
        for entry in old { evhttp_del_accept_socket(server, entry.bound) }
    }

    /// Serves on a thread of its own until the process ends. The server has to be kept.
    public func start() -> SystemError? {
        Threads.start(name: "http") {
            self.loop.run { _, tick in
                self.readMail()
                if !self.fresh.isEmpty { self.register() }
                if tick { self.tick() }
            }
        }
    }

    private func readMail() {
        while let message = mail.next() {
            switch message {
            case .listen(let descriptors): replaceListeners(descriptors)
            case .answer(let ticket, let response): finish(ticket, response)
            }
        }
    }

    // MARK: Connections

    /// evhttp asks for the buffers of a connection that it has accepted, and then gives them the socket: `register` looks which.
    private func connected() -> OpaquePointer? {
        if let last = fresh.last { Descriptors.note(bufferevent_getfd(last)) }
        let buffers = bufferevent_socket_new(loop.base, -1, Int32(BEV_OPT_CLOSE_ON_FREE.rawValue))
        if let buffers { fresh.append(buffers) }
        loop.wakeSoon()
        // evhttp accepts until nobody waits any more, or until its listener is disabled: it looks at that behind each connection.
        if connections.count + fresh.count >= Self.maximumConnections || !Descriptors.hasOneForScrape { prune() }
        return buffers
    }

    /// Runs in the turn in which connections were accepted: nothing can have freed them yet.
    private func register() {
        let now = MonotonicClock.now()
        for buffers in fresh {
            let descriptor = bufferevent_getfd(buffers)
            Descriptors.note(descriptor)
            if let inode = Self.inode(descriptor) { connections[descriptor] = Connection(inode: inode, since: now) }
        }
        fresh = []
    }

    /// Forgets the connections that evhttp has closed, of which it gives no word: their descriptors are closed or somebody else's now.
    private func prune() {
        for (descriptor, connection) in connections where Self.inode(descriptor) != connection.inode { connections[descriptor] = nil }
        isFull = connections.count + fresh.count >= Self.maximumConnections || !Descriptors.hasOneForScrape
        // A listener that met an error is disabled although the server is not full. What changes nothing costs no system call.
        for entry in listeners { _ = isFull ? evconnlistener_disable(entry.listener) : evconnlistener_enable(entry.listener) }
    }

    /// What tells a socket from any other that has or had the same descriptor.
    private static func inode(_ descriptor: Int32) -> UInt64? {
        var status = stat()
        return descriptor >= 0 && fstat(descriptor, &status) == 0 ? UInt64(status.st_ino) : nil
    }

    private func tick() {
        let now = MonotonicClock.now()
        for (ticket, entry) in pending where now - entry.since > Self.answerLimit {
            finish(ticket, .plain(503, "no answer in time"))
        }
        prune()
        for (descriptor, connection) in connections {
            let age = now - connection.since
            if age > Self.lifeLimit || (isFull && !connection.hasAsked && age > Self.patience) {
                // evhttp then meets the end of the stream and frees what belongs to it.
                shutdown(descriptor, Int32(SHUT_RDWR))
            }
        }
    }

    // MARK: Requests

    private func received(_ request: OpaquePointer) {
        lastTicket += 1
        let ticket = lastTicket
        if let evcon = evhttp_request_get_connection(request), let buffers = evhttp_connection_get_bufferevent(evcon) {
            connections[bufferevent_getfd(buffers)]?.hasAsked = true
            // While a request is answered evhttp does not read, so it should not notice an end; if it does, the request is gone.
            ticketOfConnection[evcon] = ticket
            evhttp_connection_set_closecb(
                evcon, { evcon, context in Unmanaged<HTTPServer>.fromOpaque(context!).takeUnretainedValue().ended(evcon!) },
                Unmanaged.passUnretained(self).toOpaque())
        }
        let method = Self.method(request)
        pending[ticket] = Pending(request: request, since: MonotonicClock.now(), isHead: method == "HEAD")
        let target = evhttp_request_get_uri(request).map { String(cString: $0) } ?? "/"
        let encodings = evhttp_request_get_input_headers(request).flatMap { evhttp_find_header($0, "Accept-Encoding") }
        let asked = HTTPRequest(
            method: method, path: String(target.prefix { $0 != "?" && $0 != "#" }),
            acceptEncoding: encodings.map { String(cString: $0) } ?? "")
        let (handler, mailbox) = (handler, mailbox)
        Task(executorPreference: tasks) { mailbox.post(.answer(ticket, await handler(asked))) }
    }

    private static func method(_ request: OpaquePointer) -> String {
        switch evhttp_request_get_command(request) {
        case EVHTTP_REQ_GET: "GET"
        case EVHTTP_REQ_HEAD: "HEAD"
        default: "OTHER"
        }
    }

    private func ended(_ evcon: OpaquePointer) {
        if let ticket = ticketOfConnection.removeValue(forKey: evcon) { pending[ticket] = nil }
    }

    private func finish(_ ticket: UInt64, _ response: HTTPResponse) {
        guard let entry = pending.removeValue(forKey: ticket) else { return }
        let request = entry.request
        if let evcon = evhttp_request_get_connection(request) { ticketOfConnection[evcon] = nil }
        let headers = evhttp_request_get_output_headers(request)
        for (name, value) in response.headers { evhttp_add_header(headers, name, value) }
        evhttp_add_header(headers, "Content-Length", String(response.body.count))
        evhttp_add_header(headers, "Connection", "close")
        guard !entry.isHead, response.body.count > 0, let buffer = evbuffer_new() else {
            evhttp_send_reply(request, Int32(response.status), nil, nil)
            return
        }
        defer { evbuffer_free(buffer) }
        let body = Unmanaged.passRetained(response.body)
        let added = evbuffer_add_reference(
            buffer, response.body.bytes.baseAddress, response.body.count,
            { _, _, context in Unmanaged<HTTPResponse.Body>.fromOpaque(context!).release() }, body.toOpaque())
        if added != 0 { body.release() }
        evhttp_send_reply(request, Int32(response.status), nil, buffer)
    }
}
