import Glibc
import Testing

@testable import EventLoop

@Suite struct HostsFileTests {
    private func addresses(of name: String, in content: String) throws -> [String] {
        let path = "/tmp/sluice-hosts-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        try Files.create(path, content: content)
        defer { Files.remove(path) }
        return HostsFile.addresses(of: name, in: path).map(\.host)
    }

    @Test func namesAndTheirOtherNames() throws {
        let content = "# a comment\n127.0.0.1 one two # three\n\n  10.0.0.1\tTwo\n::1 one\nnonsense one\n10.0.0.2\n10.0.0.1 two"
        #expect(try addresses(of: "one", in: content) == ["127.0.0.1", "::1"])
        #expect(try addresses(of: "TWO", in: content) == ["127.0.0.1", "10.0.0.1"])
        #expect(try addresses(of: "three", in: content) == [])
        #expect(try addresses(of: "10.0.0.2", in: content) == [])
    }

    @Test func localhostIsAlwaysKnown() throws {
        #expect(try addresses(of: "localhost", in: "") == ["127.0.0.1", "::1"])
        #expect(try addresses(of: "localhost", in: "127.0.0.7 localhost") == ["127.0.0.7"])
        #expect(HostsFile.addresses(of: "localhost", in: "/nowhere").count == 2)
    }

    @Test func portsAreExchanged() throws {
        let four = try #require(SocketAddress(numeric: "10.1.2.3", port: 0))
        let six = try #require(SocketAddress(numeric: "fe80::1", port: 7))
        #expect(four.with(port: 5432).description == "10.1.2.3:5432")
        #expect(six.with(port: 0).port == 0)
        #expect(six.with(port: 5432).description == "[fe80::1]:5432")
    }
}
