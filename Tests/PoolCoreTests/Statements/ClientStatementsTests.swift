import Testing

@testable import PoolCore

/// The bytes of a Parse message behind its name.
func definition(_ text: String) -> [UInt8] { Array(text.utf8) + [0, 0, 0] }

@Suite struct ClientStatementsTests {
    private let table = StatementTable()

    private func statement(_ text: String) -> Statement { table.intern(definition(text).span)! }
    private func name(_ text: String) -> [UInt8] { Array(text.utf8) }

    @Test("a name means what it was last set to, and nothing once it is taken away")
    func setAndTakeAway() {
        var statements = ClientStatements()
        #expect(statements.isEmpty && statements[name("a")] == nil)
        #expect(statements.set(name("a"), to: statement("1")) == nil)
        #expect(statements.set(name("a"), to: statement("2"))?.text == "1")
        #expect(statements[name("a")]?.text == "2" && statements.count == 1)
        #expect(statements.set(name("a"), to: nil)?.text == "2")
        #expect(statements.set(name("a"), to: nil) == nil)
        #expect(statements.isEmpty)
    }

    @Test("a name that is no ASCII is the same name in another encoding, in other bytes")
    func encodings() {
        let (utf8, latin1, other) = (encoding("UTF8"), encoding("LATIN1"), encoding("WIN1252"))
        var statements = ClientStatements()
        statements.spell(in: utf8)
        statements.set(name("\u{E4}"), to: statement("1"))
        statements.set(name("\u{20AC}"), to: statement("2"))
        statements.set(name("a"), to: statement("3"))
        statements.spell(in: latin1)
        #expect(statements[[0xE4]]?.text == "1" && statements[name("\u{E4}")] == nil)
        // There is no such letter: nobody can call it by its name.
        #expect(statements.count == 3 && statements[name("a")]?.text == "3" && statements[name("\u{20AC}")] == nil)
        statements.spell(in: other)
        #expect(statements[[0xE4]] == nil && statements.count == 3)
        statements.set([0xE4], to: statement("4"))
        statements.spell(in: utf8)
        #expect(statements[name("\u{20AC}")]?.text == "2" && statements[name("\u{E4}")]?.text == "1" && statements[[0xE4]] == nil)
        statements.spell(in: latin1)
        #expect(statements[[0xE4]]?.text == "1")
        statements.spell(in: other)
        #expect(statements[[0xE4]]?.text == "4")
    }

    @Test("a server that converts nothing knows names by their bytes")
    func noEncoding() {
        var statements = ClientStatements()
        statements.spell(in: NameEncoding(client: "UTF8", server: "SQL_ASCII"))
        statements.set(name("\u{E4}"), to: statement("1"))
        statements.spell(in: NameEncoding(client: "LATIN1", server: "SQL_ASCII"))
        #expect(statements[name("\u{E4}")]?.text == "1")
    }

    private func encoding(_ name: String) -> NameEncoding { NameEncoding(client: name, server: "UTF8") }

    @Test("removing all names keeps the unnamed statement")
    func removeAll() {
        var statements = ClientStatements()
        statements.set(name("a"), to: statement("1"))
        statements.unnamed = statement("2")
        statements.removeAllNamed()
        #expect(statements.count == 0 && statements.unnamed?.text == "2" && !statements.isEmpty)
    }

    @Test("names whose hashes collide are told apart, whichever goes first", arguments: [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]])
    func collisions(order: [Int]) {
        var statements = ClientStatements()
        func find(_ name: [UInt8]) -> Statement? { statements.find(name.span, hash: 7)?.statement }
        func meaning(_ text: String) -> ClientStatements.Meaning { ClientStatements.Meaning(statement: statement(text), born: 0) }
        let names = ["a", "b", "c"].map(name)
        for (index, name) in names.enumerated() {
            #expect(statements.set(name, hash: 7, to: meaning("\(index)")) == nil)
        }
        #expect(statements.count == 3 && statements.all.count == 3)
        #expect(statements.set(names[1], hash: 7, to: meaning("other"))?.statement.text == "1")
        #expect(find(names[1])?.text == "other")
        #expect(find(name("d")) == nil)
        #expect(statements.set(name("d"), hash: 7, to: nil) == nil)
        var left = Set([0, 1, 2])
        for gone in order {
            #expect(statements.set(names[gone], hash: 7, to: nil) != nil)
            left.remove(gone)
            for index in 0...2 { #expect((find(names[index]) != nil) == left.contains(index)) }
        }
        #expect(statements.isEmpty && statements.count == 0)
    }
}

@Suite struct ServerStatementsTests {
    private let table = StatementTable()

    private func statement(_ text: String) -> Statement { table.intern(definition(text).span)! }

    @Test("for one more than the limit the least recently used goes")
    func leastRecentlyUsed() {
        var held = ServerStatements()
        let (a, b, c) = (statement("a"), statement("b"), statement("c"))
        for statement in [a, b] {
            #expect(held.takeSurplus(limit: 2) == nil)
            held.insert(statement)
        }
        #expect(held.use(a) == true)
        #expect(held.takeSurplus(limit: 2) == b.id && held.takeSurplus(limit: 2) == nil)
        held.insert(c)
        #expect(held.use(b) == false)
        #expect(held.contains(a.id) && held.contains(c.id))
    }

    @Test("a lowered limit evicts the surplus, oldest first, and one statement always has room")
    func loweredLimit() {
        var held = ServerStatements()
        let all = (0..<5).map { statement("\($0)") }
        for statement in all.dropLast() { held.insert(statement) }
        for statement in all.dropLast() { #expect(held.takeSurplus(limit: 0) == statement.id) }
        #expect(held.takeSurplus(limit: 0) == nil)
        held.insert(all[4])
        #expect(Array(held.ids) == [all[4].id])
    }

    @Test("what nobody will use again goes first, unless somebody does")
    func demoted() {
        var held = ServerStatements()
        let all = (0..<4).map { statement("\($0)") }
        for statement in all { held.insert(statement) }
        held.demote(all[3].id)
        held.demote(all[2].id)
        #expect(held.use(all[2]) == true)
        for index in [3, 0, 1, 2] { #expect(held.takeSurplus(limit: 1) == all[index].id) }
    }

    @Test("what is put back is the next to go")
    func restore() {
        var held = ServerStatements()
        let (a, b, c) = (statement("a"), statement("b"), statement("c"))
        held.insert(a)
        #expect(held.remove(b.id) == false)
        held.restore(b.id)
        #expect(held.takeSurplus(limit: 2) == b.id && held.takeSurplus(limit: 2) == nil)
        held.insert(c)
        held.hasForeign = true
        held.unnamed = a.id
        held.removeAll()
        #expect(held.count == 0 && !held.hasForeign && held.unnamed == nil)
    }

    @Test("a name in doubt is never used again, and too many doubts tell")
    func doubts() {
        var held = ServerStatements()
        let (a, b) = (statement("a"), statement("b"))
        var names: Set<[UInt8]> = []
        for turn in 0..<1000 {
            held.insert(a)
            #expect(names.insert(held.name(of: a)).inserted)
            #expect(held.name(of: b) == (turn == 0 ? b.serverName : Array("SLUICE_\(b.id)_2".utf8)))
            held.doubt(a.id)
            if turn == 0 { held.doubt(b.id) }
            #expect(!held.contains(a.id))
        }
        // A removed statement keeps its name out of use, too.
        held.removeAll()
        #expect(!names.contains(held.name(of: a)))
    }
}

@Suite struct StatementTableTests {
    @Test("equal definitions are one object, others never share a number or a server name")
    func interning() {
        let table = StatementTable()
        let a = table.intern(definition("a").span)!
        let again = table.intern(definition("a").span)!
        #expect(again === a)
        let b = table.intern(definition("b").span)!
        #expect(a.id != b.id && a.serverName != b.serverName && a.serverName == Statement.serverName(a.id))
        #expect(a.serverName != ServerSession.absentName && table.count == 2)
    }

    @Test("a sweep drops what nobody holds and keeps what somebody does")
    func sweep() {
        let table = StatementTable()
        let kept = (0..<10).map { table.intern(definition("kept \($0)").span) }
        for index in 0..<5000 { _ = table.intern(definition("passing \(index)").span) }
        #expect(table.count < 1100)
        for (index, statement) in kept.enumerated() {
            let again = table.intern(definition("kept \(index)").span)
            #expect(again === statement)
        }
    }

    /// A Parse message of this size, told from others by its first byte.
    private func large(_ first: UInt8, _ size: Int) -> [UInt8] { [first] + [UInt8](repeating: 65, count: size - 4) + [0, 0, 0] }

    @Test("over the budget, texts that nobody uses go, the largest first; those in use stay, whichever database they are of")
    func budget() {
        let memory = StatementMemory(limit: 1_000_000)
        let (table, other) = (StatementTable(memory: memory), StatementTable(memory: memory))
        let held = table.intern(large(1, 600_000).span)!
        var small: [UInt64] = []
        for index in 0..<20 { small.append(other.intern(large(UInt8(index), 2000 + index).span)!.id) }
        for index in 0..<40 { _ = table.intern(large(UInt8(index), 100_000 + index).span)! }
        #expect(memory.use.bytes <= 1_100_000 && table.count <= 6)
        #expect((0..<20).map { other.intern(large(UInt8($0), 2000 + $0).span)!.id } == small)
        #expect(table.intern(large(1, 600_000).span)! === held)
    }

    @Test("what those who have left used is dropped by a sweep, down to the budget")
    func budgetAfterLeaving() {
        let memory = StatementMemory(limit: 1_000_000)
        let table = StatementTable(memory: memory)
        var held = (0..<40).map { table.intern(large(UInt8($0), 1_000_000).span)! }
        #expect(memory.use == (40, 40_000_000) && memory.isOver)
        memory.sweep()
        #expect(memory.use == (40, 40_000_000))
        held = []
        memory.sweep()
        #expect(memory.use == (0, 0) && table.count == 0 && !memory.isOver && held.isEmpty)
    }

    @Test("where all texts are in use, looking for others stays rare")
    func sweepsAreRare() {
        let memory = StatementMemory(limit: 100_000)
        let table = StatementTable(memory: memory)
        let held = (0..<20_000).map { table.intern(definition("held \($0) \(String(repeating: "x", count: 100))").span)! }
        #expect(memory.sweeps < 60 && Set(held.map(\.id)).count == 20_000)
    }

    @Test("a plan answers a Parse while it is young, nothing has changed, and it has not turned out to be stale")
    func ages() throws {
        let table = StatementTable()
        table.advance(to: 100, maxAge: 60)
        let a = table.intern(definition("a").span)!
        var held = ServerStatements()
        #expect(held.mayTakeOver(a, table.clock) == false)
        held.insert(a, at: table.clock.moment())
        #expect(held.mayTakeOver(a, table.clock) == true)
        table.advance(to: 159, maxAge: 60)
        #expect(held.mayTakeOver(a, table.clock) == true)
        table.advance(to: 161, maxAge: 60)
        #expect(held.mayTakeOver(a, table.clock) == false)
        held.insert(a, at: table.clock.moment())
        table.advance(to: 1000, maxAge: 0)
        #expect(held.mayTakeOver(a, table.clock) == true)
        table.clock.beginEpoch()
        #expect(held.mayTakeOver(a, table.clock) == false)
        held.insert(a, at: table.clock.moment())
        a.outdate(before: table.clock.moment())
        #expect(held.mayTakeOver(a, table.clock) == false)
        #expect(table.intern(definition("a").span)! === a)
        #expect(table.count == 1)
    }

    @Test("what a plan is good for depends on what the name was told, and on which of them is older")
    func fitness() {
        let table = StatementTable()
        let a = table.intern(definition("a").span)!
        var held = ServerStatements()
        let told = PlanDescription(columns: 7, parameters: 3)
        let young = table.clock.moment() + 100
        #expect(held.fitness(a, told: told, born: 0) == .missing)
        held.insert(a, at: 5)
        #expect(held.fitness(a, told: .unknown, born: 5) == .good)
        #expect(held.use(a, told: .unknown, born: 5) == true)
        #expect(held.fitness(a, told: .unknown, born: young) == .old)
        #expect(held.use(a, told: .unknown, born: young) == false)
        #expect(held.fitness(a, told: told, born: 5) == .undescribed)
        #expect(held.fitness(a, told: told, born: young) == .stale)
        held.describe(a.id, parsed: 4, PlanDescription(columns: 1))
        held.describe(a.id, parsed: 5, PlanDescription(columns: 7))
        #expect(held.fitness(a, told: PlanDescription(columns: 7), born: 5) == .good)
        #expect(held.fitness(a, told: told, born: 5) == .undescribed)
        held.describe(a.id, parsed: 5, told)
        #expect(held.use(a, told: told, born: 5) == true)
        #expect(held.fitness(a, told: PlanDescription(parameters: 3), born: 5) == .good)
        #expect(held.fitness(a, told: PlanDescription(columns: 8), born: 5) == .changed)
        #expect(held.fitness(a, told: PlanDescription(columns: 8), born: young) == .stale)
        held.validate(a.id, parsed: 4, at: young)
        #expect(held.fitness(a, told: told, born: young) == .old)
        held.validate(a.id, parsed: 5, at: young)
        #expect(held.use(a, told: told, born: young) == true)
        a.outdate(before: young + 1)
        #expect(held.fitness(a, told: told, born: 5) == .stale)
        #expect(held.use(a, told: told, born: 5) == false)
    }

    @Test("many threads that intern the same texts get the same objects")
    func concurrency() async {
        let table = StatementTable()
        let held = await withTaskGroup(of: [Statement].self) { group in
            for _ in 0..<8 {
                group.addTask {
                    (0..<3000).map { index in
                        if index % 3 == 0 { _ = table.intern(definition("passing \(index)").span) }
                        return table.intern(definition("held \(index % 200)").span)!
                    }
                }
            }
            return await group.reduce(into: [Statement]()) { $0 += $1 }
        }
        #expect(Set(held.map(ObjectIdentifier.init)).count == 200)
        #expect(Set(held.map(\.id)).count == 200)
    }
}
