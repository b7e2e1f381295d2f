import COpenSSL
import TLS

/// Certificates made on the spot, in PEM form.
public struct Credentials: Sendable {
    public let certificate: [UInt8]
    public let key: [UInt8]

    /// What an X.509 extension says, by OpenSSL's number for it.
    public typealias Extension = (number: Int32, value: String)

    /// - Parameters:
    ///   - names: the common name; nil for a subject without one. Bytes, because strange ones are needed.
    ///   - seconds: from when until when it is valid, from now on.
    public init(
        commonName: [UInt8]? = Array("localhost".utf8), extensions: [Extension] = [], seconds: ClosedRange<Int> = -3600...3600,
        signedBy issuer: Credentials? = nil, algorithm: Algorithm = .p256
    ) {
        let own = algorithm.generate()
        defer { EVP_PKEY_free(own) }
        let certificate = X509_new()!
        defer { X509_free(certificate) }
        X509_set_version(certificate, 2)
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), Int.random(in: 1...(1 << 40)))
        X509_gmtime_adj(X509_getm_notBefore(certificate), seconds.lowerBound)
        X509_gmtime_adj(X509_getm_notAfter(certificate), seconds.upperBound)
        X509_set_pubkey(certificate, own)
        let subject = X509_get_subject_name(certificate)
        if let commonName {
            X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8, commonName, Int32(commonName.count), -1, 0)
        }
        let parent = issuer.map { $0.parsed }
        X509_set_issuer_name(certificate, parent.map { X509_get_subject_name($0.certificate) } ?? subject)
        for (number, value) in extensions {
            let made = X509V3_EXT_conf_nid(nil, nil, number, value)!
            X509_add_ext(certificate, made, -1)
            X509_EXTENSION_free(made)
        }
        X509_sign(certificate, parent?.key ?? own, algorithm.digest)
        self.certificate = Self.pem { PEM_write_bio_X509($0, certificate) }
        key = Self.pem { PEM_write_bio_PrivateKey($0, own, nil, nil, 0, nil, nil) }
        if let parent {
            X509_free(parent.certificate)
            EVP_PKEY_free(parent.key)
        }
    }

    public static func authority(_ name: String = "authority") -> Credentials {
        Credentials(commonName: Array(name.utf8), extensions: [(NID_basic_constraints, "critical,CA:TRUE")])
    }

    private var parsed: (certificate: OpaquePointer, key: OpaquePointer) {
        let first = BIO_new_mem_buf(certificate, Int32(certificate.count))
        let second = BIO_new_mem_buf(key, Int32(key.count))
        defer {
            BIO_free(first)
            BIO_free(second)
        }
        return (PEM_read_bio_X509(first, nil, nil, nil)!, PEM_read_bio_PrivateKey(second, nil, nil, nil)!)
    }

    private static func pem(_ write: (OpaquePointer) -> Int32) -> [UInt8] {
        let target = BIO_new(BIO_s_mem())!
        defer { BIO_free(target) }
        precondition(write(target) == 1)
        var text = [UInt8](repeating: 0, count: 1 << 16)
        let count = BIO_read(target, &text, Int32(text.count))
        return Array(text.prefix(Int(count)))
    }

    public enum Algorithm: Sendable {
        case p256, ed25519, rsa2048

        func generate() -> OpaquePointer {
            switch self {
            case .p256: ellipticKey("P-256")
            case .ed25519: edwardsKey()
            case .rsa2048: rsaKey()
            }
        }

        var digest: OpaquePointer? { self == .ed25519 ? nil : EVP_sha256() }
    }
}

// `EVP_PKEY_Q_keygen` takes a variable number of arguments, which Swift can't call.
private func generated(_ type: Int32, _ configure: (OpaquePointer) -> Void = { _ in }) -> OpaquePointer {
    let context = EVP_PKEY_CTX_new_id(type, nil)!
    defer { EVP_PKEY_CTX_free(context) }
    EVP_PKEY_keygen_init(context)
    configure(context)
    var key: OpaquePointer?
    EVP_PKEY_keygen(context, &key)
    return key!
}

private func ellipticKey(_ curve: String) -> OpaquePointer {
    generated(EVP_PKEY_EC) { EVP_PKEY_CTX_set_ec_paramgen_curve_nid($0, EC_curve_nist2nid(curve)) }
}

private func edwardsKey() -> OpaquePointer { generated(EVP_PKEY_ED25519) }

private func rsaKey() -> OpaquePointer { generated(EVP_PKEY_RSA) { EVP_PKEY_CTX_set_rsa_keygen_bits($0, 2048) } }

extension TLSConfiguration {
    public static func accepting(_ own: Credentials, clients authority: Credentials? = nil) -> TLSConfiguration {
        var result = TLSConfiguration(side: .client)
        result.certificate = File(path: "own.crt", content: own.certificate)
        result.key = File(path: "own.key", content: own.key)
        if let authority {
            result.authorities = File(path: "ca.crt", content: authority.certificate)
            result.verification = .authority
        }
        return result
    }

    public static func connecting(
        _ verification: TLSVerification = .none, authority: Credentials? = nil, own: Credentials? = nil
    ) -> TLSConfiguration {
        var result = TLSConfiguration(side: .server)
        result.verification = verification
        result.authorities = authority.map { File(path: "ca.crt", content: $0.certificate) }
        result.certificate = own.map { File(path: "own.crt", content: $0.certificate) }
        result.key = own.map { File(path: "own.key", content: $0.key) }
        return result
    }
}
