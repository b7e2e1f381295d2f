import Glibc
import Synchronization
import Testing

@testable import EventLoop

@Suite struct MailboxTests {
    private struct Letter: ~Copyable, Sendable {
        var sender = 0
        var number = 0
        var cargo: OwnedDescriptor?
    }

    /// A loop that has no tick within the life of a test: it runs when it is woken, and else not.
    private static func sleepyLoop() throws -> EventLoop { try EventLoop(tick: 3_600_000_000) }

    @Test("of many senders every letter arrives, in each one's order, though nothing but they wake the loop", .timeLimit(.minutes(1)))
    func manySenders() throws {
        let (senders, letters) = (8, 20_000)
        let loop = try Self.sleepyLoop()
        let mailbox = Mailbox<Letter>(waking: loop)
        var mail = MailReader(mailbox)
        for sender in 0..<senders {
            let problem = Threads.start(name: "sender") {
                for number in 0..<letters {
                    mailbox.post(Letter(sender: sender, number: number))
                    if number % 100 == sender { usleep(10) }
                }
            }
            try #require(problem == nil)
        }
        var expected = [Int](repeating: 0, count: senders)
        var (outOfOrder, largest) = (0, 0)
        loop.run { _, _ in
            // As a worker does: some, and the rest in the next turn.
            var left = 100
            while left > 0, let letter = mail.next() {
                if letter.number != expected[letter.sender] { outOfOrder += 1 }
                expected[letter.sender] += 1
                left -= 1
            }
            largest = max(largest, 100 - left)
            if !mail.isEmpty { loop.wakeSoon() }
            if expected.allSatisfy({ $0 == letters }) { loop.stop() }
        }
        #expect(outOfOrder == 0 && largest <= 100)
        #expect(expected == [Int](repeating: letters, count: senders))
    }

    @Test("what was posted before somebody was told of it is read before what they post then", .timeLimit(.minutes(1)))
    func cause() throws {
        let (rounds, loop, relayLoop) = (5000, try Self.sleepyLoop(), try Self.sleepyLoop())
        let (target, relay) = (Mailbox<Letter>(waking: loop), Mailbox<Letter>(waking: relayLoop))
        let problem = Threads.start(name: "relay") {
            var mail = MailReader(relay)
            relayLoop.run { _, _ in
                while let letter = mail.next() {
                    target.post(Letter(sender: 2, number: letter.number))
                    if letter.number == rounds - 1 { relayLoop.stop() }
                }
            }
        }
        let other = Threads.start(name: "first") {
            for number in 0..<rounds {
                target.post(Letter(sender: 1, number: number))
                relay.post(Letter(number: number))
            }
        }
        try #require(problem == nil && other == nil)
        var mail = MailReader(target)
        var (first, second, wrong) = (-1, -1, 0)
        loop.run { _, _ in
            while let letter = mail.next() {
                if letter.sender == 1 { first = letter.number } else { second = letter.number }
                if second > first { wrong += 1 }
            }
            if second == rounds - 1 { loop.stop() }
        }
        #expect(wrong == 0 && first == rounds - 1)
    }

    @Test("a letter that nobody reads takes what it owns with it")
    func unread() throws {
        var descriptors: [Int32] = [0, 0]
        try #require(pipe2(&descriptors, O_NONBLOCK) == 0)
        var byte: UInt8 = 0
        do {
            let mailbox = Mailbox<Letter>(waking: try Self.sleepyLoop())
            mailbox.post(Letter(cargo: OwnedDescriptor(descriptors[1])))
            #expect(read(descriptors[0], &byte, 1) == -1 && errno == EAGAIN)
        }
        #expect(read(descriptors[0], &byte, 1) == 0)
        close(descriptors[0])
    }

    @Test("a letter that is read hands over what it owns")
    func handedOver() throws {
        var descriptors: [Int32] = [0, 0]
        try #require(pipe2(&descriptors, O_NONBLOCK) == 0)
        let mailbox = Mailbox<Letter>(waking: try Self.sleepyLoop())
        mailbox.post(Letter(cargo: OwnedDescriptor(descriptors[1])))
        var mail = MailReader(mailbox)
        var arrived: Int32 = -1
        while var letter = mail.next() {
            if let cargo = letter.cargo.take() { arrived = cargo.release() }
        }
        #expect(arrived == descriptors[1])
        #expect(write(descriptors[1], "x", 1) == 1)
        for descriptor in descriptors { close(descriptor) }
    }

    @Test("news take one place as long as nothing else comes behind them")
    func news() throws {
        let mailbox = Mailbox<Letter>(waking: try Self.sleepyLoop())
        func post(_ number: Int) { mailbox.post(Letter(number: number), unlessLast: { number == 7 && $0.number == 7 }) }
        for number in [7, 7, 7, 1, 7, 7, 2, 2] { post(number) }
        var mail = MailReader(mailbox)
        var numbers: [Int] = []
        while let letter = mail.next() { numbers.append(letter.number) }
        let isEmpty = mail.isEmpty
        #expect(numbers == [7, 1, 7, 2, 2] && isEmpty)
        // What has been read already is no reason to keep silent.
        post(7)
        while let letter = mail.next() { numbers.append(letter.number) }
        #expect(numbers == [7, 1, 7, 2, 2, 7])
    }

    @Test("an alarm brings a turn, and the latest one counts", .timeLimit(.minutes(1)))
    func alarm() throws {
        let loop = try Self.sleepyLoop()
        let start = MonotonicClock.now()
        loop.wake(after: 3_000_000_000)
        loop.wake(after: 20_000)
        var turns = 0
        loop.run { _, tick in
            #expect(!tick)
            turns += 1
            if turns == 1 { loop.wake(after: 1_000) } else { loop.stop() }
        }
        #expect(turns == 2 && MonotonicClock.now() - start >= 21_000)
    }
}
