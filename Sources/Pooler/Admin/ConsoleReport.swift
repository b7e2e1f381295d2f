import Console
import EventLoop
import PoolCore
import Statistics

/// Where a client stands, for WHY CLIENT.
struct ClientStanding: Sendable {
    /// Since when it waits; nil when it does not.
    var since: Int64?
    /// Its pool; nil for clients of the console and those that have not logged in.
    var pool: CapacityLedger.PoolKey?
    /// What it does, when it does not wait.
    var text = ""
    /// The server that it holds.
    var holder: ServerHolder?
}

/// Collects from all workers what a command shows. Runs on no worker, so that formatting thousands of rows keeps no query waiting; each
/// worker is asked for a few connections at a time.
enum ConsoleReport {
    static func statistics(_ workers: [Worker]) async -> ProcessStatistics {
        var parts: [WorkerStatistics] = []
        for worker in workers {
            var part = await worker.statistics()
            part.pools.append(await worker.consoleStatistics())
            parts.append(part)
        }
        return ProcessStatistics(parts)
    }

    static func outcome(
        of command: ConsoleCommand, for rights: Rights, _ facts: ConsoleFacts, _ workers: [Worker]
    ) async -> ConsoleOutcome {
        switch command {
        case .show(let name, let selection):
            guard let topic = ShowTopic.named(name) else { return .failed(ConsoleError("no such topic: \(name)")) }
            var facts = facts
            facts.rights = rights
            switch topic.need {
            case .little: facts.statistics = await statistics(workers)
            case .connections: facts.connections = await connections(workers)
            }
            return .done(tag: "SHOW", table: topic.table(facts, selection))
        case .whyPool(let database, let user, let selection):
            let key = CapacityLedger.PoolKey(database: database, user: user)
            guard let facts = await waitFacts(key, workers) else {
                return .failed(ConsoleError("no such pool: \(database) \(user)", hint: "SHOW POOLS lists them."))
            }
            let rows = WaitReport.pool(facts, now: MonotonicClock.now(), for: rights)
            return .done(tag: "WHY", table: ConsoleTable(columns: WaitReport.columns, rows: rows).selected(selection))
        case .whyClient(let id, let selection):
            for worker in workers {
                guard let standing = await worker.clientStanding(id) else { continue }
                let rows = await rows(id, standing, rights, workers)
                return .done(tag: "WHY", table: ConsoleTable(columns: WaitReport.columns, rows: rows).selected(selection))
            }
            return .failed(ConsoleError("client not found", hint: "SHOW CLIENTS lists them, with their id."))
        default:
            return .failed(ConsoleError("command can't be carried out here"))
        }
    }

    private static func rows(_ id: UInt64, _ standing: ClientStanding, _ rights: Rights, _ workers: [Worker]) async -> [[Cell]] {
        guard let since = standing.since, let pool = standing.pool, let facts = await waitFacts(pool, workers) else {
            return WaitReport.notWaiting(
                "Client \(id) does not wait: \(standing.text).", holder: standing.holder, pool: standing.pool, for: rights)
        }
        return WaitReport.waiting(facts, since: since, now: MonotonicClock.now(), for: rights)
    }

    private static func connections(_ workers: [Worker]) async -> [ConnectionFacts] {
        var clients: [ConnectionFacts] = []
        var servers = await servers(workers)
        // Only the connection that carries a cancel request knows whether it is on its way.
        let waiting = Set(servers.filter { $0.state == .waitingCancelRequest }.compactMap(\.request))
        servers.removeAll { $0.request != nil && $0.peer == nil }
        for index in servers.indices where servers[index].state == .waitingCancelRequest { servers[index].state = .new }
        for worker in workers {
            var slot: Int? = 0
            while let from = slot {
                let part = await worker.clientFacts(from: from)
                clients += part.facts
                slot = part.next
            }
        }
        for index in clients.indices {
            if let request = clients[index].request, waiting.contains(request) { clients[index].state = .waitingCancelRequest }
        }
        return clients.sorted { $0.id < $1.id } + servers.sorted { $0.id < $1.id }
    }

    /// Each server once. Servers change workers while these are asked one after the other, so one may be met twice, or nowhere; how many
    /// there are is certain all the same. The workers are asked again until each server has been met.
    private static func servers(_ workers: [Worker]) async -> [ConnectionFacts] {
        var met: [UInt64: (facts: ConnectionFacts, round: Int)] = [:]
        var total = 0
        for round in 0..<rounds {
            total = 0
            for worker in workers {
                let part = await worker.serverFacts()
                for facts in part.facts { met[facts.id] = (facts, round) }
                total += part.facts.count + part.lent
            }
            if met.count >= total { break }
        }
        // Those that were not met in the last round may have been closed meanwhile.
        return met.values.sorted { $0.round > $1.round }.prefix(max(0, total)).map(\.facts)
    }

    private static let rounds = 100

    /// What is known of a pool over all workers; nil when no worker has it.
    static func waitFacts(_ key: CapacityLedger.PoolKey, _ workers: [Worker]) async -> WaitFacts? {
        var sum: WaitFacts?
        for worker in workers {
            guard let part = await worker.waitFacts(key) else { continue }
            if sum == nil { sum = part } else { sum! += part }
        }
        guard let limit = sum.map({ WaitDiagnosis($0).limit }), limit.isShared else { return sum }
        for worker in workers { sum?.rivals += await worker.rivals(of: key, under: limit) }
        return sum
    }
}
