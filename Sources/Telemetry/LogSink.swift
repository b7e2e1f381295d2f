import EventLoop
import Glibc
import Locking
import Synchronization

/// Where log lines go: standard error and, when configured, a file that is appended to without buffering, and the system's log.
public final class LogSink: Sendable {
    private struct Output {
        var file: Int32 = -1
        var path = ""
        /// Standard error too (off with `-q` or in the background).
        var usesStandardError = true
        /// Standard error leads to systemd's journal, which stamps lines itself.
        var standardErrorIsJournal = false
        var systemLog: SystemLog?
        /// Lines are JSON objects.
        var isJSON = false
        var second: Int = -1
        var prefix = ""
        var zone = ""
    }

    private let output = Locked(Output())
    let level: Atomic<LogLevel>

    public init(level: LogLevel = .info) {
        self.level = Atomic(level)
    }

    /// Opens (or reopens, after a rotation) the log file; an empty path means none. Returns what went wrong; then lines go where they went
    /// before.
    @discardableResult
    public func open(path: String) -> String? {
        output.withLock { output in
            var file: Int32 = -1
            if !path.isEmpty {
                file = Glibc.open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o644)
                guard file >= 0 else { return "could not open logfile \"\(path)\": \(String(cString: strerror(errno)))" }
            }
            if output.file >= 0 { close(output.file) }
            output.file = file
            output.path = path
            return nil
        }
    }

    /// What stands against `open` with this path; nothing changes.
    public func problem(with path: String) -> String? {
        guard !path.isEmpty else { return nil }
        let file = Glibc.open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o644)
        guard file >= 0 else { return "could not open logfile \"\(path)\": \(String(cString: strerror(errno)))" }
        close(file)
        return nil
    }

    public func setVerbosity(_ verbose: Int) {
        level.store(verbose <= 0 ? .info : verbose == 1 ? .debug : .trace, ordering: .relaxed)
    }

    /// Whether lines are kept off standard error. What ends the process is told there all the same while there is no log file.
    public func setQuiet(_ quiet: Bool) { output.withLock { $0.usesStandardError = !quiet } }

    /// Whether lines of the log file and of standard error are JSON objects (`LogRecord`) in place of PgBouncer's lines.
    public func setJSON(_ isJSON: Bool) { output.withLock { $0.isJSON = isJSON } }

    /// Says that standard error leads to systemd's journal: lines carry their severity in the journal's way, and no time.
    public func setJournal(_ isJournal: Bool) { output.withLock { $0.standardErrorIsJournal = isJournal } }

    /// Sends lines to the system's log too, under this facility (`daemon`, `local0`, ...) and program name; nil stops that.
    public func setSystemLog(_ target: (facility: String, name: String)?) {
        let identity = target.map { SystemLog.Identity(facility: $0.facility, name: $0.name) }
        output.withLock { output in
            guard output.systemLog?.identity != identity else { return }
            output.systemLog?.close()
            output.systemLog = identity.map { SystemLog($0) }
        }
    }

    func write(_ record: LogRecord) {
        let now = Self.now()
        output.withLock { output in
            let toStandardError = output.usesStandardError || (record.level == .critical && output.file < 0)
            if output.isJSON {
                let line = record.json(time: now, process: getpid())
                if toStandardError { Files.append(line.span, to: 2) }
                if output.file >= 0 { Files.append(line.span, to: output.file) }
                output.systemLog?.write(priority: record.level.severity, LogText.oneLine(record.text))
                return
            }
            let (word, text) = (record.level.word, record.text)
            if (toStandardError && !output.standardErrorIsJournal) || output.file >= 0 {
                if now.tv_sec != output.second { Self.stamp(&output, now.tv_sec) }
                let digits = String(now.tv_nsec / 1_000_000 + 1000).dropFirst()
                let line = "\(output.prefix).\(digits) \(output.zone) [\(getpid())] \(word) \(LogText.harmless(text))\n"
                if toStandardError, !output.standardErrorIsJournal { Files.append(line.utf8.span, to: 2) }
                if output.file >= 0 { Files.append(line.utf8.span, to: output.file) }
            }
            if toStandardError, output.standardErrorIsJournal {
                Files.append("<\(record.level.severity)>\(word) \(LogText.oneLine(text))\n".utf8.span, to: 2)
            }
            output.systemLog?.write(priority: record.level.severity, LogText.oneLine(text))
        }
    }

    private static func now() -> timespec {
        let time = Int(WallClock.now())
        return timespec(tv_sec: time / 1_000_000, tv_nsec: time % 1_000_000 * 1000)
    }

    /// Date and zone change once a second at most.
    private static func stamp(_ output: inout Output, _ second: Int) {
        output.second = second
        output.prefix = WallClock.text(Int64(second) * 1_000_000, as: "%Y-%m-%d %H:%M:%S")
        output.zone = WallClock.text(Int64(second) * 1_000_000, as: "%Z")
    }
}
