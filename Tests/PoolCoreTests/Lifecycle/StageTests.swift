import PoolCore
import Testing

@Suite struct StageTests {
    /// The table, and what the query path asks in its place, agree about every pair.
    @Test(arguments: ServerStage.allCases, ServerStage.allCases)
    func pairsOfServerStages(_ one: ServerStage, _ other: ServerStage) {
        #expect(one.mayBecome(other) == one.next.contains(other))
    }

    @Test(arguments: ClientStage.allCases, ClientStage.allCases)
    func pairsOfClientStages(_ one: ClientStage, _ other: ClientStage) {
        #expect(one.mayBecome(other) == one.next.contains(other))
    }

    /// Whatever happens, a connection can be closed, once.
    @Test func everyStageMayEnd() {
        for stage in ServerStage.allCases { #expect(stage.mayBecome(.closed) == (stage != .closed)) }
        for stage in ClientStage.allCases { #expect(stage.mayBecome(.closed) == (stage != .closed)) }
    }

    /// Every stage is reached from the first one.
    @Test func everyStageIsReached() {
        var servers: Set<ServerStage> = [.connecting]
        for _ in ServerStage.allCases { for stage in servers { servers.formUnion(stage.next) } }
        #expect(servers.count == ServerStage.allCases.count)
        var clients: Set<ClientStage> = [.startup]
        for _ in ClientStage.allCases { for stage in clients { clients.formUnion(stage.next) } }
        #expect(clients.count == ClientStage.allCases.count)
    }

    /// A server gets a client from the place where it belongs to nobody, and from there alone, but for one that is a client's from its login.
    @Test func whoGetsAClient() {
        let before = ServerStage.allCases.filter { $0.mayBecome(.linked) }
        #expect(before == [.freed, .idle, .trying])
    }

    /// What a client has left passes through the one place that judges whether a server may be used again.
    @Test func whatIsLeftIsPlacedAnew() {
        for stage in [ServerStage.abandoned, .resetting, .beingCanceled, .testing, .lookingUp, .settingUp] {
            #expect(!stage.mayBecome(.idle) && !stage.mayBecome(.linked) && stage.mayBecome(.freed))
        }
    }

    /// What has left the query path does not come back to it.
    @Test func consoleAndCancelRequestsStayApart() {
        #expect(ClientStage.console.next == [.closed] && ClientStage.canceling.next == [.closed])
    }
}
