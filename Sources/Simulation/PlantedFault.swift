#if DEBUG
    import PoolCore
    import PostgresWire

    @testable import EventLoop
    @testable import Pooler

    /// A fault that is put into the world on purpose, to see that it is found.
    public enum PlantedFault: String, CaseIterable, Sendable {
        /// Bytes for one client go to another one.
        case misdeliver
        /// Bytes for a client get lost.
        case drop
        /// Bytes for a client come twice.
        case `repeat`
        /// A server answers with another row than it was asked for.
        case lie
        /// A server does not forget what a client has set.
        case remember
        /// A descriptor is not closed.
        case leak
        /// A server is counted that there is not.
        case count
        /// A worker is not woken.
        case sleep
        /// The client that has waited longest is put at the end of the queue.
        case overtake
        /// A client is forgotten in the queue.
        case forget
        /// A task runs on a thread of its own.
        case thread
    }

    extension World {
        /// Puts a fault into the world, once, when there is an opportunity for it.
        func plant(_ fault: PlantedFault) {
            var isDone = false
            /// Answers to clients that talk, of which each byte counts.
            func isAnswer(_ socket: VirtualSocket) -> Bool {
                guard now > startOfTrouble, let first = clients.first(where: { $0.socketNumber == socket.number }) else { return false }
                return first.isTalking && !first.isQuiet
            }
            switch fault {
            case .misdeliver:
                network.tamper = { [unowned self] target, bytes in
                    guard !isDone, isAnswer(target), let other = clients.first(where: { $0.socketNumber != target.number && $0.isTalking })
                    else { return bytes }
                    isDone = true
                    other.takeBytes(bytes)
                    return []
                }
            case .drop:
                network.tamper = { target, bytes in
                    guard !isDone, isAnswer(target) else { return bytes }
                    isDone = true
                    return []
                }
            case .repeat:
                network.tamper = { target, bytes in
                    guard !isDone, isAnswer(target) else { return bytes }
                    isDone = true
                    return bytes + bytes
                }
            case .lie: for server in servers { server.lies = true }
            case .remember: for server in servers { server.remembers = true }
            case .leak: network.leaks = true
            case .count:
                again {
                    let key = CapacityLedger.PoolKey(database: "d0", user: "u0")
                    _ = self.process.shared.capacity.withLock { $0.openServer(key, limits: CapacityLedger.ServerLimits(pool: 0)) }
                    return true
                }
            case .sleep: kernel.ignoresWakesAfter = startOfTrouble
            case .overtake:
                again { [unowned self] in
                    lookAtAll { core in
                        for shard in core.shards.values where shard.machine.queue.waiting > 1 && !isDone {
                            guard let first = shard.machine.queue.head, let client = core.clients[first.client] else { continue }
                            shard.machine.clientLeaves(first.ticket)
                            client.move(to: .idle)
                            guard case .wait(let ticket) = shard.machine.clientAsks(first.client, now: first.since, shard.shared) else {
                                continue
                            }
                            client.move(to: .waiting(ticket))
                            isDone = true
                        }
                    }
                    return isDone
                }
            case .forget:
                again { [unowned self] in
                    lookAtAll { core in
                        for shard in core.shards.values where shard.machine.queue.waiting > 0 && !isDone {
                            shard.machine.queue.head.map { shard.machine.clientLeaves($0.ticket) }
                            isDone = true
                        }
                    }
                    return isDone
                }
            case .thread:
                after(startOfTrouble - now) { Self.runElsewhere() }
            }
        }

        /// From when on something may be wrong.
        private var startOfTrouble: Int64 { 1_000_000_000 + plan.duration / 4 }

        private func again(_ action: @escaping () -> Bool) {
            after(max(1_000, startOfTrouble - now)) { [self] in
                if !isCalm, !action() { again(action) }
            }
        }
    }

#endif
