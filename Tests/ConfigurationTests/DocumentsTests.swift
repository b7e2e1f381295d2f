import Foundation
import Testing

@testable import Configuration

@Suite struct DocumentsTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    private func text(_ path: String) throws -> String {
        try String(contentsOf: Self.root.appending(path: path), encoding: .utf8)
    }

    /// The committed documents say what the table says; `make docs` writes them anew.
    @Test(arguments: [("docs/configuration.md", SettingsTable.markdown()), ("Config/sluice.ini", SettingsTable.annotatedIni())])
    func theReferenceIsUpToDate(path: String, expected: String) throws {
        let isSame = try text(path) == expected
        #expect(isSame, "\(path) is not what the settings table says: run `make docs`")
    }

    /// Files and tests that the guides name are there, under that name.
    @Test(arguments: ["README.md", "docs/architecture.md", "docs/invariants.md"]) func theGuidesNameWhatExists(path: String) throws {
        let page = try text(path)
        let tests = try allFiles(under: "Tests/blackbox", ending: ".py").map { try String(contentsOf: $0, encoding: .utf8) }.joined()
        for match in page.matches(of: /`(test_[a-z0-9_]+)`/) {
            let isThere = tests.contains("def \(match.1)(")
            #expect(isThere, "\(path) names \(match.1)")
        }
        let suites = try allFiles(under: "Tests", ending: "Tests.swift").map { try String(contentsOf: $0, encoding: .utf8) }
        for match in page.matches(of: /`([A-Za-z]+Tests)\.([a-zA-Z]+)`/) {
            let isThere = suites.contains { $0.contains("struct \(match.1) ") && $0.contains("func \(match.2)(") }
            #expect(isThere, "\(path) names \(match.1).\(match.2)")
        }
        let sources = Set((allFiles(under: "Sources", ending: ".swift") + allFiles(under: "Tests", ending: ".py")).map(\.lastPathComponent))
        for match in page.matches(of: /`(?:[A-Za-z]+\/)*([A-Za-z_+]+\.(?:swift|py))`/) where match.1 != "Package.swift" {
            let isThere = sources.contains(String(match.1))
            #expect(isThere, "\(path) names \(match.1)")
        }
    }

    /// The example for TLS had comments behind its values, so nobody could start with it.
    @Test func everyExampleOfAFileLoads() throws {
        var count = 0
        for page in [Self.root.appending(path: "README.md")] + allFiles(under: "docs", ending: ".md") {
            for match in try String(contentsOf: page, encoding: .utf8).matches(of: /```ini\n((?:.|\n)*?)```/) {
                let example = String(match.1)
                let isWhole = example.contains("[pgbouncer]")
                var files = Files(["sluice.ini": isWhole ? example : "[pgbouncer]\n\(example)", "userlist.txt": "\"joe\" \"secret\"\n"])
                for name in example.matches(of: /password_file=(\S+)/) { files.texts[String(name.1)] = "secret\n" }
                let (configuration, faults) = Configuration.check(path: "sluice.ini", read: files.read) { _ in "of the environment" }
                #expect(faults == [] && configuration.warnings == [], "\(page.path): \(example)")
                count += 1
            }
        }
        #expect(count >= 2)
    }

    private func allFiles(under folder: String, ending: String) -> [URL] {
        let found = FileManager.default.enumerator(at: Self.root.appending(path: folder), includingPropertiesForKeys: nil)
        return (found?.allObjects as? [URL] ?? []).filter { $0.lastPathComponent.hasSuffix(ending) }
    }
}
