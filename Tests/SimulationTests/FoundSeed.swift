import Testing

/// A seed that has shown a fault of the pooler's, and what that was.
struct FoundSeed: Sendable, CustomTestStringConvertible {
    let seed: UInt64
    let story: String

    var testDescription: String { "\(seed): \(story)" }

    static let all: [FoundSeed] = [
        FoundSeed(seed: 9101, story: "a batch that was cancelled while it waited went by a stage that may not lead there"),
        FoundSeed(seed: 10047, story: "who had closed its side lost the end of an answer that was posted, where its socket was full"),
    ]
}
