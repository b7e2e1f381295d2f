/// Which of the two sides of the pooler a TLS setting is for; the first word of the setting's name.
public enum TLSSide: String, Sendable, Equatable {
    /// Towards clients: the pooler accepts.
    case client
    /// Towards servers: the pooler connects.
    case server
}

/// How much is asked of the peer's certificate.
public enum TLSVerification: Sendable, Equatable {
    /// Nothing; clients are not asked for one.
    case none
    /// Clients are asked for one and may have none; one that is shown must come from a known authority.
    case authorityIfShown
    /// It must come from a known authority.
    case authority
    /// A server's must also be made out to the host that was meant. For clients this is the same as `authority`.
    case authorityAndName
}

/// All that a ``TLSContext`` is built from: the texts of the settings, and the files as they were read.
public struct TLSConfiguration: Sendable {
    /// A file in PEM form that a setting names.
    public struct File: Sendable {
        /// The path, for messages.
        public let path: String
        /// What it holds.
        public let content: [UInt8]

        public init(path: String, content: [UInt8]) {
            self.path = path
            self.content = content
        }
    }

    public var side: TLSSide
    public var verification = TLSVerification.none
    /// Own certificate, with those between it and the authority behind it.
    public var certificate: File?
    /// Private key of that certificate.
    public var key: File?
    /// Certificates of authorities; without it, for servers, those that the system knows.
    public var authorities: File?
    /// As in `*_tls_protocols`.
    public var protocols = "secure"
    /// As in `*_tls_ciphers`.
    public var ciphers = "default"
    /// As in `*_tls13_ciphers`.
    public var suites: String?
    /// As in `client_tls_ecdhcurve`.
    public var curve = "auto"
    /// As in `client_tls_dheparams`.
    public var diffieHellman = "auto"

    public init(side: TLSSide) { self.side = side }

    /// Two configurations with the same fingerprint make contexts that can't be told apart.
    var fingerprint: [UInt8] {
        var text: [UInt8] = []
        func add(_ part: [UInt8]?) {
            text += "\(part?.count ?? -1):".utf8
            text += part ?? []
        }
        add(Array("\(side) \(verification)".utf8))
        for file in [certificate, key, authorities] { add(file?.content) }
        for part in [protocols, ciphers, suites, curve, diffieHellman] { add(part.map { Array($0.utf8) }) }
        return Digest.sha256(text)
    }
}

/// A TLS setting, or a file that it names, can't be used.
public struct TLSConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The setting.
    public let setting: String
    /// The file it names, if the fault is there.
    public let file: String?
    /// What is wrong with it, and what was expected.
    public let reason: String
    /// A certificate and a key that do not belong together, or one without the other: half of a change, perhaps.
    public let isAboutPair: Bool

    public init(setting: String, file: String? = nil, reason: String, isAboutPair: Bool = false) {
        self.setting = setting
        self.file = file
        self.reason = reason
        self.isAboutPair = isAboutPair
    }

    public var description: String { "\(setting): \(file.map { "\($0): " } ?? "")\(reason)" }
}
