import ArgumentParser
import PostgresClient
import Terminal

/// A connection to the console that Ctrl-C interrupts.
struct ConsoleSession: ~Copyable {
    private let signals: SignalDescriptor
    private let connection: PostgresConnection
    private let timeout: Double

    init(_ options: ConnectionOptions) throws(CommandFailure) {
        guard let signals = SignalDescriptor([.interrupt, .terminate, .hangup]) else {
            throw CommandFailure(status: 2, "no file descriptors are left")
        }
        connection = try options.connect(interrupt: signals.descriptor)
        timeout = options.timeout
        self.signals = signals
    }

    /// A SHOW, which has to be answered in time.
    func show(_ text: String) throws(CommandFailure) -> QueryResult { try send(text, timeout: timeout) }

    /// A command that may have to wait, as PAUSE does, for as long as it takes. Ctrl-C cancels it on the server, too.
    func perform(_ text: String) throws(CommandFailure) -> QueryResult { try send(text, timeout: nil) }

    /// NOTICEs that the last commands brought.
    func notices() -> [PostgresMessage] { connection.takeNotices() }

    private func send(_ text: String, timeout: Double?) throws(CommandFailure) -> QueryResult {
        do throws(PostgresError) {
            return try connection.query(text, timeout: timeout, interrupt: signals.descriptor)
        } catch {
            throw CommandFailure(error)
        }
    }

    /// Waits. Throws when a signal asks to end.
    func pause(seconds: Double) throws(CommandFailure) {
        if signals.waits(milliseconds: Int(seconds * 1000)) { throw CommandFailure(.interrupted) }
    }
}

/// The console's way of writing names and values.
enum ConsoleSyntax {
    /// A name in double quotes, so that nothing in it is taken for syntax.
    static func name(_ text: String) -> String { quoted(text, "\"") }
    /// A value in single quotes.
    static func value(_ text: String) -> String { quoted(text, "'") }

    /// The name of a setting, which is a plain word.
    static func setting(_ text: String) throws -> String {
        let isWord = !text.isEmpty && text.utf8.allSatisfy { $0 == 0x5F || (0x30...0x39).contains($0) || (0x41...0x5A).contains($0 & 0xDF) }
        guard isWord else { throw ValidationError("KEY: expected the name of a setting, such as default_pool_size") }
        return text
    }

    /// By Unicode scalars: with a combining mark behind it, a quote is part of a `Character` that is no quote.
    private static func quoted(_ text: String, _ quote: Unicode.Scalar) -> String {
        var result = String.UnicodeScalarView([quote])
        for scalar in text.unicodeScalars {
            result.append(scalar)
            if scalar == quote { result.append(scalar) }
        }
        result.append(quote)
        return String(result)
    }
}
