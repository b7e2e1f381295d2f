import CLibevent
import Glibc

/// A libevent loop for one thread: descriptors of libpq's, timers to the microsecond, signals.
///
/// Not `Sendable`: everything on it belongs to the thread that made it.
public final class Loop {
    let base: OpaquePointer
    private var isStopping = false

    /// Throws when libevent finds no way to wait for descriptors.
    public init() throws(SystemFailure) {
        guard let settings = event_config_new() else { throw SystemFailure("event_config_new") }
        defer { event_config_free(settings) }
        // Without the first, epoll rounds to milliseconds, and each arrival would be late by half of one. Without the second,
        // a timer that is started in a long turn fires early.
        event_config_set_flag(settings, Int32(EVENT_BASE_FLAG_PRECISE_TIMER.rawValue))
        event_config_set_flag(settings, Int32(EVENT_BASE_FLAG_NO_CACHE_TIME.rawValue))
        guard let base = event_base_new_with_config(settings) else { throw SystemFailure("event_base_new_with_config") }
        self.base = base
    }

    deinit { event_base_free(base) }

    /// Handles events until `stop()`.
    public func run() {
        isStopping = false
        while !isStopping { event_base_loop(base, EVLOOP_ONCE) }
    }

    /// Handles what is ready now, and waits for nothing.
    public func poll() { event_base_loop(base, EVLOOP_NONBLOCK) }

    /// Ends `run()` after the callback in progress.
    public func stop() {
        isStopping = true
        event_base_loopbreak(base)
    }

    /// Nanoseconds since the machine started.
    public static var now: Int64 { nanoseconds(CLOCK_MONOTONIC) }

    /// Microseconds since 1970, as PostgreSQL on the same machine sees them.
    public static var wallMicroseconds: Int64 { nanoseconds(CLOCK_REALTIME) / 1000 }

    private static func nanoseconds(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}

/// A call of the system that failed, with errno's text.
public struct SystemFailure: Error, CustomStringConvertible {
    public let description: String

    init(_ call: String, _ number: Int32 = errno) { description = "\(call): \(String(cString: strerror(number)))" }
}

/// Calls back once after some time; may be started again.
public final class Timer {
    private let slot = UnsafeMutablePointer<event>.allocate(capacity: 1)
    private let loop: Loop
    private let action: () -> Void

    public init(on loop: Loop, _ action: @escaping () -> Void) {
        self.loop = loop
        self.action = action
        event_assign(
            slot, loop.base, -1, 0, { _, _, context in Unmanaged<Timer>.fromOpaque(context!).takeUnretainedValue().action() },
            Unmanaged.passUnretained(self).toOpaque())
    }

    deinit {
        event_del(slot)
        slot.deallocate()
    }

    /// Calls back after `nanoseconds`; a start before that is forgotten.
    public func start(after nanoseconds: Int64) {
        let wait = max(0, nanoseconds)
        var time = timeval(tv_sec: Int(wait / 1_000_000_000), tv_usec: Int(wait % 1_000_000_000 / 1000))
        event_add(slot, &time)
    }

    public func cancel() { event_del(slot) }
}

/// Calls back for each of some signals while it lives.
public final class SignalWatch {
    private var slots: [UnsafeMutablePointer<event>] = []
    private let loop: Loop
    private let action: (Int32) -> Void

    /// Takes over SIGINT, SIGTERM and SIGHUP; SIGPIPE is ignored.
    public init(on loop: Loop, _ action: @escaping (Int32) -> Void) {
        self.loop = loop
        self.action = action
        signal(SIGPIPE, SIG_IGN)
        for number in [SIGINT, SIGTERM, SIGHUP] {
            let slot = UnsafeMutablePointer<event>.allocate(capacity: 1)
            event_assign(
                slot, loop.base, number, Int16(EV_SIGNAL | EV_PERSIST),
                { number, _, context in Unmanaged<SignalWatch>.fromOpaque(context!).takeUnretainedValue().action(number) },
                Unmanaged.passUnretained(self).toOpaque())
            event_add(slot, nil)
            slots.append(slot)
        }
    }

    deinit {
        for slot in slots {
            event_del(slot)
            slot.deallocate()
        }
    }
}
