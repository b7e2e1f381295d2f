import Configuration
import EventLoop
import LDAP
import PAM

/// Those who judge passwords outside this process. They block, so each has threads of its own, and a queue that ends: a login that
/// finds no place is refused, and no query ever waits.
final class ExternalAuthenticator: Sendable {
    /// What is asked.
    enum Question: Sendable {
        /// The service file is `/etc/pam.d/pgbouncer`, as PgBouncer's users have it.
        case pam(remoteHost: String)
        case ldap(LDAPOptions)
    }

    static var speaksLDAP: Bool { LDAPDirectory.isBuilt }
    static var speaksPAM: Bool { PAMStack.isBuilt }
    static let service = "pgbouncer"

    /// Modules of PAM are not all safe to run side by side.
    private let pam = ThreadGroup(name: "pam", threads: 1, capacity: 100)
    private let ldap = ThreadGroup(name: "ldap", threads: 4, capacity: 100)
    /// The system's users may be in a directory, too (nsswitch.conf).
    private let users = ThreadGroup(name: "users", threads: 2, capacity: 100)

    /// Has the system asked what its user is called; `whenDone` is called on another thread. False: too many are waiting.
    func askName(of identity: PeerIdentity, whenDone: @escaping @Sendable (_ name: String?) -> Void) -> Bool {
        users.submit { whenDone(identity.userName) }
    }

    private static let tooLate = "its turn came when the login's time was up"

    /// Has a password judged; `whenDone` is called on another thread, with nil when it is right and else with the particulars. False: too
    /// many are waiting.
    ///
    /// - Parameter deadline: when the client is gone (microseconds of the monotonic clock). Later nobody is asked: behind a directory that
    ///   hangs, those who have given up must not take the time of those who have not.
    func ask(
        _ question: Question, user: String, password: [UInt8], deadline: Int64, whenDone: @escaping @Sendable (_ failure: String?) -> Void
    ) -> Bool {
        switch question {
        case .pam(let remoteHost):
            return pam.submit {
                guard MonotonicClock.now() < deadline else { return whenDone(Self.tooLate) }
                whenDone(PAMStack.check(service: Self.service, user: user, password: password, remoteHost: remoteHost))
            }
        case .ldap(let options):
            return ldap.submit {
                let left = Int((deadline - MonotonicClock.now()) / 1000)
                guard left > 0 else { return whenDone(Self.tooLate) }
                let directory = LDAPDirectory(uris: options.uris, startsTLS: options.startsTLS, timeout: left)
                whenDone(directory.check(options.lookup(user: user), password: password))
            }
        }
    }
}

extension LDAPOptions {
    fileprivate func lookup(user: String) -> LDAPDirectory.Lookup {
        guard let baseDN else { return .name(bindName(user: user)) }
        let scope: LDAPDirectory.Scope =
            switch scope {
            case .base: .base
            case .one: .one
            case .sub: .sub
            }
        return .search(
            LDAPDirectory.Search(
                bindName: bindDN ?? "", bindPassword: bindPassword ?? "", base: baseDN, scope: scope, filter: filter(user: user)))
    }
}
