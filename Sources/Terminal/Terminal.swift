import Glibc

/// The terminal of this process, or the lack of one.
public enum Terminal {
    /// Columns and rows.
    public struct Size: Sendable, Equatable {
        public var columns: Int
        public var rows: Int

        public init(columns: Int, rows: Int) {
            self.columns = columns
            self.rows = rows
        }
    }

    /// Whether standard output goes to a terminal.
    public static var isOutput: Bool { isatty(1) == 1 }
    /// Whether standard input comes from a terminal.
    public static var isInput: Bool { isatty(0) == 1 }

    /// The size of the terminal behind standard output; nil when there is none.
    public static var size: Size? {
        var size = winsize()
        guard isOutput, ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else { return nil }
        return Size(columns: Int(size.ws_col), rows: Int(size.ws_row))
    }

    /// Writes all of a text to standard output. Returns false when nobody reads any more.
    @discardableResult
    public static func write(_ text: String) -> Bool { write(text, to: 1) }

    /// Writes all of a text and a line feed to standard error.
    public static func complain(_ text: String) { _ = write(text + "\n", to: 2) }

    private static func write(_ text: String, to descriptor: Int32) -> Bool {
        var text = text
        return text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while !rest.isEmpty {
                let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
                if count < 0 {
                    if errno == EINTR { continue }
                    guard errno == EAGAIN else { return false }
                    var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    poll(&entry, 1, -1)
                    continue
                }
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            }
            return true
        }
    }

    /// Asks for a password on the controlling terminal without showing what is typed; nil when there is no terminal or no answer.
    public static func readPassword(_ prompt: String) -> String? {
        let descriptor = open("/dev/tty", O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var saved = termios()
        guard tcgetattr(descriptor, &saved) == 0 else { return nil }
        var silent = saved
        silent.c_lflag &= ~tcflag_t(ECHO)
        tcsetattr(descriptor, TCSAFLUSH, &silent)
        defer {
            tcsetattr(descriptor, TCSAFLUSH, &saved)
            _ = write("\n", to: descriptor)
        }
        _ = write(prompt, to: descriptor)
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while read(descriptor, &byte, 1) == 1, byte != 10 { line.append(byte) }
        return line.isEmpty ? nil : String(decoding: line, as: UTF8.self)
    }
}
