import Configuration
import Testing

/// Any bytes end in values or in an error, never in a trap.
@Suite struct NoiseTests {
    @Test func files() {
        forEachNoise("[]%include =;#'\n\r\t ab.*\"", count: 4000) { bytes in
            do throws(ConfigurationError) {
                var parser = try IniParser(bytes, file: "f")
                while try parser.next() != nil { #expect(parser.line >= 1) }
            } catch {
                #expect(error.line >= 1)
            }
        }
    }

    @Test func wholeConfigurations() {
        let lines = [
            "[pgbouncer]", "[sluice]", "[databases]", "[users]", "[peers]", "%include f", "* = host=a", "a = pool_size=3 user='b c'",
            "1 = host=x", "listen_port = 5", "pool_mode = statement", "log_stats = 7", "a = b", "", "; x", "'a b' = dbname=x",
        ]
        var generator = SeededGenerator(state: 3)
        for _ in 0..<2000 {
            let count = Int.random(in: 0...12, using: &generator)
            let text = (0..<count).map { _ in lines[Int.random(in: 0..<lines.count, using: &generator)] }.joined(separator: "\n")
            _ = Files(["sluice.ini": text, "f": "[sluice]\nworkers = 1"]).error()
        }
    }

    @Test func userLists() {
        forEachNoise("\"\"\"\"\"; \n\tab", count: 4000) { bytes in
            let list = UserList(parsing: bytes, file: "f")
            #expect(list.secrets.keys.allSatisfy { $0.utf8.count <= bytes.count })
        }
    }

    @Test func hostRules() {
        let words = [
            "local", "host", "hostssl", "all", "\"all\"", "sameuser", "replication", "@f", "+g", ",", "1.2.3.4/8", "1.2.3.4", "::1/128",
            "255.0.0.0",
            "trust", "peer", "map=", "map=x", "ldap", "ldapserver=h", "ldapurl=ldap://h/d?a?b", "\n", "#", "\"", "\0", "\u{FC}", "x",
        ]
        var generator = SeededGenerator(state: 5)
        for _ in 0..<4000 {
            let count = Int.random(in: 0...20, using: &generator)
            let text = (0..<count).map { _ in words[Int.random(in: 0..<words.count, using: &generator)] }.joined(separator: " ")
            let rules = HostRules(parsing: Array(text.utf8), file: "f") { (_) throws(ConfigurationError) in Array("a, all\n@f".utf8) }
            #expect(rules.rules.count + rules.warnings.count <= text.split(separator: "\n").count)
            _ = IdentMaps(parsing: Array(text.utf8), file: "f").verdict(map: "x", systemNames: ["x"], user: "x")
            _ = try? LDAPOptions(parsing: text).filter(user: text)
        }
    }

    @Test func connectStrings() {
        forEachNoise("=''  ab\t", count: 4000) { bytes in
            guard let pairs = try? ConnectString.pairs(in: String(decoding: bytes, as: UTF8.self)) else { return }
            #expect(pairs.allSatisfy { !$0.key.isEmpty && !$0.value.isEmpty })
        }
    }

    @Test func databaseURLs() {
        forEachNoise("u:@/?&=%2Ff[],7host", count: 8000) { bytes in
            guard let url = try? DatabaseURL(parsing: "postgres://" + String(decoding: bytes, as: UTF8.self)) else { return }
            #expect(!url.user.isEmpty && !url.database.isEmpty && !url.hosts.contains(""))
            #expect([1, url.hosts.count].contains(url.ports.count) && url.ports.allSatisfy((1...65535).contains))
        }
    }

    private func forEachNoise(_ letters: String, count: Int, _ body: ([UInt8]) -> Void) {
        let alphabet = Array(letters.utf8) + [0, 0x80, 0xC3, 0xFF]
        var generator = SeededGenerator(state: 7)
        for _ in 0..<count {
            let length = Int.random(in: 0...40, using: &generator)
            body((0..<length).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &generator)] })
        }
    }
}

/// Numbers that are the same in every run.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ (state >> 29)
    }
}
