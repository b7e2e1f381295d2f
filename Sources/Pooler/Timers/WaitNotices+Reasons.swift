import PoolCore
import PostgresWire

/// Why clients of a pool wait, as it was found a moment ago.
struct WaitExplanation {
    let diagnosis: WaitDiagnosis
    let time: Int64
}

/// What waiting clients are told, and what the log says of slow statements.
extension WaitNotices {
    /// How long an explanation holds, and how long the other workers have to give their part of it, in microseconds.
    private static let explanationLife: Int64 = 1_000_000

    /// The text for a client that waits since that moment; nil when the other workers have been asked first: `explained` goes on.
    func words(on shard: PoolShard, since moment: Int64) -> (detail: String, hint: String, limit: WaitDiagnosis.Limit)? {
        guard let explanation = explanation(of: shard) else { return nil }
        let before = explanation.diagnosis.place(since: moment)
        return (explanation.diagnosis.reason(behind: before), explanation.diagnosis.advice, explanation.diagnosis.limit)
    }

    private func explanation(of shard: PoolShard) -> WaitExplanation? {
        if let known = shard.explanation, now - known.time < Self.explanationLife { return known }
        if shared.parallel {
            guard let asked = shard.explanationAsked else {
                shard.explanationAsked = now
                let (workers, mailbox, key) = (worker.admin.workers, worker.mailbox, shard.shared.key)
                Task(executorPreference: shared.tasks) {
                    if let facts = await ConsoleReport.waitFacts(key.family, workers) { mailbox.post(.explained(key, facts)) }
                }
                return nil
            }
            // A worker that does not answer keeps nobody waiting for longer.
            if now - asked < Self.explanationLife { return nil }
        }
        var facts = worker.snapshots.waitFacts(shard)
        facts.rivals = worker.snapshots.rivals(of: facts.pool, under: WaitDiagnosis(facts).limit)
        return keep(facts, shard)
    }

    @discardableResult
    private func keep(_ facts: WaitFacts, _ shard: PoolShard) -> WaitExplanation {
        let explanation = WaitExplanation(diagnosis: WaitDiagnosis(facts), time: now)
        shard.explanation = explanation
        shard.explanationAsked = nil
        return explanation
    }

    func explained(_ key: CapacityLedger.PoolKey, _ facts: WaitFacts) {
        guard let shard = worker.shards[key] else { return }
        keep(facts, shard)
        checkWaiting(shard)
    }

    // MARK: Slow statements

    /// Logs a statement of a server's client that waited and ran for longer than `log_min_duration`.
    func logSlow(_ server: ServerConnection, ran: Int64) {
        guard let client = server.client else { return }
        let text = StatementExcerpt.text(of: server.lastStatement.bytes, statements: client.session.statements) ?? "(not kept)"
        func milliseconds(_ time: Int64) -> String { "\(time / 1000).\(String(time % 1000 + 1000).dropFirst()) ms" }
        shared.log.info(
            "slow statement: \(milliseconds(server.waited + ran)) (waited \(milliseconds(server.waited)), ran \(milliseconds(ran))): \(text)",
            about: client.subject)
    }
}
