#if DEBUG

    /// All chance of a simulation, from one seed (SplitMix64).
    struct Dice: RandomNumberGenerator {
        private var state: UInt64

        init(seed: UInt64) { state = seed }

        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var word = state
            word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
            word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
            return word ^ (word >> 31)
        }

        /// Dice of their own, so that what one part of the world throws does not move the others.
        mutating func fork() -> Dice { Dice(seed: next()) }

        mutating func below(_ limit: Int) -> Int { Int.random(in: 0..<limit, using: &self) }
        mutating func below(_ limit: Int64) -> Int64 { Int64.random(in: 0..<limit, using: &self) }
        mutating func between(_ low: Int, _ high: Int) -> Int { Int.random(in: low...high, using: &self) }
        mutating func chance(_ percent: Double) -> Bool { Double.random(in: 0..<100, using: &self) < percent }
        mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }

        /// One of the elements, as often as its weight says.
        mutating func pick<Element>(weighted elements: [(weight: Int, element: Element)]) -> Element {
            var left = below(elements.reduce(0) { $0 + $1.weight })
            for (weight, element) in elements {
                if left < weight { return element }
                left -= weight
            }
            fatalError("weights are positive")
        }

        /// A time that is short nearly always, and now and then long: microseconds.
        mutating func delay(usually short: Int64, rarely long: Int64, percent: Double) -> Int64 {
            1 + (chance(percent) ? below(long) : below(short))
        }
    }

#endif
