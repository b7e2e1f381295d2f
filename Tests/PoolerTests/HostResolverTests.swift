import Configuration
import PoolCore
import Testing

@testable import EventLoop
@testable import Pooler

@Suite struct HostResolverTests {
    private typealias Finding = HostCache<SocketAddress>.Finding

    private static func find(_ host: String, port: UInt16 = 5432, in core: WorkerCore) -> [Finding] {
        var findings: [Finding] = []
        core.opener.hosts.find(host, port: port, now: core.now) { findings.append($0) }
        return findings
    }

    @Test(arguments: ["127.0.0.1", "::1"]) func anAddressIsFoundAtOnceAndKeptNowhere(host: String) throws {
        let core = try WorkerCore.staged()
        let address = try #require(SocketAddress(numeric: host, port: 5432))
        #expect(Self.find(host, in: core) == [.addresses([address])])
        #expect(core.shared.hosts.withLock { $0.lines(now: core.now) } == [] && core.opener.hosts.pending == 0)
    }

    @Test func aNameOfTheHostsFileIsFoundAtOnceAndKept() throws {
        let core = try WorkerCore.staged()
        try #require(!HostsFile.addresses(of: "localhost").isEmpty)
        guard case .addresses(let addresses)? = Self.find("localhost", port: 6000, in: core).first else {
            Issue.record("not found")
            return
        }
        #expect(addresses.allSatisfy { $0.port == 6000 })
        #expect(core.shared.hosts.withLock { $0.lines(now: core.now) }.map(\.name) == ["localhost"])
        // Whoever asks for another port has the same answer.
        guard case .addresses(let again)? = Self.find("localhost", port: 7000, in: core).first else {
            Issue.record("not found again")
            return
        }
        #expect(again.allSatisfy { $0.port == 7000 })
    }

    @Test func whatIsKnownIsNotAskedAgain() throws {
        let core = try WorkerCore.staged()
        core.shared.hosts.withLock { $0.keep(.failure("no such host"), of: "db.invalid", timeToLive: 1_000_000, now: core.now) }
        #expect(Self.find("db.invalid", in: core) == [.failure("no such host")] && core.opener.hosts.pending == 0)
    }
}
