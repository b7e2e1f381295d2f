import Glibc
import LibpqLoop

/// A throwaway PostgreSQL and the poolers before it. Everything lives in one folder, and ends with it.
public final class Lab {
    public static let password = "sluicebench-pw"
    public static let database = "bench"
    public static let user = "app"
    /// Connections that the server takes; what gives each client one of its own cannot serve more.
    public static let serverConnections = 600

    public let folder: String
    public private(set) var serverPort = 0
    private let loop: Loop
    private let interrupted: () -> Bool
    private var server: Child?
    private var secrets: [String: String] = [:]
    private var serverCommand: [String] = []
    private var poolers: [Child] = []
    private var restartTimer: Timer?
    public let programs: String
    private let cores: CoreBudget
    private let tls: Bool

    /// Makes the folder and finds PostgreSQL. `tls`: between clients and poolers. `interrupted` is asked while it waits.
    public init(cores: CoreBudget, tls: Bool = false, loop: Loop, interrupted: @escaping () -> Bool) throws {
        self.loop = loop
        self.tls = tls
        self.interrupted = interrupted
        self.cores = cores
        programs = try Self.findPrograms()
        for tool in ["setpriv", "taskset"] where Self.path(of: tool) == nil {
            throw BenchFailure.unavailable("the program \(tool) is missing (Debian's package util-linux)")
        }
        if Machine.isRoot, getpwnam("postgres") == nil {
            throw BenchFailure.unavailable("PostgreSQL does not run as root, and there is no user postgres to run it as")
        }
        folder = try Machine.temporaryFolder("sluicebench")
        Machine.give(folder)
    }

    deinit { close() }

    private static func findPrograms() throws(BenchFailure) -> String {
        let versions = Machine.names(in: "/usr/lib/postgresql").compactMap { Int($0) }.sorted(by: >)
        for version in versions where access("/usr/lib/postgresql/\(version)/bin/initdb", X_OK) == 0 {
            return "/usr/lib/postgresql/\(version)/bin"
        }
        if let path = path(of: "initdb") { return String(path.dropLast("/initdb".count)) }
        throw .unavailable(
            "no PostgreSQL server: expected /usr/lib/postgresql/*/bin/initdb, or initdb in PATH (Debian's package postgresql)")
    }

    /// Where a program is, as a shell would find it; the system's folders are looked into, too.
    public static func path(of program: String) -> String? {
        if program.contains("/") { return access(program, X_OK) == 0 ? program : nil }
        let path = (getenv("PATH").map { String(cString: $0) } ?? "") + ":/usr/sbin:/usr/bin:/sbin:/bin"
        return path.split(separator: ":").map { "\($0)/\(program)" }.first { access($0, X_OK) == 0 }
    }

    /// The first `number.number` in a text; (0, 0) where there is none.
    static func version(in text: String) -> (Int, Int) {
        for word in text.split(separator: " ") {
            let parts = word.split(separator: ".").map { Int($0.prefix { $0.isNumber }) }
            if parts.count >= 2, let major = parts[0], let minor = parts[1] { return (major, minor) }
        }
        return (0, 0)
    }

    /// As the user postgres where we are root; the kernel sends it a signal when we die, whatever we die of.
    private func unprivileged(_ command: [String], cores: String?, deathSignal: String = "TERM") -> [String] {
        let identity = Machine.isRoot ? ["--reuid=postgres", "--regid=postgres", "--init-groups"] : []
        let pin = cores.map { ["taskset", "-c", $0] } ?? []
        return pin + ["setpriv"] + identity + ["--pdeathsig", deathSignal, "--"] + command
    }

    /// Waits for `condition` without leaving Ctrl-C unheard. False after `seconds`.
    private func wait(_ seconds: Double, for condition: () -> Bool) throws(BenchFailure) -> Bool {
        let end = Loop.now + Int64(seconds * 1e9)
        while !condition() {
            loop.poll()
            if interrupted() { throw .interrupted }
            if Loop.now > end { return false }
            usleep(10_000)
        }
        return true
    }

    // MARK: The server

    /// Makes and starts the server, with the tables and `tenants` users of the scenarios.
    public func startServer(tenants: Int) throws {
        let data = folder + "/data"
        let log = folder + "/initdb.log"
        let initdb = try Child(
            unprivileged(
                [
                    programs + "/initdb", "-D", data, "-U", "postgres", "--auth-local=trust", "--auth-host=scram-sha-256", "-E", "UTF8",
                    "--locale=C.UTF-8", "--no-sync",
                ],
                cores: nil), output: log)
        let done = try wait(60) { !initdb.isRunning }
        if !done || initdb.poll() != 0 {
            initdb.stop(SIGKILL)
            throw BenchFailure.unavailable("initdb failed: \(tail(log))")
        }
        serverPort = try Machine.freePort()
        serverCommand = unprivileged(
            [
                programs + "/postgres", "-D", data, "-p", String(serverPort), "-k", folder, "-c", "listen_addresses=127.0.0.1", "-c",
                "fsync=off",
                "-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "max_connections=\(Self.serverConnections)", "-c",
                "autovacuum=off",
                "-c", "shared_buffers=256MB", "-c", "max_wal_size=4GB",
            ], cores: cores.server, deathSignal: "INT")
        if tls { try makeCertificate() }
        try runServer()
        let session = Dialogue(on: loop)
        defer { session.close() }
        try open(session)
        do {
            try session.rows("CREATE ROLE \(Self.user) LOGIN SUPERUSER PASSWORD '\(Self.password)'", seconds: 10, interrupted: interrupted)
            try session.rows("CREATE DATABASE \(Self.database) OWNER \(Self.user)", seconds: 30, interrupted: interrupted)
        } catch let failure as Failure { throw BenchFailure.unavailable("the throwaway PostgreSQL does not work: \(failure)") }
        try Preparation.run(on: direct, tenants: tenants, password: Self.password, loop: loop, interrupted: interrupted)
        for row in try session.rows(
            "SELECT rolname, rolpassword FROM pg_authid WHERE rolpassword IS NOT NULL", seconds: 10, interrupted: interrupted)
        {
            if let name = row[0], let secret = row[1] { secrets[name] = secret }
        }
    }

    /// Logs in as superuser, over the socket in the folder, as soon as the server takes logins.
    private func open(_ session: Dialogue) throws {
        let end = Loop.now + 30_000_000_000
        while true {
            do {
                return try session.open(
                    [("dbname", "host=\(folder) port=\(serverPort) user=postgres dbname=postgres")], seconds: 10, interrupted: interrupted)
            } catch let failure as Failure {
                // It restarts, or has not come up yet.
                let isComing = failure.sqlState == "57P03" || failure.sqlState == Failure.cannotConnect
                guard isComing, Loop.now < end, server?.isRunning == true || restartTimer != nil else {
                    throw BenchFailure.unavailable("the throwaway PostgreSQL does not work: \(failure): \(tail(folder + "/postgres.log"))")
                }
                _ = try wait(0.1) { false }
            }
        }
    }

    private func runServer() throws { server = try Child(serverCommand, name: "postgres", output: folder + "/postgres.log") }

    /// Ends the server and starts it again, meanwhile the loop goes on.
    public func restartServer() throws {
        guard let server else { return }
        server.signal(SIGINT)
        if restartTimer == nil {
            restartTimer = Timer(on: loop) { [unowned self] in
                if self.server?.isRunning == true {
                    restartTimer?.start(after: 20_000_000)
                } else {
                    try? runServer()
                }
            }
        }
        restartTimer?.start(after: 20_000_000)
    }

    /// Waits until the server takes logins (again).
    public func awaitServer() throws {
        let session = Dialogue(on: loop)
        defer { session.close() }
        try open(session)
    }

    /// Every run finds the same: no rows of earlier ones, no dead ones to step over, no writing of pages that is still due.
    public func tidyTables() throws {
        let session = Dialogue(on: loop)
        defer { session.close() }
        do {
            try session.open(try direct.keywords, seconds: 10, interrupted: interrupted)
            for statement in Preparation.tidying { try session.rows(statement, seconds: 120, interrupted: interrupted) }
        } catch let failure as Failure { throw BenchFailure.unavailable("the tables could not be tidied: \(failure)") }
    }

    /// Connection URL of the server itself, as superuser.
    public var adminURL: String { url(port: serverPort) }

    public var direct: Target { get throws(BenchFailure) { try Target(name: "direct", url: adminURL) } }

    func url(port: Int, tls: Bool = false) -> String {
        "postgres://\(Self.user):\(Self.password)@127.0.0.1:\(port)/\(Self.database)?sslmode=\(tls ? "require" : "disable")"
    }

    // MARK: Poolers

    /// Whether a pooler's program is there; it is looked for before anything is started.
    static func checkProgram(of pooler: PoolerSpec) throws(BenchFailure) {
        guard pooler.kind != .direct, pooler.kind != .command, path(of: pooler.binary) == nil else { return }
        throw .unavailable("\(pooler.name): there is no program \(pooler.binary)\(pooler.kind.hint)")
    }

    /// Starts a pooler and waits until it listens.
    public func start(_ pooler: PoolerSpec, clients: Int, tenants: Int) throws -> Target {
        guard pooler.kind != .direct else { return try Target(name: pooler.name, url: adminURL) }
        try Self.checkProgram(of: pooler)
        let binary = pooler.kind == .command ? pooler.binary : Self.path(of: pooler.binary) ?? pooler.binary
        let port = try Machine.freePort()
        let plan = PoolerPlan(
            spec: pooler, binary: binary, folder: folder, port: port, serverPort: serverPort, clients: clients, tenants: tenants, tls: tls,
            cores: cores.pooler.count, spare: try Machine.freePort(), secrets: secrets,
            version: pooler.kind == .command ? (0, 0) : Self.version(in: Machine.firstLine(of: [binary, "--version"]) ?? ""))
        for (name, text) in plan.files {
            guard Machine.write(text, to: folder + "/" + name) else { throw BenchFailure.unavailable("cannot write \(folder)/\(name)") }
            Machine.give(folder + "/" + name)
        }
        var pids: [Int32] = []
        for command in plan.commands {
            let child = try Child(
                unprivileged(command, cores: cores.pooler.map(String.init).joined(separator: ",")), name: pooler.name,
                output: "\(folder)/\(pooler.name).out")
            poolers.append(child)
            pids.append(child.pid)
            let listens = try wait(30) { !child.isRunning || Machine.listeners(port) > 0 }
            if !listens || !child.isRunning {
                let said = tail("\(folder)/\(pooler.name).out") + " " + tail("\(folder)/\(pooler.name).log")
                throw BenchFailure.unavailable("\(pooler.name) did not start: \(said)")
            }
        }
        // Each of several processes has its own socket on the same port; one that is missing would halve the pool unseen.
        let isWhole = try wait(10) { Machine.listeners(port) >= plan.commands.count }
        // pgpool still starts its children.
        _ = try wait(pooler.kind == .pgpool ? 1.5 : 0.2) { false }
        guard isWhole, poolers.allSatisfy({ !pids.contains($0.pid) || $0.isRunning }) else {
            throw BenchFailure.unavailable("\(pooler.name) did not start all its \(plan.commands.count) processes")
        }
        return try Target(name: pooler.name, url: url(port: port, tls: tls), pids: pids)
    }

    /// Ends a pooler.
    public func stop(_ target: Target) {
        for child in poolers where target.pids.contains(child.pid) {
            child.signal(SIGTERM)
            if !child.wait(atMost: 2) { child.stop(SIGINT, grace: 2) }
        }
        poolers.removeAll { target.pids.contains($0.pid) }
    }

    /// The status of a pooler that ended by itself; nil while all its processes run.
    public func ended(_ target: Target) -> Int32? {
        for child in poolers where target.pids.contains(child.pid) {
            if let status = child.poll() { return status }
        }
        return nil
    }

    /// The same in words.
    public func obituary(_ target: Target) -> String? { ended(target).map { "the pooler ended by itself with status \($0)" } }

    private func makeCertificate() throws {
        guard access(folder + "/server.crt", R_OK) != 0 else { return }
        guard let openssl = Self.path(of: "openssl") else {
            throw BenchFailure.unavailable("TLS needs the program openssl for a certificate")
        }
        let child = try Child(
            [
                openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder + "/server.key", "-out", folder + "/server.crt",
                "-days", "30", "-subj", "/CN=localhost",
            ],
            output: folder + "/openssl.log")
        let done = try wait(30) { !child.isRunning }
        guard done, child.poll() == 0 else {
            child.stop(SIGKILL)
            throw BenchFailure.unavailable("openssl made no certificate: \(tail(folder + "/openssl.log"))")
        }
        chmod(folder + "/server.key", 0o600)
        for name in ["server.key", "server.crt"] { Machine.give(folder + "/" + name) }
    }

    private func tail(_ path: String) -> String {
        (Machine.read(path) ?? "").split(separator: "\n").suffix(3).joined(separator: " / ")
    }

    /// Ends what was started, and removes the folder.
    public func close() {
        restartTimer = nil
        // Poolers first: they would only complain about the server.
        for child in poolers { child.signal(SIGTERM) }
        for child in poolers where !child.wait(atMost: 2) { child.stop(SIGINT, grace: 2) }
        poolers = []
        server?.stop(SIGINT)
        server = nil
        Machine.remove(folder)
    }
}

/// Which cores whom: equal budgets make figures comparable.
public struct CoreBudget: Sendable {
    /// Numbers of the cores that each pooler has for itself while its turn is.
    public let pooler: [Int]
    /// Those of the server and of the load generator; nil: all cores.
    public let rest: [Int]?

    /// The last `count` of `all` cores for the pooler; the others for the server and the load generator, when there are at least two.
    public init(pooler count: Int, of all: [Int] = Machine.cores) throws(BenchFailure) {
        guard count >= 1, count <= all.count else {
            throw .usage("--cores: expected 1 to \(all.count), which this machine has, found \(count)")
        }
        pooler = Array(all.suffix(count))
        let rest = Array(all.dropLast(count))
        self.rest = rest.count >= 2 ? rest : nil
    }

    /// For taskset; nil: all cores.
    var server: String? { rest.map { $0.map(String.init).joined(separator: ",") } }

    public var words: String {
        let place = server.map { "cores \($0)" } ?? "all cores, so also on the pooler's"
        return
            "each pooler on core\(pooler.count > 1 ? "s" : "") \(pooler.map(String.init).joined(separator: ",")) (taskset); server and load generator on \(place)"
    }
}
