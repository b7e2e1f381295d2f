/// Words in braces that stand for what differs from run to run, in a command line and in a configuration file of one's own.
struct PlaceHolders {
    let values: [String: String]

    static let names = [
        "port", "server_port", "server_host", "database", "user", "password", "secret", "pool_size", "cores", "folder", "config",
        "userlist",
        "certificate", "key", "clients",
    ]

    /// The text with values in place of `{name}`. Braces around anything else stay, for configuration files are full of them.
    func filled(_ text: String) -> String {
        var result = text
        for (name, value) in values { result.replace("{\(name)}", with: value) }
        return result
    }

    /// What is wrong with a command line; nil when nothing is.
    static func problem(in command: String) -> String? {
        if command.firstRange(of: "{port}") == nil, command.firstRange(of: "{config}") == nil {
            return "the command has to name {port}, or {config} for a file that does (--config NAME:FILE)"
        }
        for part in command.split(separator: "{").dropFirst(command.hasPrefix("{") ? 0 : 1) {
            let name = part.prefix { $0 != "}" }
            guard name.count < part.count, !name.isEmpty, name.allSatisfy({ $0.isLetter || $0 == "_" }) else { continue }
            if !names.contains(String(name)) {
                return "there is no {\(name)}; there are \(names.map { "{\($0)}" }.joined(separator: ", "))"
            }
        }
        return nil
    }
}
