import Authentication
import Configuration
import EventLoop
import PoolCore
import PostgresWire

/// Work of logins that would stall the loop: PBKDF2, PAM, LDAP. It is done on other threads and comes back as a message to the worker.
extension LoginCoordinator {
    /// Who waits for a derivation.
    enum DerivationWaiter {
        case client(slot: UInt32, id: UInt64)
        case server(slot: UInt32, id: UInt64)
    }

    // MARK: PBKDF2

    /// Derivations that are only pretended stand back behind this many others: nobody without a password may keep the threads busy.
    private static let fewWaiting = 16

    /// Has a derivation run. Those who want the same one wait for the same run. False: too many are waiting.
    func derive(_ derivation: KeyDerivation, for waiter: DerivationWaiter, isPretended: Bool = false) -> Bool {
        if derivations[derivation] != nil {
            derivations[derivation]?.append(waiter)
            return true
        }
        let isTaken = shared.hashing.submit(behindAtMost: isPretended ? Self.fewWaiting : .max) { [mailbox = worker.mailbox] in
            mailbox.post(.derived(derivation, derivation.run()))
        }
        if isTaken { derivations[derivation] = [waiter] }
        return isTaken
    }

    func derived(_ derivation: KeyDerivation, _ salted: SaltedPassword) {
        guard let waiters = derivations.removeValue(forKey: derivation) else { return }
        for waiter in waiters {
            switch waiter {
            case .client(let slot, let id):
                guard let (client, login) = suspended(slot, id), var exchange = login.exchange else { continue }
                resume(client, login) {
                    let isPretended = exchange.isDerivationPretended
                    let step = exchange.derived(salted)
                    login.exchange = exchange
                    if exchange.hasDerived, let secret = exchange.derivedSecret {
                        if isPretended {
                            shared.credentials.learn(pretended: secret, of: exchange.user)
                        } else {
                            login.credential?.learn(derived: secret)
                        }
                    }
                    take(step, client, login)
                }
            case .server(let slot, let id):
                saltedPasswords.remember(salted, of: derivation)
                if let server = worker.servers[slot], server.id == id { worker.opener.continueLogin(server) }
            }
        }
    }

    // MARK: PAM and LDAP

    /// Has somebody else judge a password.
    func check(_ client: ClientConnection, _ login: ClientLoginState, _ password: [UInt8]) {
        let question: ExternalAuthenticator.Question
        if login.method == .pam {
            question = .pam(remoteHost: SocketAddress.peer(of: client.channel.descriptor).map { $0.isUnix ? "localhost" : $0.host } ?? "")
        } else {
            do throws(InvalidValue) {
                question = .ldap(try LDAPOptions(parsing: login.ldapOptions ?? ""))
            } catch {
                return refuse(client, .invalidLDAPOptions(error.message))
            }
        }
        let (mailbox, slot, id) = (worker.mailbox, client.slot, client.id)
        // Afterwards nobody waits for the answer any more.
        let deadline = settings.clientLoginTimeout > 0 ? client.connectTime + settings.clientLoginTimeout : now + 60_000_000
        let isTaken = shared.externalAuthenticator.ask(question, user: login.user, password: password, deadline: deadline) { failure in
            mailbox.post(.checked(slot: slot, id: id, password: password, failure: failure))
        }
        if !isTaken { worker.fail(client, .tooManyLogins) }
    }

    func checked(_ slot: UInt32, _ id: UInt64, _ password: [UInt8], _ failure: String?) {
        guard let (client, login) = suspended(slot, id), var exchange = login.exchange else { return }
        // The server is told the same password.
        if failure == nil {
            login.credential = shared.credentials.credential(of: client.user, plain: String(decoding: password, as: UTF8.self))
        }
        resume(client, login) {
            let step = exchange.checked(failure)
            login.exchange = exchange
            take(step, client, login)
        }
    }
}
