import Testing

@testable import Console

@Suite struct GrammarTests {
    private func failure(_ text: String) -> ConsoleError? {
        do throws(ConsoleError) {
            _ = try ConsoleGrammar.parse(text)
            return nil
        } catch {
            return error
        }
    }

    @Test(
        arguments: [
            ("SHOW STATS", .show(topic: "stats", Selection())), ("show Pools ;", .show(topic: "pools", Selection())),
            ("SELECT version;", .show(topic: "version", Selection())), ("SHOW \"lists\"", .show(topic: "lists", Selection())),
            ("show help", .help), ("SHOW client_encoding", .showSession("client_encoding")),
            ("SHOW TRANSACTION ISOLATION LEVEL", .showSession("transaction_isolation")), ("SELECT 1", .showSession("?column?")),
            ("SET max_client_conn = 5", .set(key: "max_client_conn", value: "5")), ("set Verbose to 2", .set(key: "verbose", value: "2")),
            ("SET server_check_query='it''s; here'", .set(key: "server_check_query", value: "it's; here")),
            ("SET extra_float_digits = 3", .setSession("extra_float_digits")),
            ("SET client_encoding TO 'UTF8'", .setSession("client_encoding")),
            ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", .setSession("transaction characteristics")),
            ("RESET verbose", .reset(key: "verbose")), ("RESET ALL", .reset(key: nil)), ("reload", .reload), ("PAUSE", .pause(nil)),
            ("PAUSE \"My Db\";", .pause("My Db")), ("RESUME lab", .resume("lab")), ("DISABLE lab", .disable("lab")),
            ("ENABLE lab", .enable("lab")), ("RECONNECT", .reconnect(nil)), ("KILL lab", .kill("lab")), ("KILL_CLIENT 12", .killClient(12)),
            ("KILL_CLIENT 0x1f", .killClient(31)), ("WAIT_CLOSE lab", .waitClose("lab")), ("SHUTDOWN", .shutdown(.atOnce)),
            ("SHUTDOWN wait_for_servers", .shutdown(.waitForServers)), ("SHUTDOWN WAIT_FOR_CLIENTS", .shutdown(.waitForClients)),
            ("WHY CLIENT 7", .whyClient(7, Selection())), ("WHY POOL lab app", .whyPool(database: "lab", user: "app", Selection())),
            ("BEGIN", .courtesy(tag: "BEGIN", .begin)), ("COMMIT", .courtesy(tag: "COMMIT", .end)),
            ("ROLLBACK", .courtesy(tag: "ROLLBACK", .end)), ("DISCARD ALL", .courtesy(tag: "DISCARD ALL", nil)),
            ("discard plans", .courtesy(tag: "DISCARD PLANS", nil)), ("DEALLOCATE ALL", .deallocate(nil)),
            ("DEALLOCATE PREPARE Abc", .deallocate("abc")), ("DEALLOCATE \"Abc\"", .deallocate("Abc")),
            ("SAVEPOINT a", .courtesy(tag: "SAVEPOINT", nil)), ("rollback to a", .courtesy(tag: "ROLLBACK", .goOn)),
            ("SET TIME ZONE 'UTC'", .setSession("timezone")), ("SET LOCAL TIME ZONE LOCAL", .setSession("timezone")),
            ("SET NAMES 'utf8'", .setSession("client_encoding")), ("SET TRANSACTION READ ONLY", .setSession("transaction")), ("", .empty),
            ("/* a /* b */ c */ SHOW /**/ LISTS", .show(topic: "lists", Selection())),
            (" ;; ", .empty), ("-- a comment\nSHOW LISTS", .show(topic: "lists", Selection())),
        ] as [(String, ConsoleCommand)])
    func aCommandIsUnderstood(text: String, expected: ConsoleCommand) throws {
        #expect(try ConsoleGrammar.parse(text) == expected)
    }

    @Test func whereAndOrderBy() throws {
        let command = try ConsoleGrammar.parse("SHOW POOLS WHERE database = 'lab' AND cl_waiting = 0 ORDER BY maxwait DESC, user")
        var selection = Selection()
        selection.conditions = [.init(column: "database", value: "lab"), .init(column: "cl_waiting", value: "0")]
        selection.orders = [.init(column: "maxwait", isDescending: true), .init(column: "user", isDescending: false)]
        #expect(command == .show(topic: "pools", selection))
    }

    @Test(
        arguments: [
            "FOO", "SHOW", "SHOW FOO", "SHOW FDS", "SUSPEND", "SHOW STATS; SHOW POOLS", "SHOW STATS x", "PAUSE a b", "SET", "SET x",
            "SET = 5",
            "SET x y", "RELOAD now", "KILL_CLIENT", "SHUTDOWN later", "WHY", "WHY CLIENT", "WHY POOL lab", "SELECT * FROM x",
            "'SHOW' STATS",
            "SHOW POOLS WHERE", "SHOW POOLS WHERE database", "SHOW POOLS ORDER user", "SHOW (x)", "\u{0}", "RESET", "DEALLOCATE",
            "SHOW POOLS WHERE user = (", "SHOW POOLS WHERE user = ((a))", "SHOW POOLS WHERE user = (a b)", "SHOW POOLS WHERE user = ()",
            "SHOW ) (",
            "SET TIME", "/* SHOW LISTS", "/* /* */ SHOW LISTS", "/",
        ])
    func whatIsNoCommandIsSaidSo(text: String) {
        let error = failure(text)
        #expect(error?.message.hasPrefix("invalid command '") == true, "\(text): \(String(describing: error))")
        #expect(error?.message.hasSuffix("', use SHOW HELP;") == true)
        #expect(error?.code == "08P01")
    }

    /// pgjdbc in simple mode, and others that put values into the text themselves.
    @Test func valuesAsDriversWriteThem() throws {
        var selection = Selection()
        selection.conditions = [.init(column: "user", value: "lab"), .init(column: "cl_active", value: "5")]
        for text in [
            "('lab') AND cl_active = (5)", "'lab'::text AND cl_active = '5'::int4", "('lab'::varchar) AND cl_active = ('5'::int4)",
        ] {
            #expect(try ConsoleGrammar.parse("SHOW POOLS WHERE user = \(text)") == .show(topic: "pools", selection))
        }
    }

    @Test func anErrorSaysWhereAndWhat() {
        #expect(failure("SHOW \"stats")?.detail == "The quote at character 6 is left open: expected another \".")
        #expect(failure("SET x = 'abc")?.detail == "The quote at character 9 is left open: expected another '.")
        #expect(failure("SHOW POOLS WHERE databse = x")?.message == "no such column: databse")
        #expect(failure("SHOW POOLS WHERE databse = x")?.hint?.contains("database, user, cl_active") == true)
        #expect(failure("DISABLE")?.message == "a database is required")
        #expect(failure("KILL_CLIENT one")?.message == "invalid client pointer supplied")
    }

    @Test(arguments: [
        ("SHOW POLS", "Did you mean SHOW POOLS?"), ("show statstotals", "Did you mean SHOW STATS_TOTALS?"),
        ("PUASE lab", "Did you mean PAUSE?"), ("relaod", "Did you mean RELOAD?"), ("SHOW FOO", nil), ("FOO", nil), ("SUSPEND", nil),
    ])
    func aMisspeltWordIsToldWhatItMayMean(text: String, hint: String?) {
        #expect(failure(text)?.hint == hint)
    }

    @Test func limitsAreThoseOfPgBouncer() {
        #expect(failure("PAUSE " + String(repeating: "a", count: 63)) == nil)
        #expect(failure("PAUSE " + String(repeating: "a", count: 64))?.detail == "An argument is longer than 63 bytes.")
        #expect(failure("SET k = " + String(repeating: "a", count: 255)) == nil)
        #expect(failure("SET k = " + String(repeating: "a", count: 256)) != nil)
        let long = String(repeating: "x", count: 1_000_000)
        #expect((failure(long)?.message.utf8.count ?? 0) < 200)
    }

    @Test func valuesOfBindTakeTheirPlaces() throws {
        let prepared = try ConsoleGrammar.prepare("SHOW POOLS WHERE database = $1 AND user = $2")
        #expect(prepared.parameterCount == 2)
        var selection = Selection()
        selection.conditions = [.init(column: "database", value: "a'; SHUTDOWN"), .init(column: "user", value: "u")]
        #expect(try prepared.command(["a'; SHUTDOWN", "u"]) == .show(topic: "pools", selection))
        #expect(throws: ConsoleError.self) { try prepared.command(["only one"]) }
        #expect(throws: ConsoleError.self) { try ConsoleGrammar.prepare("SHOW $0") }
    }

    @Test func everySpecificationIsReachedAndNeedsItsRights() throws {
        let examples = [
            "SHOW STATS", "WHY CLIENT 1", "SET a = b", "RESET a", "RELOAD", "PAUSE", "RESUME", "DISABLE a", "ENABLE a", "RECONNECT", "KILL",
            "KILL_CLIENT 1", "WAIT_CLOSE", "SHUTDOWN",
        ]
        let reached = try examples.map { try #require(try ConsoleGrammar.parse($0).specification).verb }
        #expect(Set(reached) == Set(Verb.allCases) && CommandTable.all.count == Verb.allCases.count)
        for command in CommandTable.all {
            #expect((command.rights == .stats) == [.show, .why].contains(command.verb), "\(command.verb)")
            #expect(!command.doc.isEmpty && CommandTable.usage.contains(command.syntax[0]))
        }
    }
}
