import LibpqLoop

/// What clients report, and what becomes of it.
extension Engine {
    func count(_ due: Int64, _ change: (inout SecondCount) -> Void) {
        guard isInWindow(due) else { return }
        let index = Int((due - windowStart) / 1_000_000_000)
        if index < seconds.count { change(&seconds[index]) }
    }

    func ended(_ group: GroupRun, _ job: Client.Job, _ failure: Failure?) {
        let now = Loop.now
        activeJobs -= 1
        interval.add(latency: now - job.due, failed: failure != nil)
        if let failure {
            trouble(failure)
        } else {
            lastSign = now
            if phase == .trace { systemCallTransactions += 1 }
            if phase == .window { group.measured.succeededInside += 1 }
        }
        if isInWindow(job.due) {
            if let failure {
                group.measured.fail(failure.sqlState, failure.message)
                if failure.sqlState == Failure.timedOut { group.measured.age(due: job.due, now: now) }
            } else {
                // A function's work begins with its login; its wait is that of the login, and of no use as a time in the queue.
                let sent = group.spec.session.isServerless ? job.begun : job.sent
                group.measured.succeed(due: job.due, sent: sent, done: now, wait: job.wait)
            }
            let isServed = failure == nil && Double(now - job.due) <= options.servedWithin * 1e9
            count(job.due) {
                $0.due += 1
                if failure != nil { $0.failed += 1 }
                if isServed { $0.served += 1 }
            }
        }
        finishIfDrained()
    }

    /// An error outside a transaction.
    func mishap(_ group: GroupRun, _ failure: Failure) {
        trouble(failure)
        interval.failed += 1
        if phase == .window { group.measured.note(failure.sqlState, failure.message) }
    }

    private func trouble(_ failure: Failure) {
        lastTrouble = failure
        // An error of the server's is a sign of life, a lost connection is not.
        if ![Failure.cannotConnect, Failure.connectionLost, Failure.timedOut].contains(failure.sqlState), phase != .ramp {
            lastSign = Loop.now
        }
    }

    /// Somebody else's answer, or none's: what must never happen.
    func stranger(_ client: Client, _ words: String) {
        strangers += 1
        if strangerWords.count < 10 { strangerWords.append("client \(client.group.spec.name) \(client.number): \(words)") }
    }

    // MARK: For the faults

    var everybody: [Client] { groups.flatMap(\.clients) }
    func remark(_ text: String) { if !notes.contains(text) { notes.append(text) } }
    func sawServers(_ count: Int) { peakServers = max(peakServers ?? 0, count) }
    var isMeasuring: Bool { phase == .window }

    // MARK: The result

    func result() -> RunResult {
        var total = Measurements()
        for group in groups { total.add(group.measured) }
        let length = meteredFrom.flatMap { from in meteredUntil.map { Double($0 - from) / 1e9 } } ?? 0
        var result = RunResult(
            scenario: scenario.name, summary: scenario.summary, target: target.name, seed: scenario.seed, length: length, outcome: outcome)
        result.isOpenLoop = scenario.groups.allSatisfy(\.arrival.isOpen)
        result.isOnlyClosed = scenario.groups.allSatisfy { !$0.arrival.isOpen }
        result.isBurst = scenario.isBurst
        result.hasFaults = !scenario.faults.isEmpty
        result.total = GroupResult("total", clients: scenario.clients, total, length: length)
        result.groups =
            groups.count < 2 ? [] : groups.map { GroupResult($0.spec.name, clients: $0.clients.count, $0.measured, length: length) }
        result.connected = min(connectedAtStart, connectedAtEnd ?? connectedAtStart)
        result.strangers = strangers
        result.strangerWords = strangerWords
        result.rowsChecked = rowsChecked
        result.seconds = Array(seconds.prefix(Int(length.rounded(.up))))
        result.peakServers = peakServers
        if let cpuSpent {
            result.cpuSeconds = Double(cpuSpent) / 1e9
            if total.succeededInside > 0 { result.cpuPerTransaction = Double(cpuSpent) / 1000 / Double(total.succeededInside) }
        }
        if let ownCPUSpent, length > 0 { result.generatorCPU = Double(ownCPUSpent) / 1e9 / length }
        result.memory =
            target.pids.isEmpty
            ? nil : MemoryResult(before: memoryBefore, connected: memoryConnected, after: memoryAfter, clients: connectedAtStart)
        if let systemCalls { result.systemCalls = systemCalls.result(transactions: systemCallTransactions) }
        if let late = Percentiles(ownLateness), late.p99 > 1000 { result.generatorLate = late.p99 }
        if meteredFrom == nil { notes.append("the measured window had not begun") }
        result.notes = notes
        return result
    }
}
