import Configuration
import PostgresWire

/// What the query path asks of the settings.
struct RelayLimits {
    /// No message of a client may be longer (bytes).
    let message: Int
    /// Statements that took longer, with their waiting, are logged (microseconds); `Int64.max`: none is.
    let slow: Int64

    init(_ settings: Settings) {
        message = min(settings.maxPacketSize, Frontend.maximumLength(Frontend.query))
        slow = settings.logMinDuration > 0 ? settings.logMinDuration : .max
    }
}
