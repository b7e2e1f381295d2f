import Configuration
import Testing

@Suite struct PasswordSourceTests {
    private func reading(_ text: String) -> String {
        do throws(InvalidValue) { return "password " + (try PasswordSource.password(in: Array(text.utf8))) } catch { return error.message }
    }

    @Test(arguments: ["x", "x\n", "x\r\n"]) func theEndOfTheLineIsNoPartOfThePassword(_ text: String) {
        #expect(reading(text) == "password x")
    }

    @Test func allElseIsPartOfIt() {
        #expect(reading(" x y; \"\n") == "password  x y; \"")
        #expect(reading("md5abc") == "password md5abc")
    }

    @Test(arguments: ["", "\n", "\r\n"]) func nothingIsNoPassword(_ text: String) {
        #expect(reading(text) == "there is nothing: expected one line, the password")
    }

    @Test(arguments: ["x\ny", "x\ny\n", "x\n\n", "\nx", "x\ry"]) func twoLinesAreNoPassword(_ text: String) {
        #expect(reading(text) == "there is more than one line: expected the password alone")
    }

    @Test func bytesThatAreNoText() {
        #expect(reading("x\0y") == "the line is not text in UTF-8")
        #expect(throws: InvalidValue.self) { try PasswordSource.password(in: [0xff]) }
        #expect(reading(String(repeating: "x", count: PasswordSource.maximumBytes)).utf8.count == PasswordSource.maximumBytes + 9)
        #expect(reading(String(repeating: "x", count: PasswordSource.maximumBytes + 1)) == "the line is longer than 65535 bytes")
    }

    // MARK: Which one counts

    private func source(_ database: String, user: String = "", isForLookups: Bool = false) throws -> PasswordSource? {
        let texts = ["/d": "x", "/u": "x", "sluice.ini": "[sluice]\n[databases]\nd = \(database)\n[users]\nu = \(user)\n"]
        let configuration = try Files(texts).load()
        #expect(configuration.warnings == [])
        return configuration.passwordSource(
            database: try #require(configuration.databases["d"]), user: "u", isForLookups: isForLookups)
    }

    @Test func theDatabaseComesBeforeTheUser() throws {
        #expect(try source("host=h") == nil)
        #expect(try source("host=h", user: "password_file=/u") == .file("/u"))
        #expect(try source("password_command='d -x ''y'''", user: "password_file=/u") == .command("d -x 'y'"))
        #expect(try source("user=u password_file=/d") == .file("/d"))
        #expect(try source("user=u password=x", user: "password_file=/u") == nil)
        // Without a user it means nothing.
        #expect(try source("password=x", user: "password_file=/u") == .file("/u"))
    }

    @Test func theUserOfLookupsIsNotTheDatabases() throws {
        #expect(try source("user=v password_file=/d", user: "password_command=c", isForLookups: true) == .command("c"))
        #expect(try source("user=v password=x", user: "password_command=c", isForLookups: true) == .command("c"))
        #expect(try source("password_file=/d", user: "password_command=c", isForLookups: true) == .file("/d"))
    }

    @Test func oneOfThemIsEnough() {
        func error(_ database: String, _ user: String = "") -> String {
            Files(["/f": "x", "sluice.ini": "[sluice]\n[databases]\nd = \(database)\n[users]\nu = \(user)\n"]).error()
        }
        #expect(
            error("user=u password=x password_file=/f")
                == "sluice.ini:3: password_file: database \"d\": password and password_file are both given: expected one of them")
        #expect(
            error("user=u password=x password_command=c")
                == "sluice.ini:3: password_command: database \"d\": password and password_command are both given: expected one of them")
        #expect(
            error("password_command=c password_file=/f")
                == "sluice.ini:3: password_file: database \"d\": password_file and password_command are both given: expected one of them")
        #expect(
            error("host=h", "password_command=c password_file=/f")
                == "sluice.ini:5: password_file: user \"u\": password_file and password_command are both given: expected one of them")
    }

    @Test func aFileThatIsNoPasswordNowIsAWarning() throws {
        func warnings(_ texts: [String: String]) throws -> [String] {
            let ini = "[sluice]\n[databases]\nd = password_file=/d\n[users]\nu = password_file=/u\n"
            return try Files(texts.merging(["sluice.ini": ini]) { $1 }).load().warnings
        }
        #expect(
            try warnings(["/u": "x\ny"]) == [
                "sluice.ini:3: password_file: /d: no such file",
                "sluice.ini:5: password_file: /u: there is more than one line: expected the password alone",
            ])
        #expect(try warnings(["/u": "x", "/d": "x\n"]) == [])
    }

    // MARK: With a URL

    @Test func aURLTakesThemForAllDatabases() throws {
        let url = try DatabaseURL(parsing: "postgres://u:p@h/d")
        let configuration = url.configuration(passwordCommand: "c")
        for name in ["d", "other"] {
            let database = try #require(configuration.database(named: name))
            #expect(configuration.passwordSource(database: database, user: "u", isForLookups: false) == .command("c"))
        }
        // Clients log in with the URL's.
        #expect(configuration.userList.secrets["u"] == "p")
        #expect(configuration.warnings == [])
        let silent = try DatabaseURL(parsing: "postgres://u@h/d").configuration(passwordFile: "/f", read: Files([:]).read)
        #expect(
            silent.warnings == [
                "database URL: password: the URL has none, so nobody can log in with scram-sha-256; password_file is for PostgreSQL, "
                    + "and clients log in with the URL's password",
                "password_file: /f: no such file",
            ])
    }
}
