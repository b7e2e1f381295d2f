import Glibc

/// The time of day, for people to read. Decisions use `MonotonicClock`.
public enum WallClock {
    /// Microseconds since 1970.
    public static func now() -> Int64 {
        #if DEBUG
            if let simulated = Kernel.simulated { return simulated.wallClock() }
        #endif
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
    }

    /// A moment in the system's time zone, as strftime(3) writes it; empty where that takes more than 63 bytes.
    public static func text(_ microseconds: Int64, as pattern: String = "%Y-%m-%d %H:%M:%S %Z") -> String {
        var time = time_t(microseconds / 1_000_000)
        var parts = tm()
        localtime_r(&time, &parts)
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { text in
            strftime(text.baseAddress!, 64, pattern, &parts) > 0 ? String(cString: text.baseAddress!) : ""
        }
    }
}
