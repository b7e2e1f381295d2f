/// A statement with parameters, in the forms that the query modes need.
struct Statement {
    /// Counts the statements, and is a bit in a client's record of what it has prepared.
    let number: Int
    let text: String
    let name: String
    /// The text around the parameters, and which parameter follows each piece.
    private let pieces: [(text: String, parameter: Int?)]

    init(_ number: Int, _ text: String) {
        self.number = number
        self.text = text
        name = "sluicebench_\(number)"
        var pieces: [(String, Int?)] = []
        var rest = text[...]
        while let dollar = rest.firstIndex(of: "$"), let digit = rest[rest.index(after: dollar)...].first?.wholeNumberValue {
            pieces.append((String(rest[..<dollar]), digit - 1))
            rest = rest[rest.index(dollar, offsetBy: 2)...]
        }
        pieces.append((String(rest), nil))
        self.pieces = pieces
    }

    /// With the parameters written into the text. They are ours, and hold no quotes.
    func inline(_ parameters: [String]) -> String {
        var result = ""
        for piece in pieces {
            result += piece.text
            if let parameter = piece.parameter { result += "'\(parameters[parameter])'" }
        }
        return result
    }

    static let select = Statement(0, "SELECT $1::text, extract(epoch FROM now())")
    static let updateAccount = Statement(
        1, "UPDATE sluicebench.accounts SET balance = balance + $2::int WHERE id = $3::int RETURNING $1::text, extract(epoch FROM now())")
    static let selectAccount = Statement(2, "SELECT $1::text, balance FROM sluicebench.accounts WHERE id = $2::int")
    static let updateTeller = Statement(
        3, "UPDATE sluicebench.tellers SET balance = balance + $2::int WHERE id = $3::int RETURNING $1::text")
    static let updateBranch = Statement(
        4, "UPDATE sluicebench.branches SET balance = balance + $2::int WHERE id = $3::int RETURNING $1::text")
    static let insertHistory = Statement(
        5, "INSERT INTO sluicebench.history (teller, branch, account, delta) VALUES ($2::int, $3::int, $4::int, $5::int) RETURNING $1::text"
    )
    static let result = Statement(
        6,
        "SELECT $1::text, CASE WHEN i = 1 THEN extract(epoch FROM now()) END, repeat('x', 80), i FROM generate_series(1, $2::int) AS i")
    static let sleep = Statement(7, "SELECT $1::text, extract(epoch FROM now()) FROM pg_sleep($2::float8)")
    static let begin = Statement(8, "BEGIN")
    static let commit = Statement(9, "COMMIT")
    static let createSink = Statement(10, "CREATE TEMPORARY TABLE sluicebench_sink (who text, filler text, i int) ON COMMIT DROP")
    static let countSink = Statement(
        11, "SELECT $1::text, extract(epoch FROM now()), count(*), count(DISTINCT who), min(who), sum(i) FROM sluicebench_sink")
}

/// One thing that a transaction does.
enum Step {
    case ask(Statement, [String], Check)
    /// Behind one Sync, in pipeline mode.
    case askTogether([(statement: Statement, parameters: [String])])
    case copyOut(rows: Int)
    case copyIn(rows: Int)
    case think(nanoseconds: Int64)
}

/// What must come back. The first column of each row is always the first parameter: who asked, and which question.
enum Check {
    /// A command without rows, that says it has done this.
    case done(String)
    case rows(Int)
    /// The same; and the fourth column counts the rows from 1.
    case numberedRows(Int)
    /// One row that sums up a COPY of that many rows.
    case sink(Int)
}

/// Ids in the tables that `prepare` makes.
enum Bank {
    static let branches = 20
    static let tellers = 200
    static let accounts = 200_000
}

extension Work {
    /// The steps of one transaction of the asker whose mark is `tag`. Each question has a mark of its own, so that the answer to the
    /// one before it is told apart, too.
    func steps(tag: String, random: inout SeededRandom, mode: QueryMode) -> [Step] {
        func mark(_ part: Int) -> String { Self.tag(tag, part: part) }
        switch self {
        case .select: return [.ask(.select, [mark(0)], .rows(1))]
        case .selects(let count):
            if mode == .pipeline { return [.askTogether((0..<count).map { (.select, [mark($0)]) })] }
            return (0..<count).map { .ask(.select, [mark($0)], .rows(1)) }
        case .tpcb(let think):
            let account = String(Int.random(in: 1...Bank.accounts, using: &random))
            let teller = String(Int.random(in: 1...Bank.tellers, using: &random))
            let branch = String(Int.random(in: 1...Bank.branches, using: &random))
            let delta = String(Int.random(in: -5000...5000, using: &random))
            var steps: [Step] = [
                .ask(.begin, [], .done("BEGIN")), .ask(.updateAccount, [mark(0), delta, account], .rows(1)),
                .ask(.selectAccount, [mark(1), account], .rows(1)),
            ]
            if think > 0 { steps.append(.think(nanoseconds: Int64(think * 1e9))) }
            return steps + [
                .ask(.updateTeller, [mark(2), delta, teller], .rows(1)), .ask(.updateBranch, [mark(3), delta, branch], .rows(1)),
                .ask(.insertHistory, [mark(4), teller, branch, account, delta], .rows(1)), .ask(.commit, [], .done("COMMIT")),
            ]
        case .result(let rows): return [.ask(.result, [mark(0), String(rows)], .numberedRows(rows))]
        case .copyOut(let rows): return [.copyOut(rows: rows)]
        case .copyIn(let rows):
            return [
                .ask(.begin, [], .done("BEGIN")), .ask(.createSink, [], .done("CREATE TABLE")), .copyIn(rows: rows),
                .ask(.countSink, [tag], .sink(rows)), .ask(.commit, [], .done("COMMIT")),
            ]
        case .sleep(let seconds): return [.ask(.sleep, [mark(0), String(seconds)], .rows(1))]
        case .mix(let parts):
            let part = parts[Int.random(in: 0..<parts.count, using: &random)]
            return part.steps(tag: tag, random: &random, mode: mode)
        }
    }

    /// The mark of one question of a transaction.
    static func tag(_ tag: String, part: Int) -> String { "\(tag).\(part)" }
}
