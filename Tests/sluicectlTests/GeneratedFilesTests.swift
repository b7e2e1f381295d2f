import Configuration
import Testing

@testable import sluicectl

@Suite struct GeneratedFilesTests {
    private func server(_ change: (inout ServerFacts) -> Void = { _ in }) -> LiveServer {
        var facts = ServerFacts(place: "h:5432")
        facts.version = "17.2"
        facts.databases = [
            "d": .init(), "shop": .init(), "template1": .init(), "pgbouncer": .init(), "template0": .init(allowsConnections: false),
        ]
        change(&facts)
        return LiveServer(facts: facts, secrets: ["u": "SCRAM-SHA-256$x", "joe": "SCRAM-SHA-256$y", "old": "md5abc"])
    }

    @Test func fromAURL() throws {
        let files = GeneratedFiles(try DatabaseURL(parsing: "postgres://u:pa%22ss@h/d?sslmode=require"), folder: "/etc/x")
        #expect(files.ini.contains("\nd = host=h port=5432 dbname=d\n* = host=h port=5432\n"))
        #expect(files.ini.contains("\nauth_file = /etc/x/userlist.txt\n") && files.ini.contains("\nserver_tls_sslmode = require\n"))
        #expect(files.ini.contains("\nstats_users = u\n") && !files.ini.contains("pa\""))
        #expect(files.userList == "\"u\" \"pa\"\"ss\"\n")
        #expect(files.warnings == [])
    }

    @Test func fromAServer() throws {
        var files = GeneratedFiles(try DatabaseURL(parsing: "postgres://u:p@h/d"), folder: nil)
        files.add(server { $0.maxConnections = 23 })
        #expect(files.ini.contains("\nd = host=h port=5432 dbname=d\nshop = host=h port=5432 dbname=shop\n\n[sluice]"))
        #expect(files.ini.contains("PostgreSQL 17.2, 20 connection slots"))
        #expect(files.ini.contains("fit the server's slots\ndefault_pool_size = 8\n"))
        #expect(files.userList == "\"joe\" \"SCRAM-SHA-256$y\"\n\"u\" \"p\"\n")
        #expect(
            files.warnings == [
                "database \"pgbouncer\" is left out: the name is the console's",
                "role \"old\" is left out of the user list: its secret is no SCRAM secret (password_encryption)",
            ])
    }

    /// However few slots there are.
    @Test func thereIsAlwaysAPool() throws {
        var files = GeneratedFiles(try DatabaseURL(parsing: "postgres://u:p@h/d"), folder: nil)
        files.add(server { $0.maxConnections = 4 })
        #expect(files.ini.contains("default_pool_size = 1\n"))
    }
}
