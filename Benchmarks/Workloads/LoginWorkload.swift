import Authentication
import PostgresWire

/// What a login by SCRAM-SHA-256 costs between the socket calls, where the user's secret has been derived before.
enum LoginWorkload {
    static func run(_ turns: Int) -> Int {
        let secret = SCRAMSecret.derive(password: "apppw", salt: Array(1...16), iterations: 4096)
        let randomness = LoginRandomness(md5Salt: [], scramNonce: "abcdefghijklmnopqrstuvwx", processKey: [1])
        func login() -> ClientLogin {
            ClientLogin(method: .scramSHA256, user: "app", secret: .plain("apppw"), derivedSecret: secret, randomness: randomness)
        }
        let answers = clientAnswers(to: login())
        var sum = 0
        for _ in 0..<turns {
            var login = login()
            sum &+= bytes(of: login.start())
            for answer in answers { sum &+= bytes(of: login.receivedPassword(answer.span)) }
        }
        return sum
    }

    /// The two messages of a client, always the same because no number is random here.
    private static func clientAnswers(to login: ClientLogin) -> [[UInt8]] {
        var login = login
        var client = SCRAMClientExchange(credential: .password(Array("apppw".utf8)), nonce: "ABCDEFGHIJKLMNOPQRSTUVWX")
        let first = client.clientFirst()
        var initial = Array("SCRAM-SHA-256".utf8)
        initial += [0, 0, 0, 0, UInt8(first.count)]
        initial += first
        _ = login.start()
        guard case .send(.saslContinue(let challenge)) = login.receivedPassword(initial), let last = try? client.serverFirst(challenge)
        else { preconditionFailure("the workload's client got no challenge") }
        return [initial, last]
    }

    /// Writes what the client is sent.
    private static func bytes(of step: ClientLogin.Step) -> Int {
        var writer = MessageWriter(capacity: 128)
        switch step {
        case .send(let request): writer.authentication(request)
        case .accepted(let saslFinal?, _):
            writer.authentication(.saslFinal(saslFinal))
            writer.authentication(.ok)
        default: preconditionFailure("the workload's login went another way")
        }
        return writer.bytes.count
    }
}
