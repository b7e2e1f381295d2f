#if DEBUG
    import ModelPostgres
    import PostgresWire

    /// What a client does: anything that a client may do, in any order, except that it never names a statement whose fate it can't know yet.
    /// Whether the earlier half of a pipeline has failed is something that neither the client nor the pooler can tell.
    final class ClientScript {
        enum Style {
            /// Named statements, portals, COPY, pipelines.
            case everything
            /// The simple protocol, and batches of the extended one that use nothing from before them.
            case plain
            /// The same without transaction blocks.
            case singleStatements
            /// One statement at a time, which may be cancelled.
            case one(inBlocks: Bool)
        }

        private let world: World
        private let style: Style
        /// State of the session other than statements may be changed.
        private let isSession: Bool
        private let texts: Int
        /// How many steps are left.
        private(set) var left: Int
        private var serial = 0
        /// Names whose meaning was changed since the client was last quiet, and in which part of the pipeline.
        private var changed: [String: Int] = [:]
        private var part = 0
        /// Nothing more before all answers are there.
        private var mustWait = false
        /// Waits for CopyInResponse, to send data then.
        private var copyIsExtended: Bool?
        private var isScheduled = false
        /// The next step comes with the last answer.
        private var isWaiting = true
        private static let names = ["", "a", "b", "c"]
        /// How long it thinks between two steps: usually, rarely, and how rarely.
        var pause: (usual: Int64, rare: Int64, percent: Double) = (2_000, 300_000, 2)
        /// How it goes in the end.
        var ending = Ending.terminate

        enum Ending: CaseIterable {
            case terminate, close, reset, half
        }

        init(world: World, style: Style, isSession: Bool, texts: Int, steps: Int) {
            self.world = world
            self.style = style
            self.isSession = isSession
            self.texts = texts
            left = steps
        }

        /// Everything that was asked is answered.
        func quiet(_ client: ModelClient) {
            guard isWaiting else { return }
            isWaiting = false
            schedule(client)
        }

        /// Has a step follow.
        func schedule(_ client: ModelClient) {
            guard !isScheduled else { return }
            isScheduled = true
            world.after(client.dice.delay(usually: pause.usual, rarely: pause.rare, percent: pause.percent)) { [self] in
                isScheduled = false
                next(client)
            }
        }

        private func next(_ client: ModelClient) {
            guard client.isTalking else { return }
            if left <= 0 {
                end(client)
                return
            }
            if client.isQuiet {
                changed = [:]
                mustWait = false
                if let isExtended = copyIsExtended {
                    copyIsExtended = nil
                    // Where it was refused, some drivers send on all the same.
                    if client.own.isCopyingIn || client.dice.chance(50) { finishCopy(client, isExtended: isExtended) }
                }
            }
            if !mustWait, copyIsExtended == nil, client.outbox.count < 20 {
                left -= 1
                step(client)
            }
            if (mustWait || copyIsExtended != nil) && !client.isQuiet { isWaiting = true }
            // What is left unanswered until a Sync comes is not waited for.
            if isWaiting, client.own.hasOpenBatch || client.own.isSkipping, !client.own.isCopyingIn { end(client, sync) }
            if !isWaiting { schedule(client) }
        }

        /// What was begun is ended first; or it is not.
        private func end(_ client: ModelClient) {
            switch ending {
            case .terminate:
                if client.own.isCopyingIn { client.send(copyDone) }
                if client.own.status != .idle || client.own.hasOpenBatch || client.own.isSkipping { client.send(sync, query("rollback")) }
                if client.isQuiet { client.terminate() } else { retry(client) }
            case .close: client.vanish(resets: false)
            case .reset: client.vanish(resets: true)
            case .half:
                if client.outbox.isEmpty { client.finish() } else { retry(client) }
            }
        }

        private func retry(_ client: ModelClient) {
            world.after(20_000) { [self] in
                if client.isTalking { end(client) }
            }
        }

        private func token(_ client: ModelClient) -> String {
            serial += 1
            return "\(client.name).\(serial)"
        }

        private func isKnown(_ name: String) -> Bool { changed[name].map { $0 == part } ?? true }

        private func end(_ client: ModelClient, _ message: Message) {
            client.send(message)
            part += 1
        }

        private func ask(_ client: ModelClient, _ text: String) {
            changed[""] = part
            end(client, query(text))
        }

        // MARK: Steps

        private func step(_ client: ModelClient) {
            switch style {
            case .everything: stepOfAny(client)
            case .plain: plainStep(client, inBlocks: true)
            case .singleStatements: plainStep(client, inBlocks: false)
            case .one(let inBlocks): oneStep(client, inBlocks: inBlocks)
            }
        }

        private func oneStep(_ client: ModelClient, inBlocks: Bool) {
            guard client.isQuiet else { return }
            let token = token(client)
            mustWait = true
            switch client.dice.below(10) {
            case 0..<4: ask(client, "select sleep\(token)")
            case 4: ask(client, "select \(token)")
            case 5:
                changed[""] = part
                client.send(parse("", "select sleep\(token)"), bind(""), execute(), sync)
                part += 1
            case 6..<8 where inBlocks: ask(client, client.own.status == .idle ? "begin" : client.dice.chance(70) ? "commit" : "rollback")
            default: ask(client, "fail \(token)")
            }
        }

        private func plainStep(_ client: ModelClient, inBlocks: Bool) {
            let token = token(client)
            switch client.dice.below(100) {
            case 0..<30: ask(client, "select \(token)")
            case 30..<36: ask(client, "rows \(token)")
            case 36..<40: ask(client, "fail \(token)")
            case 40..<45: ask(client, "insert \(token)")
            case 45..<47: ask(client, "")
            case 47..<62 where inBlocks: ask(client, client.own.status == .idle ? "begin" : client.dice.chance(70) ? "commit" : "rollback")
            case 62..<66: parameters(client)
            case 66..<68: ask(client, "select sleep\(token)")
            case 68: ask(client, "select \(token)\(padding(client))")
            case 69:
                let long = padding(client)
                client.send(parse("", "select \(token) $1"), bind("", long), execute())
                end(client, sync)
            default:
                // A batch of its own.
                client.send(parse("", "select \(token) $1"), bind("", "v\(token)"), describePortal(""), execute())
                if client.dice.chance(30) { client.send(parse("", "select more\(token)"), bind(""), execute()) }
                end(client, sync)
            }
            if client.dice.chance(60) { mustWait = true }
        }

        /// Messages of this length are passed on in pieces.
        private func padding(_ client: ModelClient) -> String {
            String(repeating: "x", count: client.dice.between(1, client.dice.chance(20) ? 150_000 : 20_000))
        }

        private func parameters(_ client: ModelClient) {
            let name = isSession && client.dice.chance(30) ? "extra_float_digits" : "application_name"
            switch client.dice.below(3) {
            case 0: ask(client, "set \(name)='\(name == "application_name" ? token(client) : String(client.dice.below(4)))'")
            case 1 where client.own.status == .idle && client.isQuiet: ask(client, "reset \(name)")
            default: ask(client, "show \(name)")
            }
            mustWait = true
        }

        private func stepOfAny(_ client: ModelClient) {
            let shared = "select s\(client.dice.below(texts))\(client.dice.chance(50) ? " $1" : "")"
            let name = client.dice.pick(Self.names)
            switch client.dice.below(104) {
            case 0..<10: ask(client, "select \(token(client))")
            case 10..<15: ask(client, "begin")
            case 15..<24: ask(client, client.dice.chance(70) ? "commit" : "rollback")
            case 24: ask(client, "fail \(token(client))")
            case 25: ask(client, "select \(token(client))\(padding(client))")
            case 26..<28: ask(client, "insert \(token(client));select \(token(client))")
            case 28: ask(client, "")
            case 29: ask(client, "savepoint x")
            case 30..<44:
                guard isKnown(name) else { return }
                changed[name] = part
                let odd = [
                    "select \(token(client))\(padding(client))", "syntax error", "fail \(token(client))", "begin", "commit", "rollback",
                    "rows r", "insert deferred", "insert x", "",
                ]
                client.send(parse(name, client.dice.chance(75) ? shared : client.dice.pick(odd)))
            case 44..<64:
                guard isKnown(name), !(client.own.unnamed ?? "").hasPrefix("copy") || !name.isEmpty else { return }
                let portal = client.dice.chance(85) ? "" : "p"
                let text = name.isEmpty ? client.own.unnamed : client.own.named[name]
                let takesValue = text?.contains("$1") ?? false
                client.send(takesValue ? bind(name, portal: portal, token(client)) : bind(name, portal: portal))
                if client.dice.chance(80) { client.send(execute(portal, rows: client.dice.chance(20) ? 1 : 0)) }
            case 64..<69:
                // Of statements that return nothing, a failed transaction allows a Describe, and no Parse ahead of it.
                guard isKnown(name), let text = name.isEmpty ? client.own.unnamed : client.own.named[name], text.hasPrefix("select")
                else { return }
                client.send(describe(name))
            case 69..<73:
                guard isKnown(name) else { return }
                changed[name] = part
                client.send(closeStatement(name))
            case 73..<90: end(client, sync)
            case 90: client.send(flush)
            case 91..<94:
                guard !name.isEmpty, isKnown(name), !client.own.hasOpenBatch else { return }
                changed[name] = part
                let ahead = ["", "", "", "select \(token(client));", "commit;", "fail x;", "insert deferred;"]
                let behind = ["", "", "", ";select \(token(client))", ";fail x", ";commit", ";deallocate \(name)"]
                ask(client, client.dice.pick(ahead) + "deallocate \(name)" + client.dice.pick(behind))
            case 94:
                guard changed.isEmpty, !client.own.hasOpenBatch else { return }
                for name in Self.names { changed[name] = part }
                ask(client, client.dice.chance(50) ? "deallocate all" : "discard all")
            case 95..<99: startCopy(client)
            case 99: end(client, compose { $0.bytes += [Frontend.functionCall, 0, 0, 0, 14, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0] })
            case 100..<102:
                if client.isQuiet { parameters(client) }
            default: mustWait = true
            }
        }

        private func startCopy(_ client: ModelClient) {
            let text = client.dice.pick(["copy in", "copy in", "copy view", "copy out"]) + " \(token(client))"
            let isExtended = client.dice.chance(50)
            if isExtended {
                guard isKnown("") else { return }
                changed[""] = part
                client.send(parse("", text), bind(""), execute())
                if client.dice.chance(50) { end(client, sync) }
            } else {
                ask(client, text)
                if client.dice.chance(10), text.hasPrefix("copy in") { end(client, sync) }
            }
            if client.dice.chance(50) {
                copyIsExtended = isExtended
                if isExtended { client.send(flush) }
            } else {
                finishCopy(client, isExtended: isExtended)
            }
        }

        private func finishCopy(_ client: ModelClient, isExtended: Bool) {
            client.send(copyData(client.dice.chance(15) ? padding(client) : "data"))
            if client.dice.chance(20) { client.send(copyData("bad data")) }
            client.send(client.dice.chance(80) ? copyDone : copyFail)
            if isExtended { end(client, sync) }
            mustWait = true
        }
    }

#endif
