import PostgresWire

/// A PostgreSQL as far as a session's state goes: it answers each message the way postgres.c does, errors included.
///
/// Its SQL: `select x`, `rows x` (three rows), `insert x`, `insert deferred` (fails when the transaction commits), `fail x`,
/// `syntax x`, `begin`, `commit`, `rollback`, `savepoint x`, `release x`, `prepare x`, `deallocate x`, `deallocate all`, `discard all`,
/// `copyin x`, `copyview x` (refused after CopyInResponse, before any data is read), `copyout x`, and nothing at all.
struct ModelPostgres {
    private struct Failure: Error {
        let code: String
        init(_ code: String) { self.code = code }
    }

    private struct Portal {
        let text: String
        let values: [String]
        var sent = 0
    }

    private enum Copy: Equatable {
        case simple(rest: [String])
        case extended
    }

    private(set) var named: [String: String] = [:]
    private(set) var unnamed: String?
    private(set) var status = TransactionStatus.idle
    /// After an error in the extended protocol.
    private(set) var isSkipping = false
    /// An implicit transaction waits for its Sync.
    private(set) var hasOpenBatch = false
    /// What was committed.
    private(set) var committed: [String] = []
    private var pending: [String] = []
    private var portals: [String: Portal] = [:]
    private var copy: Copy?
    private var out = MessageWriter()
    private var frames: [[UInt8]] = []

    var isAtRest: Bool { status == .idle && !isSkipping && !hasOpenBatch && copy == nil && pending.isEmpty }
    var isCopyingIn: Bool { copy != nil }

    /// Handles one message and returns what it answers, a message each.
    mutating func receive(_ message: [UInt8]) -> [[UInt8]] {
        frames = []
        let body = Array(message[5...])
        if copy != nil {
            inCopy(message[0], body)
        } else if isSkipping, message[0] != Frontend.sync {
            // postgres.c: ignore_till_sync
        } else {
            handle(message[0], body)
        }
        return frames
    }

    private mutating func reply(_ write: (inout MessageWriter) -> Void) {
        out.removeAll()
        write(&out)
        frames.append(out.bytes)
    }

    private mutating func ready() {
        if status == .idle { portals = [:] }
        let status = status
        reply { $0.readyForQuery(status) }
    }

    private mutating func handle(_ type: UInt8, _ body: [UInt8]) {
        switch type {
        case Frontend.query:
            portals[""] = nil
            unnamed = nil
            // Quoted names keep their case; whoever quotes here writes the rest in capitals too.
            let written = cut(body, 1).texts[0]
            let texts = (written.contains("\"") ? written : written.lowercased()).split(separator: ";", omittingEmptySubsequences: false)
                .map(String.init)
            do throws(Failure) {
                if texts.contains(where: { $0.hasPrefix("syntax") }) { throw Failure(SQLState.syntaxError) }
                try simple(texts)
            } catch { failSimple(error) }
        case Frontend.functionCall:
            do throws(Failure) {
                if status == .failed { throw Failure(SQLState.failedTransaction) }
                frames.append([Backend.functionCallResponse, 0, 0, 0, 8, 255, 255, 255, 255])
                try finish()
                ready()
            } catch { failSimple(error) }
        case Frontend.sync:
            isSkipping = false
            do throws(Failure) { try finish() } catch { fail(error) }
            ready()
        case Frontend.parse, Frontend.bind, Frontend.describe, Frontend.execute, Frontend.close:
            hasOpenBatch = true
            do throws(Failure) {
                try extended(type, body)
            } catch {
                fail(error)
                isSkipping = true
            }
        default:
            break
        }
    }

    // MARK: Transactions

    private mutating func finish() throws(Failure) {
        hasOpenBatch = false
        if status == .idle { try commit() }
    }

    private mutating func commit() throws(Failure) {
        defer { pending = [] }
        if pending.contains("insert deferred") { throw Failure("23503") }
        committed += pending
    }

    private mutating func fail(_ failure: Failure) {
        if status == .inTransaction { status = .failed }
        pending = []
        hasOpenBatch = false
        reply { $0.error(ErrorFields(severity: "ERROR", code: failure.code, message: "error \(failure.code)")) }
    }

    private mutating func failSimple(_ failure: Failure) {
        fail(failure)
        ready()
    }

    // MARK: Statements

    private enum Outcome {
        case empty
        case rows([[String]], tag: String)
        case done(String)
        case copyIn
        case copyView
        case copyOut
    }

    private static func endsTransaction(_ text: String) -> Bool { text == "commit" || text == "rollback" }

    private static func returnsRows(_ text: String) -> Bool { text.hasPrefix("select") || text.hasPrefix("rows") }

    private mutating func run(_ text: String, _ values: [String]) throws(Failure) -> Outcome {
        let words = text.split(separator: " ").map(String.init)
        guard let verb = words.first else { return .empty }
        if status == .failed, !Self.endsTransaction(text) { throw Failure(SQLState.failedTransaction) }
        switch verb.lowercased() {
        case "select": return .rows([[text] + values], tag: "SELECT 1")
        case "rows": return .rows((1...3).map { [text, String($0)] + values }, tag: "SELECT 3")
        case "insert":
            pending.append(text)
            return .done("INSERT 0 1")
        case "begin":
            status = .inTransaction
            return .done("BEGIN")
        case "commit":
            let failed = status == .failed
            status = .idle
            if failed { return .done("ROLLBACK") }
            try commit()
            return .done("COMMIT")
        case "rollback":
            status = .idle
            pending = []
            return .done("ROLLBACK")
        case "savepoint", "release":
            if status == .idle { throw Failure(SQLState.noActiveTransaction) }
            return .done(verb.uppercased())
        case "prepare":
            if named[words[1]] != nil { throw Failure(SQLState.duplicateStatement) }
            named[words[1]] = "select 1"
            return .done("PREPARE")
        case "deallocate":
            if words[1].lowercased() == "all" {
                named = [:]
                return .done("DEALLOCATE ALL")
            }
            guard named.removeValue(forKey: words[1].filter { $0 != "\"" }) != nil else { throw Failure(SQLState.invalidStatementName) }
            return .done("DEALLOCATE")
        case "discard":
            if status != .idle { throw Failure(SQLState.activeTransaction) }
            named = [:]
            return .done("DISCARD ALL")
        case "copyin": return .copyIn
        case "copyview": return .copyView
        case "copyout": return .copyOut
        default: throw Failure("22012")
        }
    }

    private mutating func simple(_ texts: [String]) throws(Failure) {
        var rest = texts
        while !rest.isEmpty {
            let text = rest.removeFirst()
            switch try run(text, []) {
            case .empty:
                if texts.count == 1 { reply { $0.emptyQueryResponse() } }
            case .rows(let rows, let tag):
                reply { $0.rowDescription([.text(text)]) }
                for row in rows { reply { $0.dataRow(row) } }
                try endSimple(tag, isLast: rest.isEmpty)
            case .done(let tag):
                try endSimple(tag, isLast: rest.isEmpty)
            case .copyIn:
                frames.append([Backend.copyInResponse, 0, 0, 0, 7, 0, 0, 0])
                copy = .simple(rest: rest)
                return
            case .copyView:
                frames.append([Backend.copyInResponse, 0, 0, 0, 7, 0, 0, 0])
                throw Failure("42809")
            case .copyOut:
                copyOut(text)
                try endSimple("COPY 1", isLast: rest.isEmpty)
            }
        }
        try finish()
        ready()
    }

    private mutating func endSimple(_ tag: String, isLast: Bool) throws(Failure) {
        if isLast { try finish() }
        reply { $0.commandComplete(tag) }
    }

    private mutating func copyOut(_ text: String) {
        frames.append([Backend.copyOutResponse, 0, 0, 0, 7, 0, 0, 0])
        reply { $0.copyData(Array(text.utf8)) }
        reply { $0.copyDone() }
    }

    // MARK: COPY from the client

    private mutating func inCopy(_ type: UInt8, _ body: [UInt8]) {
        let mode = copy
        do throws(Failure) {
            switch type {
            case Frontend.copyData:
                if body.starts(with: Array("bad".utf8)) { throw Failure("22P04") }
            case Frontend.sync, Frontend.flush:
                break
            case Frontend.copyDone:
                copy = nil
                if case .simple(let rest) = mode {
                    try endSimple("COPY 1", isLast: rest.isEmpty)
                    if rest.isEmpty { ready() } else { try simple(rest) }
                } else {
                    reply { $0.commandComplete("COPY 1") }
                }
            case Frontend.copyFail:
                throw Failure(SQLState.queryCanceled)
            default:
                throw Failure(SQLState.protocolViolation)
            }
        } catch {
            copy = nil
            if mode == .extended {
                fail(error)
                isSkipping = true
            } else {
                failSimple(error)
            }
        }
    }

    // MARK: Extended query

    private mutating func extended(_ type: UInt8, _ body: [UInt8]) throws(Failure) {
        switch type {
        case Frontend.parse:
            let (texts, _) = cut(body, 2)
            if texts[0].isEmpty { unnamed = nil }
            if texts[1].hasPrefix("syntax") { throw Failure(SQLState.syntaxError) }
            try refuseWhenFailed(texts[1])
            if texts[0].isEmpty {
                unnamed = texts[1]
            } else {
                if named[texts[0]] != nil { throw Failure(SQLState.duplicateStatement) }
                named[texts[0]] = texts[1]
            }
            reply { $0.parseComplete() }
        case Frontend.bind:
            let (texts, rest) = cut(body, 2)
            let text = try statement(texts[1])
            try refuseWhenFailed(text)
            if !texts[0].isEmpty, portals[texts[0]] != nil { throw Failure("42P03") }
            portals[texts[0]] = Portal(text: text, values: values(rest))
            reply { $0.bindComplete() }
        case Frontend.describe:
            let (texts, _) = cut(Array(body[1...]), 1)
            let text: String
            if body[0] == Target.statement.rawValue {
                text = try statement(texts[0])
                if Self.returnsRows(text) { try refuseWhenFailed(text) }
                frames.append([Backend.parameterDescription, 0, 0, 0, 6, 0, 0])
            } else {
                guard let portal = portals[texts[0]] else { throw Failure(SQLState.invalidCursorName) }
                text = portal.text
                if Self.returnsRows(text) { try refuseWhenFailed(text) }
            }
            if Self.returnsRows(text) { reply { $0.rowDescription([.text(text)]) } } else { reply { $0.noData() } }
        case Frontend.execute:
            let (texts, rest) = cut(body, 1)
            try execute(texts[0], limit: Int(rest[3]))
        default:
            let (texts, _) = cut(Array(body[1...]), 1)
            if body[0] == Target.portal.rawValue {
                portals[texts[0]] = nil
            } else if texts[0].isEmpty {
                unnamed = nil
            } else {
                named[texts[0]] = nil
            }
            reply { $0.closeComplete() }
        }
    }

    private mutating func execute(_ name: String, limit: Int) throws(Failure) {
        guard var portal = portals[name] else { throw Failure(SQLState.invalidCursorName) }
        try refuseWhenFailed(portal.text)
        switch try run(portal.text, portal.values) {
        case .empty: reply { $0.emptyQueryResponse() }
        case .done(let tag):
            reply { $0.commandComplete(tag) }
        case .rows(let rows, let tag):
            let due = rows.dropFirst(portal.sent)
            let part = limit > 0 ? due.prefix(limit) : due
            for row in part { reply { $0.dataRow(row) } }
            portal.sent += part.count
            portals[name] = portal
            if limit > 0, part.count == limit { reply { $0.portalSuspended() } } else { reply { $0.commandComplete(tag) } }
        case .copyIn:
            frames.append([Backend.copyInResponse, 0, 0, 0, 7, 0, 0, 0])
            copy = .extended
        case .copyView:
            frames.append([Backend.copyInResponse, 0, 0, 0, 7, 0, 0, 0])
            throw Failure("42809")
        case .copyOut:
            copyOut(portal.text)
            reply { $0.commandComplete("COPY 1") }
        }
    }

    private func refuseWhenFailed(_ text: String) throws(Failure) {
        if status == .failed, !Self.endsTransaction(text) { throw Failure(SQLState.failedTransaction) }
    }

    private func statement(_ name: String) throws(Failure) -> String {
        guard let text = name.isEmpty ? unnamed : named[name] else { throw Failure(SQLState.invalidStatementName) }
        return text
    }

    // MARK: Bytes

    /// The first texts of a body, and what follows them.
    private func cut(_ body: [UInt8], _ count: Int) -> (texts: [String], rest: [UInt8]) {
        var rest = body[...]
        var texts: [String] = []
        for _ in 0..<count {
            let text = rest.prefix { $0 != 0 }
            texts.append(String(decoding: text, as: UTF8.self))
            rest = rest.dropFirst(text.count + 1)
        }
        return (texts, Array(rest))
    }

    /// The values of a Bind that `MessageWriter` wrote: no formats, texts below 256 bytes.
    private func values(_ rest: [UInt8]) -> [String] {
        var values: [String] = []
        var at = 4
        for _ in 0..<rest[3] {
            let length = Int(rest[at + 3])
            values.append(String(decoding: rest[at + 4..<at + 4 + length], as: UTF8.self))
            at += 4 + length
        }
        return values
    }
}
