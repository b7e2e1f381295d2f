/// The process's log, in PgBouncer's line format, which its users' scripts parse (`YYYY-MM-DD HH:MM:SS.mmm TZ [pid] LEVEL text`), or as
/// objects of JSON.
///
/// What is told, and whom it is about, is made only where it is written.
public struct Log: Sendable {
    private let sink: LogSink

    /// A log that writes to `sink`.
    public init(_ sink: LogSink) { self.sink = sink }

    /// Messages of this level and above are written.
    public var level: LogLevel { sink.level.load(ordering: .relaxed) }

    /// Writes a message.
    public func write(_ level: LogLevel, _ event: @autoclosure () -> LogEvent, about subject: @autoclosure () -> LogSubject? = nil) {
        guard level >= self.level else { return }
        sink.write(LogRecord(level: level, subject: subject(), event: event()))
    }

    /// PgBouncer's NOISE, with `-v -v`.
    public func trace(_ event: @autoclosure () -> LogEvent, about subject: @autoclosure () -> LogSubject? = nil) {
        write(.trace, event(), about: subject())
    }

    /// DEBUG, with `-v`.
    public func debug(_ event: @autoclosure () -> LogEvent, about subject: @autoclosure () -> LogSubject? = nil) {
        write(.debug, event(), about: subject())
    }

    /// LOG: what happens in peace.
    public func info(_ event: @autoclosure () -> LogEvent, about subject: @autoclosure () -> LogSubject? = nil) {
        write(.info, event(), about: subject())
    }

    /// WARNING: what somebody should look at.
    public func warning(_ event: @autoclosure () -> LogEvent, about subject: @autoclosure () -> LogSubject? = nil) {
        write(.warning, event(), about: subject())
    }

    /// ERROR: what was asked for could not be done.
    public func error(_ event: @autoclosure () -> LogEvent, about subject: @autoclosure () -> LogSubject? = nil) {
        write(.error, event(), about: subject())
    }

    /// FATAL: what ends the process. It is told on standard error all the same while there is no log file.
    public func critical(_ event: @autoclosure () -> LogEvent, about subject: @autoclosure () -> LogSubject? = nil) {
        write(.critical, event(), about: subject())
    }
}
