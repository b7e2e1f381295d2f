import Glibc

/// Time since some fixed moment, in microseconds; never goes back. Read once a loop turn and passed to every decision.
public enum MonotonicClock {
    public static func now() -> Int64 {
        #if DEBUG
            if let simulated = Kernel.simulated { return simulated.now() }
        #endif
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
    }
}
