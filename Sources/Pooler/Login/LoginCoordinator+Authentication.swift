import Authentication
import Bytes
import Configuration
import EventLoop
import PoolCore
import PostgresWire
import Telemetry

/// How a client is judged: by which rule, by what is known of the user, by whom.
///
/// A login goes through `judge` (the rule), `identify` (the user), `examine` (the exchange, whose steps `take` carries out). Where
/// somebody else is asked, the login is suspended and `resume` goes on with it.
extension LoginCoordinator {
    // MARK: The rule

    /// Finds out by what this client is judged, and begins.
    func judge(_ client: ClientConnection, _ template: LoginTemplate) {
        let login = ClientLoginState(template: template)
        client.login = login
        client.move(to: .authenticating)
        switch settings.authType {
        case .hba: judgeByRules(client, login)
        case .any:
            guard template.database?.forcedUser != nil || worker.admin.console.isConsole(template.databaseName) else {
                guard template.database != nil else { return worker.fail(client, .noSuchDatabase(template.databaseName)) }
                return refuse(client, .noForcedUser(database: template.databaseName))
            }
            login.method = .any
            examine(client, login)
        case .cert:
            if !isLookedUpFirst(client, login, .certificate) { judgeByCertificate(client, login, map: nil) }
        case .ldap:
            login.ldapOptions = settings.authLdapOptions
            judgeByDirectory(client, login)
        case .pam:
            guard ExternalAuthenticator.speaksPAM else { return refuse(client, .notBuilt(.pam, trait: "PAM")) }
            login.method = .pam
            examine(client, login)
        case .trust: identify(client, login, .trust)
        case .plain: identify(client, login, .plain)
        case .md5: identify(client, login, .md5)
        case .scramSHA256: identify(client, login, .scramSHA256)
        }
    }

    private func judgeByRules(_ client: ClientConnection, _ login: ClientLoginState) {
        guard let request = hostRequest(client, login) else { return refuseWithoutRule(client) }
        let rule = configuration.hostRules.rule(for: request)
        // Nobody is looked up for a connection that no rule would let in under any name.
        if rule?.method != .ldap, configuration.hostRules.mayAdmitSomebody(request), isLookedUpFirst(client, login, .rules) { return }
        guard let rule else { return refuseWithoutRule(client) }
        switch rule.method {
        case .reject: refuse(client, .rejectedByRule(line: rule.line))
        case .trust: identify(client, login, .trust)
        case .password: identify(client, login, .plain)
        case .md5: identify(client, login, .md5)
        case .scramSHA256: identify(client, login, .scramSHA256)
        case .peer: judgeByPeer(client, login, map: rule.map)
        case .cert: judgeByCertificate(client, login, map: rule.map)
        case .ldap:
            login.ldapOptions = rule.ldapOptions
            judgeByDirectory(client, login)
        }
    }

    private func refuseWithoutRule(_ client: ClientConnection) {
        refuse(client, .noRule)
    }

    private func hostRequest(_ client: ClientConnection, _ login: ClientLoginState) -> HostRequest? {
        let template = login.template
        guard let address = SocketAddress.peer(of: client.channel.descriptor) else { return nil }
        let origin: HostRequest.Origin
        if address.isUnix {
            origin = .unixSocket
        } else if let network = NetworkAddress(bytes: address.addressBytes) {
            origin = .network(network, isEncrypted: isEncrypted(client))
        } else {
            return nil
        }
        return HostRequest(
            database: template.databaseName, user: login.user, origin: origin,
            isPhysicalReplication: template.replication == .physical)
    }

    private func judgeByPeer(_ client: ClientConnection, _ login: ClientLoginState, map: String?) {
        guard let peer = PeerIdentity(of: client.channel.descriptor) else { return peerNamed(nil, client, login, map: map) }
        let (mailbox, slot, id) = (worker.mailbox, client.slot, client.id)
        login.isSuspended = true
        let isTaken = shared.externalAuthenticator.askName(of: peer) { name in
            mailbox.post(.peerNamed(name, slot: slot, id: id, map: map))
        }
        if !isTaken { worker.fail(client, .tooManyLogins) }
    }

    func peerNamed(_ name: String?, _ slot: UInt32, _ id: UInt64, map: String?) {
        guard let (client, login) = suspended(slot, id) else { return }
        resume(client, login) { peerNamed(name, client, login, map: map) }
    }

    private func peerNamed(_ name: String?, _ client: ClientConnection, _ login: ClientLoginState, map: String?) {
        guard let name else { return refuse(client, .systemUserUnknown) }
        guard isAllowed(client, [name], as: login.user, map: map) else {
            return refuse(client, .systemUserDiffers(systemUser: name, user: login.user))
        }
        identify(client, login, .trust)
    }

    private func judgeByCertificate(_ client: ClientConnection, _ login: ClientLoginState, map: String?) {
        guard let names = certificateNames(client) else {
            return refuse(client, .certificateMissing)
        }
        guard isAllowed(client, names, as: login.user, map: map) else {
            return refuse(client, .certificateDiffers(names: names))
        }
        identify(client, login, .trust)
    }

    /// Whether somebody whom the system, or a certificate, knows by these names may be this user.
    private func isAllowed(_ client: ClientConnection, _ names: [String], as user: String, map: String?) -> Bool {
        guard let map else { return names.containsName(user) }
        switch configuration.identMaps.verdict(map: map, systemNames: names, user: user) {
        case .allowed: return true
        case .noMatch:
            shared.log.warning("ident map: \(map) does not have a match", about: client.subject)
            return false
        case .noSuchMap:
            shared.log.warning("ident map \(map) cannot be matched", about: client.subject)
            return false
        }
    }

    private func judgeByDirectory(_ client: ClientConnection, _ login: ClientLoginState) {
        guard ExternalAuthenticator.speaksLDAP else { return refuse(client, .notBuilt(.ldap, trait: "LDAP")) }
        guard login.ldapOptions?.isEmpty == false else { return refuse(client, .noLDAPOptions) }
        login.method = .ldap
        examine(client, login)
    }

    // MARK: The user

    /// Looks the user up: in the user list, else by `auth_query` where there is one.
    private func identify(_ client: ClientConnection, _ login: ClientLoginState, _ method: LoginMethod) {
        login.method = method
        if let known = login.template.credential {
            login.credential = known
            examine(client, login)
        } else if login.isLookedUp {
            examineLookedUp(client, login)
        } else if let plan = lookupPlan(login.template) {
            login.isSuspended = true
            lookUp(client, plan)
        } else {
            // An unknown user is asked like any other, and fails at the end. Under `md5` those with SCRAM secrets are asked for SCRAM.
            if method == .md5, configuration.userList.isMostlySCRAM { login.method = .scramSHA256 }
            examine(client, login)
        }
    }

    /// `auth_query` has answered: with a name and a secret, or (nil) that there is no such user, who is asked for a password all the same.
    func lookedUp(_ client: ClientConnection, _ login: ClientLoginState, _ found: (user: String, secret: String?)?) {
        login.isLookedUp = true
        if let found {
            login.rename(found.user)
            client.user = found.user
            let credential = shared.credentials.credential(of: found.user, text: found.secret ?? "")
            login.credential = credential
            if found.secret != nil { shared.lookupsFindSCRAM.store(credential.isForSCRAM, ordering: .relaxed) }
        } else {
            shared.log.info("auth_query knows no such user", about: client.subject)
        }
        switch login.afterLookup {
        case .rules: judgeByRules(client, login)
        case .certificate: judgeByCertificate(client, login, map: nil)
        case .exchange: examineLookedUp(client, login)
        }
    }

    /// The name that `auth_query` returns is the one that a rule has to allow and a certificate to show, or whoever knows another spelling
    /// gets around them. True: it is asked, and the login goes on with `next` when it has answered.
    private func isLookedUpFirst(_ client: ClientConnection, _ login: ClientLoginState, _ next: ClientLoginState.Step) -> Bool {
        guard login.template.credential == nil, !login.isLookedUp, let plan = lookupPlan(login.template) else { return false }
        login.isSuspended = true
        login.afterLookup = next
        lookUp(client, plan)
        return true
    }

    private func examineLookedUp(_ client: ClientConnection, _ login: ClientLoginState) {
        if login.credential == nil, login.method == .md5, shared.lookupsFindSCRAM.load(ordering: .relaxed) { login.method = .scramSHA256 }
        examine(client, login)
    }

    // MARK: The exchange

    /// Begins to ask the client.
    func examine(_ client: ClientConnection, _ login: ClientLoginState) {
        let user = login.user
        let derived: SCRAMSecret?
        if case .plain = login.credential?.secret {
            derived = login.credential?.derivedSecret
        } else {
            derived = shared.credentials.pretendedSecret(of: user)
        }
        login.exchange = ClientLogin(
            method: login.method, user: user, nameOfClient: login.template.user, secret: login.credential?.secret,
            derivedSecret: derived, randomness: .fresh(for: login.method, processKey: shared.processKey.withLock { $0 }),
            iterations: settings.scramIterations, endPoint: client.tls?.endPoint, pretendsToDerive: pretendsToDerive)
        if let step = login.exchange?.start() { take(step, client, login) }
    }

    /// Carries out what the exchange wants done next.
    func take(_ step: ClientLogin.Step, _ client: ClientConnection, _ login: ClientLoginState) {
        switch step {
        case .send(let request): send(request, to: client)
        case .rejected(let rejection): refuse(client, .exchange(rejection))
        case .derive(let derivation):
            login.isSuspended = true
            let isPretended = login.exchange?.isDerivationPretended == true
            if derive(derivation, for: .client(slot: client.slot, id: client.id), isPretended: isPretended) { return }
            guard isPretended, let next = login.exchange?.goOnWithoutDerivation() else { return worker.fail(client, .tooManyLogins) }
            login.isSuspended = false
            take(next, client, login)
        case .check(let password):
            login.isSuspended = true
            check(client, login, password)
        case .accepted(let saslFinal, let keys):
            if let keys { login.credential?.learn(keys: keys) }
            // With room for the greeting, which goes out with it.
            var writer = MessageWriter(capacity: 160 + (login.template.welcome?.messages.count ?? 0))
            if let saslFinal { writer.authentication(.saslFinal(saslFinal)) }
            writer.authentication(.ok)
            accepted(client, login, &writer)
        }
    }

    private func send(_ request: AuthenticationRequest, to client: ClientConnection) {
        var writer = MessageWriter(capacity: 128)
        writer.authentication(request)
        worker.send(writer.bytes, to: client)
    }

    /// Ends a login; the client is told less than the log.
    func refuse(_ client: ClientConnection, _ failure: LoginFailure) {
        shared.log.info(.loginFailed(reason: failure.logText, cause: failure.cause.name), about: client.subject)
        worker.fail(client, .authenticationFailed(failure))
    }

    /// The client whose login waits for somebody else, if it is still there.
    func suspended(_ slot: UInt32, _ id: UInt64) -> (client: ClientConnection, login: ClientLoginState)? {
        guard let client = worker.clients[slot], client.id == id, let login = client.login, login.isSuspended else { return nil }
        return (client, login)
    }

    /// Goes on with a login that has waited, and with what the client has sent meanwhile.
    func resume(_ client: ClientConnection, _ login: ClientLoginState, _ body: () -> Void) {
        login.isSuspended = false
        body()
        if client.isOpen { worker.carryOn(client) }
    }

    private func isEncrypted(_ client: ClientConnection) -> Bool { client.tls != nil }

    /// The names in the certificate that the client has shown and that was verified; nil when there is none.
    private func certificateNames(_ client: ClientConnection) -> [String]? { client.tls?.peerCertificate?.names }
}
