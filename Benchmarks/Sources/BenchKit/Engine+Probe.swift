import Glibc
import LibpqLoop

/// What is looked at before a run begins, so that what cannot work says so at once.
extension Engine {
    /// Sockets and what else a run needs, against what the process may open. `poolers`: this program also starts poolers, which
    /// inherit the limit, and need a socket for each client and their connections to the server.
    public static func checkFiles(clients: Int, poolers: Bool = false) throws(BenchFailure) {
        let limit = Machine.raiseFileLimit()
        let needed = max(clients + Machine.openFiles + 32, poolers ? clients + 150 : 0)
        if needed > limit {
            throw .unavailable(
                "\(grouped(clients)) clients need \(grouped(needed)) open files, and this process may have \(grouped(limit)): raise the limit (ulimit -n \(needed)), or ask for fewer clients"
            )
        }
    }

    /// One login of each kind, and the server's clock against ours.
    func probe() throws(BenchFailure) {
        let session = Dialogue(on: loop)
        defer { session.close() }
        var users: [Int?] = scenario.groups.contains { $0.tenants == 0 } ? [nil] : []
        if scenario.tenants > 0 { users.append(1) }
        for tenant in users {
            do {
                try session.open(target.keywords(tenant: tenant), seconds: options.patience, interrupted: interrupted)
            } catch let failure as Failure {
                throw explain(failure, tenant: tenant)
            } catch { throw (error as? BenchFailure) ?? .unavailable("\(error)") }
        }
        do {
            if scenario.needsTables {
                let rows = try session.rows(
                    "SELECT to_regclass('sluicebench.history')", seconds: options.patience, interrupted: interrupted)
                if rows.first?.first ?? nil == nil {
                    throw BenchFailure.unavailable(
                        "the database \(target.database) has no tables for this scenario: make them with `sluicebench prepare --target URL`"
                    )
                }
            }
            var best = Double.infinity
            for _ in 0..<10 {
                let before = Double(Loop.wallMicroseconds)
                let rows = try session.rows(
                    "SELECT extract(epoch FROM clock_timestamp()) * 1000000", seconds: options.patience, interrupted: interrupted)
                let after = Double(Loop.wallMicroseconds)
                guard let text = rows.first?.first ?? nil, let server = Double(text), after - before < best else { continue }
                best = after - before
                let offset = server - (before + after) / 2
                // Less than a round trip: that is what cannot be told from nothing.
                clockOffset = abs(offset) < best ? 0 : offset
            }
        } catch let failure as Failure {
            throw explain(failure, tenant: nil)
        } catch { throw (error as? BenchFailure) ?? .unavailable("\(error)") }
        if clockOffset != 0 {
            notes.append("the server's clock is \(fixed(clockOffset / 1000, 2)) ms ahead of ours; waits are corrected by that")
        }
    }

    /// Why a target that did not work is dead, where it is. A process that ends closes its sockets a moment before its status can be
    /// had, so that moment has to pass before it is known to live.
    func awaitObituary(_ seconds: Double = 5) -> String? {
        guard let obituary = options.obituary else { return nil }
        let end = Loop.now + Int64(seconds * 1e9)
        while true {
            if let words = obituary() { return words }
            loop.poll()
            if interrupted() || Loop.now > end { return nil }
            usleep(10_000)
        }
    }

    private func explain(_ failure: Failure, tenant: Int?) -> BenchFailure {
        let user = tenant.map(Target.tenantName) ?? target.user
        let at = "\(target.address), database \(target.database), user \(user)"
        // Poolers of PgBouncer's kind refuse a password as a violation of the protocol.
        if ["28P01", "28000"].contains(failure.sqlState) || failure.message.contains("authentication failed") {
            let users = "the users of `sluicebench prepare --tenants \(scenario.tenants)`, with the target's password"
            let hint = tenant == nil ? "" : " (this scenario needs \(users); a pooler has to know them, too)"
            return .unavailable("\(target.name) refuses the login at \(at): \(failure)\(hint)")
        }
        switch failure.sqlState {
        case Failure.cannotConnect, Failure.timedOut: return .unavailable("cannot reach \(target.name) at \(at): \(failure.message)")
        default: return .unavailable("\(target.name) does not work at \(at): \(failure)")
        }
    }
}
