import Glibc

/// A key that was pressed.
public enum Key: Sendable, Equatable {
    case character(Character)
    case enter, escape, backspace, tab
    case up, down, left, right, pageUp, pageDown, home, end
    /// With the control key: `control("c")`.
    case control(Character)
}

/// Turns what a raw terminal sends into keys. A sequence may come in pieces.
public struct KeyParser: Sendable {
    private var pending: [UInt8] = []

    public init() {}

    /// The keys in these bytes; what is unfinished waits for the next call.
    public mutating func parse(_ bytes: [UInt8]) -> [Key] {
        pending += bytes
        var keys: [Key] = []
        while let (key, length) = first() {
            pending.removeFirst(length)
            if let key { keys.append(key) }
        }
        return keys
    }

    /// No more bytes came: an escape that nothing followed was the key itself.
    public mutating func flush() -> [Key] {
        defer { pending = [] }
        return pending == [0x1B] ? [.escape] : []
    }

    private func first() -> (Key?, Int)? {
        guard let byte = pending.first else { return nil }
        switch byte {
        case 0x1B: return escape()
        case 13, 10: return (.enter, 1)
        case 9: return (.tab, 1)
        case 127, 8: return (.backspace, 1)
        case 1...26: return (.control(Character(Unicode.Scalar(byte + 96))), 1)
        case 0..<32: return (nil, 1)
        default: return character(byte)
        }
    }

    private func character(_ byte: UInt8) -> (Key?, Int)? {
        let length = byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4
        guard pending.count >= length else { return nil }
        let text = String(decoding: pending[..<length], as: UTF8.self)
        return (text.count == 1 ? .character(text.first!) : nil, length)
    }

    private func escape() -> (Key?, Int)? {
        guard pending.count >= 2 else { return nil }
        guard pending[1] == UInt8(ascii: "[") || pending[1] == UInt8(ascii: "O") else { return (.escape, 1) }
        guard let end = pending.dropFirst(2).firstIndex(where: { (0x40...0x7E).contains($0) }) else {
            return pending.count > 16 ? (nil, pending.count) : nil
        }
        let parameters = String(decoding: pending[2..<end], as: UTF8.self)
        let key: Key? =
            switch (pending[end], parameters) {
            case (UInt8(ascii: "A"), _): .up
            case (UInt8(ascii: "B"), _): .down
            case (UInt8(ascii: "C"), _): .right
            case (UInt8(ascii: "D"), _): .left
            case (UInt8(ascii: "H"), _), (UInt8(ascii: "~"), "1"), (UInt8(ascii: "~"), "7"): .home
            case (UInt8(ascii: "F"), _), (UInt8(ascii: "~"), "4"), (UInt8(ascii: "~"), "8"): .end
            case (UInt8(ascii: "~"), "5"): .pageUp
            case (UInt8(ascii: "~"), "6"): .pageDown
            default: nil
            }
        return (key, end + 1)
    }
}

/// Waits for keys and signals.
public struct TerminalEvents: ~Copyable {
    /// What ended the waiting.
    public enum Event: Sendable, Equatable {
        case keys([Key])
        case signal(SignalDescriptor.Name)
        /// Nothing happened in the time given.
        case timeout
        /// Nobody types any more: the terminal is gone.
        case closed
    }

    private let signals: SignalDescriptor
    private var parser = KeyParser()

    /// Takes the signals that concern a program on a terminal.
    public init?() {
        guard let signals = SignalDescriptor([.hangup, .interrupt, .quit, .terminate, .stop, .windowChanged]) else { return nil }
        self.signals = signals
    }

    /// Readable while a signal is pending: for those who wait elsewhere.
    public var descriptor: Int32 { signals.descriptor }

    /// Waits for at most `milliseconds`.
    public mutating func next(milliseconds: Int) -> Event {
        var entries = [pollfd(fd: 0, events: Int16(POLLIN), revents: 0), pollfd(fd: signals.descriptor, events: Int16(POLLIN), revents: 0)]
        // An escape key sends the byte that sequences begin with; 50 ms tell them apart.
        let count = poll(&entries, 2, Int32(clamping: max(0, milliseconds)))
        if count < 0 { return .timeout }
        if entries[1].revents != 0, let signal = signals.take() { return .signal(signal) }
        guard entries[0].revents != 0 else { return .timeout }
        var bytes = [UInt8](repeating: 0, count: 256)
        let length = read(0, &bytes, bytes.count)
        if length < 0, errno == EINTR || errno == EAGAIN { return .timeout }
        guard length > 0 else { return .closed }
        var keys = parser.parse(Array(bytes[..<length]))
        var more = [pollfd(fd: 0, events: Int16(POLLIN), revents: 0)]
        if poll(&more, 1, 50) == 0 { keys += parser.flush() }
        return .keys(keys)
    }
}
