import Glibc

/// Signals as values, taken by one thread that waits for them: no handler ever runs in the middle of something.
public enum Signals {
    public enum Name: Int32, Sendable, CaseIterable {
        case hangup = 1
        case interrupt = 2
        case quit = 3
        case user1 = 10
        case user2 = 12
        case terminate = 15
        /// The first real-time signal: another thread has something for this one.
        case attention = 34
    }

    private static var set: sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for name in Name.allCases { sigaddset(&set, name.rawValue) }
        return set
    }

    /// Keeps the signals pending for `wait`, in this thread and all that it starts; SIGPIPE is ignored for good.
    public static func block() {
        signal(SIGPIPE, SIG_IGN)
        var set = set
        pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    /// Waits for the next signal.
    public static func wait() -> Name {
        var set = set
        while true {
            var number: Int32 = 0
            if sigwait(&set, &number) == 0, let name = Name(rawValue: number) { return name }
        }
    }

    /// Waits for the next signal, but not longer than this: nil then.
    public static func wait(microseconds: Int64) -> Name? {
        guard microseconds > 0 else { return nil }
        var set = set
        var time = timespec(tv_sec: Int(microseconds / 1_000_000), tv_nsec: Int(microseconds % 1_000_000) * 1000)
        return Name(rawValue: sigtimedwait(&set, nil, &time))
    }

    /// Sends a signal to this process, for another of its threads to take from `wait`.
    public static func raise(_ name: Name) {
        #if DEBUG
            if let simulated = Kernel.simulated { return simulated.raise(name) }
        #endif
        kill(getpid(), name.rawValue)
    }
}
