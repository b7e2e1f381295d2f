import PoolCore
import Testing

@Suite struct SessionTimeoutTests {
    @Test(arguments: [
        ("0", 0), ("5", 5000), ("5s", 5_000_000), (" 1.5 s ", 1_500_000), ("2min", 120_000_000),
        ("1h", 3_600_000_000), ("1d", 86_400_000_000),
        ("500us", 0), ("1500us", 2000), ("7 ms", 7000), ("0.5", 0), ("2147483647", 2_147_483_647_000),
    ])
    func read(_ text: String, _ microseconds: Int64) { #expect(SessionTimeout.microseconds(text) == microseconds) }

    @Test(arguments: ["", " ", "s", "-1", "+5", "0x10", "010", "1e3", "5S", "5 sec", "1..2", "2147483648", "99999999999d", "5;", "5 5"])
    func leftToPostgreSQL(_ text: String) { #expect(SessionTimeout.microseconds(text) == nil) }
}
