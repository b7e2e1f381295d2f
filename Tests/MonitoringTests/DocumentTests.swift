import Foundation
import Testing

@testable import Monitoring

@Suite struct MetricsDocumentTests {
    /// The committed page says what the table says; `make docs` writes it anew.
    @Test func theReferenceIsUpToDate() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let isSame = try String(contentsOf: root.appending(path: "docs/metrics.md"), encoding: .utf8) == MetricsTable.markdown()
        #expect(isSame, "docs/metrics.md is not what the table of metrics says: run `make docs`")
    }
}
