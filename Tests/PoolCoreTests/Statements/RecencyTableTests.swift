import Testing

@testable import PoolCore

@Suite struct RecencyTableTests {
    @Test("a table that was never used has nothing to give up")
    func empty() {
        var table = RecencyTable<Int>()
        #expect(table.count == 0 && table.oldest == nil && table.index(of: 1) == nil && Array(table.ids).isEmpty)
        #expect(table.remove(1) == false)
    }

    // The model is a list, the newest first. Small numbers of ids let elements be the only one, the newest and the oldest often.
    @Test("a table does what a list does that each use reorders", arguments: [1, 2, 3, 5, 60])
    func asList(ids: UInt64) {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<20 {
            var table = RecencyTable<Int>()
            var model: [(id: UInt64, value: Int)] = []
            for turn in 0..<500 {
                let id = UInt64.random(in: 0..<ids, using: &generator)
                let known = model.firstIndex { $0.id == id }
                let index = table.index(of: id)
                #expect((index == nil) == (known == nil))
                switch Int.random(in: 0..<8, using: &generator) {
                case 0, 1:
                    table.enter(turn, as: id)
                    if let known { model.remove(at: known) }
                    model.insert((id, turn), at: 0)
                case 2:
                    #expect(table.remove(id) == (known != nil))
                    if let known { model.remove(at: known) }
                case 3:
                    guard let index, let known else { continue }
                    table.demote(index)
                    model.append(model.remove(at: known))
                case 4:
                    guard let index, let known else { continue }
                    table[index] = turn
                    model[known].value = turn
                case 5:
                    guard let oldest = table.oldest else { continue }
                    #expect(oldest == model.removeLast().id && table.remove(oldest))
                default:
                    guard let index, let known else { continue }
                    table.touch(index)
                    model.insert(model.remove(at: known), at: 0)
                }
                #expect(table.count == model.count && table.oldest == model.last?.id)
                #expect(Array(table.ids) == model.map(\.id))
                #expect(model.allSatisfy { entry in table.index(of: entry.id).map { table[$0] } == entry.value })
            }
            table.removeAll()
            #expect(table.count == 0 && table.oldest == nil && Array(table.ids).isEmpty)
        }
    }
}
