import ModelPostgres
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
                "Execute": .execute, "Close": .close,
            ]
            // Inside a COPY.
            let copies: [Substring: UInt8] = ["Done": Frontend.copyDone, "Within": Frontend.sync]
            if let type = copies[word] {
                ledger.enterInCopy(type)
            } else if word == "Probe" {
                ledger.enterProbe()
            } else if word == "abandon" {
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
                case .counted: verdicts += "c"
                case .resolved(let readies): verdicts += "\(readies)"
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
            ("Query G Done E Z", "ffF"), ("Query G E Z", "ffF"), ("Query G Done C G Done C Z", "ffffF"),
            ("Query G Done Query C Z C Z", "ffFfF"), ("Bind Execute 2 G Done Sync C Z", "fffF"),
            ("Bind Execute 2 G Within Done Sync C Z", "fffF"), ("Query Sync G Done C Z", "ffF"), ("Query G Within Done C Z", "ffF"),
            ("Bind Execute 2 G Done Bind Execute C 2 G Done Sync C Z", "ffffffF"), ("Bind Execute 2 G Done Parse Sync E Z", "fffF"),
            ("Bind Execute Sync E Z", "fF"), ("Bind Execute Sync 2 E Z", "ffF"), ("Bind Execute 2 G Done Sync E Z", "fffF"),
            // A Sync inside a COPY that failed: read by it, or not.
            ("Bind Execute 2 G Within E Probe Z 3 Z Sync Z", "fffcs0F"), ("Bind Execute 2 G Within E Z Probe Z 3 Z", "fffccs1"),
            ("Bind Execute 2 G Within Done Sync E Z Probe 3 Z", "fffcs1"), ("Bind Execute 2 G Within Done Sync E Z Z Probe 3 Z", "fffccs2"),
            ("Query G Within Done E Z Probe 3 Z", "ffFs0"), ("Query G Within Done E Z Z Probe 3 Z", "ffFcs1"),
            ("Query G Within Done Sync E Z Probe Z 3 Z", "ffFcs1"),
            // What was sent behind such Syncs before the COPY was known of tells by itself.
            ("Query Sync Query G E Z C Z", "ffFfF"), ("Query Sync Query G E Z Z C Z", "ffFFfF"),
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
            "Query", "Query C", "Parse", "Parse 1", "Bind Execute 2 C", "Bind E", "Query G", "Bind Execute 2 G", "Bind Execute 2 G Done C",
            "Bind Execute 2 G Within E", "Bind Execute 2 G Within E Z", "Bind Execute 2 G Within E Z Probe Z 3", "Query G Within E Z",
            "Bind Execute 2 G Within E Probe Z 3 Z", "Bind Execute 2 G Within Done C", "Parse Sync Parse E Z 1", "!Parse",
            "Bind !Query 2 invent",
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
            "Query C Z Z", "Bind Execute Sync 2 C Z Z", "Describe D", "Sync D", "Parse t", "Bind Execute Query 2 G",
            "Bind Execute 2 G Within E Probe C", "Bind Execute 2 G Within E Probe 3 3", "Bind Execute 2 G Within E Probe 3 Z",
            "Bind Execute 2 G Within Done Sync E Probe 1",
        ])
    func violations(script: String) {
        var ledger = ReplyLedger()
        #expect(run(script, &ledger).last == "v", "\(script)")
    }
}
