import PostgresWire
import Testing

@testable import PoolCore

@Suite struct ReplyLedgerTests {
    /// Runs a script: capital words are sent, single letters come from the server. Returns a letter for each frame: f forwarded, s
    /// swallowed, v violation; ready ones in capitals.
    private func run(_ script: String, _ ledger: inout ReplyLedger) -> String {
        var verdicts = ""
        for word in script.split(separator: " ") {
            let requests: [Substring: ReplyLedger.Request] = [
                "Query": .query, "Call": .functionCall, "Sync": .sync, "Parse": .parse, "Bind": .bind, "Describe": .describe,
                "Execute": .execute, "Close": .close, "Done": .copyEnd,
            ]
            if word == "abandon" {
                _ = ledger.abandon()
            } else if let request = requests[word] {
                ledger.owe(request, .forward)
            } else if word.hasPrefix("~"), let request = requests[word.dropFirst()] {
                ledger.owe(request, .swallow)
            } else if word.hasPrefix("!"), let request = requests[word.dropFirst()] {
                ledger.owe(request, .invented)
            } else if word == "invent" {
                while ledger.takeInvented() != nil { verdicts += "i" }
            } else {
                switch ledger.receive(word.utf8.first!) {
                case .forward: verdicts += "f"
                case .swallow: verdicts += "s"
                case .settled(let owed): verdicts += owed.disposition == .forward ? "f" : "s"
                case .failed(let owed):
                    _ = ledger.takeSkipped()
                    verdicts += owed.disposition == .forward ? "f" : "s"
                case .ready(let owed): verdicts += owed.disposition == .forward ? "F" : "S"
                case .violation: verdicts += "v"
                }
            }
        }
        return verdicts
    }

    @Test(
        "complete exchanges forward everything and leave nothing",
        arguments: [
            ("Query T D D C Z", "ffffF"), ("Query I Z", "fF"), ("Query E Z", "fF"), ("Query T D C C E Z", "fffffF"), ("Call V Z", "fF"),
            ("Call E Z", "fF"), ("Sync Z", "F"), ("Parse Bind Describe Execute Sync 1 2 T D C Z", "fffffF"),
            ("Parse Describe Sync 1 t n Z Bind Execute Sync 2 s Z", "fffFffF"), ("Close Sync 3 Z", "fF"),
            ("Bind Execute Sync 2 I Z", "ffF"),
            ("Parse Bind Sync E Z", "fF"), ("Parse Bind Execute Sync 1 E Z", "ffF"), ("Parse Bind Execute Sync 1 2 E Z", "fffF"),
            ("Parse Bind Execute Sync 1 2 C E Z", "ffffF"), ("Parse E Bind Sync Z".replacing("Bind ", with: ""), "fF"),
            ("Query Query Sync T C Z C Z Z", "ffFfFF"), ("Parse Sync Parse Sync E Z 1 Z", "fFfF"), ("Bind Query Sync E Z", "fF"),
            ("Bind Execute Query 2 C C Z", "fffF"), ("~Query C Z Query C Z", "sSfF"), ("~Parse Bind Sync 1 2 Z", "sfF"),
            ("Query H d d c C Z", "fffffF"), ("Bind Execute Sync 2 H d c C Z", "fffffF"), ("Query G Done C Z", "ffF"),
            ("Query G Done E Z", "ffF"), ("Query G E Z Done", "ffF"), ("Query G Done C G Done C Z", "ffffF"),
            ("Query Done Query Done G C Z G C Z", "ffFffF"),
            ("Bind Execute G Done Sync 2".replacing("G Done Sync 2", with: "Done Sync 2 G C Z"), "fffF"),
            ("Bind Execute Sync 2 G Done Sync C Z", "fffF"), ("Query Sync G Done C Z", "ffF"),
            ("Bind Execute Done Bind Execute Done Sync 2 G C 2 G C Z", "ffffffF"),
            ("Bind Execute Sync E Z", "fF"), ("Bind Execute Done Sync 2 E Z", "ffF"), ("Bind Execute Done Sync 2 G E Z", "fffF"),
            ("Bind !Close Sync 2 invent Z", "fiF"), ("!Parse !Close invent Sync Z", "iiF"), ("Bind !Parse Execute Sync E Z", "fF"),
            ("Query T abandon D C Z", "fssS"), ("Bind !Close Query abandon 2 C Z", "ssS"),
        ])
    func complete(script: String, verdicts: String) {
        var ledger = ReplyLedger()
        #expect(run(script, &ledger) == verdicts, "\(script)")
        #expect(ledger.isSettled && ledger.isEmpty && !ledger.isRunning, "\(script)")
    }

    @Test(
        "what is half done is not settled",
        arguments: [
            "Query", "Query C", "Parse", "Parse 1", "Bind Execute 2 C", "Bind E", "Query G", "Bind Execute 2 G", "Bind Execute Done 2 G C",
            "Bind Execute Sync 2 G E", "Parse Sync Parse E Z 1", "!Parse", "Bind !Query 2 invent",
        ])
    func halfDone(script: String) {
        var ledger = ReplyLedger()
        _ = run(script, &ledger)
        #expect(!ledger.isSettled, "\(script)")
    }

    @Test(
        "what nobody is owed is a violation",
        arguments: [
            "Z", "C", "1", "Query 1", "Query 2", "Query 3", "Query n", "Query V", "Parse 2", "Parse C", "Parse Z", "Bind 1", "Bind T",
            "Describe 1", "Describe C", "Execute T", "Execute 2", "Execute Z", "Close C", "Sync C", "Sync T", "Call C", "Parse G",
            "Sync Z Z",
            "Query C Z Z", "Bind Execute Sync 2 C Z Z",
        ])
    func violations(script: String) {
        var ledger = ReplyLedger()
        #expect(run(script, &ledger).last == "v", "\(script)")
    }

    // COPY to a view: the error came before the server had read the Sync behind Execute, and its ReadyForQuery cost the client its
    // connection.
    @Test("a Sync that a failed COPY has not read is answered")
    func copyRefusedAfterResponse() {
        var ledger = ReplyLedger()
        #expect(run("Bind Execute Sync 2 G E", &ledger) == "fff")
        #expect(ledger.isUncertain && ledger.isSkipping)
        #expect(run("Z", &ledger) == "F")
        #expect(ledger.isSettled)
    }

    // A COPY that failed on its data kept the server with its client until that left.
    @Test("a Sync that a failed COPY has read is forgotten with the next answer")
    func copyFailedOnData() {
        var ledger = ReplyLedger()
        #expect(run("Bind Execute Sync 2 G Done Sync E Z", &ledger) == "fffF")
        #expect(ledger.isUncertain && !ledger.isSettled)
        #expect(run("Query T D C Z", &ledger) == "fffF")
        #expect(ledger.isSettled)
        #expect(run("Bind Execute Sync 2 G Done Sync E Z Z", &ledger) == "fffFF")
        #expect(ledger.isSettled)
        #expect(run("Query Sync G Done E Z Query C Z", &ledger) == "ffFfF")
        #expect(ledger.isSettled)
    }

    @Test("a late CopyDone is owed nothing")
    func lateCopyDone() {
        var ledger = ReplyLedger()
        #expect(run("Query G E Z Done Query Done C Z", &ledger) == "ffFfF")
        #expect(ledger.isSettled)
    }
}
