#if LDAP
    import CLDAP
    import Glibc
#endif

/// A directory server that is asked about one password (libldap; package trait `LDAP`).
public struct LDAPDirectory: Sendable {
    /// `ldap://` or `ldaps://` URIs, separated by blanks, tried in this order.
    public var uris: String
    /// Turn to TLS by StartTLS before anything is said.
    public var startsTLS: Bool
    /// The most milliseconds that each step may take.
    public var timeout: Int

    /// How a user name becomes an entry of the directory.
    public enum Lookup: Sendable {
        /// The name of the entry is known.
        case name(String)
        /// The entry is searched for.
        case search(Search)
    }

    /// How deep a search goes.
    public enum Scope: Sendable {
        case base, one, sub
    }

    /// Who searches where for what.
    public struct Search: Sendable {
        public var bindName: String
        public var bindPassword: String
        public var base: String
        public var scope: Scope
        public var filter: String

        public init(bindName: String, bindPassword: String, base: String, scope: Scope, filter: String) {
            (self.bindName, self.bindPassword) = (bindName, bindPassword)
            (self.base, self.scope, self.filter) = (base, scope, filter)
        }
    }

    public init(uris: String, startsTLS: Bool, timeout: Int) {
        (self.uris, self.startsTLS, self.timeout) = (uris, startsTLS, timeout)
    }

    /// Whether this build has it.
    public static var isBuilt: Bool {
        #if LDAP
            true
        #else
            false
        #endif
    }

    #if LDAP

        private struct Failure: Error {
            let text: String
            init(_ step: String, _ code: Int32) { text = "\(step): \(String(cString: ldap_err2string(code)))" }
            init(_ text: String) { self.text = text }
        }

        /// Asks whether the password belongs to the user. Blocks for as long as the server takes, within the time limit of each step.
        ///
        /// - Returns: nil when it does, else what stood in the way.
        public func check(_ lookup: Lookup, password: [UInt8]) -> String? {
            // An empty password would be an anonymous bind, which servers allow to everybody.
            guard !password.isEmpty else { return "empty password" }
            do throws(Failure) {
                let name: String
                switch lookup {
                case .name(let known): name = known
                case .search(let search):
                    let session = try open()
                    defer { ldap_unbind_ext_s(session, nil, nil) }
                    try bind(session, search.bindName, Array(search.bindPassword.utf8), "bind of the searcher")
                    name = try find(session, search)
                }
                // A connection of its own, so that the searcher's rights are gone.
                let session = try open()
                defer { ldap_unbind_ext_s(session, nil, nil) }
                try bind(session, name, password, "bind as \"\(name)\"")
                return nil
            } catch {
                return error.text
            }
        }

        private func open() throws(Failure) -> OpaquePointer {
            var session: OpaquePointer?
            let status = ldap_initialize(&session, uris)
            guard status == LDAP_SUCCESS, let session else { throw Failure("ldap_initialize", status) }
            var version = Int32(LDAP_VERSION3)
            ldap_set_option(session, LDAP_OPT_PROTOCOL_VERSION, &version)
            var limit = timeval(tv_sec: timeout / 1000, tv_usec: timeout % 1000 * 1000)
            ldap_set_option(session, LDAP_OPT_NETWORK_TIMEOUT, &limit)
            ldap_set_option(session, LDAP_OPT_TIMEOUT, &limit)
            if startsTLS {
                let status = ldap_start_tls_s(session, nil, nil)
                if status != LDAP_SUCCESS {
                    ldap_unbind_ext_s(session, nil, nil)
                    throw Failure("StartTLS", status)
                }
            }
            return session
        }

        private func bind(_ session: OpaquePointer, _ name: String, _ password: [UInt8], _ step: String) throws(Failure) {
            var password = password.map { CChar(bitPattern: $0) }
            defer { password.withUnsafeMutableBytes { if let start = $0.baseAddress { explicit_bzero(start, $0.count) } } }
            let status = password.withUnsafeMutableBufferPointer { bytes in
                var credentials = berval(bv_len: ber_len_t(bytes.count), bv_val: bytes.baseAddress)
                return ldap_sasl_bind_s(session, name, nil, &credentials, nil, nil, nil)
            }
            guard status == LDAP_SUCCESS else { throw Failure(step, status) }
        }

        /// The name of the one entry that the filter finds.
        private func find(_ session: OpaquePointer, _ search: Search) throws(Failure) -> String {
            let scope =
                switch search.scope {
                case .base: LDAP_SCOPE_BASE
                case .one: LDAP_SCOPE_ONELEVEL
                case .sub: LDAP_SCOPE_SUBTREE
                }
            var limit = timeval(tv_sec: timeout / 1000, tv_usec: timeout % 1000 * 1000)
            var result: OpaquePointer?
            // "1.1": no attributes are wanted, only the name.
            let status = "1.1".withCString { none in
                var attributes = [UnsafeMutablePointer(mutating: none), nil]
                return ldap_search_ext_s(session, search.base, scope, search.filter, &attributes, 0, nil, nil, &limit, 2, &result)
            }
            defer { if let result { ldap_msgfree(result) } }
            guard status == LDAP_SUCCESS || status == LDAP_SIZELIMIT_EXCEEDED else { throw Failure("search", status) }
            let count = ldap_count_entries(session, result)
            guard count == 1, let entry = ldap_first_entry(session, result) else {
                throw Failure(count == 0 ? "no entry for filter \(search.filter)" : "more than one entry for filter \(search.filter)")
            }
            guard let name = ldap_get_dn(session, entry) else { throw Failure("an entry without a name") }
            defer { ldap_memfree(name) }
            return String(cString: name)
        }

    #else

        /// Not in this build: nobody is let in.
        public func check(_ lookup: Lookup, password: [UInt8]) -> String? { "ldap is not supported by this build" }

    #endif
}
