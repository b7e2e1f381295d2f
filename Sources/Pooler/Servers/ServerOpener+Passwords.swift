import Configuration
import EventLoop
import PoolCore
import PostgresWire

/// The password of a server connection that is being made, if it comes from a file or a command.
struct ServerPassword {
    let key: ServerPasswords.Key
    let text: String
}

/// A server connection that goes on when its password is there.
struct PasswordWaiter {
    let opening: Opening
    let key: ServerPasswords.Key
    let next: (Opening) -> Bool
}

/// Passwords that expire: got before a connection is made, and once more when the server has refused one.
extension ServerOpener {
    /// Goes on with `next` when the password for the opening's host is known: at once, or later, and then the answer is true.
    func withPassword(_ opening: Opening, host: String, port: Int, _ next: @escaping (Opening) -> Bool) -> Bool {
        let pool = opening.shard.shared.key
        guard
            let source = configuration.passwordSource(
                database: opening.shard.database, user: pool.user, isForLookups: pool.isForLookups)
        else {
            var opening = opening
            opening.password = nil
            return next(opening)
        }
        return withPassword(ServerPasswords.Key(source, host: host, port: port, user: pool.user), opening, next)
    }

    private func withPassword(_ key: ServerPasswords.Key, _ opening: Opening, _ next: @escaping (Opening) -> Bool) -> Bool {
        passwordsAsked &+= 1
        let (mailbox, number, shard) = (worker.mailbox, passwordsAsked, opening.shard)
        let known = shared.serverPasswords.ask(
            key, lifetime: configuration.passwordLifetime(database: shard.database, user: shard.shared.key.user),
            timeout: settings.passwordCommandTimeout, now: now
        ) { outcome in
            // Never at once: those who called are not ready to hear of a failure.
            mailbox.post(.gotPassword(number, outcome))
        }
        guard let known else {
            passwordWaiters[number] = PasswordWaiter(opening: opening, key: key, next: next)
            return true
        }
        var opening = opening
        opening.password = ServerPassword(key: key, text: known)
        return next(opening)
    }

    func gotPassword(_ number: UInt64, _ outcome: PasswordOutcome) {
        guard let waiter = passwordWaiters.removeValue(forKey: number) else { return }
        var opening = waiter.opening
        switch outcome {
        case .password(let text):
            opening.password = ServerPassword(key: waiter.key, text: text)
            _ = waiter.next(opening)
        case .failure(let reason):
            let text: String
            switch waiter.key.source {
            // Only the operator is told where it is.
            case .file(let path): text = "password_file \(path): \(reason)"
            case .command: text = "password_command: \(reason)"
            }
            shared.log.warning("server login failed: \(text)", about: subject(opening.shard))
            openingFailed(opening, .passwordNotAvailable(key: waiter.key.source.key, reason))
        }
    }

    /// No server is opened any more: those that wait for a password end, however long a command may still take.
    func forgetPasswordWaiters() {
        let waiters = passwordWaiters.values
        passwordWaiters = [:]
        for waiter in waiters { openingFailed(waiter.opening, .shuttingDown) }
    }

    /// The server has refused a login because of its password. True: it comes again with another one, and nobody has to hear of it.
    func triesAnotherPassword(_ server: ServerConnection, _ fields: ErrorFields) -> Bool {
        guard Self.isRefusedPassword(fields), let password = server.opening.password, !server.opening.hasAskedAgain,
            shared.serverPasswords.refused(password.key, password.text, now: now)
        else { return false }
        var opening = server.opening
        opening.hasAskedAgain = true
        // The same address, and those after it if it can't be reached any more.
        opening.addresses.insert(server.address, at: 0)
        shared.log.info("the password was refused: \(password.key.source.key) is asked again", about: server.subject)
        discard(server, .passwordRefused)
        _ = withPassword(password.key, opening) { [unowned self] in connect($0) }
        return true
    }

    /// 28P01 is what PostgreSQL says of a password of its own, 28000 of one that PAM or LDAP has judged (RDS IAM).
    private static func isRefusedPassword(_ fields: ErrorFields) -> Bool {
        fields.code == SQLState.invalidPassword || fields.code == SQLState.invalidAuthorization
    }
}
