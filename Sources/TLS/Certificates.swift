import COpenSSL

/// An X.509 certificate that this value owns.
final class Certificate {
    let pointer: OpaquePointer

    /// Takes over a reference.
    init(taking pointer: OpaquePointer) { self.pointer = pointer }

    deinit { X509_free(pointer) }

    /// Why it is no good at this moment; nil if its time has come and not gone.
    var untimeliness: String? {
        defer { ERR_clear_error() }
        if X509_cmp_current_time(X509_get0_notAfter(pointer)) < 0 { return "the certificate has expired" }
        if X509_cmp_current_time(X509_get0_notBefore(pointer)) > 0 { return "the certificate is not valid yet" }
        return nil
    }

    /// The hash that stands for it in `tls-server-end-point` (RFC 5929): that of its signature, and SHA-256 in place of MD5 and SHA-1.
    /// nil where the signature has none (Ed25519).
    var endPoint: [UInt8]? {
        defer { ERR_clear_error() }
        var number: Int32 = 0
        guard X509_get_signature_info(pointer, &number, nil, nil, nil) == 1, number != NID_undef else { return nil }
        if number == NID_md5 || number == NID_sha1 { number = NID_sha256 }
        guard let name = OBJ_nid2sn(number), let digest = EVP_get_digestbyname(name) else { return nil }
        return [UInt8](unsafeUninitializedCapacity: Int(EVP_MAX_MD_SIZE)) { bytes, count in
            var size: UInt32 = 0
            count = X509_digest(pointer, digest, bytes.baseAddress, &size) == 1 ? Int(size) : 0
        }
    }

    /// Names as PostgreSQL and PgBouncer look at them. One with a NUL in it is no name: what comes before the NUL may be somebody else's.
    var names: PeerCertificate {
        defer { ERR_clear_error() }
        var dnsNames: [String] = []
        if let list = X509_get_ext_d2i(pointer, NID_subject_alt_name, nil, nil).map(OpaquePointer.init) {
            for index in 0..<OPENSSL_sk_num(list) {
                var type: Int32 = 0
                let name = OPENSSL_sk_value(list, index)?.assumingMemoryBound(to: GENERAL_NAME.self)
                guard let value = GENERAL_NAME_get0_value(name, &type), type == GEN_DNS else { continue }
                if let text = Self.text(value.assumingMemoryBound(to: ASN1_STRING.self)) { dnsNames.append(text) }
            }
            GENERAL_NAMES_free(list)
        }
        let subject = X509_get_subject_name(pointer)
        var commonName: String?
        let index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1)
        if index >= 0, let entry = X509_NAME_get_entry(subject, index) { commonName = Self.text(X509_NAME_ENTRY_get_data(entry)) }
        return PeerCertificate(commonName: commonName, dnsNames: dnsNames)
    }

    private static func text(_ string: UnsafePointer<ASN1_STRING>?) -> String? {
        var bytes: UnsafeMutablePointer<UInt8>?
        let count = ASN1_STRING_to_UTF8(&bytes, string)
        guard count > 0, let bytes else {
            if let bytes { CRYPTO_free(bytes, #file, #line) }
            return nil
        }
        defer { CRYPTO_free(bytes, #file, #line) }
        let content = UnsafeBufferPointer(start: bytes, count: Int(count))
        guard !content.contains(0) else { return nil }
        return String(validating: content, as: UTF8.self)
    }
}

/// Whom a verified certificate is made out to.
public struct PeerCertificate: Sendable, Equatable {
    /// CN of the subject; nil if there is none, or none that is text.
    public let commonName: String?
    /// DNS names among the subject's alternative names.
    public let dnsNames: [String]

    public init(commonName: String?, dnsNames: [String]) {
        self.commonName = commonName
        self.dnsNames = dnsNames
    }

    /// All names, of which one has to be the user's for the method `cert`.
    public var names: [String] { dnsNames + (commonName.map { [$0] } ?? []) }
}

extension TLSConfiguration.File {
    /// All certificates in the file, in order.
    func certificates(of setting: String) throws(TLSConfigurationError) -> [Certificate] {
        guard let source = BIO_new_mem_buf(content, Int32(clamping: content.count)) else {
            throw TLSConfigurationError(setting: setting, file: path, reason: "out of memory")
        }
        defer { BIO_free(source) }
        var found: [Certificate] = []
        while let pointer = PEM_read_bio_X509_AUX(source, nil, noPassword, nil) { found.append(Certificate(taking: pointer)) }
        let code = ERR_peek_last_error()
        // The end of the file reads as "no start line".
        let isAtEnd = ERR_reason_error_string(code).map { String(cString: $0) } == "no start line"
        let error = TLSError.taken()
        guard !found.isEmpty || !isAtEnd else {
            throw TLSConfigurationError(setting: setting, file: path, reason: "there is no certificate in it: expected PEM form")
        }
        guard isAtEnd else {
            throw TLSConfigurationError(
                setting: setting, file: path, reason: "certificate \(found.count + 1) can't be read: \(error.reason)")
        }
        return found
    }

    /// The private key in the file; the caller frees it.
    func privateKey(of setting: String) throws(TLSConfigurationError) -> OpaquePointer {
        guard let source = BIO_new_mem_buf(content, Int32(clamping: content.count)) else {
            throw TLSConfigurationError(setting: setting, file: path, reason: "out of memory")
        }
        defer { BIO_free(source) }
        if let key = PEM_read_bio_PrivateKey(source, nil, noPassword, nil) {
            ERR_clear_error()
            return key
        }
        let error = TLSError.taken()
        let marker = Array("ENCRYPTED".utf8)
        let isEncrypted = content.indices.contains { content[$0...].starts(with: marker) }
        throw TLSConfigurationError(
            setting: setting, file: path,
            reason: isEncrypted
                ? "the private key is encrypted: expected one without a password"
                : "there is no private key in it that can be read: expected PEM form (\(error.reason))")
    }
}

/// A daemon has nobody to ask.
private func noPassword(
    _ buffer: UnsafeMutablePointer<CChar>?, _ size: Int32, _ isForWriting: Int32, _ context: UnsafeMutableRawPointer?
) -> Int32 { -1 }
