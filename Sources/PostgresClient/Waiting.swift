import Glibc

/// A point in time after which nobody waits any more.
struct Deadline {
    private let time: Int64?

    /// `seconds` from now; nil: never.
    init(seconds: Double?) { time = seconds.map { Self.now() + Int64($0 * 1000) } }

    /// Milliseconds left for `poll`; -1 means for ever.
    var left: Int32 {
        guard let time else { return -1 }
        return Int32(clamping: max(0, time - Self.now()))
    }

    private static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}

enum Wait {
    enum For { case readable, writable, either }
    enum Outcome { case ready, interrupted, late }

    /// Waits until the socket is ready, the other descriptor is readable, or the time is up.
    static func until(_ wanted: For, _ socket: Int32, interrupt: Int32?, _ deadline: Deadline) -> Outcome {
        let events: Int32 =
            switch wanted {
            case .readable: POLLIN
            case .writable: POLLOUT
            case .either: POLLIN | POLLOUT
            }
        var entries = [
            pollfd(fd: socket, events: Int16(events), revents: 0), pollfd(fd: interrupt ?? -1, events: Int16(POLLIN), revents: 0),
        ]
        while true {
            let count = poll(&entries, 2, deadline.left)
            if count < 0, errno == EINTR { continue }
            if entries[1].revents != 0 { return .interrupted }
            return count > 0 ? .ready : .late
        }
    }
}

enum CStringArray {
    /// Calls `body` with a NULL-terminated array of C strings; nil members are NULL themselves.
    static func with<Result>(_ texts: [String?], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Result) -> Result {
        let copies = texts.map { text in text.flatMap { strdup($0) } }
        defer { for copy in copies { free(copy) } }
        let pointers: [UnsafePointer<CChar>?] = copies.map { $0.map { UnsafePointer($0) } } + [nil]
        return pointers.withUnsafeBufferPointer { body($0.baseAddress!) }
    }
}
