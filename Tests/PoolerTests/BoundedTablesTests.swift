import Authentication
import PoolCore
import Testing

@testable import Pooler

/// Tables that clients fill with names and packets of their own making: each forgets at its bound, and goes on.
@Suite struct BoundedTablesTests {
    private static func template() -> LoginTemplate {
        LoginTemplate(
            user: "app", databaseName: "lab", database: nil, replication: nil, parameters: [], refusal: nil, negotiation: [],
            takesLongKeys: false, limits: CapacityLedger.ClientLimits(), configurationNumber: 1, credential: nil)
    }

    /// A packet of `length` bytes with a number in it.
    private static func packet(_ number: Int, length: Int = 64) -> [UInt8] {
        var packet = [UInt8](repeating: 0, count: length)
        packet[2] = UInt8(length >> 8)
        packet[3] = UInt8(length & 255)
        packet[9] = UInt8(number >> 8)
        packet[10] = UInt8(number & 255)
        return packet
    }

    @Test func startupPacketsThatDifferEachTimeAreForgotten() {
        var templates = LoginTemplates()
        for number in 0..<256 { templates.remember(Self.template(), for: Self.packet(number).span) }
        #expect((0..<256).allSatisfy { templates.find(Self.packet($0).span) != nil })
        templates.remember(Self.template(), for: Self.packet(256).span)
        #expect((0..<256).allSatisfy { templates.find(Self.packet($0).span) == nil })
        #expect(templates.find(Self.packet(256).span) != nil)
        templates.remember(Self.template(), for: Self.packet(1, length: 1024).span)
        templates.remember(Self.template(), for: Self.packet(1, length: 1025).span)
        #expect(templates.find(Self.packet(1, length: 1024).span) != nil)
        #expect(templates.find(Self.packet(1, length: 1025).span) == nil)
    }

    @Test func credentialsOfManyUsersAreForgotten() {
        let store = CredentialStore()
        let first = store.credential(of: "u0", text: "a")
        for number in 1..<10_000 { _ = store.credential(of: "u\(number)", text: "a") }
        #expect(store.credential(of: "u0", text: "a") === first)
        _ = store.credential(of: "one more", text: "a")
        #expect(store.credential(of: "u0", text: "a") !== first)
    }

    @Test func whatWasDerivedForUsersWhoDoNotExistIsForgotten() {
        let store = CredentialStore()
        let secret = SCRAMSecret.derive(password: "pencil", salt: [1], iterations: 1)
        for number in 0..<10_000 { store.learn(pretended: secret, of: "u\(number)") }
        #expect(store.pretendedSecret(of: "u0") != nil)
        store.learn(pretended: secret, of: "one more")
        #expect(store.pretendedSecret(of: "u0") == nil && store.pretendedSecret(of: "one more") != nil)
    }
}
