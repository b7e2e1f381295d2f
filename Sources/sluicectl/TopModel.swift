import Terminal

/// What `top` shows and what a key does to it; knows neither terminal nor console.
struct TopModel {
    enum View: Int, CaseIterable {
        case pools, clients, servers, errors

        var title: String {
            switch self {
            case .pools: "Pools"
            case .clients: "Clients"
            case .servers: "Servers"
            case .errors: "Errors"
            }
        }
    }

    /// What the caller has to do after a key.
    enum Action: Equatable {
        case none, quit, suspend, refresh
        /// Send this to the console.
        case send(String)
        /// Give up what was sent and is not answered.
        case cancelSent
    }

    /// A line at the bottom that takes the keys.
    private enum Prompt: Equatable {
        case filter(String)
        case confirm(question: String, command: String)
    }

    private(set) var view = View.pools
    private(set) var filter = ""
    private(set) var interval = 2.0
    private(set) var selected = 0
    private(set) var showsHelp = false
    private(set) var isFrozen = false
    private var prompt: Prompt?
    private var sortColumns: [View: Int] = [.pools: 4, .clients: 6, .servers: 7, .errors: 1]
    private var isReversed: [View: Bool] = [:]
    private(set) var sample: TopSample?
    private(set) var rates: TopRates?
    /// What the last command came to, or why there is no connection.
    var message = ""
    /// A command that was sent and is not answered.
    var pending: String?

    init(interval: Double = 2) { self.interval = interval }

    mutating func take(_ new: TopSample) {
        rates = TopRates(from: sample, to: new)
        sample = new
    }

    // MARK: Tables

    /// A row of a table: the cells as shown, what they are sorted by, and what it stands for.
    struct Row: Equatable {
        var cells: [String]
        var keys: [Double]
        var database = ""
        var user = ""
        var client = ""
        var isAlarming = false
    }

    struct Column {
        var title: String
        var width: Int
        var isNumber = true
    }

    var columns: [Column] {
        switch view {
        case .pools:
            [
                Column(title: "DATABASE", width: 15, isNumber: false), Column(title: "USER", width: 12, isNumber: false),
                Column(title: "CL ACT", width: 7), Column(title: "SV ACT", width: 7), Column(title: "CL WAIT", width: 8),
                Column(title: "SV IDLE", width: 8), Column(title: "SIZE", width: 5), Column(title: "P95", width: 8),
                Column(title: "LONGEST", width: 8),
            ]
        case .clients:
            [
                Column(title: "ID", width: 8), Column(title: "DATABASE", width: 13, isNumber: false),
                Column(title: "USER", width: 10, isNumber: false), Column(title: "STATE", width: 8, isNumber: false),
                Column(title: "ADDRESS", width: 15, isNumber: false), Column(title: "APPLICATION", width: 14, isNumber: false),
                Column(title: "WAIT", width: 8),
            ]
        case .servers:
            [
                Column(title: "ID", width: 7), Column(title: "DATABASE", width: 11, isNumber: false),
                Column(title: "USER", width: 9, isNumber: false), Column(title: "STATE", width: 7, isNumber: false),
                Column(title: "ADDRESS", width: 16, isNumber: false), Column(title: "PID", width: 8), Column(title: "CLIENT", width: 7),
                Column(title: "BUSY", width: 7),
            ]
        case .errors:
            [
                Column(title: "REASON", width: 58, isNumber: false), Column(title: "PER SEC", width: 8), Column(title: "TOTAL", width: 10),
            ]
        }
    }

    var rows: [Row] {
        guard let sample, let rates else { return [] }
        var rows: [Row] =
            switch view {
            case .pools: sample.pools.map { pool(of: $0, sample, rates) }
            case .clients: sample.clients.map(client)
            case .servers: sample.servers.map(server)
            case .errors:
                rates.errors.map {
                    Row(cells: [$0.name, Figures.decimal($0.rate), Figures.count($0.total)], keys: [0, $0.rate, $0.total])
                }
            }
        if !filter.isEmpty {
            rows = rows.filter { row in row.cells.contains { $0.lowercased().contains(filter.lowercased()) } }
        }
        let column = sortColumn
        let isNumber = columns[column].isNumber
        rows.sort { left, right in
            if isNumber, left.keys[column] != right.keys[column] { return left.keys[column] > right.keys[column] }
            if !isNumber, left.cells[column] != right.cells[column] { return left.cells[column] < right.cells[column] }
            return left.cells.lexicographicallyPrecedes(right.cells)
        }
        return isReversed[view] == true ? rows.reversed() : rows
    }

    var sortColumn: Int { min(sortColumns[view] ?? 0, columns.count - 1) }

    private func pool(of pool: TopSample.Pool, _ sample: TopSample, _ rates: TopRates) -> Row {
        let size = sample.poolSizes[pool.database] ?? 0
        let p95 = rates.wait(0.95, of: pool.name)
        return Row(
            cells: [
                pool.database + (sample.held[pool.database].map { " (\($0))" } ?? ""), pool.user, String(pool.clientsActive),
                String(pool.serversActive), String(pool.clientsWaiting),
                String(pool.serversIdle), size == 0 ? "-" : String(size), p95.map(Figures.time) ?? "-",
                Figures.time(Double(pool.longestWait)),
            ],
            keys: [
                0, 0, Double(pool.clientsActive), Double(pool.serversActive), Double(pool.clientsWaiting), Double(pool.serversIdle),
                Double(size), p95 ?? 0, Double(pool.longestWait),
            ],
            database: pool.database, user: pool.user, isAlarming: pool.clientsWaiting > 0)
    }

    private func client(_ record: [String: String]) -> Row {
        let wait = (Double(record["wait"] ?? "") ?? 0) * 1e6 + (Double(record["wait_us"] ?? "") ?? 0)
        let id = record["id"] ?? record["ptr"] ?? ""
        let isWaiting = record["state"] == "waiting"
        return Row(
            cells: [
                id, record["database"] ?? "", record["user"] ?? "", record["state"] ?? "", record["addr"] ?? "",
                record["application_name"] ?? "", isWaiting ? Figures.time(wait) : "-",
            ],
            keys: [Double(id) ?? 0, 0, 0, 0, 0, 0, isWaiting ? wait : -1], database: record["database"] ?? "", client: id,
            isAlarming: isWaiting)
    }

    private func server(_ record: [String: String]) -> Row {
        let busy = (Double(record["wait"] ?? "") ?? 0) * 1e6 + (Double(record["wait_us"] ?? "") ?? 0)
        let client = holder(record)
        return Row(
            cells: [
                record["id"] ?? record["ptr"] ?? "", record["database"] ?? "", record["user"] ?? "", record["state"] ?? "",
                "\(record["addr"] ?? ""):\(record["port"] ?? "")", record["remote_pid"] ?? "", client, busy > 0 ? Figures.time(busy) : "-",
            ],
            keys: [Double(record["id"] ?? "") ?? 0, 0, 0, 0, 0, Double(record["remote_pid"] ?? "") ?? 0, Double(client) ?? 0, busy],
            database: record["database"] ?? "")
    }

    /// The client that a server is linked to. Sluice's pointers are ids; PgBouncer's are addresses, of which the link shows another.
    private func holder(_ record: [String: String]) -> String {
        func number(_ name: String) -> UInt64? { UInt64((record[name] ?? "").dropFirst(2), radix: 16) }
        guard let link = record["link"], !link.isEmpty else { return "-" }
        guard let id = record["id"], let own = number("ptr"), String(own) == id else { return link }
        return number("link").map { String($0) } ?? link
    }

    /// The clients that wait, the longest first: those of the pool that is explained, where one is.
    var waiting: [Row] {
        let pool = sample?.whyPool
        return (sample?.clients ?? []).filter { record in
            record["state"] == "waiting"
                && (pool.map { $0 == TopSample.PoolName(database: record["database"] ?? "", user: record["user"] ?? "") } ?? true)
        }
        .map(client).sorted { $0.keys[6] > $1.keys[6] }
    }

    /// How many clients wait in all pools.
    var waitingCount: Int { (sample?.clients ?? []).count { $0["state"] == "waiting" } }

    /// The pool of the chosen row, which is explained when somebody waits there.
    var selectedPool: TopSample.PoolName? {
        guard view == .pools, let row = selectedRow else { return nil }
        return TopSample.PoolName(database: row.database, user: row.user)
    }

    // MARK: Keys

    /// The last line, when something is asked.
    var promptText: String? {
        switch prompt {
        case nil: nil
        case .filter(let text): "filter: \(text)_   (Enter takes it, Esc drops it)"
        case .confirm(let question, _): "\(question) (y/n)"
        }
    }

    mutating func press(_ key: Key) -> Action {
        if key == .control("c") { return .quit }
        if key == .control("z") { return .suspend }
        switch prompt {
        case .filter(let text): return edit(text, key)
        case .confirm(_, let command):
            prompt = nil
            if key == .character("y") || key == .character("Y") { return .send(command) }
            message = "nothing done"
            return .none
        case nil: return command(key)
        }
    }

    private mutating func edit(_ text: String, _ key: Key) -> Action {
        switch key {
        case .enter:
            filter = text
            prompt = nil
            selected = 0
        case .escape:
            filter = ""
            prompt = nil
        case .backspace: prompt = .filter(String(text.dropLast()))
        case .character(let character) where text.count < 60: prompt = .filter(text + String(character))
        default: break
        }
        return .none
    }

    private mutating func command(_ key: Key) -> Action {
        message = ""
        let wasHelp = showsHelp
        showsHelp = false
        switch key {
        case .character("q"): return .quit
        case .escape: return pending == nil ? .none : .cancelSent
        case .character("?"), .character("h"): showsHelp = !wasHelp
        case .character(" "): isFrozen.toggle()
        case .tab, .right: return show(View(rawValue: (view.rawValue + 1) % View.allCases.count)!)
        case .left: return show(View(rawValue: (view.rawValue + View.allCases.count - 1) % View.allCases.count)!)
        case .character("1"): return show(.pools)
        case .character("2"): return show(.clients)
        case .character("3"): return show(.servers)
        case .character("4"): return show(.errors)
        case .up: return choose(selected - 1)
        case .down: return choose(selected + 1)
        case .pageUp: return choose(selected - 10)
        case .pageDown: return choose(selected + 10)
        case .home: return choose(0)
        case .end: return choose(.max)
        case .character("s"), .character(">"): sortColumns[view] = (sortColumn + 1) % columns.count
        case .character("<"): sortColumns[view] = (sortColumn + columns.count - 1) % columns.count
        case .character("S"): isReversed[view] = !(isReversed[view] ?? false)
        case .character("f"), .character("/"): prompt = .filter(filter)
        case .character("+"): interval = min(60, interval * 2)
        case .character("-"): interval = max(0.5, interval / 2)
        case .character("p"): ask("pause", "PAUSE")
        case .character("r"): ask("resume", "RESUME")
        case .character("c"): ask("reconnect the servers of", "RECONNECT")
        case .character("k"): askToKill()
        default: break
        }
        return .none
    }

    private mutating func choose(_ row: Int) -> Action {
        selected = min(max(0, row), max(0, rows.count - 1))
        // Another pool may have to be explained.
        return view == .pools && waitingCount > 0 ? .refresh : .none
    }

    private mutating func show(_ next: View) -> Action {
        view = next
        selected = 0
        return .refresh
    }

    var selectedRow: Row? {
        let rows = rows
        return rows.isEmpty ? nil : rows[min(selected, rows.count - 1)]
    }

    private mutating func ask(_ words: String, _ verb: String) {
        guard let database = selectedRow?.database, !database.isEmpty else {
            message = "choose a row with a database first"
            return
        }
        prompt = .confirm(
            question: "\(words) database \(TerminalText.sanitized(database))?", command: "\(verb) \(ConsoleSyntax.name(database))")
    }

    private mutating func askToKill() {
        let row = view == .pools ? nil : selectedRow
        if let row, !row.client.isEmpty {
            prompt = .confirm(question: "drop client \(TerminalText.sanitized(row.client))?", command: "KILL_CLIENT \(row.client)")
        } else {
            ask("drop all clients and servers of", "KILL")
        }
    }
}
