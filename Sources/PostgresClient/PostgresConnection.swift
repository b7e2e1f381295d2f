import CLibpq
import Glibc

/// A connection to PostgreSQL, or to a pooler's console, through libpq.
///
/// It blocks its thread while it waits, yet never deaf: a wait ends when a descriptor of the caller's becomes readable (Ctrl-C by way
/// of a signalfd) or when the time is up. It belongs to the one who made it and is not Sendable.
public final class PostgresConnection {
    private let handle: OpaquePointer
    /// NOTICEs that came since the connection was made or since they were last taken.
    private var notices: [PostgresMessage] = []

    /// Connects.
    /// - Parameters:
    ///   - parameters: libpq's keywords (`host`, `port`, `dbname`, ...). What is missing comes from the environment (`PGHOST`, ...),
    ///     the password file and libpq's defaults. `dbname` may be a whole connection string or URL.
    ///   - timeout: seconds for connecting and logging in.
    ///   - interrupt: a descriptor; when it becomes readable the attempt ends with `.interrupted`.
    public init(_ parameters: [(name: String, value: String)], timeout: Double, interrupt: Int32? = nil) throws(PostgresError) {
        let handle: OpaquePointer? = CStringArray.with(parameters.map(\.name)) { names in
            CStringArray.with(parameters.map(\.value)) { values in PQconnectStartParams(names, values, 1) }
        }
        guard let handle else { throw .connection("out of memory") }
        self.handle = handle
        PQsetNoticeReceiver(
            handle,
            { context, result in
                guard let context, let result else { return }
                Unmanaged<PostgresConnection>.fromOpaque(context).takeUnretainedValue().notices.append(PostgresMessage(result))
            }, Unmanaged.passUnretained(self).toOpaque())
        let deadline = Deadline(seconds: timeout)
        guard PQstatus(handle) != CONNECTION_BAD else { throw connectionError() }
        var wanted = PGRES_POLLING_WRITING
        while wanted != PGRES_POLLING_OK {
            switch Wait.until(wanted == PGRES_POLLING_READING ? .readable : .writable, PQsocket(handle), interrupt: interrupt, deadline) {
            case .ready: break
            case .interrupted: throw .interrupted
            case .late: throw .connection("no answer from \(place) in \(Int(timeout)) s")
            }
            wanted = PQconnectPoll(handle)
            if wanted == PGRES_POLLING_FAILED { throw connectionError() }
        }
    }

    deinit { PQfinish(handle) }

    /// Whether the server asked for a password and none was there to give.
    public var isPasswordMissing: Bool { PQconnectionNeedsPassword(handle) != 0 }

    /// `host:port` as libpq understood it, for messages.
    public var place: String { "\(text(PQhost(handle))):\(text(PQport(handle)))" }

    /// The database that was asked for.
    public var database: String { text(PQdb(handle)) }

    /// The user that logged in.
    public var user: String { text(PQuser(handle)) }

    /// What the server reported about itself, such as `server_version`; nil for a name it did not report.
    public func parameter(_ name: String) -> String? {
        PQparameterStatus(handle, name).map { String(cString: $0) }
    }

    /// The NOTICEs so far; the next call returns only newer ones.
    public func takeNotices() -> [PostgresMessage] {
        defer { notices = [] }
        return notices
    }

    /// Runs one statement (several, without parameters) and returns the last result.
    /// - Parameters:
    ///   - parameters: values for `$1`, `$2`, ...; with any of them the extended protocol is used.
    ///   - timeout: seconds for the answer; nil waits for ever.
    ///   - interrupt: a descriptor; when it becomes readable the statement is cancelled and the call throws `.interrupted`.
    public func query(
        _ text: String, _ parameters: [String?] = [], timeout: Double? = nil, interrupt: Int32? = nil
    ) throws(PostgresError) -> QueryResult {
        let sent: Int32
        if parameters.isEmpty {
            sent = PQsendQuery(handle, text)
        } else {
            sent = CStringArray.with(parameters) {
                PQsendQueryParams(handle, text, Int32(parameters.count), nil, $0, nil, nil, 0)
            }
        }
        guard sent != 0 else { throw lost() }
        return try collect(Deadline(seconds: timeout), interrupt)
    }

    /// Sends a statement and does not wait. `poll` brings the answer.
    public func begin(_ text: String) throws(PostgresError) {
        guard PQsendQuery(handle, text) != 0 else { throw lost() }
    }

    /// The answer of what `begin` sent; nil while there is none yet.
    public func poll() throws(PostgresError) -> QueryResult? {
        _ = PQflush(handle)
        guard PQconsumeInput(handle) != 0 else { throw lost() }
        if PQisBusy(handle) != 0 { return nil }
        return try collect(Deadline(seconds: 1), nil)
    }

    private func collect(_ deadline: Deadline, _ interrupt: Int32?) throws(PostgresError) -> QueryResult {
        var last = QueryResult()
        var failure: PostgresError?
        while let result = try nextResult(deadline, interrupt) {
            defer { PQclear(result) }
            switch PQresultStatus(result) {
            case PGRES_COMMAND_OK, PGRES_TUPLES_OK: last = QueryResult(result)
            case PGRES_EMPTY_QUERY: last = QueryResult()
            case PGRES_FATAL_ERROR, PGRES_BAD_RESPONSE:
                let message = PostgresMessage(result)
                // libpq's own reports, such as a broken connection, have no SQLSTATE.
                failure = failure ?? (message.code.isEmpty ? .lost(message.message) : .server(message))
            default: failure = failure ?? .lost("the server began a COPY, which nobody asked for")
            }
            if case .lost? = failure { break }
        }
        if let failure { throw failure }
        return last
    }

    private func nextResult(_ deadline: Deadline, _ interrupt: Int32?) throws(PostgresError) -> OpaquePointer? {
        while PQflush(handle) > 0 || PQisBusy(handle) != 0 {
            let wanted: Wait.For = PQflush(handle) > 0 ? .either : .readable
            switch Wait.until(wanted, PQsocket(handle), interrupt: interrupt, deadline) {
            case .ready: guard PQconsumeInput(handle) != 0 else { throw lost() }
            case .interrupted:
                cancel()
                throw .interrupted
            case .late: throw .timeout
            }
        }
        return PQgetResult(handle)
    }

    /// Asks the server to stop what this connection is waiting for. Returns whether the request was delivered.
    @discardableResult
    public func cancel() -> Bool {
        guard let key = PQgetCancel(handle) else { return false }
        defer { PQfreeCancel(key) }
        var error = [CChar](repeating: 0, count: 256)
        return PQcancel(key, &error, 256) != 0
    }

    private func connectionError() -> PostgresError {
        PQconnectionNeedsPassword(handle) != 0 ? .passwordNeeded(lastError) : .connection(lastError)
    }

    private func lost() -> PostgresError { .lost(lastError) }

    private var lastError: String {
        let words = text(PQerrorMessage(handle)).split(separator: "\n").map { $0.drop { $0 == "\t" || $0 == " " } }.joined(separator: "; ")
        return words.isEmpty ? "the connection was lost" : words
    }

    private func text(_ pointer: UnsafePointer<CChar>?) -> String { pointer.map { String(cString: $0) } ?? "" }
    private func text(_ pointer: UnsafeMutablePointer<CChar>?) -> String { pointer.map { String(cString: $0) } ?? "" }
}
