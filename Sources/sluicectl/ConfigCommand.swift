import ArgumentParser
import Configuration
import EventLoop
import Terminal

/// `sluicectl config`.
struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Looks at configuration files.",
        discussion: "Without a subcommand: the settings in force, as `sluicectl show config`.", subcommands: [ConfigCheck.self])
}

/// `sluicectl config check FILE.ini`.
struct ConfigCheck: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Reads a configuration as the pooler does and tells what is wrong with it.",
        discussion: "Needs no running pooler. Exit status 0: it would be taken (warnings aside); 1: it would be refused.")

    @Argument(help: ArgumentHelp("The file.", valueName: "FILE.ini"))
    var file: String

    @Flag(help: "Warnings, too, make the check fail.")
    var strict = false

    @Flag(help: "JSON: an object with `valid`, `errors` and `warnings`.")
    var json = false

    func run() throws {
        let (configuration, faults) = Configuration.check(path: file, read: ConfigurationFile.read, variable: Environment.value)
        let warnings = configuration.warnings + (faults.isEmpty ? ConfigurationAdvice.findings(configuration) : [])
        report(faults.map(\.description), warnings, configuration)
        if !faults.isEmpty || (strict && !warnings.isEmpty) { throw ExitCode(1) }
    }

    private func report(_ errors: [String], _ warnings: [String], _ configuration: Configuration) {
        if json {
            let text = JSONAnswer.text { json in
                json.object { json in
                    json.member("valid", errors.isEmpty)
                    for (name, texts) in [("errors", errors), ("warnings", warnings)] {
                        json.key(name)
                        json.array { json in for text in texts { json.value(text) } }
                    }
                }
            }
            Terminal.write(text)
            return
        }
        for warning in warnings { Terminal.write("warning: \(TerminalText.sanitized(warning))\n") }
        for error in errors { Terminal.write("error: \(TerminalText.sanitized(error))\n") }
        if errors.isEmpty {
            let names = configuration.databases.count + (configuration.fallbackDatabase == nil ? 0 : 1)
            Terminal.write("\(file): valid (\(names) database\(names == 1 ? "" : "s"), \(configuration.userList.secrets.count) users)\n")
        }
    }
}

/// What a valid configuration does that its owner may not have meant.
enum ConfigurationAdvice {
    static func findings(_ configuration: Configuration) -> [String] {
        var findings: [String] = []
        let settings = configuration.settings
        if configuration.databases.isEmpty, configuration.fallbackDatabase == nil {
            findings.append("[databases] has no entry: nobody can connect to anything but the console")
        }
        if settings.adminUsers.isEmpty, settings.authType != .any {
            findings.append("admin_users is empty: only the process's own system user, over the Unix socket, gets into the console")
        }
        if settings.listenAddr.isEmpty, settings.unixSocketDir.isEmpty {
            findings.append("listen_addr and unix_socket_dir are both empty: there is nowhere to connect to")
        }
        for (name, database) in configuration.databases.sorted(by: { $0.key < $1.key }) {
            let limit = configuration.maxDatabaseConnections(database: database)
            let minimum = configuration.minPoolSize(database: database)
            let size = database.poolSize ?? settings.defaultPoolSize
            if size > 0, minimum > size {
                findings.append("database \"\(name)\": min_pool_size \(minimum) is more than the pool size \(size), which holds")
            }
            if limit > 0, size > limit {
                findings.append("database \"\(name)\": max_db_connections \(limit) is less than the pool size \(size): no pool ever fills")
            }
        }
        for name in settings.adminUsers + settings.statsUsers
        where configuration.userList.secrets[name] == nil && [.md5, .scramSHA256, .plain].contains(settings.authType)
            && settings.authUser == nil
        {
            findings.append("user \"\(name)\" of admin_users or stats_users is not in auth_file: no password opens the console for them")
        }
        if settings.queryWaitTimeout == 0 {
            findings.append("query_wait_timeout is 0: clients of a stuck pool wait for ever")
        }
        return findings
    }
}
