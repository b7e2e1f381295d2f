import Bytes
import Configuration
import EventLoop
import Locking
import Passwords
import PoolCore

/// Passwords for logins to PostgreSQL that come from a file or a command. Both may block, so they have threads of their own, and no
/// query waits for them.
final class ServerPasswords: Sendable {
    /// Which password: where it comes from, and what a command is told. A file knows nothing of hosts and users.
    struct Key: Hashable, Sendable {
        private let place: Name
        private let isFile: Bool
        private let host: Name
        private let port: Int
        private let user: Name

        init(_ source: PasswordSource, host: String, port: Int, user: String) {
            switch source {
            case .file(let path): (place, isFile, self.host, self.port, self.user) = (Name(path), true, Name(""), 0, Name(""))
            case .command(let command):
                (place, isFile, self.host, self.port, self.user) = (Name(command), false, Name(host), port, Name(user))
            }
        }

        var source: PasswordSource { isFile ? .file(place.text) : .command(place.text) }

        fileprivate func get(timeout: Int64) -> PasswordOutcome {
            do throws(InvalidValue) {
                return .password(try source.password(host: host.text, port: port, user: user.text, timeout: timeout))
            } catch {
                return .failure(error.message)
            }
        }
    }

    /// Told on another thread.
    typealias Waiter = @Sendable (PasswordOutcome) -> Void

    private let cache = Locked(PasswordCache<Key, Waiter>())
    /// A file system may hang, and a command most of all: neither holds up the other.
    private let files = ThreadGroup(name: "password files", threads: 2, capacity: 1000)
    private let commands = ThreadGroup(name: "passwords", threads: 8, capacity: 1000)

    /// A password that is known to be good; else `waiter` is told.
    func ask(_ key: Key, lifetime: Int64, timeout: Int64, now: Int64, waiter: @escaping Waiter) -> String? {
        switch cache.withLock({ $0.ask(key, lifetime: lifetime, now: now, waiter: waiter) }) {
        case .password(let password): return password
        case .failure(let reason): waiter(.failure(reason))
        case .wait: break
        case .get:
            let group = if case .file = key.source { files } else { commands }
            let isTaken = group.submit { self.finished(key, key.get(timeout: timeout)) }
            if !isTaken { finished(key, .failure("too many passwords are being got")) }
        }
        return nil
    }

    private func finished(_ key: Key, _ outcome: PasswordOutcome) {
        let waiters = cache.withLock { $0.finished(key, outcome, now: MonotonicClock.now()) }
        for waiter in waiters { waiter(outcome) }
    }

    /// Whether another password may be had in place of one that the server refused.
    func refused(_ key: Key, _ password: String, now: Int64) -> Bool { cache.withLock { $0.refused(key, password, now: now) } }

    /// The server has taken the password.
    func accepted(_ key: Key) { cache.withLock { $0.accepted(key) } }

    /// Files and commands are asked anew.
    func forget() { cache.withLock { $0.forget() } }
}
