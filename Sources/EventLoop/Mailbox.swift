import DequeModule
import Locking
import Synchronization

/// What other threads tell the owner of a loop: a queue of messages, read by the owner between two turns.
///
/// Messages are read in the order in which they were posted, whoever posted them. A message may own what it carries: it is moved, never
/// copied, and ends what it owns if nobody reads it. Posting takes a lock for as long as it takes to append, and wakes the loop only if
/// the queue was empty. It needs no descriptor that is not open already.
///
/// Messages of any thread go in by `post(_:)`; the owner has the one `MailReader`.
public final class Mailbox<Message: ~Copyable & Sendable>: Sendable {
    private let posted = Locked(UniqueDeque<Message>())
    /// Something is in `posted`: whoever reads an empty mailbox takes no lock.
    @usableFromInline
    let hasPosted = Atomic<Bool>(false)
    private let loop: EventLoop

    /// Makes the mailbox of the owner of `loop`.
    public init(waking loop: EventLoop) { self.loop = loop }

    /// Puts a message behind all others.
    public func post(_ message: consuming Message) { post(message, unlessLast: { _ in false }) }

    /// Puts a message behind all others, unless the last one there, which nobody has read yet, says the same: news that may come in
    /// thousands takes one place.
    public func post(_ message: consuming Message, unlessLast saysTheSame: (borrowing Message) -> Bool) {
        var message: Message? = message
        let isFirst = posted.withLock { messages in
            if !messages.isEmpty, saysTheSame(messages[messages.count - 1]) { return false }
            messages.append(message.take()!)
            hasPosted.store(true, ordering: .releasing)
            return messages.count == 1
        }
        if isFirst { loop.wake() }
    }

    /// Gives everything that was posted, in exchange for an empty queue.
    fileprivate func exchange(_ empty: inout UniqueDeque<Message>) {
        posted.withLock { messages in
            swap(&messages, &empty)
            hasPosted.store(false, ordering: .releasing)
        }
    }
}

/// The reading end of a mailbox. Belongs to the loop's owner, and to its thread.
public struct MailReader<Message: ~Copyable & Sendable>: ~Copyable {
    /// What it reads.
    public let mailbox: Mailbox<Message>
    /// Taken out of the mailbox, and not handled yet.
    @usableFromInline
    var taken = UniqueDeque<Message>()

    /// Makes the one reader of a mailbox.
    public init(_ mailbox: Mailbox<Message>) { self.mailbox = mailbox }

    /// The next message; nil when there is none.
    public mutating func next() -> Message? {
        if taken.isEmpty {
            guard mailbox.hasPosted.load(ordering: .acquiring) else { return nil }
            mailbox.exchange(&taken)
        }
        return taken.popFirst()
    }

    /// There is nothing to read. Who stops reading although there is must have the loop make another turn (`EventLoop.wakeSoon`): for
    /// these messages nobody will wake it.
    @inlinable
    public var isEmpty: Bool { taken.isEmpty && !mailbox.hasPosted.load(ordering: .acquiring) }
}
