#if DEBUG

    /// What has happened, as a hash: two runs of one seed are the same if their hashes are. The texts of the last steps are kept where
    /// somebody wants to read them.
    final class Trace {
        private(set) var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        /// Things that have happened.
        private(set) var steps = 0
        /// Whether texts are kept, and of how many steps.
        let isKept: Bool
        private let limit: Int
        private var lines: [String] = []
        private var next = 0
        /// The step at which somebody wants to look, and what is then done.
        var stop: (step: Int, action: () -> Void)?

        init(keeping limit: Int) {
            self.limit = limit
            isKept = limit > 0
        }

        /// Something has happened. The text is made only where it is kept.
        func note(_ time: Int64, _ what: StaticString, _ first: Int = 0, _ second: Int = 0, _ text: @autoclosure () -> String = "") {
            steps += 1
            mix(UInt64(bitPattern: time))
            what.withUTF8Buffer { for byte in $0 { mix(byte: byte) } }
            mix(UInt64(bitPattern: Int64(first)))
            mix(UInt64(bitPattern: Int64(second)))
            if isKept { keep("\(steps)  \(seconds(time))  \(String(hash >> 48, radix: 16))  \(what) \(first) \(second) \(text())") }
            if let stop, stop.step == steps { stop.action() }
        }

        /// Bytes that something was done with belong to the hash.
        func mix(_ bytes: UnsafeRawBufferPointer) {
            for byte in bytes { mix(byte: byte) }
        }

        private func mix(_ word: UInt64) {
            hash = (hash ^ word) &* 0x0000_0100_0000_01b3
            hash ^= hash >> 29
        }

        private func mix(byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }

        private func keep(_ line: String) {
            if lines.count < limit {
                lines.append(line)
            } else {
                lines[next] = line
                next = (next + 1) % limit
            }
        }

        /// The last steps, oldest first.
        var last: [String] { Array(lines[next...] + lines[..<next]) }
    }

    /// A moment of the virtual clock as people read it.
    func seconds(_ time: Int64) -> String {
        let fraction = String(1_000_000 + time % 1_000_000).dropFirst()
        return "\(time / 1_000_000).\(fraction)"
    }

#endif
