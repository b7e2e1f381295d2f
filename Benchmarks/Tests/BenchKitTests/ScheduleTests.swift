import Testing

@testable import BenchKit

private func times(_ arrival: Arrival, clients: Int = 10, seed: UInt64 = 7, stream: Int = 0, count: Int) -> [Int64] {
    Array(ArrivalSchedule(arrival, clients: clients, seed: seed, stream: stream).prefix(count))
}

@Test func theSameSeedGivesTheSameTimes() {
    for arrival in [Arrival.open(rate: 500, spacing: .poisson), .open(rate: 500, spacing: .even), .storms(size: 20, every: 1, within: 0.2)]
    {
        #expect(times(arrival, count: 500) == times(arrival, count: 500))
    }
    let poisson = Arrival.open(rate: 500, spacing: .poisson)
    #expect(times(poisson, seed: 1, count: 50) != times(poisson, seed: 2, count: 50))
    #expect(times(poisson, stream: 1, count: 50) != times(poisson, stream: 2, count: 50))
}

/// Pinned, so that a scenario of last year asks today what it asked then.
@Test func theGeneratorIsSplitMix64() {
    var random = SeededRandom(seed: 1_234_567)
    #expect(
        [random.next(), random.next(), random.next()] == [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423])
    #expect((0..<1000).allSatisfy { _ in (0..<1).contains(random.fraction()) })
}

@Test func poissonArrivalsHaveTheRateAndTheSpread() throws {
    let all = times(.open(rate: 1000, spacing: .poisson), count: 100_000)
    #expect(zip(all, all.dropFirst()).allSatisfy { $0 <= $1 })
    #expect(abs(Double(all.last!) / 1e9 - 100) < 2)
    // Exponential gaps: 1/e of them are longer than the mean.
    let longer = zip(all, all.dropFirst()).count { $1 - $0 > 1_000_000 }
    #expect(abs(Double(longer) / 100_000 - 0.3679) < 0.01)
}

@Test func evenArrivalsAreEven() {
    #expect(times(.open(rate: 4, spacing: .even), count: 4) == [250_000_000, 500_000_000, 750_000_000, 1_000_000_000])
    // No drift, however long it runs.
    #expect(times(.open(rate: 3, spacing: .even), count: 3_000_000).last == 1_000_000_000_000_000)
}

@Test func stormsComeAtOnceAndAgain() {
    let all = times(.storms(size: 50, every: 2, within: 0.1), count: 150)
    for storm in 0..<3 {
        let part = all[storm * 50..<(storm + 1) * 50]
        #expect(part.allSatisfy { Double($0) / 1e9 >= Double(storm) * 2 && Double($0) / 1e9 <= Double(storm) * 2 + 0.1 })
        #expect(Array(part) == part.sorted())
    }
}

@Test func aBurstIsOneOfEachClient() {
    #expect(times(.once(at: 1.5), clients: 3, count: 10) == [1_500_000_000, 1_500_000_000, 1_500_000_000])
}

@Test func closedArrivalsHaveNoTimes() { #expect(times(.closed(think: 0), count: 3).isEmpty) }

@Test func whatATransactionAsksDependsOnTheSeedAlone() {
    let work = Work.mix([.tpcb(think: 0.1), .select, .copyIn(rows: 5)])
    func asked(_ seed: UInt64) -> [String] {
        var random = SeededRandom(seed: seed)
        return (0..<20).flatMap { work.steps(tag: "t\($0)", random: &random, mode: .simple).map { "\($0)" } }
    }
    #expect(asked(3) == asked(3))
    #expect(asked(3) != asked(4))
}

@Test func parametersAreWrittenIntoSimpleQueries() {
    #expect(Statement.sleep.inline(["me", "0.5"]) == "SELECT 'me'::text, extract(epoch FROM now()) FROM pg_sleep('0.5'::float8)")
    #expect(Statement.commit.inline([]) == "COMMIT")
}

/// Three statements of a transaction had one mark: the answer to the first, given again for the second, was not found out.
@Test(arguments: [Work.selects(3), .tpcb(think: 0)]) func eachQuestionOfATransactionHasAMarkOfItsOwn(_ work: Work) {
    var random = SeededRandom(seed: 1)
    let marks = work.steps(tag: "t", random: &random, mode: .simple).compactMap { step -> String? in
        if case .ask(_, let parameters, .rows) = step { parameters[0] } else { nil }
    }
    #expect(marks.count >= 3)
    #expect(Set(marks).count == marks.count)
}

/// Which client was free decided what an arrival asked: a slower pooler got another mix of short and long work for the same seed.
/// Now it hangs on the arrival's number alone.
@Test func anArrivalAsksTheSameWhicheverClientTakesIt() {
    let spec = ClientGroup(
        name: "g", clients: 3, arrival: .open(rate: 100, spacing: .poisson), work: .mix([.select, .copyIn(rows: 5), .tpcb(think: 0)]))
    func asked(_ numbers: [Int], seed: UInt64) -> [String] {
        let group = GroupRun(spec, index: 1, seed: seed)
        return numbers.map { number in
            var random = group.random(ofArrival: number)
            return "\(spec.work.steps(tag: "t", random: &random, mode: .simple))"
        }
    }
    #expect(asked([0, 1, 2, 3, 4, 5], seed: 5) == asked([5, 4, 3, 2, 1, 0], seed: 5).reversed())
    #expect(asked(Array(0..<20), seed: 5) != asked(Array(0..<20), seed: 6))
    #expect(Set(asked(Array(0..<50), seed: 5)).count > 10)
}

/// Numbers go up by one for each, so the random numbers of two arrivals are never the same.
@Test func arrivalsOfAGroupAreNumbered() {
    let group = GroupRun(ClientGroup(name: "g", clients: 2, arrival: .once(at: 1), work: .select), index: 0, seed: 1)
    #expect(group.next?.number == 0)
    group.advance()
    #expect(group.next?.number == 1)
    #expect(group.next?.time == 1_000_000_000)
    group.advance()
    #expect(group.next == nil)
}

/// `chaos --seconds 3` never restarted the server, whose time was the seventh second, and said nothing.
@Test func aShorterScenarioStillRestartsTheServer() {
    let chaos = Catalogue.named("chaos")[0].lasting(3)
    #expect(chaos.seconds == 3)
    #expect(chaos.faults.contains { if case .restartServer(let at) = $0 { at > 1 && at < 2 } else { false } })
}
