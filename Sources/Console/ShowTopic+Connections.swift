import EventLoop

/// CLIENTS, SERVERS and SOCKETS.
extension ShowTopic {
    static let connectionColumns = """
        type:t user:t database:t replication:t state:t addr:t port:i local_addr:t local_port:i connect_time:t request_time:t wait:i \
        wait_us:i close_needed:i ptr:t link:t remote_pid:i tls:t application_name:t prepared_statements:i id:i
        """
    static let bufferColumns = " recv_pos:i pkt_pos:i pkt_remain:i send_pos:i send_remain:i pkt_avail:i send_avail:i"

    @Sendable static func clients(_ facts: ConsoleFacts) -> [[Cell]] {
        facts.connections.filter { !$0.isServer && $0.state != .login }.map { row($0, facts) }
    }

    @Sendable static func servers(_ facts: ConsoleFacts) -> [[Cell]] {
        facts.connections.filter(\.isServer).map { row($0, facts) }
    }

    /// Sockets that carry cancel requests are left out, as PgBouncer does.
    static func sockets(_ facts: ConsoleFacts, all: Bool) -> [[Cell]] {
        var rows: [[Cell]] = []
        for connection in facts.connections {
            let state: String
            switch connection.state {
            case .activeCancel, .activeCancelRequest, .waitingCancelRequest: continue
            case .new: state = "sv_login"
            case .idle where !connection.isServer: state = "cl_active"
            default: state = (connection.isServer ? "sv_" : "cl_") + connection.state.rawValue
            }
            let isBusy = connection.queryStart > 0 || connection.remaining + connection.held + connection.unsent > 0
            guard all || isBusy || connection.state == .waiting else { continue }
            var cells = row(connection, facts)
            cells[4] = .text(state)
            cells += [0, 0, connection.remaining, 0, 0, connection.held, connection.unsent].map(Cell.number)
            rows.append(cells)
        }
        return rows
    }

    private static func row(_ connection: ConnectionFacts, _ facts: ConsoleFacts) -> [Cell] {
        let wait = connection.queryStart > 0 ? max(0, facts.now - connection.queryStart) : 0
        return [
            .text(connection.isServer ? "S" : "C"), .text(connection.user ?? "(nouser)"), .text(connection.database ?? "(nodb)"),
            .text(connection.replication), .text(connection.state.rawValue), .text(connection.peer?.host ?? "unix"),
            .number(port(connection.peer, facts)), .text(connection.local?.host ?? "unix"), .number(port(connection.local, facts)),
            .text(WallClock.text(facts.wallNow - (facts.now - connection.connectTime))),
            .text(connection.requestTime > 0 ? WallClock.text(facts.wallNow - (facts.now - connection.requestTime)) : ""),
            .integer(wait / 1_000_000), .integer(wait % 1_000_000), .flag(connection.closeNeeded), .text(pointer(connection.id)),
            .text(connection.link.map(pointer) ?? ""), .number(connection.remotePID), .text(connection.tls),
            .text(connection.applicationName ?? ""), .number(connection.preparedStatements), .integer(Int64(connection.id)),
        ]
    }

    /// A Unix socket has the number that its file name ends with.
    private static func port(_ address: SocketAddress?, _ facts: ConsoleFacts) -> Int {
        guard let address, !address.isUnix else { return facts.configuration.settings.listenPort }
        return Int(address.port)
    }

    /// How log lines name a connection.
    static func pointer(_ id: UInt64) -> String { "0x" + String(id, radix: 16) }
}
