// Fuzzes the file parsers of the room Configuration with libFuzzer; run.sh compiles this file together with the room's sources and Harness.swift.

import Bytes

/// The parts that can be tried, each with its properties.
enum FuzzTarget: String, CaseIterable {
    case hba, ident, ldap, userlist, connect, ini

    func run(_ bytes: [UInt8]) {
        switch self {
        case .hba: fuzzHostRules(bytes)
        case .ident: fuzzIdentMaps(bytes)
        case .ldap: fuzzLDAPOptions(bytes)
        case .userlist: fuzzUserList(bytes)
        case .connect: fuzzConnectString(bytes)
        case .ini: fuzzIni(bytes)
        }
    }
}

private func lines(_ bytes: [UInt8]) -> Int { bytes.count { $0 == UInt8(ascii: "\n") } + 1 }

/// Files of names that `@` leads to hold the same bytes, so that they lead to themselves.
private func fuzzHostRules(_ bytes: [UInt8]) {
    let rules = HostRules(parsing: bytes, file: "f") { (_) throws(ConfigurationError) in Array(bytes.prefix(64)) }
    check(rules.rules.count + rules.warnings.count <= lines(bytes), "a line is a rule, a warning or nothing")
    check(rules.rules.allSatisfy { (1...lines(bytes)).contains($0.line) }, "a rule stands in a line")
    for origin in [HostRequest.Origin.unixSocket, .network(NetworkAddress(text: "127.0.0.1")!, isEncrypted: true)] {
        let request = HostRequest(database: "d", user: "u", origin: origin)
        if let rule = rules.rule(for: request) { check(rule.matches(request), "the rule that decides matches") }
    }
}

private func fuzzIdentMaps(_ bytes: [UInt8]) {
    let maps = IdentMaps(parsing: bytes, file: "f")
    check(maps.warnings.count <= lines(bytes), "a line is one warning at most")
    check(maps.verdict(map: "m", systemNames: [], user: "u") != .allowed, "nobody is allowed nothing")
}

private func fuzzLDAPOptions(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    guard let options = try? LDAPOptions(parsing: text) else { return }
    check(!options.servers.isEmpty && !options.uris.isEmpty, "there is a server")
    let filter = options.filter(user: text)
    if options.searchFilter == nil {
        check(filter.utf8.count { $0 == UInt8(ascii: "(") } == 1, "a name adds no parenthesis")
    }
}

private func fuzzUserList(_ bytes: [UInt8]) {
    let list = UserList(parsing: bytes, file: "f")
    check(list.secrets.allSatisfy { $0.key.utf8.count <= 127 && $0.value.utf8.count <= 65_535 }, "names and secrets keep to their limits")
}

private func fuzzConnectString(_ bytes: [UInt8]) {
    guard let pairs = try? ConnectString.pairs(in: String(decoding: bytes, as: UTF8.self)) else { return }
    check(pairs.allSatisfy { !$0.key.isEmpty && !$0.value.isEmpty }, "no key and no value is empty")
}

/// The whole loader; every other file holds the same bytes.
private func fuzzIni(_ bytes: [UInt8]) {
    do throws(ConfigurationError) {
        _ = try Configuration.load(path: "f") { (_) throws(ConfigurationError) in bytes }
    } catch {
        check(!error.message.isEmpty, "an error says what is wrong")
    }
}
