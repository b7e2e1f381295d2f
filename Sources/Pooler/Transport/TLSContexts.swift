import Configuration
import EventLoop
import TLS

/// The TLS of one configuration, both sides: what connections that begin now use.
struct TLSContexts: Sendable {
    /// nil: TLS is off.
    let client: TLSContext?
    let server: TLSContext?
    /// How far TLS is wanted with servers; goes with `server`.
    let serverMode: TLSMode

    /// No TLS at all.
    static let none = TLSContexts(client: nil, server: nil, serverMode: .disable)

    private init(client: TLSContext?, server: TLSContext?, serverMode: TLSMode) {
        self.client = client
        self.server = server
        self.serverMode = serverMode
    }

    /// Builds what the settings ask for, and reads the files that they name. What has not changed stays the same object, so that sessions
    /// go on being resumed.
    init(_ configuration: Configuration, previous: TLSContexts = .none) throws(TLSConfigurationError) {
        let settings = configuration.settings
        if settings.authType == .cert {
            guard settings.clientTlsSslmode == .verifyFull else {
                throw TLSConfigurationError(
                    setting: "auth_type",
                    reason: "cert needs client_tls_sslmode=verify-full, but it is \(settings.clientTlsSslmode.rawValue)")
            }
            guard !settings.clientTlsCaFile.isEmpty else {
                throw TLSConfigurationError(setting: "auth_type", reason: "cert needs client_tls_ca_file")
            }
        }
        client = try Self.context(Self.client(configuration), previous.client)
        server = try Self.context(Self.server(settings), previous.server)
        serverMode = settings.serverTlsSslmode
    }

    private static func context(
        _ configuration: TLSConfiguration?, _ previous: TLSContext?
    ) throws(TLSConfigurationError) -> TLSContext? {
        guard let configuration else { return nil }
        if let previous, previous.isBuilt(from: configuration) { return previous }
        return try TLSContext(configuration)
    }

    private static func client(_ configuration: Configuration) throws(TLSConfigurationError) -> TLSConfiguration? {
        let settings = configuration.settings
        guard settings.clientTlsSslmode != .disable else { return nil }
        var result = TLSConfiguration(side: .client)
        if settings.clientTlsSslmode.verifiesPeer {
            result.verification = .authority
        } else if configuration.asksForCertificates {
            result.verification = .authorityIfShown
        }
        result.certificate = try file("client_tls_cert_file", settings.clientTlsCertFile)
        result.key = try file("client_tls_key_file", settings.clientTlsKeyFile)
        result.authorities = try file("client_tls_ca_file", settings.clientTlsCaFile)
        result.protocols = settings.clientTlsProtocols
        result.ciphers = settings.clientTlsCiphers
        result.suites = settings.clientTls13Ciphers
        result.curve = settings.clientTlsEcdhcurve
        result.diffieHellman = settings.clientTlsDheparams
        return result
    }

    private static func server(_ settings: Settings) throws(TLSConfigurationError) -> TLSConfiguration? {
        guard settings.serverTlsSslmode != .disable else { return nil }
        var result = TLSConfiguration(side: .server)
        switch settings.serverTlsSslmode {
        case .verifyFull: result.verification = .authorityAndName
        case .verifyCA: result.verification = .authority
        default: result.verification = .none
        }
        result.certificate = try file("server_tls_cert_file", settings.serverTlsCertFile)
        result.key = try file("server_tls_key_file", settings.serverTlsKeyFile)
        result.authorities = try file("server_tls_ca_file", settings.serverTlsCaFile)
        result.protocols = settings.serverTlsProtocols
        result.ciphers = settings.serverTlsCiphers
        result.suites = settings.serverTls13Ciphers
        return result
    }

    private static func file(_ setting: String, _ path: String) throws(TLSConfigurationError) -> TLSConfiguration.File? {
        guard !path.isEmpty else { return nil }
        do {
            return TLSConfiguration.File(path: path, content: try Files.read(path))
        } catch {
            throw TLSConfigurationError(setting: setting, file: path, reason: "cannot be read: \(error.reason)")
        }
    }

    /// Everything that stands against these settings, not only the first: each file that can't be read, and on a side where all can be,
    /// what is wrong with them.
    static func problems(_ configuration: Configuration) -> [String] {
        let settings = configuration.settings
        var problems: [String] = []
        var isUnreadable: [TLSSide: Bool] = [:]
        let files: [(TLSSide, TLSMode, String, String)] = [
            (.client, settings.clientTlsSslmode, "client_tls_cert_file", settings.clientTlsCertFile),
            (.client, settings.clientTlsSslmode, "client_tls_key_file", settings.clientTlsKeyFile),
            (.client, settings.clientTlsSslmode, "client_tls_ca_file", settings.clientTlsCaFile),
            (.server, settings.serverTlsSslmode, "server_tls_cert_file", settings.serverTlsCertFile),
            (.server, settings.serverTlsSslmode, "server_tls_key_file", settings.serverTlsKeyFile),
            (.server, settings.serverTlsSslmode, "server_tls_ca_file", settings.serverTlsCaFile),
        ]
        for (side, mode, setting, path) in files where mode != .disable {
            do throws(TLSConfigurationError) {
                _ = try file(setting, path)
            } catch {
                isUnreadable[side] = true
                problems.append(error.description)
            }
        }
        for side in [TLSSide.client, .server] where isUnreadable[side] != true {
            // The other side's faults are its own.
            var alone = configuration
            if side == .client { alone.settings.serverTlsSslmode = .disable } else { alone.settings.clientTlsSslmode = .disable }
            if side == .server { alone.settings.authType = .trust }
            do throws(TLSConfigurationError) {
                problems += try TLSContexts(alone).untimeliness().map(\.description)
            } catch {
                problems.append(error.description)
            }
        }
        return problems
    }

    /// Files that have expired or are not valid yet, of contexts that `previous` did not have already.
    func untimeliness(since previous: TLSContexts = .none) -> [TLSConfigurationError] {
        [client === previous.client ? nil : client?.untimeliness, server === previous.server ? nil : server?.untimeliness].compactMap { $0 }
    }

    /// Whether servers are spoken to in another way than under `other`.
    func serversDiffer(from other: TLSContexts) -> Bool { server !== other.server || serverMode != other.serverMode }
}

extension TLSMode {
    /// Connections without TLS are refused.
    var isRequired: Bool { self == .require || verifiesPeer }
    /// The peer has to show a certificate.
    var verifiesPeer: Bool { self == .verifyCA || self == .verifyFull }
}
