import Configuration
import Console
import EventLoop
import PoolCore
import PostgresWire
import Synchronization

/// A console command that is answered when servers have been closed.
struct ControlWait {
    enum Kind {
        /// No server is left; the state before, for Ctrl-C.
        case pause(String?)
        /// No obsolete server is left.
        case close(String?)
    }

    let kind: Kind
    let client: UInt64
    /// The workers have to know of it first.
    let number: Int
    let answer: CheckedContinuation<ConsoleOutcome, Never>?
}

/// What operators do to the running process, by console or by signal. Runs on the main thread.
extension PoolerProcess {
    func handleRequests() {
        for entry in shared.adminRequests.take() { handle(entry) }
    }

    /// PgBouncer's words, and behind them what the log says.
    private static func answer(to outcome: ReloadOutcome) -> ConsoleOutcome {
        switch outcome {
        case .failed(let error):
            return .failed(ConsoleError("RELOAD failed, see logs for additional details", code: "F0000", detail: error.description))
        case .done(needsRestart: []): return .done(tag: "RELOAD")
        case .done(let names):
            let text = "only a restart puts these changes into force: \(names.joined(separator: ", "))"
            return .done(
                tag: "RELOAD", notices: [ErrorFields(severity: "NOTICE", code: SQLState.successfulCompletion, message: text)])
        }
    }

    private func handle(_ entry: AdminRequestQueue.Entry) {
        let answer = entry.answer
        switch entry.request {
        case .reload:
            shared.log.info("RELOAD command issued")
            reloadConfiguration { answer?.resume(returning: Self.answer(to: $0)) }
        case .set(let key, let value): set(key, value, answer)
        case .reset(let key): reset(key, answer)
        case .pause(let name):
            do throws(ConsoleError) { try pause(name, for: entry.client, answer) } catch { answer?.resume(returning: .failed(error)) }
        case .resume(let name): attempt(answer, "RESUME") { () throws(ConsoleError) in try resume(name) }
        case .disable(let name):
            attempt(answer, "DISABLE") { () throws(ConsoleError) in
                try checkDatabase(name, for: "disable")
                adminState.disabledDatabases.insert(name)
            }
        case .enable(let name):
            attempt(answer, "ENABLE") { () throws(ConsoleError) in
                try checkDatabase(name, for: "enable", mayMake: false)
                adminState.disabledDatabases.remove(name)
            }
        case .reconnect(let name): reconnect(name, answer)
        case .kill(let name): kill(name, answer)
        case .killClient(let id): killClient(id, answer)
        case .waitClose(let name):
            do throws(ConsoleError) {
                if let name { try checkDatabase(name, for: "wait_close") }
                waits.append(ControlWait(kind: .close(name), client: entry.client, number: 0, answer: answer))
                checkWaits()
            } catch { answer?.resume(returning: .failed(error)) }
        case .shutdown(let kind): shutdown(kind, answer)
        case .probed(let report): probed(report)
        case .done(let next): next()
        case .told(let number):
            holdsTold = max(holdsTold, number)
            checkWaits()
        case .check: checkWaits()
        case .cancel: cancelWait(of: entry.client)
        case .forget: forgetWait(of: entry.client)
        }
    }

    /// A change of `holds` that is answered once all workers know of it.
    private func attempt(
        _ answer: CheckedContinuation<ConsoleOutcome, Never>?, _ tag: String, _ change: () throws(ConsoleError) -> Void
    ) {
        do throws(ConsoleError) {
            try change()
            tellHolds { answer?.resume(returning: .done(tag: tag)) }
        } catch {
            answer?.resume(returning: .failed(error))
        }
    }

    private func tellHolds(then done: @escaping @Sendable () -> Void) {
        adminStateNumber += 1
        let (state, number, requests) = (adminState, adminStateNumber, shared.adminRequests)
        tellWorkers(
            { .applyAdminState(state, $0) },
            then: {
                requests.post(.told(number))
                done()
            })
    }

    /// `mayMake`: a name that only `*` stands for is good enough, though nobody has asked for it yet.
    private func checkDatabase(_ name: String, for verb: String, mayMake: Bool = true) throws(ConsoleError) {
        if name == ShowTopic.consoleDatabase { throw ConsoleError("cannot \(verb) admin db: \(name)") }
        let isKnown = mayMake ? configuration.database(named: name) != nil : configuration.databases[name] != nil || isHeld(name)
        guard isKnown || shared.isAutoDatabase(name) else {
            let nearest = Names.nearest(to: name, among: configuration.databases.keys)
            throw ConsoleError("no such database: \(name)", hint: nearest.map { "Did you mean \"\($0)\"?" })
        }
    }

    private func isHeld(_ name: String) -> Bool {
        adminState.pausedDatabases.contains(name) || adminState.disabledDatabases.contains(name)
    }

    // MARK: Pause

    private func pause(
        _ name: String?, for client: UInt64, _ answer: CheckedContinuation<ConsoleOutcome, Never>?
    ) throws(ConsoleError) {
        if adminState.isPaused { throw ConsoleError("already suspended/paused") }
        if let name {
            try checkDatabase(name, for: "pause")
            adminState.pausedDatabases.insert(name)
        } else {
            adminState.isPaused = true
        }
        shared.log.info("PAUSE\(name.map { " \($0)" } ?? "") command issued")
        waits.append(ControlWait(kind: .pause(name), client: client, number: adminStateNumber + 1, answer: answer))
        tellHolds {}
        checkWaits()
    }

    private func resume(_ name: String?) throws(ConsoleError) {
        if shared.shutdown.load(ordering: .acquiring) != .none { throw ConsoleError("pooler is shutting down") }
        if let name {
            try checkDatabase(name, for: "resume", mayMake: false)
            guard adminState.pausedDatabases.remove(name) else { throw ConsoleError("database \(name) is not paused") }
        } else {
            guard adminState.isPaused else { throw ConsoleError("pooler is not paused/suspended") }
            adminState.isPaused = false
        }
        shared.log.info("RESUME\(name.map { " \($0)" } ?? "") command issued")
        endPauses { name == nil ? $0 == nil : $0 == name }
    }

    /// A PAUSE that still waits, and is undone by somebody else.
    private func endPauses(where isMeant: (String?) -> Bool) {
        waits.removeAll { wait in
            guard case .pause(let name) = wait.kind, isMeant(name) else { return false }
            wait.answer?.resume(returning: .failed(ConsoleError("PAUSE was ended by RESUME", code: "57014")))
            return true
        }
        shared.adminRequests.isAwaited.store(!waits.isEmpty, ordering: .relaxed)
    }

    func pauseBySignal() {
        shared.log.info("got SIGUSR1, pausing all activity")
        if adminState.isPaused {
            shared.log.info("already suspended/paused")
            return
        }
        try? pause(nil, for: 0, nil)
    }

    func resumeBySignal() {
        if shared.shutdown.load(ordering: .acquiring) != .none {
            shared.log.info("got SIGUSR2 while shutting down, ignoring")
        } else if adminState.isPaused {
            shared.log.info("got SIGUSR2, continuing from PAUSE")
            try? resume(nil)
            tellHolds {}
        } else {
            shared.log.info("got SIGUSR2, but not paused/suspended")
        }
    }

    // MARK: Waiting

    private func checkWaits() {
        waits.removeAll { wait in
            let tag: String
            switch wait.kind {
            case .pause(let name):
                guard holdsTold >= wait.number, serversLeft(name) == 0 else { return false }
                tag = "PAUSE"
            case .close(let name):
                guard shared.pools(of: name).allSatisfy({ $0.obsoleteServers == 0 }) else { return false }
                tag = "WAIT_CLOSE"
            }
            wait.answer?.resume(returning: .done(tag: tag))
            return true
        }
        let wasAwaited = shared.adminRequests.isAwaited.exchange(!waits.isEmpty, ordering: .sequentiallyConsistent)
        // A server may have been closed between the look and the mark.
        if !waits.isEmpty, !wasAwaited { checkWaits() }
    }

    private func serversLeft(_ name: String?) -> Int {
        shared.capacity.withLock { ledger in name.map { ledger.servers(ofDatabase: $0) } ?? ledger.servers }
    }

    /// Ctrl-C: what the command was to achieve is taken back.
    private func cancelWait(of client: UInt64) {
        guard let index = waits.firstIndex(where: { $0.client == client }) else { return }
        let wait = waits.remove(at: index)
        switch wait.kind {
        case .close:
            wait.answer?.resume(returning: .failed(ConsoleError("WAIT_CLOSE canceled", code: "57014")))
        case .pause(let name):
            do throws(ConsoleError) {
                try resume(name)
            } catch {
                // A shutdown has begun meanwhile: nobody goes on.
                wait.answer?.resume(returning: .failed(ConsoleError("PAUSE canceled", code: "57014", detail: error.message)))
                return
            }
            tellHolds {
                wait.answer?.resume(returning: .failed(ConsoleError("PAUSE canceled: clients go on", code: "57014")))
            }
        }
    }

    /// The console client left. What it began stays.
    private func forgetWait(of client: UInt64) {
        waits.removeAll { wait in
            guard wait.client == client else { return false }
            wait.answer?.resume(returning: .done(tag: ""))
            return true
        }
    }

    // MARK: Servers and clients

    private func reconnect(_ name: String?, _ answer: CheckedContinuation<ConsoleOutcome, Never>?) {
        do throws(ConsoleError) {
            if let name { try checkDatabase(name, for: "reconnect") }
        } catch {
            answer?.resume(returning: .failed(error))
            return
        }
        shared.log.info("RECONNECT\(name.map { " \($0)" } ?? "") command issued")
        for pool in shared.pools(of: name) { pool.forgetServers() }
        tellWorkers({ .replaceServers(database: name, $0) }, then: { answer?.resume(returning: .done(tag: "RECONNECT")) })
    }

    private func kill(_ name: String?, _ answer: CheckedContinuation<ConsoleOutcome, Never>?) {
        do throws(ConsoleError) {
            if adminState.isPaused { throw ConsoleError("already suspended/paused") }
            if let name { try checkDatabase(name, for: "kill") }
        } catch {
            answer?.resume(returning: .failed(error))
            return
        }
        if let name { adminState.pausedDatabases.insert(name) } else { adminState.isPaused = true }
        shared.log.info("KILL\(name.map { " \($0)" } ?? "") command issued")
        // No worker kills before it knows that nobody is to be served from now on.
        tellHolds {}
        tellWorkers({ .killConnections(database: name, $0) }, then: { answer?.resume(returning: .done(tag: "KILL")) })
    }

    private func killClient(_ id: UInt64, _ answer: CheckedContinuation<ConsoleOutcome, Never>?) {
        let workers = workers
        shared.log.info("KILL_CLIENT \(id) command issued")
        Task(executorPreference: shared.tasks) {
            for worker in workers where await worker.killClient(id) {
                answer?.resume(returning: .done(tag: "KILL_CLIENT"))
                return
            }
            answer?.resume(returning: .failed(ConsoleError("client not found")))
        }
    }

    private func shutdown(_ kind: ShutdownKind, _ answer: CheckedContinuation<ConsoleOutcome, Never>?) {
        let isUnderWay = shared.shutdown.load(ordering: .acquiring) != .none
        switch kind {
        case .atOnce:
            shared.log.info("SHUTDOWN command issued")
            end()
        case .waitForServers, .waitForClients:
            guard !isUnderWay else {
                answer?.resume(returning: .failed(ConsoleError("already shutting down")))
                return
            }
            let isForServers = kind == .waitForServers
            shared.log.info("SHUTDOWN WAIT_FOR_\(isForServers ? "SERVERS" : "CLIENTS") command issued")
            announceStopping()
            beginShutdown(isForServers ? .waitForServers : .waitForClients)
            answer?.resume(returning: .done(tag: "SHUTDOWN"))
        }
    }

    // MARK: Settings

    private func set(_ key: String, _ value: String, _ answer: CheckedContinuation<ConsoleOutcome, Never>?) {
        var fresh = configuration
        let preparation: Preparation
        do throws(ConsoleError) {
            try change(key, to: value, in: &fresh)
            if let problem = Self.missingPart(fresh) { throw ConsoleError("SET failed", detail: problem) }
            preparation = try prepare(fresh, changed: key, for: "SET")
        } catch {
            answer?.resume(returning: .failed(error))
            return
        }
        let setting = SettingsTable.named(key)
        if let setting, setting.defaultText == nil { setOnConsole.insert(key) }
        shared.log.info("SET \(key)=\(setting?.withoutSecrets(value) ?? value) command issued")
        if let notice = preparation.notice { shared.log.warning("SET \(key): \(notice)") }
        let notices = preparation.notice.map {
            [ErrorFields(severity: "NOTICE", code: SQLState.successfulCompletion, message: "SET \(key): \($0)")]
        }
        takeOver(fresh, preparation.monitoring) { answer?.resume(returning: .done(tag: "SET \(key)=\(value)", notices: notices ?? [])) }
    }

    private func prepare(_ fresh: Configuration, changed key: String?, for verb: String) throws(ConsoleError) -> Preparation {
        do throws(ConfigurationError) {
            return try prepare(fresh, changed: key)
        } catch {
            shared.log.warning("\(verb) failed: \(error.message)")
            throw ConsoleError("\(verb) failed", detail: error.message)
        }
    }

    private func change(_ key: String, to value: String, in configuration: inout Configuration) throws(ConsoleError) {
        guard let setting = SettingsTable.named(key) else {
            let nearest = Names.nearest(to: key, among: SettingsTable.all.map(\.name))
            throw ConsoleError(
                "SET failed", detail: "There is no setting \"\(key)\".",
                hint: nearest.map { "Did you mean \($0)?" } ?? "SHOW CONFIG lists them.")
        }
        guard setting.reloadable else {
            throw ConsoleError(
                "SET failed", code: "55P02", detail: "\(key) can only be changed by a restart.",
                hint: "SHOW CONFIG WHERE changeable = yes lists what SET can change.")
        }
        do throws(InvalidValue) {
            try setting.apply(value, to: &configuration.settings)
        } catch {
            throw ConsoleError("SET failed", detail: "\(key): \(error.message)")
        }
    }

    private func reset(_ key: String?, _ answer: CheckedContinuation<ConsoleOutcome, Never>?) {
        var fresh = configuration
        if let key, SettingsTable.named(key)?.reloadable != true {
            let detail = SettingsTable.named(key) == nil ? "There is no setting \"\(key)\"." : "\(key) can only be changed by a restart."
            answer?.resume(returning: .failed(ConsoleError("RESET failed", detail: detail)))
            return
        }
        fresh.settings = loadedSettings
        for setting in SettingsTable.all where key != nil && key != setting.name {
            // What was accepted once is accepted again.
            if let text = setting.text(in: configuration.settings) { try? setting.apply(text, to: &fresh.settings) }
        }
        let monitoring: MonitoringChange?
        do throws(ConsoleError) {
            monitoring = try prepare(fresh, changed: key, for: "RESET").monitoring
        } catch {
            answer?.resume(returning: .failed(error))
            return
        }
        if let key { setOnConsole.remove(key) } else { setOnConsole = [] }
        takeOver(fresh, monitoring) { answer?.resume(returning: .done(tag: "RESET")) }
    }

    /// Settings without a default keep what SET gave them when the file is silent, as in PgBouncer.
    func keepSetOnConsole(_ settings: inout Settings) {
        for name in setOnConsole {
            guard let setting = SettingsTable.named(name), setting.text(in: settings) == setting.text(in: Settings()) else { continue }
            if let text = setting.text(in: configuration.settings) { try? setting.apply(text, to: &settings) }
        }
    }
}
