/// A message of the log as a value: how much it matters, whom it is about, what it tells. It is rendered as a line of text or of JSON, and
/// never read back from either: names and errors come from strangers, who would write the fields.
struct LogRecord: Sendable, Equatable {
    var level: LogLevel
    var subject: LogSubject?
    var event: LogEvent

    /// The line without time and level.
    var text: String { subject.map { "\($0.mark) \(event.text)" } ?? event.text }
}
