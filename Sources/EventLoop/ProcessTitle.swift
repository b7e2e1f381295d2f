import Glibc

/// The command line of this process as others see it, in `ps` and /proc/PID/cmdline.
public enum ProcessTitle {
    /// The arguments, the program's name first, as they were before anything was replaced.
    public static let arguments: [String] = CommandLine.arguments

    /// Puts other texts in place of the arguments for which there are some.
    public static func replaceArguments(by harmless: (String) -> String?) {
        for (index, argument) in arguments.enumerated() {
            if let text = harmless(argument) { replace(argument: index, with: text) }
        }
    }

    /// Puts a text in place of an argument; it must not be longer. What comes after it moves up, so that no gap shows how long it was.
    static func replace(argument index: Int, with text: String) {
        // They are copied before they change.
        _ = arguments
        let vector = CommandLine.unsafeArgv
        let count = Int(CommandLine.argc)
        guard index > 0, index < count, let place = vector[index], let last = vector[count - 1] else { return }
        let bytes = Array(text.utf8)
        let length = strlen(place)
        let end = last + strlen(last)
        guard bytes.count <= length, end >= place + length else { return }
        bytes.withUnsafeBufferPointer { bytes in
            if let start = bytes.baseAddress { memcpy(place, start, bytes.count) }
        }
        let shift = length - bytes.count
        memmove(place + bytes.count, place + length, end - (place + length))
        memset(end - shift, 0, shift)
        // The kernel lays arguments out one behind the other.
        for later in index + 1..<max(count, index + 1) {
            if let old = vector[later], old > place { vector[later] = old - shift }
        }
    }
}
