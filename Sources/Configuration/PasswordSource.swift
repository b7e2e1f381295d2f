/// Where a password for logins to PostgreSQL comes from that does not stand in a file of the pooler's, for it changes.
public enum PasswordSource: Sendable, Equatable {
    /// The file that holds it.
    case file(String)
    /// The command of the shell that prints it.
    case command(String)

    /// The setting's name, for messages.
    public var key: String {
        switch self {
        case .file: "password_file"
        case .command: "password_command"
        }
    }

    /// Passwords are no longer than this; tokens of cloud providers have up to a few thousand bytes.
    public static let maximumBytes = Names.maximumSecretBytes

    /// The password in what a file holds, or a command has printed: one line, with or without its end. No message repeats any of it.
    public static func password(in bytes: [UInt8]) throws(InvalidValue) -> String {
        var line = bytes[...]
        if line.last == UInt8(ascii: "\n") { line = line.dropLast() }
        if line.last == UInt8(ascii: "\r") { line = line.dropLast() }
        guard !line.isEmpty else { throw InvalidValue("there is nothing: expected one line, the password") }
        guard !line.contains(UInt8(ascii: "\n")), !line.contains(UInt8(ascii: "\r")) else {
            throw InvalidValue("there is more than one line: expected the password alone")
        }
        guard line.count <= maximumBytes else { throw InvalidValue("the line is longer than \(maximumBytes) bytes") }
        guard !line.contains(0), let text = String(validating: line, as: UTF8.self) else {
            throw InvalidValue("the line is not text in UTF-8")
        }
        return text
    }

    /// What an operator should know at the start: the file is no password now. Somebody may write it before it is needed.
    func warning(_ read: FileReader) -> String? {
        guard case .file(let path) = self else { return nil }
        do throws(ConfigurationError) {
            let bytes = try read(path)
            do throws(InvalidValue) { _ = try Self.password(in: bytes) } catch { return "password_file: \(path): \(error.message)" }
            return nil
        } catch {
            return "password_file: \(error.description)"
        }
    }

    /// The one of both that is given.
    init?(file: String?, command: String?) {
        if let file { self = .file(file) } else if let command { self = .command(command) } else { return nil }
    }
}
