import PostgresWire

/// A PostgreSQL as far as a session's state goes: it answers each message the way postgres.c does, errors included.
/// `Tests/differential/model.py` plays random walks to it and to the real one.
///
/// Its SQL: `select x`, `rows x` (three rows), `insert x`, `insert deferred` (fails when
/// the transaction commits), `fail x`, `syntax x`, `begin`, `commit`, `rollback`, `savepoint x`, `release x`, `prepare x`, `deallocate x`,
/// `deallocate all`, `discard all`, and nothing at all. COPY from the client: `copy in x`, `copy view x` (refused after CopyInResponse, before
/// any data is read), `copy unique x` (rows fail at CopyDone), `copy deferred x` (rows fail when the transaction commits). `copy out x`.
/// Parameters of the session (`ModelSettings`): `set x='y'`, `reset x`, `reset all`, `show x`, and set_config in the words of the pooler.
public struct ModelPostgres {
    public struct Failure: Error {
        let code: String
        init(_ code: String) { self.code = code }
        static let protocolViolation = Failure(SQLState.protocolViolation)
    }

    private struct Portal {
        let text: String
        let values: [String]
        var sent = 0
        /// Ran to its end, and can't be run again.
        var isDone = false
        /// Its transaction failed.
        var isDead = false
    }

    private struct Copy {
        let text: String
        /// What follows in the same Query; nil in the extended protocol.
        let rest: [String]?
        let portal: String
        var hasRows = false
        var hasEnded = false
    }

    public private(set) var named: [String: String] = [:]
    public private(set) var unnamed: String?
    public private(set) var status = TransactionStatus.idle
    /// After an error in the extended protocol.
    public private(set) var isSkipping = false
    /// An implicit transaction waits for its Sync.
    public private(set) var hasOpenBatch = false
    /// The connection was ended, by Terminate or with a FATAL; what else arrives is not read.
    public private(set) var isClosed = false
    /// What was committed.
    public private(set) var committed: [String] = []
    /// Run-time parameters.
    public private(set) var settings: ModelSettings
    private var pending: [String] = []
    private var portals: [String: Portal] = [:]
    private var savepoints: [String] = []
    private var copy: Copy?
    /// Several statements in one Query are a transaction block.
    private var isInImplicitBlock = false
    /// Something was executed in this implicit transaction (XACT_FLAGS_PIPELINING).
    private var isPipelining = false
    private var out = MessageWriter()
    private var frames: [[UInt8]] = []

    /// Bind must bring a value for each parameter of the text, and no more, and there are notices. Else any number of values will do, each
    /// becomes a column, and nobody is warned.
    public let isExact: Bool

    public init(isExact: Bool = false, settings: ModelSettings = ModelSettings()) {
        self.isExact = isExact
        self.settings = settings
    }

    public var isAtRest: Bool { status == .idle && !isSkipping && !hasOpenBatch && copy == nil && pending.isEmpty }
    public var isCopyingIn: Bool { copy != nil }

    /// A cancel request comes while this message runs: it does nothing but fail.
    public mutating func cancel(_ message: [UInt8]) -> [[UInt8]] {
        frames = []
        let canceled = Failure(SQLState.queryCanceled)
        if copy != nil { return interrupt() }
        switch message[0] {
        case _ where isClosed || isSkipping: return receive(message)
        case Frontend.query:
            unnamed = nil
            failSimple(canceled)
        case Frontend.functionCall: failSimple(canceled)
        case Frontend.execute: failExtended(canceled)
        default: return receive(message)
        }
        return frames
    }

    /// A cancel request comes while a COPY waits for data.
    public mutating func interrupt() -> [[UInt8]] {
        frames = []
        guard let copy else { return [] }
        self.copy = nil
        let canceled = Failure(SQLState.queryCanceled)
        if copy.rest == nil { failExtended(canceled) } else { failSimple(canceled) }
        return frames
    }

    /// Handles one message and returns what it answers, a message each.
    public mutating func receive(_ message: [UInt8]) -> [[UInt8]] {
        frames = []
        if isClosed { return [] }
        if copy != nil {
            inCopy(message)
            return frames
        }
        let type = message[0]
        guard Frontend.isKnown(type) else {
            fatal()
            return frames
        }
        guard message.count <= Frontend.maximumLength(type) else {
            // Said to the log alone.
            isClosed = true
            return frames
        }
        if type == Frontend.terminate {
            isClosed = true
        } else if isSkipping, type != Frontend.sync {
            // postgres.c: ignore_till_sync
        } else {
            handle(type, message[5...])
        }
        return frames
    }

    /// What a statement may begin with; anything else is a syntax error.
    private static let verbs: Set<String> = [
        "select", "rows", "insert", "fail", "begin", "commit", "rollback", "savepoint", "release", "prepare", "deallocate", "discard",
        "copy", "set", "reset", "show",
    ]

    private mutating func reply(_ write: (inout MessageWriter) -> Void) {
        out.removeAll()
        write(&out)
        frames.append(out.bytes)
    }

    private mutating func ready() {
        for (name, value) in settings.takeNews() { reply { $0.parameterStatus(name: name, value: value) } }
        let status = status
        reply { $0.readyForQuery(status) }
    }

    private mutating func handle(_ type: UInt8, _ body: ArraySlice<UInt8>) {
        var reader = MessageReader(body)
        switch type {
        case Frontend.query:
            do throws(Failure) {
                let written = Self.withoutComment(try reader.text())
                try reader.end()
                unnamed = nil
                // What is quoted keeps its case; whoever quotes here writes the rest in capitals too.
                let isQuoted = written.contains("\"") || written.contains("'")
                let texts = (isQuoted ? written : written.lowercased()).split(separator: ";").map(String.init)
                for text in texts {
                    if text.hasPrefix("syntax") { throw Failure(SQLState.syntaxError) }
                    scan(text)
                    if let verb = text.split(separator: " ").first, !Self.verbs.contains(verb.lowercased()) {
                        throw Failure(SQLState.syntaxError)
                    }
                }
                isInImplicitBlock = texts.count > 1
                try simple(texts)
            } catch { failSimple(error) }
        case Frontend.functionCall:
            do throws(Failure) {
                if status == .failed { throw Failure(SQLState.failedTransaction) }
                try call(&reader)
                frames.append([Backend.functionCallResponse, 0, 0, 0, 8, 255, 255, 255, 255])
                try finish()
                ready()
            } catch { failSimple(error) }
        case Frontend.sync:
            isSkipping = false
            do throws(Failure) {
                try reader.end()
                try finish()
            } catch { fail(error) }
            ready()
        case Frontend.flush:
            do throws(Failure) { try reader.end() } catch { failExtended(error) }
        case Frontend.parse, Frontend.bind, Frontend.describe, Frontend.execute, Frontend.close:
            do throws(Failure) { try extended(type, &reader) } catch { failExtended(error) }
        default:
            // Data of a COPY that is no more.
            break
        }
    }

    private func call(_ reader: inout MessageReader) throws(Failure) {
        _ = try reader.integer(bytes: 4)
        for _ in 0..<(try reader.integer(bytes: 2)) { _ = try reader.integer(bytes: 2) }
        for _ in 0..<(try reader.integer(bytes: 2)) { _ = try reader.value() }
        _ = try reader.integer(bytes: 2)
        try reader.end()
    }

    private mutating func notice(_ severity: String, _ code: String) {
        guard isExact else { return }
        reply { $0.notice(ErrorFields(severity: severity, code: code, message: "notice \(code)")) }
    }

    /// What the scanner says of names that are too long.
    private mutating func scan(_ text: String) {
        for word in text.split(separator: " ") where word.utf8.count > 63 { notice("NOTICE", "42622") }
    }

    // MARK: Transactions

    /// finish_xact_command
    private mutating func finish() throws(Failure) {
        hasOpenBatch = false
        isPipelining = false
        isInImplicitBlock = false
        if status == .idle {
            portals = [:]
            try commit()
        }
    }

    private mutating func commit() throws(Failure) {
        savepoints = []
        defer { pending = [] }
        if pending.contains("insert deferred") {
            settings.endTransaction(commits: false)
            throw Failure("23503")
        }
        settings.endTransaction(commits: true)
        committed += pending
    }

    private mutating func fail(_ failure: Failure) {
        settings.endTransaction(commits: false)
        switch status {
        case .idle: portals = [:]
        case .inTransaction:
            status = .failed
            for name in portals.keys { portals[name]?.isDead = true }
        case .failed: break  // What was bound since then, a COMMIT or ROLLBACK, can be run.
        }
        pending = []
        hasOpenBatch = false
        isPipelining = false
        isInImplicitBlock = false
        reply { $0.error(ErrorFields(severity: "ERROR", code: failure.code, message: "error \(failure.code)")) }
    }

    private mutating func failSimple(_ failure: Failure) {
        fail(failure)
        ready()
    }

    private mutating func failExtended(_ failure: Failure) {
        fail(failure)
        isSkipping = true
    }

    private mutating func fatal() {
        reply { $0.error(ErrorFields(severity: "FATAL", code: SQLState.protocolViolation, message: "error")) }
        isClosed = true
    }

    // MARK: Statements

    private enum Outcome {
        case empty
        case rows([[String]])
        /// The value of a parameter.
        case value(String, tag: String)
        case done(String)
        case copyIn
        case copyView
        case copyOut
    }

    private static func endsTransaction(_ text: String) -> Bool { text == "commit" || text == "rollback" }

    private static func returnsRows(_ text: String) -> Bool {
        text.hasPrefix("select") || text.hasPrefix("rows") || text.hasPrefix("show") || text.hasPrefix("SELECT")
    }

    /// NAMEDATALEN
    private static func cut(_ name: String) -> String {
        name.utf8.count > 63 ? String(decoding: name.utf8.prefix(63), as: UTF8.self) : name
    }

    private mutating func run(_ text: String, _ values: [String]) throws(Failure) -> Outcome {
        let words = text.split(separator: " ").map(String.init)
        guard let verb = words.first else { return .empty }
        if status == .failed, !Self.endsTransaction(text) { throw Failure(SQLState.failedTransaction) }
        switch verb.lowercased() {
        case "select":
            if let (name, value) = Self.setConfig(text) {
                settings.set(name, to: value)
                return .value(value, tag: "SELECT 1")
            }
            return .rows([[text] + values])
        case "set":
            guard let (name, value) = Self.assignment(text) else { throw Failure(SQLState.syntaxError) }
            try checkKnown(name)
            guard ModelSettings.takes(value, for: name) else { throw Failure(SQLState.invalidParameterValue) }
            settings.set(name, to: value)
            return .done("SET")
        case "reset":
            let name = words[1].filter { $0 != "\"" }
            if name.lowercased() == "all" {
                settings.resetAll()
            } else {
                try checkKnown(name)
                settings.reset(name)
            }
            return .done("RESET")
        case "show":
            try checkKnown(words[1])
            return .value(settings[words[1]] ?? "", tag: "SHOW")
        case "rows": return .rows((1...3).map { [text, String($0)] + values })
        case "insert":
            pending.append(text)
            return .done("INSERT 0 1")
        case "begin":
            if status == .inTransaction { notice("WARNING", SQLState.activeTransaction) }
            status = .inTransaction
            return .done("BEGIN")
        case "commit":
            let failed = status == .failed
            if status == .idle { notice("WARNING", SQLState.noActiveTransaction) }
            status = .idle
            portals = [:]
            if failed {
                savepoints = []
                return .done("ROLLBACK")
            }
            try commit()
            return .done("COMMIT")
        case "rollback":
            if status == .idle { notice("WARNING", SQLState.noActiveTransaction) }
            status = .idle
            portals = [:]
            savepoints = []
            pending = []
            settings.endTransaction(commits: false)
            return .done("ROLLBACK")
        case "savepoint":
            if status == .idle { throw Failure(SQLState.noActiveTransaction) }
            savepoints.append(words[1])
            return .done("SAVEPOINT")
        case "release":
            if status == .idle { throw Failure(SQLState.noActiveTransaction) }
            guard let index = savepoints.lastIndex(of: words[1]) else { throw Failure("3B001") }
            savepoints.removeSubrange(index...)
            return .done("RELEASE")
        case "prepare":
            if named[Self.cut(words[1])] != nil { throw Failure(SQLState.duplicateStatement) }
            named[Self.cut(words[1])] = "select 1"
            return .done("PREPARE")
        case "deallocate":
            if words[1].lowercased() == "all" {
                named = [:]
                return .done("DEALLOCATE ALL")
            }
            let name = Self.cut(words[1].filter { $0 != "\"" })
            guard named.removeValue(forKey: name) != nil else { throw Failure(SQLState.invalidStatementName) }
            return .done("DEALLOCATE")
        case "discard":
            if status != .idle || isInImplicitBlock || isPipelining { throw Failure(SQLState.activeTransaction) }
            named = [:]
            portals = [:]
            settings.resetAll()
            settings.endTransaction(commits: true)
            return .done("DISCARD ALL")
        case "copy":
            switch words[1] {
            case "in", "unique", "deferred": return .copyIn
            case "view": return .copyView
            default: return .copyOut
            }
        default: throw Failure("22012")
        }
    }

    private func checkKnown(_ name: String) throws(Failure) {
        guard ModelSettings.isKnown(name) else { throw Failure(SQLState.undefinedObject) }
    }

    /// The pooler leaves a mark behind the first word.
    private static func withoutComment(_ text: String) -> String {
        guard let start = text.firstRange(of: "/*"), let end = text[start.upperBound...].firstRange(of: "*/") else { return text }
        return String(text[..<start.lowerBound] + text[end.upperBound...])
    }

    /// `set NAME='VALUE'`, `SET NAME TO 'VALUE'`
    private static func assignment(_ text: String) -> (name: String, value: String)? {
        guard let sign = text.firstRange(of: "=") ?? text.firstRange(of: " TO ") else { return nil }
        let name = text[..<sign.lowerBound].split(separator: " ")
        guard name.count == 2 else { return nil }
        return (String(name[1]), unquoted(text[sign.upperBound...]))
    }

    /// `SELECT pg_catalog.set_config('NAME','VALUE',false)`
    private static func setConfig(_ text: String) -> (name: String, value: String)? {
        guard let open = text.firstIndex(of: "("), text[..<open].hasSuffix("set_config") else { return nil }
        let parts = text[text.index(after: open)...].split(separator: ",")
        guard parts.count == 3 else { return nil }
        return (unquoted(parts[0]), unquoted(parts[1]))
    }

    private static func unquoted(_ text: Substring) -> String {
        let inner = text.filter { $0 != " " }.drop { $0 == "E" }
        return String(inner.hasPrefix("'") ? inner.dropFirst().dropLast() : inner)
    }

    private mutating func simple(_ texts: [String]) throws(Failure) {
        var rest = texts
        while !rest.isEmpty {
            let text = rest.removeFirst()
            try refuseWhenFailed(text)
            // A statement that fails leaves its portal behind, until the transaction is over.
            portals[""] = Portal(text: text, values: [])
            switch try run(text, []) {
            case .empty:
                break
            case .rows(let rows):
                reply { $0.rowDescription([.text(text)]) }
                for row in rows { reply { $0.dataRow(row) } }
                try endSimple("SELECT \(rows.count)", text, isLast: rest.isEmpty)
            case .value(let value, let tag):
                reply { $0.rowDescription([.text(text)]) }
                reply { $0.dataRow([value]) }
                try endSimple(tag, text, isLast: rest.isEmpty)
            case .done(let tag):
                try endSimple(tag, text, isLast: rest.isEmpty)
            case .copyIn:
                beginCopy(Copy(text: text, rest: rest, portal: ""))
                return
            case .copyView:
                answerCopyIn()
                throw Failure("42809")
            case .copyOut:
                copyOut(text)
                try endSimple("COPY 1", text, isLast: rest.isEmpty)
            }
        }
        try finish()
        if texts.isEmpty { reply { $0.emptyQueryResponse() } }
        ready()
    }

    private mutating func endSimple(_ tag: String, _ text: String, isLast: Bool) throws(Failure) {
        portals[""] = nil
        if isLast { try finish() }
        reply { $0.commandComplete(tag) }
    }

    private mutating func copyOut(_ text: String) {
        frames.append([Backend.copyOutResponse, 0, 0, 0, 7, 0, 0, 0])
        reply { $0.copyData(Array(text.utf8)) }
        reply { $0.copyDone() }
    }

    // MARK: COPY from the client

    private mutating func answerCopyIn() { frames.append([Backend.copyInResponse, 0, 0, 0, 7, 0, 0, 0]) }

    private mutating func beginCopy(_ copy: Copy) {
        answerCopyIn()
        self.copy = copy
    }

    /// CopyGetData
    private mutating func inCopy(_ message: [UInt8]) {
        guard var copy else { return }
        let type = message[0]
        let body = message[5...]
        do throws(Failure) {
            switch type {
            case Frontend.copyData, Frontend.sync, Frontend.flush, Frontend.copyDone, Frontend.copyFail:
                if message.count > Frontend.maximumLength(type) { throw Failure(SQLState.connectionFailure) }
            default:
                throw .protocolViolation
            }
        } catch {
            // The message is not read to its end, so nobody knows where the next one begins.
            self.copy = nil
            fail(error)
            fatal()
            return
        }
        do throws(Failure) {
            switch type {
            case Frontend.copyData:
                if body.starts(with: Array("bad".utf8)) { throw Failure("22P02") }
                if body.contains(0) { throw Failure("22021") }
                if !body.isEmpty {
                    copy.hasRows = true
                    self.copy = copy
                }
            case Frontend.copyDone:
                self.copy = nil
                try endCopy(copy)
            case Frontend.copyFail:
                var reader = MessageReader(body)
                _ = try reader.text()
                throw Failure(SQLState.queryCanceled)
            default:
                // A driver may have sent Flush or Sync before it knew of the COPY.
                break
            }
        } catch {
            self.copy = nil
            if copy.rest == nil { failExtended(error) } else { failSimple(error) }
        }
    }

    private mutating func endCopy(_ copy: Copy) throws(Failure) {
        if copy.hasRows {
            if copy.text.hasPrefix("copy unique") { throw Failure("23505") }
            if copy.text.hasPrefix("copy deferred") { pending.append("insert deferred") }
        }
        if let rest = copy.rest {
            try endSimple("COPY 1", copy.text, isLast: rest.isEmpty)
            if rest.isEmpty { ready() } else { try simple(rest) }
        } else {
            portals[copy.portal]?.isDone = true
            isPipelining = true
            reply { $0.commandComplete("COPY 1") }
        }
    }

    // MARK: Extended query

    private mutating func extended(_ type: UInt8, _ reader: inout MessageReader) throws(Failure) {
        switch type {
        case Frontend.parse: try parse(&reader)
        case Frontend.bind: try bind(&reader)
        case Frontend.describe: try describe(&reader)
        case Frontend.execute:
            let name = Self.cut(try reader.text())
            let limit = try reader.integer(bytes: 4)
            try reader.end()
            hasOpenBatch = true
            try execute(name, limit: limit > 0x7FFF_FFFF ? 0 : limit)
        default:
            let what = try reader.byte()
            let name = Self.cut(try reader.text())
            try reader.end()
            guard what == Target.portal.rawValue || what == Target.statement.rawValue else { throw .protocolViolation }
            hasOpenBatch = true
            if what == Target.portal.rawValue {
                portals[name] = nil
            } else if name.isEmpty {
                unnamed = nil
            } else {
                named[name] = nil
            }
            reply { $0.closeComplete() }
        }
    }

    private mutating func parse(_ reader: inout MessageReader) throws(Failure) {
        let name = Self.cut(try reader.text())
        let text = Self.withoutComment(try reader.text())
        for _ in 0..<(try reader.integer(bytes: 2)) { _ = try reader.integer(bytes: 4) }
        try reader.end()
        hasOpenBatch = true
        if name.isEmpty { unnamed = nil }
        scan(text)
        if text.hasPrefix("syntax") { throw Failure(SQLState.syntaxError) }
        let statements = text.split(separator: ";")
        if statements.count > 1 { throw Failure(SQLState.syntaxError) }
        if !statements.isEmpty { try refuseWhenFailed(text) }
        if name.isEmpty {
            unnamed = text
        } else {
            if named[name] != nil { throw Failure(SQLState.duplicateStatement) }
            named[name] = text
        }
        reply { $0.parseComplete() }
    }

    private mutating func bind(_ reader: inout MessageReader) throws(Failure) {
        let portal = Self.cut(try reader.text())
        let text = try statement(Self.cut(try reader.text()))
        hasOpenBatch = true
        let formats = try reader.integer(bytes: 2)
        for _ in 0..<formats { _ = try reader.integer(bytes: 2) }
        let count = try reader.integer(bytes: 2)
        if formats > 1, formats != count { throw .protocolViolation }
        if isExact, count != (text.contains("$1") ? 1 : 0) { throw .protocolViolation }
        try refuseWhenFailed(text)
        if !portal.isEmpty, portals[portal] != nil { throw Failure("42P03") }
        // It exists before the values are read: where that fails in a transaction block, it stays, without a statement.
        portals[portal] = Portal(text: "", values: [])
        var values: [String] = []
        for _ in 0..<count {
            guard let value = try reader.value() else { continue }
            guard let text = String(validating: value, as: UTF8.self) else { throw Failure("22021") }
            values.append(text)
        }
        for _ in 0..<(try reader.integer(bytes: 2)) { _ = try reader.integer(bytes: 2) }
        try reader.end()
        portals[portal] = Portal(text: text, values: values)
        reply { $0.bindComplete() }
    }

    private mutating func describe(_ reader: inout MessageReader) throws(Failure) {
        let what = try reader.byte()
        let name = Self.cut(try reader.text())
        try reader.end()
        let text: String
        switch what {
        case Target.statement.rawValue:
            hasOpenBatch = true
            text = try statement(name)
            if Self.returnsRows(text) { try refuseWhenFailed(text) }
            let types: [UInt8] = text.contains("$1") ? [0, 0, 0, 25] : []
            frames.append([Backend.parameterDescription, 0, 0, 0, UInt8(6 + types.count), 0, UInt8(types.count / 4)] + types)
        case Target.portal.rawValue:
            hasOpenBatch = true
            guard let portal = portals[name] else { throw Failure(SQLState.invalidCursorName) }
            text = portal.text
            if Self.returnsRows(text) { try refuseWhenFailed(text) }
        default:
            throw .protocolViolation
        }
        if Self.returnsRows(text) { reply { $0.rowDescription([.text(text)]) } } else { reply { $0.noData() } }
    }

    private mutating func execute(_ name: String, limit: Int) throws(Failure) {
        guard var portal = portals[name] else { throw Failure(SQLState.invalidCursorName) }
        if portal.text.isEmpty {
            reply { $0.emptyQueryResponse() }
            return
        }
        if portal.isDead { throw Failure(SQLState.failedTransaction) }
        try refuseWhenFailed(portal.text)
        if portal.isDone { throw Failure("55000") }
        if !Self.returnsRows(portal.text) { portals[name]?.isDone = true }
        switch try run(portal.text, portal.values) {
        case .empty: reply { $0.emptyQueryResponse() }
        case .done(let tag):
            // DISCARD ALL is committed at once, too (`XACT_FLAGS_NEEDIMMEDIATECOMMIT`).
            isPipelining = !Self.endsTransaction(portal.text) && tag != "DISCARD ALL"
            reply { $0.commandComplete(tag) }
        case .rows(let rows): fetch(rows, nil, &portal, name, limit)
        case .value(let value, let tag): fetch([[value]], tag, &portal, name, limit)
        case .copyIn:
            beginCopy(Copy(text: portal.text, rest: nil, portal: name))
        case .copyView:
            answerCopyIn()
            throw Failure("42809")
        case .copyOut:
            copyOut(portal.text)
            isPipelining = true
            reply { $0.commandComplete("COPY 1") }
        }
    }

    /// Sends rows of a portal; `tag` where it does not count them.
    private mutating func fetch(_ rows: [[String]], _ tag: String?, _ portal: inout Portal, _ name: String, _ limit: Int) {
        let due = rows.dropFirst(portal.sent)
        let part = limit > 0 ? due.prefix(limit) : due
        for row in part { reply { $0.dataRow(row) } }
        portal.sent += part.count
        portals[name] = portal
        isPipelining = true
        if limit > 0, part.count == limit {
            reply { $0.portalSuspended() }
        } else {
            reply { $0.commandComplete(tag ?? "SELECT \(part.count)") }
        }
    }

    private func refuseWhenFailed(_ text: String) throws(Failure) {
        if status == .failed, !Self.endsTransaction(text) { throw Failure(SQLState.failedTransaction) }
    }

    private func statement(_ name: String) throws(Failure) -> String {
        guard let text = name.isEmpty ? unnamed : named[name] else { throw Failure(SQLState.invalidStatementName) }
        return text
    }
}
