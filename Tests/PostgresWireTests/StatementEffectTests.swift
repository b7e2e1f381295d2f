import Testing

@testable import PostgresWire

@Suite struct StatementEffectTests {
    private func read(_ text: String, escapes: Bool = false) -> [StatementEffect] {
        let bytes = Array(text.utf8)
        return StatementEffects.read(bytes.span, 0..<bytes.count, escapes: escapes).all.map(\.effect)
    }

    private func mayHave(_ text: String, isInTransaction: Bool = false) -> Bool {
        let bytes = Array(text.utf8) + [0]
        return StatementEffects.mayHave(bytes.span, 0..<bytes.count, isInTransaction: isInTransaction)
    }

    @Test(
        "a SET is read with its value",
        arguments: [
            ("set search_path to one", "search_path", .literal("one"), false),
            ("SET LOCAL Search_Path = One, \"Two\", 'x,y'", "search_path", .literal("one, \"Two\", \"x,y\""), true),
            ("set session datestyle to 'SQL, DMY';", "datestyle", .literal("SQL, DMY"), false),
            ("set datestyle = sql, dmy", "datestyle", .literal("sql, dmy"), false),
            ("/* c */ set local role \"r\"\"1\"", "role", .literal("r\"1"), true),
            ("set role none", "role", .literal("none"), false), ("set role 'r'", "role", .literal("r"), false),
            ("reset role", "role", .standard, false), ("set local role to default", "role", .standard, true),
            ("set session authorization x", "role", .unknown, false), ("set local session authorization default", "role", .unknown, true),
            ("set names 'latin1'", "client_encoding", .literal("latin1"), false),
            ("set schema 'a b'", "search_path", .literal("\"a b\""), false),
            ("set time zone 'UTC'", "timezone", .literal("UTC"), false), ("set time zone local", "timezone", .standard, false),
            ("set time zone interval '1' hour", "timezone", .unknown, false), ("set local time zone -3", "timezone", .literal("-3"), true),
            ("set xml option document", "xmloption", .literal("document"), false),
            ("set \"My\".Own = 5", "my.own", .literal("5"), false), ("set search_path = $1", "search_path", .unknown, false),
            ("set extra_float_digits = -3", "extra_float_digits", .literal("-3"), false),
            ("set search_path = a b", "search_path", .unknown, false), ("set search_path to default", "search_path", .standard, false),
            (#"set search_path = E'a\142'"#, "search_path", .unknown, false),
            ("set search_path = $$a$$", "search_path", .literal("a"), false),
            ("set search_path = 'a'\n'b'", "search_path", .unknown, false),
            ("set search_path = 'it''s'", "search_path", .literal("\"it's\""), false),
            ("set transaction isolation level serializable", "transaction", .unknown, true),
            ("set constraints all deferred", "transaction", .unknown, true),
            ("set session characteristics as transaction read only", "session characteristics", .unknown, false),
            ("reset search_path", "search_path", .standard, false), ("set local = 'x'", "local", .literal("x"), false),
            ("select set_config('Role', 'x', true)", "role", .literal("x"), true),
            ("select pg_catalog.set_config('search_path', '', false);", "search_path", .literal(""), false),
            ("select set_config('role', $1, true)", "role", .unknown, false),
            ("select set_config('role', 'x', true) from t", "role", .unknown, true),
        ] as [(String, String, StatementEffect.Value, Bool)])
    func oneSetting(text: String, name: String, value: StatementEffect.Value, isLocal: Bool) {
        #expect(read(text) == [.setting(name: name, value, isLocal: isLocal)])
        #expect(mayHave(text))
    }

    @Test(
        "what can't be read may change anything",
        arguments: [
            "do $$ begin end $$", "call p()", "execute x", "select set_config(n, 'x', true)", "set", "set 'x' = 5", "reset", "set a.5 = 1",
            "select 'x",
            "select /* x",
        ])
    func anything(text: String) { #expect(read(text).first == .anySetting) }

    @Test("several statements, with their places")
    func several() {
        let text = Array(
            ";begin;; set local role a; select 1; select set_config('role', 'b', true), set_config('x.y', $1, false);commit".utf8)
        let effects = StatementEffects.read(text.span, 0..<text.count, escapes: false)
        #expect(effects.all.map(\.index) == [1, 3, 3, 4])
        #expect(
            effects.all.map(\.effect) == [
                .setting(name: "role", .literal("a"), isLocal: true), .setting(name: "role", .literal("b"), isLocal: true),
                .setting(name: "x.y", .unknown, isLocal: false), .transactionEnd,
            ])
        #expect(!effects.isOnlyEnd && mayHave(String(decoding: text, as: UTF8.self)))
    }

    @Test("more effects than are kept are any effect")
    func bounded() {
        let effects = read(String(repeating: "set a = 1;", count: 5000))
        #expect(effects.count == 101 && effects.last == .anySetting)
    }

    @Test(
        "temporary objects, and whether they outlive the transaction",
        arguments: [
            ("create temp table t(i int)", true), ("create local temporary view v as select 1", true),
            ("create temp table t as select 1 on commit drop", true), ("create temp table t(i text default 'x') on commit drop", false),
            ("select 1 into temp t", true),
            ("select 1 into temporary t on commit drop;", false),
            ("create temp table on_commit(commit int) on commit delete rows", true),
        ])
    func temporary(text: String, isLasting: Bool) {
        #expect(read(text) == [.temporary(isLasting: text.contains("as select 1 on") ? false : isLasting)])
        #expect(mayHave(text, isInTransaction: true))
    }

    @Test(
        "ordinary texts are passed over",
        arguments: [
            "select 1", "insert into t values (';')", "update t set i = 1", "delete from t", "with a as (select 1) select 2", "begin",
            "BEGIN;",
            "commit", "end", "rollback ; ", "savepoint s", "start transaction read only", "select public.f()", " ",
        ])
    func ordinary(text: String) {
        #expect(!mayHave(text) && read(text).allSatisfy { $0 == .transactionEnd })
    }

    @Test(
        "in a transaction the whole text is looked at",
        arguments: ["select f(set_config('a', 'b', true))", "insert into t select SET_CONFIG('a', 'b', true)"])
    func inTransaction(text: String) {
        #expect(mayHave(text, isInTransaction: true))
        #expect(!mayHave("select 1 from items_table", isInTransaction: true))
    }

    @Test("what changes the catalogue, and what is about the session's own objects only")
    func catalogue() {
        let texts = [
            "create table t(i int)", "ALTER type x rename to y", "/* c */ drop view v", "grant select on t to public",
            "create or replace view v as select 1",
        ]
        for text in texts { #expect(read(text) == [.catalogue] && mayHave(text)) }
        #expect(read("create or replace temp view v as select 1") == [.temporary(isLasting: true)])
        #expect(read("do $$ $$") == [.anySetting, .catalogue] && read("call p()") == [.anySetting, .catalogue])
        #expect(read("create table pg_temp.t(i int)") == [.catalogue, .temporary(isLasting: true)])
        let both = "create temp table a(i int); create temp table b(i int) on commit drop; create temp table c(i int)"
        #expect(read(both) == [true, false, true].map { .temporary(isLasting: $0) })
    }

    // Read ahead of each word to the end, such a text would keep a worker for hours, or fill its stack.
    @Test("a text in which each word has to be looked behind is read in one go")
    func longTexts() {
        let names = String(repeating: "u&\"a\"", count: 20_000)
        #expect(read("select " + names) == [] && read("deallocate " + names) == [])
        let calls = read("select " + Array(repeating: "set_config('a', 'b', true)", count: 20_000).joined(separator: ", "))
        #expect(calls == Array(repeating: .setting(name: "a", .literal("b"), isLocal: true), count: 100) + [.anySetting])
        let words = String(repeating: " temp", count: 20_000)
        #expect(read("create" + words) == Array(repeating: .temporary(isLasting: true), count: 100) + [.anySetting])
    }

    @Test("a call of set_config says what it sets where nothing but such calls follow")
    func calls() {
        let call = "set_config('a', 'b', true)"
        let (certain, uncertain) = (StatementEffect.Value.literal("b"), StatementEffect.Value.unknown)
        let texts: [(String, [StatementEffect.Value])] = [
            ("\(call), pg_catalog.\(call), \(call)", [certain, certain, certain]),
            ("\(call), \(call); select \(call)", [certain, certain, certain]),
            ("\(call), \(call) from t", [uncertain, uncertain]),
            ("\(call), f(), \(call)", [uncertain, certain]),
            ("\(call) from t; select \(call)", [uncertain, certain]),
            ("\(call), f(\(call)), \(call)", [uncertain, uncertain, certain]),
        ]
        for (text, values) in texts {
            #expect(read("select " + text) == values.map { .setting(name: "a", $0, isLocal: true) }, "\(text)")
        }
    }

    @Test("a block that may drop names")
    func dropsNames() {
        #expect(read("do $$ begin execute 'deallocate n'; end $$") == [.anySetting, .catalogue, .dropsNames])
        #expect(read("DO language plpgsql 'begin execute ''DEALLOCATE all''; end'") == [.anySetting, .catalogue, .dropsNames])
        #expect(read("call deallocate()") == [.anySetting, .catalogue])
        #expect(!read("select 'do deallocate'").contains(.dropsNames))
    }

    @Test("the pooler's own names")
    func reserved() {
        #expect(read("prepare \"SLUICE_1\" as select 1") == [.prepare, .reservedName("SLUICE_1")])
        #expect(read("deallocate prepare \"SLUICE_1\"") == [.reservedName("SLUICE_1")])
        #expect(read("execute U&\"SLUICE_1\"") == [.anySetting, .reservedName("SLUICE_1")])
        #expect(read("prepare SLUICE_1 as select 1") == [.prepare])
        #expect(read("deallocate all").isEmpty && read("deallocate \"s\"").isEmpty)
        #expect(read("prepare transaction 'x'") == [.transactionEnd])
    }

    @Test(
        "literals that are the time of the Parse",
        arguments: [
            ("select 'now'::timestamptz", true), ("select timestamp ' Today 10:00'", true), ("select 'tomorrow'", true),
            ("select e'now'", true),
            ("select now(), 'x'", false), ("select 'I know'", false), ("select 'x', now()", false), ("select $$yesterday$$::date", true),
            ("select 'allballs'::time", true), ("select 'x' as today", false), ("select 'all'", false),
            (#"select E'n\157w'::date, 'all'"#, true),
        ])
    func time(text: String, isTime: Bool) {
        let bytes = Array(text.utf8)
        #expect(TimeLiteral.isIn(bytes.span, 0..<bytes.count) == isTime)
    }
}
