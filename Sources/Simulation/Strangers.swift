#if DEBUG
    import ModelPostgres
    import PostgresWire

    @testable import EventLoop

    /// Those who come for something else than queries: cancel requests, and clients that do not keep to the protocol.
    final class Strangers {
        private unowned let world: World
        private var dice: Dice
        private var present: [RawConnection] = []
        private var born = 0

        init(world: World, dice: Dice) {
            self.world = world
            self.dice = dice
        }

        var areGone: Bool { present.allSatisfy(\.isClosed) }

        func begin() {
            if world.plan.hasCancels { again(60_000) { [self] in cancel() } }
            if world.plan.hasRudeClients { again(150_000) { [self] in offend() } }
        }

        private func again(_ time: Int64, _ action: @escaping () -> Void) {
            world.after(1 + dice.below(time)) { [self] in
                guard !world.isCalm else { return }
                action()
                again(time, action)
            }
        }

        private func connection() -> RawConnection {
            born += 1
            present.removeAll(where: \.isClosed)
            let connection = RawConnection(world: world)
            present.append(connection)
            connection.connect(from: SocketAddress(numeric: "10.3.0.\(born % 250)", port: UInt16(1000 + born % 60_000))!)
            return connection
        }

        // MARK: Cancel requests

        private func cancel() {
            var key: CancelKey?
            if let victim = world.clients.filter({ $0.mayBeCanceled && $0.key != nil && !$0.isQuiet }).randomElement(using: &dice) {
                key = victim.key
            }
            if dice.chance(10) { key = CancelKey(processID: UInt32(dice.below(1 << 31)), secret: [1, 2, 3, 4]) }
            guard let key else { return }
            let connection = connection()
            connection.onBytes = { [unowned self] in world.fail("a cancel request was answered: \(connection.stream.start)") }
            connection.send(compose { $0.cancelRequest(key: key) })
            switch dice.below(10) {
            case 0: world.after(dice.below(2_000 as Int64)) { connection.close() }
            case 1: connection.finish()
            default: break
            }
        }

        // MARK: Bad manners

        private func offend() {
            let connection = connection()
            let user = dice.pick(world.plan.users)
            let startup = compose {
                $0.startup(parameters: [("user", user), ("database", dice.pick(world.plan.configuration.databases.map(\.key).sorted()))])
            }
            switch dice.below(12) {
            case 0: break  // Says nothing.
            case 1: connection.send((0..<(1 + dice.below(40))).map { _ in UInt8(dice.below(256)) })
            case 2: connection.send(Array(startup.prefix(dice.below(startup.count))))
            case 3: connection.send(compose { $0.sslRequest() } + startup)
            case 4: connection.send(compose { $0.gssEncryptionRequest() })
            case 5: connection.send(startup + startup)
            case 6: connection.send(startup + [Frontend.query, 255, 255, 255, 255])
            case 7: connection.send(startup + [UInt8(dice.below(256)), 0, 0, 0, 4])
            case 8: connection.send(startup + [Frontend.query, 0, 1, 0, 0] + Array("select half".utf8))
            case 9: connection.send(startup + query("select stranger") + compose { $0.terminate() })
            case 10: connection.send([0, 0, 0, 8, 4, 210, 22, 46, 1, 2, 3])
            default: connection.send(startup + bind("nix") + [Frontend.parse, 0, 0, 0, 6, 0, 0])
            }
            if dice.chance(30) { connection.finish() }
            // Nobody waits for it for ever.
            world.after(1 + dice.below(1_500_000 as Int64)) { [self] in connection.close(resets: dice.chance(40)) }
        }
    }

#endif
