import PostgresWire
import Testing

@testable import PoolCore

@Suite struct PlanSettingsTests {
    private let table = ParameterTable()
    private let contexts = PlanContextTable()
    private var settings = PlanSettings()

    /// As PostgreSQL 15 tells of itself.
    private func parameters(_ brought: [(String, String)] = []) -> ParameterSet {
        table.intern(
            reported: [Parameter(name: "DateStyle", value: "ISO, MDY"), Parameter(name: "TimeZone", value: "UTC")],
            unreported: brought.map { Parameter(name: $0.0, value: $0.1) }, byServer: true)
    }

    private func path(_ parameters: ParameterSet) -> String? {
        settings.values(parameters).map { $0[0] ?? "default" }
    }

    private func set(_ name: String, _ value: String, local: Bool = false) -> StatementEffect {
        .setting(name: name, .literal(value), isLocal: local)
    }

    @Test("what was brought holds, until it is set")
    mutating func brought() {
        let own = parameters([("search_path", "one")])
        #expect(path(own) == "one" && path(parameters()) == "default")
        settings.apply(set("search_path", "two", local: true), own)
        let since = own.withUnknownValue(of: "search_path")
        #expect(path(since) == "two")
        settings.ready(isIdle: true)
        #expect(path(since) == nil)
        #expect(path(own) == "one")
    }

    @Test("SET stays on the server, SET LOCAL goes with the transaction, ROLLBACK takes both back")
    mutating func ends() {
        let own = parameters()
        settings.apply(set("search_path", "a"), own)
        settings.apply(set("search_path", "b", local: true), own)
        #expect(path(own) == "b" && settings.isTouched)
        settings.end(isRollback: false)
        settings.ready(isIdle: true)
        #expect(path(own) == "a" && !settings.isTouched)
        settings.apply(set("search_path", "c"), own)
        settings.end(isRollback: true)
        #expect(path(own) == nil)
        settings.ready(isIdle: true)
        #expect(path(own) == "a")
        settings.apply(set("search_path", "d"), own)
        settings.fail()
        settings.ready(isIdle: true)
        #expect(path(own) == "a")
        settings.apply(.setting(name: "search_path", .standard, isLocal: false), own)
        settings.ready(isIdle: true)
        #expect(path(own) == "default")
    }

    @Test("behind ROLLBACK TO SAVEPOINT nothing is known until the transaction ends")
    mutating func savepoint() {
        let own = parameters()
        settings.apply(set("search_path", "a", local: true), own)
        settings.end(isRollback: true)
        settings.ready(isIdle: false)
        #expect(path(own) == nil)
        settings.end(isRollback: false)
        settings.ready(isIdle: true)
        #expect(path(own) == "default")
    }

    @Test("what the server reports is known with its ReadyForQuery")
    mutating func reported() {
        let own = parameters()
        settings.apply(set("datestyle", "SQL, DMY"), own)
        #expect(path(own) == nil && settings.isTouched)
        settings.ready(isIdle: false)
        #expect(path(own) == "default" && !settings.isTouched)
    }

    @Test("what may have changed anything is over with the transaction; a SET that was not read is not")
    mutating func unknown() {
        let own = parameters()
        settings.apply(.anySetting, own)
        #expect(path(own) == nil)
        settings.ready(isIdle: false)
        #expect(path(own) == nil)
        settings.ready(isIdle: true)
        #expect(path(own) == "default")
        settings.lose()
        settings.ready(isIdle: true)
        #expect(path(own) == nil)
        settings.discard()
        #expect(path(own) == "default")
    }

    @Test("the pooler's own SET and RESET take the place of what was set before")
    mutating func adjusted() {
        let (none, one) = (parameters(), parameters([("search_path", "one")]))
        settings.apply(set("search_path", "left"), none)
        settings.ready(isIdle: true)
        settings.adjusted(none, one)
        #expect(path(one) == "one")
        settings.adjusted(one, none)
        #expect(path(none) == "default")
    }

    @Test("who leaves in the middle leaves nothing that is taken for certain")
    mutating func abandoned() {
        let own = parameters()
        settings.apply(set("search_path", "a"), own)
        settings.abandon([set("role", "r")], own)
        settings.ready(isIdle: true)
        #expect(path(own) == nil)
    }

    @Test("temporary objects hide others until the transaction ends, or as long as the server lives")
    mutating func temporary() {
        let own = parameters()
        settings.apply(.temporary(isLasting: false), own)
        #expect(settings.hidesObjects)
        settings.ready(isIdle: true)
        #expect(!settings.hidesObjects)
        settings.apply(.temporary(isLasting: true), own)
        settings.ready(isIdle: true)
        #expect(settings.hidesObjects)
        settings.discard()
        #expect(!settings.hidesObjects)
    }

    @Test("what is defined and not committed is nobody else's")
    mutating func catalogue() {
        let own = parameters()
        settings.apply(.catalogue, own)
        #expect(settings.hidesObjects && settings.isTouched && path(own) == "default")
        settings.end(isRollback: true)
        settings.ready(isIdle: false)
        #expect(settings.hidesObjects)
        settings.ready(isIdle: true)
        #expect(!settings.hidesObjects && !settings.isTouched)
    }

    @Test("contexts are the same if their bytes are, and those that nobody is in are forgotten")
    func contextTable() {
        func context(_ path: String) -> PlanContext {
            contexts.intern([path] + Array(repeating: nil, count: PlanContext.names.count - 1))
        }
        let kept = context("kept")
        #expect(context("kept") === kept && context("é").id != context("e\u{301}").id)
        #expect(contexts.intern(Array(repeating: nil, count: PlanContext.names.count)) === PlanContext.standard)
        for number in 0..<10_000 { _ = context("p\(number)") }
        #expect(contexts.count < 1000 && context("kept") === kept)
        #expect(kept.changes(to: .standard) == ["SET LOCAL search_path TO DEFAULT"])
        #expect(PlanContext.standard.changes(to: kept) == ["SELECT pg_catalog.set_config('search_path','kept',true)"])
    }

    @Test("one text in two contexts is two statements, and a private one is nobody else's")
    func statements() throws {
        let table = StatementTable()
        let text = Array("select 1\0\0\0".utf8)
        let other = table.contexts.intern(["x"] + Array(repeating: nil, count: PlanContext.names.count - 1))
        func intern(_ context: PlanContext?, isPrivate: Bool = false) -> Statement? {
            table.intern(text.span, in: context, isPrivate: isPrivate)
        }
        #expect(intern(.standard) === intern(.standard) && intern(other) === intern(other) && intern(other) !== intern(.standard))
        #expect(intern(nil) !== intern(nil) && intern(other, isPrivate: true) !== intern(other))
        let now = Array("select 'now'::timestamptz\0\0\0".utf8)
        let (one, two) = (table.intern(now.span), table.intern(now.span))
        #expect(one !== two && one?.isPrivate == true && one?.context === PlanContext.standard)
        let (show, again) = (table.intern(Array("fetch c\0\0\0".utf8).span), table.intern(Array("fetch c\0\0\0".utf8).span))
        #expect(show !== again && show?.dependsOnSession == true && again?.isPrivate == true)
    }
}
