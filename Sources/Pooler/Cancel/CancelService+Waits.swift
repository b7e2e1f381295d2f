import Bytes
import EventLoop
import PoolCore
import PostgresWire
import Telemetry

/// A cancel that comes while its statement waits for a server: the statement is answered as PostgreSQL would answer one that was cancelled
/// at once, and no server hears of either.
extension CancelService {
    static let canceled = ErrorFields(
        severity: "ERROR", code: SQLState.queryCanceled, message: "canceling statement due to user request")

    /// Ends the wait of a client. False: it does not wait.
    func endWait(_ client: ClientConnection) -> Bool {
        switch client.phase {
        case .waiting(let ticket):
            guard let shard = client.shard else { return false }
            shard.machine.clientLeaves(ticket)
            client.move(to: client.withHeld(Self.beginsBatch) ? .skipping : .idle)
            client.wasNotified = false
            endStatement(client)
            return true
        case .linked:
            // It has a server, which tries its settings: nothing of its own has been sent.
            guard let server = client.server, server.phase == .trying, client.withHeld(Self.hasWholeStatement) else { return false }
            endStatement(client)
            return true
        default:
            return false
        }
    }

    /// Answers the first statement of what is held, and takes it away; the rest of a batch of which not all is here follows as it comes.
    private func endStatement(_ client: ClientConnection) {
        guard case .frame(let frame) = client.withHeld({ peekFrame($0, at: 0) }) else { return }
        var writer = MessageWriter()
        switch frame.type {
        case Frontend.query, Frontend.functionCall:
            if frame.type == Frontend.query { client.session.statements.unnamed = nil }
            let held = min(frame.length, client.held.count)
            client.held.removeFirst(held, worker.chunks)
            client.passThrough = frame.length - held
            client.dropsPassThrough = client.passThrough > 0
            writer.error(Self.canceled)
            writer.readyForQuery(.idle)
        case Frontend.sync:
            // There is nothing to be cancelled.
            client.held.removeFirst(frame.length, worker.chunks)
            writer.readyForQuery(.idle)
        default:
            writer.error(Self.canceled)
            if case .linked = client.phase {
                writer.readyForQuery(.idle)
                if let end = client.withHeld(Self.endOfBatch) { client.held.removeFirst(end, worker.chunks) }
            }
        }
        client.requestTime = now
        worker.send(writer.bytes, to: client)
        worker.carryOn(client)
    }

    /// Whether the first message belongs to a batch, of which all is thrown away up to its Sync.
    private static func beginsBatch(_ bytes: Span<UInt8>) -> Bool {
        guard case .frame(let frame) = peekFrame(bytes, at: 0) else { return false }
        return ![Frontend.query, Frontend.functionCall, Frontend.sync].contains(frame.type)
    }

    /// Whether the first statement can be taken away at once: all of it is here, up to the Sync if it is a batch.
    private static func hasWholeStatement(_ bytes: Span<UInt8>) -> Bool {
        guard case .frame(let frame) = peekFrame(bytes, at: 0) else { return false }
        switch frame.type {
        case Frontend.query, Frontend.functionCall, Frontend.sync: return frame.length <= bytes.count
        default: return endOfBatch(bytes) != nil
        }
    }

    /// Behind the first Sync.
    private static func endOfBatch(_ bytes: Span<UInt8>) -> Int? {
        var at = 0
        while case .frame(let frame) = peekFrame(bytes, at: at), frame.length <= bytes.count - at {
            at += frame.length
            if frame.type == Frontend.sync { return at }
        }
        return nil
    }

    /// A query of the pooler's own has kept a client's query from running for so long that its cancel waits no more. It would hit the
    /// pooler's query, and the client's would run without its settings. So the connection is reset first: PostgreSQL ends a session whose
    /// answer can't be delivered, before it looks at the next query.
    func giveUpOwnQuery(_ server: ServerConnection) {
        guard let client = server.client, client.passThrough == 0, !server.isMidMessage, !server.channel.hasPendingOutput,
            let (answer, isSkipping) = server.session.cancellation(Self.canceled)
        else { return }
        worker.sendPosted(for: server)
        server.client = nil
        client.server = nil
        client.move(to: isSkipping ? .skipping : .idle)
        client.requestTime = now
        server.channel.resetWhenClosed()
        let subject = server.subject
        forgetNext(about: server)
        worker.close(server, .canceledInOwnQuery)
        shared.log.debug("cancels what keeps a client waiting", about: subject)
        cancelForGood(server)
        worker.send(answer, to: client)
        worker.carryOn(client)
    }

    /// Throws messages away up to the Sync, which is answered. Returns how far it has come.
    func skip(_ client: ClientConnection, _ bytes: Span<UInt8>, from offset: Int) -> Int {
        if client.passThrough > 0 {
            let take = min(client.passThrough, bytes.count - offset)
            client.passThrough -= take
            return offset + take
        }
        let frame: Frame
        switch worker.header(of: client, bytes, at: offset) {
        case .frame(let found): frame = found
        case .more: return offset
        case .refused: return bytes.count
        }
        let available = bytes.count - offset
        switch frame.type {
        case Frontend.terminate:
            worker.departures.leave(client, .terminated)
            return bytes.count
        case Frontend.sync:
            guard available >= frame.length else { return offset }
            client.move(to: .idle)
            client.requestTime = now
            var writer = MessageWriter()
            writer.readyForQuery(.idle)
            worker.send(writer.bytes, to: client)
            return offset + frame.length
        case Frontend.query, Frontend.parse, Frontend.bind, Frontend.describe, Frontend.execute, Frontend.close, Frontend.flush,
            Frontend.functionCall, Frontend.copyData, Frontend.copyDone, Frontend.copyFail:
            let take = min(frame.length, available)
            client.passThrough = frame.length - take
            client.dropsPassThrough = client.passThrough > 0
            return offset + take
        default:
            worker.fail(client, .unknownMessage)
            return bytes.count
        }
    }
}
