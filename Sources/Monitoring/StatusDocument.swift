import Statistics

/// `/status.json`, which the page reads. Times are seconds; counts are since the start, so that a reader makes rates of two of them.
enum StatusDocument {
    static func render(_ snapshot: MonitoringSnapshot, pools: [PoolStatistics], isReady: Bool, reason: String) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("version", snapshot.version)
            json.member("time", snapshot.time)
            json.member("start_time", snapshot.startTime)
            json.member("workers", snapshot.workers)
            json.member("ready", isReady)
            json.member("reason", reason)
            json.member("draining", snapshot.isDraining)
            json.member("clients", snapshot.statistics.clients)
            json.member("clients_maximum", snapshot.maximumClients)
            json.member("clients_logging_in", snapshot.statistics.clientsLoggingIn)
            json.member("servers", snapshot.statistics.servers)
            json.member("cpu_seconds", snapshot.process.processorSeconds)
            json.member("memory_bytes", Int(snapshot.process.residentBytes))
            json.key("bounds")
            json.array { json in for bound in MetricsTable.bounds { json.value(Double(bound) / 1e6) } }
            json.key("login_failures")
            counts(snapshot.statistics.counters.disconnects, &json)
            json.key("pools")
            json.array { json in
                for pool in pools {
                    let name = MonitoringSnapshot.PoolName(database: pool.database, user: pool.user)
                    render(pool, snapshot.reach[name], &json)
                }
            }
        }
        return json.bytes
    }

    private static func render(_ pool: PoolStatistics, _ reach: MonitoringSnapshot.Reach?, _ json: inout JSONWriter) {
        let totals = pool.counters.totals
        json.object { json in
            json.member("database", pool.database)
            json.member("user", pool.user)
            json.member("mode", pool.poolMode)
            json.member("size", pool.poolSize)
            json.member("reserve", pool.reserveSize)
            json.member("paused", pool.isPaused)
            json.member("failure", reach?.failure ?? "")
            json.member("active", pool.gauges.clientsLinked)
            json.member("idle", pool.gauges.clientsIdle)
            json.member("idle_in_transaction", pool.gauges.clientsIdleInTransaction)
            json.member("waiting", pool.gauges.clientsWaiting)
            json.member("servers_active", pool.gauges.serversActive)
            json.member("servers_idle", pool.gauges.serversIdle + pool.gauges.serversUsed)
            json.member("servers_other", pool.gauges.serversLogin + pool.gauges.serversTested + pool.gauges.serversBeingCanceled)
            json.member("longest_wait", Double(pool.gauges.longestWait) / 1e6)
            json.member("transactions", Int(totals.transactions))
            json.member("queries", Int(totals.queries))
            json.member("received", Int(totals.bytesReceived))
            json.member("sent", Int(totals.bytesSent))
            json.member("logins", Int(totals.logins))
            json.member("opened", Int(pool.counters.serversOpened))
            json.member("failed", Int(pool.counters.serversFailed))
            for (name, histogram) in [
                ("waits", pool.counters.waits), ("query_times", pool.counters.queries), ("transaction_times", pool.counters.transactions),
            ] {
                json.key(name)
                json.array { json in
                    for bound in MetricsTable.bounds { json.value(Int(histogram.count(below: bound))) }
                    json.value(Int(histogram.count))
                }
            }
            json.key("errors")
            counts(pool.counters.errors, &json)
            json.key("client_disconnects")
            counts(pool.counters.clientDisconnects, &json)
            json.key("server_disconnects")
            counts(pool.counters.serverDisconnects, &json)
        }
    }

    private static func counts(_ counts: BoundedCounts, _ json: inout JSONWriter) {
        json.object { json in
            for (name, count) in counts.counts.sorted(by: { $0.key < $1.key }) { json.member(name, Int(count)) }
        }
    }
}

/// Writes JSON piece by piece; commas come by themselves.
struct JSONWriter {
    private(set) var bytes: [UInt8] = []
    private var needsComma = false

    mutating func object(_ body: (inout JSONWriter) -> Void) { nested("{", "}", body) }
    mutating func array(_ body: (inout JSONWriter) -> Void) { nested("[", "]", body) }

    private mutating func nested(_ open: Unicode.Scalar, _ close: Unicode.Scalar, _ body: (inout JSONWriter) -> Void) {
        separate()
        bytes.append(UInt8(ascii: open))
        needsComma = false
        body(&self)
        bytes.append(UInt8(ascii: close))
        needsComma = true
    }

    mutating func key(_ name: String) {
        separate()
        string(name)
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    mutating func value(_ number: Int) { raw(String(number)) }
    mutating func value(_ number: Double) { raw(number.isFinite ? "\(number)" : "null") }

    mutating func member(_ name: String, _ number: Int) {
        key(name)
        value(number)
    }
    mutating func member(_ name: String, _ number: Double) {
        key(name)
        value(number)
    }
    mutating func member(_ name: String, _ flag: Bool) {
        key(name)
        raw(flag ? "true" : "false")
    }
    mutating func member(_ name: String, _ text: String) {
        key(name)
        string(text)
        needsComma = true
    }

    private mutating func raw(_ text: String) {
        separate()
        bytes += text.utf8
    }

    private mutating func separate() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        needsComma = true
    }

    private mutating func string(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
            case 0..<32, 127:
                let digits = String(byte, radix: 16)
                bytes += "\\u00\(digits.utf8.count < 2 ? "0" : "")\(digits)".utf8
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
