import PostgresWire
import Testing

@testable import Pooler

@Suite struct CancelDirectoryTests {
    private let directory = CancelDirectory()

    /// A client's key as the client reads it.
    private func register(slot: UInt32, takesLongKeys: Bool) -> (key: UInt64, wire: CancelKey) {
        var writer = MessageWriter()
        let address = CancelDirectory.Address(worker: 3, slot: slot)
        let key = directory.register(address, takesLongKeys: takesLongKeys, tell: &writer)
        let bytes = writer.bytes
        return (key, BackendKeyDataMessage.read(bytes.span, body: 5..<bytes.count)!)
    }

    private func slot(_ wire: CancelKey) -> UInt32? {
        if case .here(let address, _) = directory.find(wire) { address.slot } else { nil }
    }

    private func changed(_ wire: CancelKey, _ change: (inout [UInt8]) -> Void) -> CancelKey {
        var secret = wire.secret
        change(&secret)
        return CancelKey(processID: wire.processID, secret: secret)!
    }

    @Test(arguments: [false, true]) func aKeyFindsItsClientUntilItLeaves(_ isLong: Bool) {
        let (key, wire) = register(slot: 7, takesLongKeys: isLong)
        #expect(wire.secret.count == (isLong ? 32 : 4))
        #expect(wire.processID < 1 << 31)
        #expect(slot(wire) == 7)
        directory.remove(key)
        #expect(slot(wire) == nil)
    }

    /// Eight bytes can be guessed by who has the time; that a part is right is told to nobody.
    @Test func aLongKeyIsShownWhole() {
        let (_, wire) = register(slot: 7, takesLongKeys: true)
        for count in 4..<32 { #expect(slot(changed(wire) { $0.removeLast(32 - count) }) == nil) }
        for index in 0..<32 { #expect(slot(changed(wire) { $0[index] ^= 1 }) == nil) }
        #expect(slot(changed(wire) { $0.append(0) }) == nil)
        #expect(slot(wire) == 7)
    }

    @Test func aShortKeyIsNoLongOne() {
        let (_, short) = register(slot: 1, takesLongKeys: false)
        let (_, long) = register(slot: 2, takesLongKeys: true)
        #expect(slot(changed(short) { $0 += long.secret.dropFirst(4) }) == nil)
        #expect(slot(changed(short) { $0 += [UInt8](repeating: 0, count: 28) }) == nil)
        #expect(slot(short) == 1)
    }

    @Test func amongPeersKeysAreShort() {
        let (_, before) = register(slot: 1, takesLongKeys: true)
        directory.setPeerID(5)
        let (_, after) = register(slot: 2, takesLongKeys: true)
        #expect(after.secret.count == 4)
        #expect(slot(before) == 1)
        #expect(slot(after) == 2)
        // One of another process goes there; a long one goes nowhere.
        let other = CancelKey(processID: after.processID & 0xff00_00ff | 9 << 16, secret: after.secret)!
        guard case .peer(9, _) = directory.find(other) else {
            Issue.record("it goes nowhere")
            return
        }
        guard case .nowhere = directory.find(changed(other) { $0 += [1] }) else {
            Issue.record("it goes somewhere")
            return
        }
    }
}
