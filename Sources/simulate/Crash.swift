#if DEBUG
    import Glibc

    /// A crash is a finding, too: it names its seed.
    enum Crash {
        /// What is played now.
        nonisolated(unsafe) static var seed: UInt64 = 0

        static func watch() {
            for number in [SIGILL, SIGTRAP, SIGSEGV, SIGABRT, SIGBUS] {
                signal(number) { number in
                    tell("simulate: the process has crashed in seed \(Crash.seed) (signal \(number))", to: 2)
                    signal(number, SIG_DFL)
                    raise(number)
                }
            }
        }
    }

    /// Writes a line at once.
    func tell(_ text: String, to file: Int32 = 1) {
        var line = text + "\n"
        line.withUTF8 { _ = write(file, $0.baseAddress, $0.count) }
    }
#endif
