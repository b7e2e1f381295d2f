import Configuration
import TLS

/// When TLS contexts are built, and what their faults stop.
extension PoolerProcess {
    /// Before another user is taken on: a private key is often root's.
    func setUpTLS() throws(StartError) {
        do throws(TLSConfigurationError) {
            let contexts = try TLSContexts(configuration)
            // Better an old certificate, which many clients do not look at, than no pooler at all.
            for problem in contexts.untimeliness() { shared.log.warning("\(problem.description)") }
            shared.tls.withLock { $0 = contexts }
        } catch {
            throw StartError(description: error.description)
        }
    }

    /// Takes over the TLS of a new configuration. Fails before anything has changed; those who are connected keep what they have.
    ///
    /// - Parameter key: the one setting that was changed, if it was one. A certificate and its key can be changed one after the other:
    ///   until both are, the old pair stays in force.
    /// - Returns: what an operator should know.
    func reloadTLS(_ fresh: Configuration, changed key: String? = nil) throws(ConfigurationError) -> String? {
        let previous = shared.tls.withLock { $0 }
        let contexts: TLSContexts
        do throws(TLSConfigurationError) {
            contexts = try TLSContexts(fresh, previous: previous)
            if let problem = contexts.untimeliness(since: previous).first { throw problem }
        } catch {
            if let key, error.isAboutPair, Self.halvesOfPairs.contains(key) { return "not in force yet: \(error.description)" }
            throw ConfigurationError(file: fresh.sourceFile ?? "configuration", message: error.description)
        }
        shared.tls.withLock { $0 = contexts }
        if contexts.serversDiffer(from: previous) { shared.forgetAllServers() }
        return nil
    }

    private static let halvesOfPairs: Set<String> = [
        "client_tls_cert_file", "client_tls_key_file", "server_tls_cert_file", "server_tls_key_file",
    ]
}
