import Configuration
import PoolCore
import Testing

@Suite struct PoolPolicyTests {
    /// What each mode means, in one line: a new mode needs one.
    @Test(arguments: PoolMode.allCases)
    func whatAModeMeans(_ mode: PoolMode) {
        let policy = PoolPolicy(mode)
        let means = [
            policy.release == .betweenTransactions, policy.refusesTransactionBlocks, policy.sharesServers, policy.mapsStatements,
            policy.resetsOnRelease, policy.logsInForStartupValues, policy.mayIdleOutsideTransactions, policy.keepsObsoleteServers,
        ]
        let expected =
            switch mode {
            case .session: [false, false, false, false, true, true, true, true]
            case .transaction: [true, false, true, true, false, false, false, false]
            case .statement: [true, true, true, true, false, false, false, false]
            }
        #expect(means == expected)
    }
}
