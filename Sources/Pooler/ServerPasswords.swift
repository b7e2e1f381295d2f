import Bytes
import Configuration
import EventLoop
import Locking
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

        /// What a command finds in its environment.
        var environment: [(name: String, value: String)] {
            [("PGHOST", host.text), ("PGPORT", String(port)), ("PGUSER", user.text)]
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
            let isTaken = group.submit { self.finished(key, Self.get(key, timeout: timeout)) }
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

    // MARK: Getting them

    private static func get(_ key: Key, timeout: Int64) -> PasswordOutcome {
        let bytes: [UInt8]
        switch key.source {
        case .file(let path):
            do throws(SystemError) { bytes = try Files.read(path, limit: PasswordSource.maximumBytes + 2) } catch {
                return .failure("cannot be read: \(error.reason)")
            }
        case .command(let command):
            do throws(Subprocess.Failure) {
                bytes = try Subprocess.output(
                    of: command, environment: key.environment, timeout: timeout, limit: PasswordSource.maximumBytes + 2)
            } catch {
                return .failure(reason(error, timeout))
            }
        }
        do throws(InvalidValue) { return .password(try PasswordSource.password(in: bytes)) } catch { return .failure(error.message) }
    }

    private static func reason(_ failure: Subprocess.Failure, _ timeout: Int64) -> String {
        switch failure {
        case .timedOut: "no end after \(TimeText.seconds(timeout)) s (password_command_timeout)"
        case .tooLong: "the output is longer than \(PasswordSource.maximumBytes) bytes: expected the password alone"
        case .notStarted, .exited, .killed: failure.reason
        }
    }
}
