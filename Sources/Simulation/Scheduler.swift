#if DEBUG

    /// The virtual clock, and all that is to happen. Nothing else moves time: between two steps as much of it passes as the next one is
    /// away.
    final class Scheduler {
        private struct Entry {
            let time: Int64
            /// Of two that are due at the same time, the one that was entered first comes first.
            let order: Int
            let action: () -> Void
        }

        /// Microseconds. It does not begin at 0, which many a variable means "never" by.
        private(set) var now: Int64 = 1_000_000_000
        /// A binary heap.
        private var entries: [Entry] = []
        private var entered = 0

        /// Whether nothing is left to happen.
        var isEmpty: Bool { entries.isEmpty }

        /// Has something done in so many microseconds.
        func after(_ delay: Int64, _ action: @escaping () -> Void) { at(now + max(0, delay), action) }

        /// Has something done at that time.
        func at(_ time: Int64, _ action: @escaping () -> Void) {
            entered += 1
            entries.append(Entry(time: max(now, time), order: entered, action: action))
            var child = entries.count - 1
            while child > 0 {
                let parent = (child - 1) / 2
                guard isBefore(child, parent) else { break }
                entries.swapAt(child, parent)
                child = parent
            }
        }

        /// Lets the next thing happen. False: there is none.
        func step() -> Bool {
            guard let first = entries.first else { return false }
            let last = entries.removeLast()
            if !entries.isEmpty {
                entries[0] = last
                sink()
            }
            now = first.time
            first.action()
            return true
        }

        /// Forgets all that was to happen.
        func clear() { entries = [] }

        private func sink() {
            var parent = 0
            while true {
                var smallest = parent
                for child in [2 * parent + 1, 2 * parent + 2] where child < entries.count && isBefore(child, smallest) { smallest = child }
                guard smallest != parent else { return }
                entries.swapAt(parent, smallest)
                parent = smallest
            }
        }

        private func isBefore(_ left: Int, _ right: Int) -> Bool {
            (entries[left].time, entries[left].order) < (entries[right].time, entries[right].order)
        }
    }

#endif
