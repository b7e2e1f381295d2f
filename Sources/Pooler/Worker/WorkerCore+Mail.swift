import EventLoop
import PoolCore

/// What others tell this worker. Read between two turns, as many messages as `mailPerTurn` at a time, so that a crowd of messages keeps
/// no socket waiting.
extension WorkerCore {
    /// Messages that are handled before sockets are looked at again.
    static let mailPerTurn = 128

    /// Handles what is in the mailbox.
    @inline(__always)
    func readMail() {
        if !mail.isEmpty { handleMail() }
    }

    @inline(never)
    private func handleMail() {
        var left = Self.mailPerTurn
        while left > 0, let message = mail.next() {
            refreshClock()
            handle(message)
            left -= 1
        }
        if !mail.isEmpty { loop.wakeSoon() }
    }

    private func handle(_ message: consuming WorkerMessage) {
        switch consume message {
        case .meet(let workers):
            admin.workers = workers
            peers = workers.map(\.mailbox)
        case .listen(let descriptor, let address): listeners.listen(descriptor.release(), at: address)
        case .warmUp: opener.openMinimum()
        case .probe(let probe): opener.probe(probe)
        case .apply(let update):
            admin.apply(update.configuration)
            update.acknowledgement.arrive()
        case .applyAdminState(let state, let acknowledgement):
            admin.apply(state)
            acknowledgement.arrive()
        case .replaceServers(let database, let acknowledgement):
            admin.replaceServers(of: database)
            acknowledgement.arrive()
        case .killConnections(let database, let acknowledgement):
            admin.killConnections(of: database)
            acknowledgement.arrive()
        case .beginShutdown(let mode): admin.beginShutdown(mode)
        case .endTLS(let acknowledgement):
            endAllTLS()
            acknowledgement.arrive()

        case .adoptClient(let descriptor, let isUnix): logins.adopt(client: descriptor.release(), isUnix: isUnix)
        case .adoptServer(let server): opener.exchange.adopt(server)
        case .lend(let key, let borrower): opener.exchange.lend(key, to: borrower)
        case .nothingToLend(let key, let mayAskAgain): opener.exchange.nothingToLend(key, mayAskAgain: mayAskAgain)
        case .capacityChanged: opener.serveDemand()
        case .makeRoom(let key, let limits, let verdict): opener.room.roomIsWanted(for: key, limits, verdict)
        case .claimRoom(let key, let since): opener.room.isClaimed(for: key, since: since)
        case .greetingArrived(let key): logins.greetingArrived(key)
        case .loginFailed(let key): opener.loginFailed(key)
        case .cancel(let key, let slot, let requester): cancels.cancelClient(key, slot: slot, for: requester)
        case .cancelIsOver(let slot, let id, let outcome): cancels.cancelIsOver(slot, id: id, outcome)
        case .lookUp(let pending, let database, let authUser): logins.lookUp(pending, database: database, authUser: authUser)
        case .lookedUp(let slot, let id, let answer): logins.lookedUp(slot, id, answer)

        case .derived(let derivation, let salted): logins.derived(derivation, salted)
        case .gotPassword(let number, let outcome): opener.gotPassword(number, outcome)
        case .peerNamed(let name, let slot, let id, let map): logins.peerNamed(name, slot, id, map: map)
        case .checked(let slot, let id, let password, let failure): logins.checked(slot, id, password, failure)
        case .consoleDone(let slot, let id, let outcome): admin.console.done(slot: slot, id: id, outcome)
        case .explained(let key, let facts): janitor.waits.explained(key, facts)
        }
    }

    // MARK: Telling others

    /// Tells the worker with this index.
    func tell(_ worker: Int, _ message: consuming WorkerMessage) { peers[worker].post(message) }

    /// Tells all other workers.
    func tellOthers(_ message: () -> WorkerMessage) {
        guard shared.parallel else { return }
        for (number, peer) in peers.enumerated() where number != index { peer.post(message()) }
    }

    /// Tells all other workers that there may be room for a server.
    func tellOthersOfRoom() {
        guard shared.parallel else { return }
        for (number, peer) in peers.enumerated() where number != index {
            peer.post(.capacityChanged, unlessLast: WorkerMessage.isCapacityNews)
        }
    }
}
