import Configuration
import TLS

/// When TLS contexts are built, and what their faults stop.
extension PoolerProcess {
    /// Before another user is taken on: a private key is often root's.
    func setUpTLS() throws(StartError) {
        do throws(TLSConfigurationError) {
            let contexts = try TLSContexts(configuration.settings)
            // Better an old certificate, which many clients do not look at, than no pooler at all.
            for problem in contexts.untimeliness() { shared.log.warning("\(problem.description)") }
            shared.tls.withLock { $0 = contexts }
        } catch {
            throw StartError(description: error.description)
        }
    }

    /// Takes over the TLS of a new configuration. Fails before anything has changed; those who are connected keep what they have.
    func reloadTLS(_ fresh: Configuration) throws(ConfigurationError) {
        let previous = shared.tls.withLock { $0 }
        let contexts: TLSContexts
        do throws(TLSConfigurationError) {
            contexts = try TLSContexts(fresh.settings, previous: previous)
            if let problem = contexts.untimeliness(since: previous).first { throw problem }
        } catch {
            throw ConfigurationError(file: fresh.sourceFile ?? "configuration", message: error.description)
        }
        shared.tls.withLock { $0 = contexts }
        if contexts.serversDiffer(from: previous) { shared.forgetAllServers() }
    }

    /// What is wrong with the TLS of a configuration, today.
    static func tlsProblems(_ settings: Settings) -> [String] {
        do throws(TLSConfigurationError) {
            return try TLSContexts(settings).untimeliness().map(\.description)
        } catch {
            return [error.description]
        }
    }
}
