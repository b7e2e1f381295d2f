import Statistics
import Testing

@Suite struct CloseCauseTests {
    /// What holds for each set of causes.
    private func check<Cause: CloseCause>(_ causes: Cause.Type) {
        // As indices of an array.
        #expect(causes.allCases.map { Int($0.rawValue) } == Array(0..<causes.allCases.count))
        let names = causes.allCases.map(\.name)
        #expect(Set(names).count == names.count, "two causes have one name: dashboards could not tell them apart")
        for cause in causes.allCases {
            let entry = cause.entry
            #expect(!entry.name.isEmpty && entry.name.utf8.count <= BoundedCounts.nameLimit, "\(entry.name)")
            #expect(entry.name == entry.name.lowercased() && entry.name.utf8.allSatisfy { (0x20..<0x7F).contains($0) }, "\(entry.name)")
            #expect(!entry.name.contains { "\"\\|`".contains($0) }, "\(entry.name): to be written into labels and tables as it is")
            #expect(entry.meaning.hasSuffix(".") && entry.meaning.first?.isUppercase == true || entry.meaning.first == "`", "\(entry.name)")
            #expect(!entry.meaning.contains("|"), "\(entry.name)")
        }
        for closeClass in CloseClass.allCases { #expect(causes.allCases.contains { $0.entry.closeClass == closeClass }) }
    }

    @Test func causesOfClients() {
        check(ClientCloseCause.self)
        // Each is a series of each pool.
        #expect(ClientCloseCause.allCases.count <= 100)
        #expect(
            Set(ClientCloseCause.allCases.filter { !$0.isError }.map(\.name)) == [
                "client close request", "client unexpected eof", "cancel request done",
            ])
    }

    @Test func causesOfServers() {
        check(ServerCloseCause.self)
        #expect(ServerCloseCause.allCases.count <= 64)
        #expect(ServerCloseCause.crashed.isError && ServerCloseCause.violation.isError && !ServerCloseCause.lifetimeOver.isError)
    }

    @Test func countsAddUp() {
        var one = CauseCounts<ServerCloseCause>()
        #expect(one.occurred.isEmpty && one.total == 0 && one[.crashed] == 0)
        one.add(.violation)
        one.add(.crashed)
        one.add(.violation)
        #expect(one.occurred.map(\.cause) == [.violation, .crashed] && one.occurred.map(\.count) == [2, 1])
        let nothing = CauseCounts<ServerCloseCause>()
        #expect(one + nothing == one && nothing + one == one)
        #expect((one + one)[.violation] == 4 && (one + one).total == 6)
    }
}
