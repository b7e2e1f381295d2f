import Glibc
import Logging
import Synchronization

/// The process's log, in PgBouncer's line format, which its users' scripts parse:
/// `YYYY-MM-DD HH:MM:SS.mmm TZ [pid] LEVEL text`.
///
/// It is a back end of swift-log; `Log.label` marks lines about one socket (`C-0x…: db/user@addr:port `).
public struct Log: LogHandler {
    public var metadata: Logger.Metadata = [:]
    public var logLevel: Logger.Level {
        get { sink.level.load(ordering: .relaxed).level }
        set { sink.level.store(LevelCode(newValue), ordering: .relaxed) }
    }

    private let sink: LogSink

    public init(sink: LogSink) { self.sink = sink }

    /// A logger that writes to `sink`.
    public static func logger(_ sink: LogSink) -> Logger {
        Logger(label: "sluice") { _ in Log(sink: sink) }
    }

    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    public func log(event: LogEvent) {
        sink.write(level: event.level, text: event.message.description)
    }
}

/// A log level as an atomic keeps it.
struct LevelCode: AtomicRepresentable {
    typealias AtomicRepresentation = UInt8.AtomicRepresentation
    let code: UInt8

    init(_ level: Logger.Level) { code = UInt8(Logger.Level.allCases.firstIndex(of: level) ?? 0) }
    private init(code: UInt8) { self.code = code }
    var level: Logger.Level { Logger.Level.allCases[Int(code)] }

    static func encodeAtomicRepresentation(_ value: consuming LevelCode) -> AtomicRepresentation {
        UInt8.encodeAtomicRepresentation(value.code)
    }

    static func decodeAtomicRepresentation(_ representation: consuming AtomicRepresentation) -> LevelCode {
        LevelCode(code: UInt8.decodeAtomicRepresentation(representation))
    }
}
