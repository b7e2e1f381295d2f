import Configuration
import EventLoop

extension PasswordSource {
    /// The password that a login to this place as this user has now: what the file holds, or what the command prints. Blocks until it is
    /// there. The error says why there is none, without the setting's name and without anything of the secret.
    ///
    /// - Parameter timeout: how long a command may run, in microseconds.
    public func password(host: String, port: Int, user: String, timeout: Int64) throws(InvalidValue) -> String {
        let limit = Self.maximumBytes + 2
        switch self {
        case .file(let path):
            let bytes: [UInt8]
            do throws(SystemError) { bytes = try Files.read(path, limit: limit) } catch {
                throw InvalidValue("cannot be read: \(error.reason)")
            }
            return try Self.password(in: bytes)
        case .command(let command):
            let environment = [(name: "PGHOST", value: host), ("PGPORT", String(port)), ("PGUSER", user)]
            let bytes: [UInt8]
            do throws(Subprocess.Failure) {
                bytes = try Subprocess.output(of: command, environment: environment, timeout: timeout, limit: limit)
            } catch {
                throw InvalidValue(Self.reason(error, timeout))
            }
            return try Self.password(in: bytes)
        }
    }

    private static func reason(_ failure: Subprocess.Failure, _ timeout: Int64) -> String {
        switch failure {
        case .timedOut: "no end after \(TimeText.seconds(timeout)) s (password_command_timeout)"
        case .tooLong: "the output is longer than \(maximumBytes) bytes: expected the password alone"
        case .notStarted, .exited, .killed: failure.reason
        }
    }
}
