import CLibevent
import CLibpq
import Glibc

/// What a connection tells the one it belongs to.
public protocol ConnectionOwner: AnyObject {
    /// The login is through.
    func connected()
    /// The connection could not be made, or ended; it is closed already.
    func broken(_ failure: Failure)
    /// A result of the command in progress. A failed one comes to `refused` instead.
    func answered(_ answer: Answer)
    /// A statement failed; the connection goes on.
    func refused(_ failure: Failure)
    /// The command in progress, or the pipeline up to its sync, has no further result.
    func finished()
    /// One row of COPY TO STDOUT.
    func copied(_ row: UnsafeRawBufferPointer)
    /// The next piece for COPY FROM STDIN; nil: that was all.
    func nextCopyPiece() -> [UInt8]?
}

/// One connection through libpq's asynchronous API. Nothing here blocks.
public final class Connection {
    private let loop: Loop
    private unowned let owner: any ConnectionOwner
    private var connection: OpaquePointer?
    private let readEvent = UnsafeMutablePointer<event>.allocate(capacity: 1)
    private let writeEvent = UnsafeMutablePointer<event>.allocate(capacity: 1)
    private var isUp = false
    /// `readEvent` has been assigned for this connection.
    private var hasWaited = false
    private var usesTLS = false
    private var isCopyingOut = false
    private var isCopyingIn = false
    private var isPipelining = false
    /// The SQLSTATE and text of a FATAL that came while nothing was asked.
    private var lastWords: Failure?
    /// Counts connections that were ever made, so that code after a callback sees that it is another one now.
    private var generation = 0

    /// Tells of a login that could not even begin. Made when there is one.
    private var soon: Timer?

    /// `owner` must outlive the connection.
    public init(on loop: Loop, owner: any ConnectionOwner) {
        self.loop = loop
        self.owner = owner
    }

    deinit {
        close()
        readEvent.deallocate()
        writeEvent.deallocate()
    }

    // MARK: Life

    public var isOpen: Bool { connection != nil }
    public var isConnected: Bool { isUp }

    /// In a transaction, or in a failed one.
    public var isInTransaction: Bool {
        guard let connection else { return false }
        let status = PQtransactionStatus(connection)
        return status == PQTRANS_INTRANS || status == PQTRANS_INERROR
    }

    /// Starts to connect; `connected` or `broken` follows, never before this returns: who connects again in `broken` does not pile up
    /// calls.
    public func open(_ keywords: [(name: String, value: String)]) {
        close()
        generation += 1
        lastWords = nil
        var names: [UnsafePointer<CChar>?] = keywords.map { UnsafePointer(strdup($0.name)) } + [nil]
        var values: [UnsafePointer<CChar>?] = keywords.map { UnsafePointer(strdup($0.value)) } + [nil]
        defer { for text in names + values { free(UnsafeMutableRawPointer(mutating: text)) } }
        guard let started = PQconnectStartParams(&names, &values, 1) else { fatalError("libpq: out of memory") }
        connection = started
        // So that the text of a refused login holds its SQLSTATE, which libpq does not give otherwise.
        PQsetErrorVerbosity(started, PQERRORS_VERBOSE)
        PQsetNoticeReceiver(
            started,
            { context, result in
                guard let context, let result else { return }
                Unmanaged<Connection>.fromOpaque(context).takeUnretainedValue().notice(result)
            }, Unmanaged.passUnretained(self).toOpaque())
        if PQstatus(started) == CONNECTION_BAD {
            if soon == nil { soon = Timer(on: loop) { [unowned self] in if connection != nil, !isUp { failLogin() } } }
            soon?.start(after: 0)
        } else {
            wait(EV_WRITE)
        }
    }

    private func notice(_ result: OpaquePointer) {
        guard let state = PQresultErrorField(result, Int32(UInt8(ascii: "C"))).map({ String(cString: $0) }),
            let severity = PQresultErrorField(result, Int32(UInt8(ascii: "S"))).map({ String(cString: $0) }),
            severity == "FATAL" || severity == "PANIC"
        else { return }
        let text = PQresultErrorField(result, Int32(UInt8(ascii: "M"))).map { String(cString: $0) } ?? ""
        lastWords = Failure(sqlState: state, message: text)
    }

    /// Waits once. While it connects, libpq may close its socket and open another one under the same number, so nothing may stay
    /// in the loop from one step to the next.
    private func wait(_ direction: Int32) {
        hasWaited = true
        event_assign(
            readEvent, loop.base, PQsocket(connection), Int16(direction),
            { _, _, context in Unmanaged<Connection>.fromOpaque(context!).takeUnretainedValue().pollLogin() },
            Unmanaged.passUnretained(self).toOpaque())
        event_add(readEvent, nil)
    }

    private func pollLogin() {
        switch PQconnectPoll(connection) {
        case PGRES_POLLING_READING: wait(EV_READ)
        case PGRES_POLLING_WRITING: wait(EV_WRITE)
        case PGRES_POLLING_OK:
            PQsetnonblocking(connection, 1)
            isUp = true
            usesTLS = PQsslInUse(connection) != 0
            let this = Unmanaged.passUnretained(self).toOpaque()
            event_assign(
                readEvent, loop.base, PQsocket(connection), Int16(EV_READ | EV_PERSIST),
                { _, _, context in Unmanaged<Connection>.fromOpaque(context!).takeUnretainedValue().readable() }, this)
            event_assign(
                writeEvent, loop.base, PQsocket(connection), Int16(EV_WRITE),
                { _, _, context in Unmanaged<Connection>.fromOpaque(context!).takeUnretainedValue().writable() }, this)
            event_add(readEvent, nil)
            owner.connected()
        default: failLogin()
        }
    }

    private func failLogin() {
        let text = String(cString: PQerrorMessage(connection))
        let state = Self.sqlState(inVerbose: text)
        var words = Self.firstLine(text)
        // The code stands beside the message already; and who reads it knows the address.
        if let state, let said = words.firstRange(of: "\(state): ") { words = String(words[said.upperBound...]) }
        let failure = Failure(sqlState: state ?? Failure.cannotConnect, message: words)
        close()
        owner.broken(failure)
    }

    /// `... FATAL:  28P01: password authentication failed ...` holds 28P01.
    static func sqlState(inVerbose text: String) -> String? {
        for severity in ["FATAL:  ", "ERROR:  ", "PANIC:  "] {
            guard let start = text.firstRange(of: severity)?.upperBound else { continue }
            let code = text[start...].prefix(5)
            if code.utf8.count == 5, code.utf8.allSatisfy({ (48...57).contains($0) || (65...90).contains($0) }),
                text[start...].dropFirst(5).hasPrefix(": ")
            {
                return String(code)
            }
        }
        return nil
    }

    private static func firstLine(_ text: String) -> String {
        text.split(separator: "\n").filter { !$0.hasPrefix("LOCATION:") }.first.map(String.init) ?? "no message"
    }

    /// Says farewell and closes.
    public func close() {
        guard let old = connection else { return }
        if isUp { event_del(writeEvent) }
        if hasWaited { event_del(readEvent) }
        soon?.cancel()
        hasWaited = false
        connection = nil
        isUp = false
        isCopyingIn = false
        isCopyingOut = false
        isPipelining = false
        generation += 1
        PQfinish(old)
    }

    /// Goes away as a client whose machine is gone does: no farewell. With `reset` the other side gets a RST, else a FIN.
    public func vanish(reset: Bool) {
        guard let connection else { return }
        let descriptor = PQsocket(connection)
        if descriptor >= 0 {
            if isUp { event_del(writeEvent) }
            if hasWaited { event_del(readEvent) }
            if reset {
                var now = linger(l_onoff: 1, l_linger: 0)
                setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
            }
            // The socket closes, its number stays taken, and libpq's farewell goes nowhere.
            let nowhere = Glibc.open("/dev/null", O_RDWR | O_CLOEXEC)
            if nowhere >= 0 {
                dup2(nowhere, descriptor)
                Glibc.close(nowhere)
            } else {
                shutdown(descriptor, Int32(SHUT_RDWR))
            }
        }
        close()
    }

    /// Stops to read, as a process does that is frozen: the connection stays open and nobody answers on this side.
    public func freeze() {
        guard isUp else { return }
        event_del(readEvent)
        event_del(writeEvent)
    }

    /// Asks the server to cancel what it does for this connection; nil when it is not connected. libpq 15 can only do that while it
    /// waits, so a thread does it; what becomes of it shows in the statement.
    public func cancel() -> CancelRequest? {
        guard let connection, let handle = PQgetCancel(connection) else { return nil }
        let request = CancelRequest()
        let errand = Unmanaged.passRetained(CancelErrand(handle, request))
        var thread = pthread_t()
        let status = pthread_create(
            &thread, nil,
            { context in
                Unmanaged<CancelErrand>.fromOpaque(context!).takeRetainedValue().run()
                return nil
            }, errand.toOpaque())
        if status == 0 { pthread_detach(thread) } else { errand.takeRetainedValue().giveUp() }
        return request
    }

    private func lose(_ failure: Failure) {
        close()
        owner.broken(failure)
    }

    private var lossOfConnection: Failure {
        if let lastWords { return lastWords }
        return Failure(sqlState: Failure.connectionLost, message: Self.firstLine(String(cString: PQerrorMessage(connection))))
    }

    // MARK: Sending

    /// A simple query, possibly of several statements.
    public func query(_ text: String) { sent(PQsendQuery(connection, text)) }

    /// Parse, Bind, Describe, Execute, Sync with the unnamed statement.
    public func query(_ text: String, _ parameters: [String]) {
        sent(withPointers(parameters) { PQsendQueryParams(connection, text, Int32(parameters.count), nil, $0, nil, nil, 0) })
    }

    public func prepare(_ name: String, _ text: String) { sent(PQsendPrepare(connection, name, text, 0, nil)) }

    public func execute(_ name: String, _ parameters: [String]) {
        sent(withPointers(parameters) { PQsendQueryPrepared(connection, name, Int32(parameters.count), $0, nil, nil, 0) })
    }

    /// From here to `endPipeline` statements are not sent one by one.
    public func beginPipeline() {
        isPipelining = true
        if PQenterPipelineMode(connection) == 0 { sent(0) }
    }

    /// Sends what is in the pipeline, and a Sync behind it.
    public func endPipeline() { sent(PQpipelineSync(connection)) }

    private func sent(_ worked: Int32) {
        guard isUp else { return }
        guard worked == 1 else { return loseSoon() }
        flush()
    }

    private func flush() {
        switch PQflush(connection) {
        case 0: break
        case 1: event_add(writeEvent, nil)
        default: loseSoon()
        }
    }

    /// The socket is broken. The reader finds out with what the server said last; callers need not expect to lose a connection
    /// in the middle of sending.
    private func loseSoon() { event_active(readEvent, Int32(EV_READ), 0) }

    private func withPointers(_ texts: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>?) -> Int32) -> Int32 {
        guard !texts.isEmpty else { return body(nil) }
        var bytes: [CChar] = []
        var starts: [Int] = []
        for text in texts {
            starts.append(bytes.count)
            for byte in text.utf8 { bytes.append(CChar(bitPattern: byte)) }
            bytes.append(0)
        }
        return bytes.withUnsafeBufferPointer { all in
            let pointers: [UnsafePointer<CChar>?] = starts.map { all.baseAddress! + $0 }
            return pointers.withUnsafeBufferPointer { body($0.baseAddress) }
        }
    }

    private func writable() {
        flush()
        if isCopyingIn { feedCopy() }
    }

    // MARK: Receiving

    private func readable() {
        guard let connection else { return }
        var alive = PQconsumeInput(connection) == 1
        // OpenSSL may hold the rest of a record that no event will announce; two more reads empty the largest one.
        for _ in 0..<3 where alive && usesTLS && PQisBusy(connection) == 1 { alive = PQconsumeInput(connection) == 1 }
        guard alive, PQstatus(connection) == CONNECTION_OK else {
            var known: Failure?
            for _ in 0..<1000 {
                guard let result = PQgetResult(connection) else { break }
                let answer = Answer(result)
                if answer.kind == .failed, answer.isFatal { known = answer.failure }
                if answer.kind == .copyIn || answer.kind == .copyOut { break }
            }
            return lose(known ?? lossOfConnection)
        }
        deliver()
    }

    private func deliver() {
        let mine = generation
        while generation == mine, !isCopyingIn, let connection {
            if isCopyingOut {
                var row: UnsafeMutablePointer<CChar>?
                let length = PQgetCopyData(connection, &row, 1)
                if length == 0 { return }
                if length > 0 {
                    owner.copied(UnsafeRawBufferPointer(start: row, count: Int(length)))
                    PQfreemem(row)
                    continue
                }
                isCopyingOut = false
            }
            if PQisBusy(connection) == 1 { return }
            guard let result = PQgetResult(connection) else {
                if isPipelining {
                    // Between two statements of a pipeline; or there is nothing to come yet.
                    if PQisBusy(connection) == 1 { return }
                    guard let next = PQgetResult(connection) else { return }
                    give(Answer(next))
                    continue
                }
                owner.finished()
                return
            }
            give(Answer(result))
        }
    }

    private func give(_ answer: Answer) {
        switch answer.kind {
        case .failed where answer.isFatal: lose(answer.failure)
        case .failed: owner.refused(answer.failure)
        case .synced:
            isPipelining = false
            PQexitPipelineMode(connection)
            owner.finished()
        case .copyOut:
            isCopyingOut = true
            owner.answered(answer)
        case .copyIn:
            isCopyingIn = true
            owner.answered(answer)
            feedCopy()
        default: owner.answered(answer)
        }
    }

    private func feedCopy() {
        while isCopyingIn, let connection {
            guard let piece = owner.nextCopyPiece() else {
                isCopyingIn = false
                if PQputCopyEnd(connection, nil) != 1 { return loseSoon() }
                return flush()
            }
            let worked = piece.withUnsafeBytes { PQputCopyData(connection, $0.bindMemory(to: CChar.self).baseAddress, Int32($0.count)) }
            guard worked == 1 else { return loseSoon() }
            switch PQflush(connection) {
            case 0: break
            case 1:
                event_add(writeEvent, nil)
                return
            default: return loseSoon()
            }
        }
    }
}
