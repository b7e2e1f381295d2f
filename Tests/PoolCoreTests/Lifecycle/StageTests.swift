import PoolCore
import Testing

@Suite struct StageTests {
    /// The legal moves, in words; every pair that does not stand here is a fault.
    private static let servers: [ServerStage: Set<ServerStage>] = [
        .connecting: [.encrypting, .authenticating, .closed],
        .encrypting: [.authenticating, .closed],
        .authenticating: [.settingUp, .freed, .closed],
        .settingUp: [.freed, .closed],
        .freed: [.idle, .linked, .beingCanceled, .closed],
        .idle: [.freed, .linked, .lookingUp, .testing, .closed],
        .linked: [.trying, .freed, .resetting, .beingCanceled, .abandoned, .closed],
        .trying: [.trying, .linked, .freed, .abandoned, .closed],
        .lookingUp: [.freed, .closed],
        .testing: [.freed, .closed],
        .resetting: [.freed, .closed],
        .abandoned: [.resetting, .freed, .beingCanceled, .closed],
        .beingCanceled: [.freed, .resetting, .closed],
        .closed: [],
    ]

    private static let clients: [ClientStage: Set<ClientStage>] = [
        .startup: [.authenticating, .awaitingGreeting, .idle, .waiting, .linked, .console, .canceling, .closed],
        .authenticating: [.awaitingGreeting, .idle, .waiting, .linked, .console, .closed],
        .awaitingGreeting: [.awaitingGreeting, .idle, .waiting, .linked, .closed],
        .idle: [.waiting, .linked, .awaitingGreeting, .closed],
        .waiting: [.idle, .linked, .skipping, .awaitingGreeting, .closed],
        .skipping: [.idle, .closed],
        .canceling: [.closed],
        .linked: [.idle, .skipping, .awaitingGreeting, .closed],
        .console: [.closed],
        .closed: [],
    ]

    @Test(arguments: ServerStage.allCases, ServerStage.allCases)
    func pairsOfServerStages(_ one: ServerStage, _ other: ServerStage) throws {
        #expect(one.mayBecome(other) == (try #require(Self.servers[one])).contains(other))
    }

    @Test(arguments: ClientStage.allCases, ClientStage.allCases)
    func pairsOfClientStages(_ one: ClientStage, _ other: ClientStage) throws {
        #expect(one.mayBecome(other) == (try #require(Self.clients[one])).contains(other))
    }

    /// What a client has left passes through the one place that judges whether a server may be used again.
    @Test func whatIsLeftIsPlacedAnew() {
        for stage in [ServerStage.abandoned, .resetting, .beingCanceled, .testing, .lookingUp, .settingUp] {
            #expect(!stage.mayBecome(.idle) && !stage.mayBecome(.linked) && stage.mayBecome(.freed))
        }
    }
}
