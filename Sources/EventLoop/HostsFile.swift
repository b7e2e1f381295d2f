/// The system's list of host names, hosts(5). Read anew for each question, of which there are few.
public enum HostsFile {
    /// The addresses of a name, with port 0, in the file's order; empty when it is not there. `localhost` always is.
    public static func addresses(of name: String, in path: String = "/etc/hosts") -> [SocketAddress] {
        let wanted = name.lowercased()
        var found: [SocketAddress] = []
        if let content = try? Files.read(path) {
            for line in content.split(separator: UInt8(ascii: "\n")) {
                let words = line.prefix { $0 != UInt8(ascii: "#") }.split { $0 == UInt8(ascii: " ") || (9...13).contains($0) }
                guard words.count > 1, words[1...].contains(where: { String(decoding: $0, as: UTF8.self).lowercased() == wanted }) else {
                    continue
                }
                if let address = SocketAddress(numeric: String(decoding: words[0], as: UTF8.self), port: 0), !found.contains(address) {
                    found.append(address)
                }
            }
        }
        if found.isEmpty, wanted == "localhost" {
            found = ["127.0.0.1", "::1"].compactMap { SocketAddress(numeric: $0, port: 0) }
        }
        return found
    }
}
