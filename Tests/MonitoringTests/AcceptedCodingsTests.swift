import EventLoop
import Statistics
import Testing

@testable import Monitoring

@Suite struct AcceptedCodingsTests {
    @Test(arguments: [
        "gzip", "gzip, deflate, br", "deflate,gzip", "br;q=1.0, gzip;q=0.8, *;q=0.1", "GZIP", " gzip ;q=0.001", "*", "identity, *;q=0.5",
        "x-gzip", "gzip;q=1;q=1",
    ])
    func gzipIsWanted(header: String) { #expect(AcceptedCodings(header).includesGzip) }

    @Test(arguments: [
        "", "identity", "br", "gzip;q=0", "gzip; q = 0.000", "gzip;q=0, *", "*;q=0", "deflate;q=1.0", ",,;,", "gzipped", "q=1", "gzip;q=0.",
    ])
    func gzipIsNotWanted(header: String) { #expect(!AcceptedCodings(header).includesGzip) }

    @Test func whatDoesNotGetSmallerStaysAsItIs() {
        let short = HTTPResponse.plain(200, "ok")
        #expect(short.compressed().headers.allSatisfy { $0.name != "Content-Encoding" })
        #expect(short.compressed().body.copy == short.body.copy)
    }
}
