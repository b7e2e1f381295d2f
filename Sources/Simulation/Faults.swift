#if DEBUG
    @testable import EventLoop

    /// What goes wrong, and when.
    final class Faults {
        private unowned let world: World
        private var dice: Dice
        private var isOver = false
        /// The pooler and the server do not reach each other.
        private var isCut = false
        /// Clients that are out of reach, by the last bits of their address.
        private var lostClients: Set<UInt8> = []

        init(world: World, dice: Dice) {
            self.world = world
            self.dice = dice
        }

        func begin() {
            let troubles = world.plan.troubles
            // Of these clients hear from the beginning on.
            if !troubles.isDisjoint(with: [.crowdedServer, .fewDescriptors, .timeouts, .refusedLogins]) { world.disturb() }
            world.network.isCut = { [unowned self] from, to in isCut(from, to) }
            if troubles.contains(.resets) { again(300_000) { [self] in reset() } }
            if troubles.contains(.restarts) { again(2_000_000) { [self] in restart() } }
            if troubles.contains(.hangs) { again(1_500_000) { [self] in hang() } }
            if troubles.contains(.partitions) { again(1_000_000) { [self] in part() } }
        }

        /// All trouble is over.
        func end() {
            isOver = true
            isCut = false
            lostClients = []
            for server in world.servers {
                server.state = .up
                server.refusesLogins = 0
                server.mostConnections = 100_000
            }
            world.network.mostDescriptors = 100_000
        }

        private func again(_ time: Int64, _ action: @escaping () -> Void) {
            world.after(1 + dice.below(time)) { [self] in
                guard !isOver else { return }
                action()
                again(time, action)
            }
        }

        /// Some connection breaks.
        private func reset() {
            let connected = world.network.poolerSockets.filter { $0.state == .connected }
            guard !connected.isEmpty else { return }
            world.disturb()
            let socket = dice.pick(connected)
            world.trace.note(world.now, "cut", socket.number)
            world.network.cut(socket)
        }

        private func restart() {
            world.disturb()
            let server = dice.pick(world.servers)
            server.stop(says: dice.chance(60))
            let starting = dice.chance(50) ? dice.below(500_000 as Int64) : 0
            let state: VirtualNetwork.HostState = dice.chance(80) ? .down : .unreachable
            server.state = state
            world.after(1 + dice.below(1_500_000 as Int64)) { server.start(startingFor: starting) }
        }

        private func hang() { dice.pick(world.servers).hang(for: 1 + dice.below(2_000_000 as Int64)) }

        /// Packets get lost for a while, between the pooler and the server, or the pooler and some clients.
        private func part() {
            if dice.chance(50) {
                isCut = true
                world.after(1 + dice.below(1_500_000 as Int64)) { [self] in isCut = false }
            } else {
                let bits = UInt8(dice.below(4))
                lostClients.insert(bits)
                world.after(1 + dice.below(1_500_000 as Int64)) { [self] in lostClients.remove(bits) }
            }
        }

        private func isCut(_ from: SocketAddress, _ to: SocketAddress) -> Bool {
            guard isCut || !lostClients.isEmpty else { return false }
            for address in [from, to] {
                let bytes = address.addressBytes
                guard bytes.count == 4 else { continue }
                if isCut, bytes[1] == 0 { return true }
                if bytes[1] == 1, lostClients.contains(bytes[3] & 3) { return true }
            }
            return false
        }
    }

#endif
