import Bytes

/// ASCII text as the bytes of a message.
func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

func hex(_ bytes: [UInt8]) -> String { Hexadecimal.text(bytes) }

/// A generator with a fixed seed (SplitMix64), so that a failing run can be repeated.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    /// The message with one to three bytes changed, removed, inserted or doubled, or cut short; never the message itself.
    mutating func mutate(_ message: [UInt8]) -> [UInt8] {
        var result = message
        repeat {
            for _ in 0..<Int.random(in: 1...3, using: &self) {
                let position = Int.random(in: 0...result.count, using: &self)
                switch Int.random(in: 0..<6, using: &self) {
                case 0 where position < result.count: result[position] = UInt8.random(in: 0...255, using: &self)
                case 1 where position < result.count: result[position] ^= 1 << UInt8.random(in: 0..<8, using: &self)
                case 2 where position < result.count: result.remove(at: position)
                case 3: result.insert([0x2c, 0x3d, 0x00, 0xff, 0x6d][Int.random(in: 0..<5, using: &self)], at: position)
                case 4: result.insert(contentsOf: result[position...], at: position)
                default: result.removeSubrange(position...)
                }
            }
        } while result == message
        return result
    }
}
