import Bytes
import Testing

@testable import Configuration

/// PostgreSQL compares names byte by byte; Swift's strings are equal when they look equal. Two roles that look alike must stay two.
@Suite struct LookalikeNameTests {
    static let composed = "\u{e9}"
    static let decomposed = "e\u{301}"

    @Test func theyAreEqualForSwift() {
        #expect(Self.composed == Self.decomposed)
        #expect(!Self.composed.hasSameBytes(as: Self.decomposed) && Self.composed.hasSameBytes(as: "\u{e9}"))
        #expect(Name(Self.composed) != Name(Self.decomposed))
        #expect("".hasSameBytes(as: "") && !"".hasSameBytes(as: "a"))
    }

    /// One of the two entries replaced the other, and its user could log in with the other's password.
    @Test func aUserListWithBothHasTwoUsers() {
        let list = UserList(parsing: Array("\"\(Self.composed)\" \"1\"\n\"\(Self.decomposed)\" \"2\"\n".utf8), file: "u")
        #expect(list.secrets.count == 2)
        #expect(list.secrets[Self.composed] == "1" && list.secrets[Self.decomposed] == "2")
    }

    @Test func databasesAndUsersOfTheFile() throws {
        let text = """
            [databases]
            '\(Self.composed)' = dbname=one
            '\(Self.decomposed)' = dbname=two
            [users]
            '\(Self.composed)' = pool_size=1
            [pgbouncer]
            """
        let configuration = try Configuration.load(path: "f") { (_) throws(ConfigurationError) in Array(text.utf8) }
        #expect(configuration.database(named: Self.composed)?.serverName == "one")
        #expect(configuration.database(named: Self.decomposed)?.serverName == "two")
        #expect(configuration.users[Self.composed]?.poolSize == 1 && configuration.users[Self.decomposed] == nil)
    }

    @Test func aMovedDatabaseIsNoticed() {
        var before = Database(name: "d")
        before.explicitServerName = Self.composed
        var after = before
        after.explicitServerName = Self.decomposed
        #expect(after.serverIdentityDiffers(from: before) && !before.serverIdentityDiffers(from: before))
    }

    @Test func rulesAndMaps() {
        let rules = HostRules(parsing: Array("local all \(Self.composed) trust\nlocal sameuser all md5\n".utf8), file: "h") {
            (_) throws(ConfigurationError) in []
        }
        func method(_ user: String, _ database: String) -> HostMethod? {
            rules.rule(for: HostRequest(database: database, user: user, origin: .unixSocket))?.method
        }
        #expect(method(Self.composed, "d") == .trust)
        #expect(method(Self.decomposed, "d") == nil)
        #expect(method(Self.decomposed, Self.decomposed) == .md5)
        #expect(method(Self.decomposed, Self.composed) == nil)
        let maps = IdentMaps(parsing: Array("m \(Self.composed) \(Self.composed)\n".utf8), file: "i")
        #expect(maps.verdict(map: "m", systemNames: [Self.composed], user: Self.composed) == .allowed)
        #expect(maps.verdict(map: "m", systemNames: [Self.decomposed], user: Self.composed) == .noMatch)
        #expect(maps.verdict(map: "m", systemNames: [Self.composed], user: Self.decomposed) == .noMatch)
    }

    @Test func tablesAndSets() {
        var table: NameTable<Int> = [Self.composed: 1]
        table[Self.decomposed, default: 0] += 2
        #expect(table.count == 2 && table[Self.composed] == 1 && table[Self.decomposed] == 2)
        table[Self.composed] = nil
        #expect(table.map(\.key).map { Array($0.utf8) } == [Array(Self.decomposed.utf8)])
        var set: NameSet = [Self.composed]
        #expect(set.insert(Self.decomposed) && !set.insert(Self.composed) && set.count == 2)
        #expect(set.remove(Self.composed) && !set.contains(Self.composed) && set.contains(Self.decomposed))
    }
}
