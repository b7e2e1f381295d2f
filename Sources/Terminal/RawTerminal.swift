import Glibc

/// The terminal in raw mode on the alternate screen, and its certain way back.
///
/// It is put right when `leave` is called, when the process exits, and when it dies of a fault or of a signal that nobody has taken: the
/// handlers below call nothing but what is allowed in a signal handler. Signals that ask the process to end are not caught here; who enters raw mode takes them from a
/// `SignalDescriptor` and leaves.
public enum RawTerminal {
    // SAFETY: written by `enter` and `leave` on one thread; read by a handler of a fault in this process, after which nothing runs on.
    nonisolated(unsafe) private static var saved = termios()
    nonisolated(unsafe) private static var isActive = false
    nonisolated(unsafe) private static var isPrepared = false

    /// Alternate screen, cursor hidden.
    private static let entering = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[2J"
    /// Colours off, cursor shown, the screen as it was.
    nonisolated(unsafe) private static let leaving = strdup("\u{1b}[0m\u{1b}[?25h\u{1b}[?1049l")!

    /// Enters raw mode. Returns false when standard input or output is no terminal.
    public static func enter() -> Bool {
        guard !isActive, isatty(1) == 1, tcgetattr(0, &saved) == 0 else { return isActive }
        if !isPrepared {
            isPrepared = true
            _ = leaving
            atexit { RawTerminal.leave() }
            let faults = [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGABRT, SIGSYS]
            for fault in faults + [SIGPIPE, SIGALRM, SIGUSR1, SIGUSR2, SIGXCPU, SIGVTALRM, SIGPROF] {
                signal(fault) { number in
                    RawTerminal.leave()
                    signal(number, SIG_DFL)
                    raise(number)
                }
            }
        }
        var raw = saved
        cfmakeraw(&raw)
        guard tcsetattr(0, TCSAFLUSH, &raw) == 0 else { return false }
        isActive = true
        Terminal.write(entering)
        return true
    }

    /// Puts the terminal back. Does nothing when it is not raw.
    public static func leave() {
        guard isActive else { return }
        isActive = false
        _ = Glibc.write(1, leaving, strlen(leaving))
        tcsetattr(0, TCSAFLUSH, &saved)
    }

    /// Stops the process as Ctrl-Z does and comes back when it is continued.
    public static func suspend() {
        leave()
        raise(SIGSTOP)
        _ = enter()
    }
}
