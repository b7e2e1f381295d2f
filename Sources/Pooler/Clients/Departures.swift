import EventLoop
import PoolCore
import PostgresWire

/// A client that sends nothing more: it said good-bye, closed its side, or is gone.
struct Leaving {
    /// Why its connection closes in the end.
    var reason: ClientCloseReason
    let since: Int64
    /// It hears nothing any more, as far as is known.
    var isDeaf: Bool
    /// What runs for it has been cancelled.
    var isCanceled = false
    /// How much of an answer has been thrown away.
    var lost = 0
    /// The server has been asked for what it has to say to a batch without a Sync.
    var hasFlushed = false
}

/// Clients that leave. What they have sent completely is done, as PostgreSQL does it, and they hear the answers if they still listen: so a
/// leaving client keeps its place in the queue, and its server, until all of it is answered. Nothing more is read from it.
///
/// What is certain to be rolled back is cancelled (`LostWork`), and so is what sends a long answer to nobody.
final class Departures: WorkerPart {
    unowned let worker: WorkerCore
    /// Why each of them leaves, by slot.
    private var leaving: [UInt32: Leaving] = [:]

    init(of worker: WorkerCore) { self.worker = worker }

    /// A client that may still be listening has this long (microseconds) for the answer to something that will be rolled back.
    private static let patience: Int64 = 1_000_000
    /// PostgreSQL notices after a few kilobytes that nobody hears it, and ends the query.
    private static let lostLimit = 128 * 1024

    /// Clients that leave.
    var count: Int { leaving.count }

    /// A client is closed.
    func forget(_ client: ClientConnection) { leaving[client.slot] = nil }

    /// The client sends nothing more. It is closed when all that it has sent is done.
    func leave(_ client: ClientConnection, _ reason: ClientCloseReason, isDeaf: Bool = false) {
        beginLeaving(client, reason, isDeaf: isDeaf)
        finishLeaving(client)
    }

    /// As `leave`, for who is not done with the client's bytes.
    func beginLeaving(_ client: ClientConnection, _ reason: ClientCloseReason, isDeaf: Bool = false) {
        guard client.isOpen else { return }
        if let leaving = leaving[client.slot] {
            // It had closed its side before its last word was looked at.
            self.leaving[client.slot]?.reason = reason
            if isDeaf, !leaving.isDeaf { self.leaving[client.slot]?.isDeaf = true }
            return
        }
        guard mayStay(client) else {
            worker.close(client, reason)
            return
        }
        client.isLeaving = true
        leaving[client.slot] = Leaving(reason: reason, since: now, isDeaf: isDeaf)
    }

    private func mayStay(_ client: ClientConnection) -> Bool {
        if settings.cancelOnDisconnect || client.replication != nil { return false }
        switch client.phase {
        case .idle, .skipping, .waiting, .linked: return true
        case .awaitingGreeting: return !client.held.isEmpty
        case .startup, .authenticating, .canceling, .console, .closed: return false
        }
    }

    /// Closes a leaving client if nothing of what it has sent is left to be done. Asked whenever something has been done for it.
    func finishLeaving(_ client: ClientConnection) {
        guard client.isLeaving, client.isOpen, !client.isConsuming, let leaving = leaving[client.slot] else { return }
        switch client.phase {
        case .waiting, .awaitingGreeting: return
        case .linked:
            if let server = client.server, isAwaited(server, client) || interruptsCopy(server, client, leaving) {
                if leaving.isDeaf { cancelLost(client, server) }
                return
            }
        default: break
        }
        // The answers go first, and what was posted may find the socket full. Where nobody takes them, the socket says so.
        worker.sendPosted(for: client)
        guard !client.channel.hasPendingOutput else { return }
        worker.close(client, leaving.reason)
    }

    /// A COPY waits for data that never comes. It may have failed before, so it is asked: the client hears how it went.
    private func interruptsCopy(_ server: ServerConnection, _ client: ClientConnection, _ leaving: Leaving) -> Bool {
        guard server.session.copyReads, server.phase == .linked, !leaving.isDeaf, client.passThrough == 0 || client.dropsPassThrough else {
            return false
        }
        let interruption: ServerSession.CopyInterruption
        switch leaving.reason {
        case .terminated: interruption = .message(Frontend.terminate)
        case _ where leaving.reason.isDisappearance: interruption = .endOfStream
        default: return false
        }
        worker.send(server.session.interruptCopy(interruption).span, to: server)
        return server.isOpen && client.isOpen
    }

    /// The server is still to do something that the client has sent, or to tell what has become of it.
    private func isAwaited(_ server: ServerConnection, _ client: ClientConnection) -> Bool {
        if server.phase == .trying || server.channel.hasPendingOutput { return true }
        // Half a message, of which the rest never comes.
        if client.passThrough > 0, !client.dropsPassThrough { return false }
        // A cancel on its way would hit the settings that its next message needs.
        if server.cancels != nil, !client.held.isEmpty { return true }
        let isRunning = server.session.ledger.isRunning
        if server.session.ledger.willBecomeReady || server.session.mayBecomeCopy || server.session.awaitsInterruption { return true }
        // Its next message waits for the answer to another one.
        if isRunning, server.session.gate != .open, !client.held.isEmpty { return true }
        // A batch without a Sync: PostgreSQL answers it as far as there was a Flush, and undoes it.
        guard isRunning, server.isFlushed, !server.session.isCopyingIn, !server.session.ledger.isSkipping else { return false }
        if leaving[client.slot]?.hasFlushed == false {
            leaving[client.slot]?.hasFlushed = true
            var writer = MessageWriter()
            writer.flush()
            worker.send(writer.bytes.span, to: server)
        }
        return true
    }

    // MARK: Nobody hears

    /// A send to the client failed.
    func noteLoss(of count: Int, to client: ClientConnection) {
        leaving[client.slot]?.isDeaf = true
        leaving[client.slot]?.lost += count
        // At a moment when nothing else is being handled.
        worker.postponeReading(client)
    }

    /// Cancels what runs for nobody, if that changes nothing but the time that it takes.
    private func cancelLost(_ client: ClientConnection, _ server: ServerConnection) {
        guard let state = leaving[client.slot], server.phase == .linked, server.session.ledger.isRunning else { return }
        if state.lost > Self.lostLimit {
            leaving[client.slot]?.lost = 0
            worker.cancels.cancel(server)
        } else if !state.isCanceled, isLost(client, server) {
            leaving[client.slot]?.isCanceled = true
            worker.cancels.cancel(server)
        }
    }

    private func isLost(_ client: ClientConnection, _ server: ServerConnection) -> Bool {
        // Nor may there be more that is still to be sent.
        client.held.isEmpty && server.isStatementLatest && server.lastStatement.isWhole
            && LostWork.isCertain(burst: server.lastStatement.bytes, in: server.session, statements: client.session.statements)
    }

    /// Three times a second.
    func checkLeaving() {
        for (slot, state) in leaving where state.isDeaf || now - state.since > Self.patience {
            guard let client = worker.clients[slot], let server = client.server, !client.channel.hasPendingOutput else { continue }
            cancelLost(client, server)
        }
    }

    /// Whether what a server runs for a client is cancelled when the client is closed.
    func isToBeCanceled(_ server: ServerConnection, _ client: ClientConnection, _ reason: ClientCloseReason) -> Bool {
        guard server.session.ledger.isRunning else { return false }
        if settings.cancelOnDisconnect { return true }
        // An operator, or a limit, wants it gone.
        if let error = reason.error, !error.isAboutMessage { return true }
        return isLost(client, server)
    }
}
