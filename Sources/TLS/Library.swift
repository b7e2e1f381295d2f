import COpenSSL

/// The library underneath.
public enum TLSLibrary {
    /// Its name and number, such as `OpenSSL 3.0.17 1 Jul 2025`.
    public static var version: String { String(cString: OpenSSL_version(OPENSSL_VERSION)) }
}
