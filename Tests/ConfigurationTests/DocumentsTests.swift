import Foundation
import Testing

@testable import Configuration

/// The committed documents say what the table says; `make docs` writes them anew.
@Suite struct DocumentsTests {
    @Test(arguments: [("docs/configuration.md", SettingsTable.markdown()), ("Config/sluice.ini", SettingsTable.annotatedIni())])
    func committedFilesAreUpToDate(path: String, expected: String) throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let committed = try String(contentsOf: root.appending(path: path), encoding: .utf8)
        let isSame = committed == expected
        #expect(isSame, "\(path) is not what the settings table says: run `make docs`")
    }
}
