import Testing

@testable import Authentication

@Suite struct MD5PasswordTests {
    static let salt: [UInt8] = [1, 2, 3, 4]

    @Test func vectors() {
        #expect(MD5Password.secret(user: "joe", password: "secret") == "md5c59ec932d911ffdf487595b5a2adf973")
        #expect(
            MD5Password.response(secret: "md5c59ec932d911ffdf487595b5a2adf973", salt: Self.salt) == "md5850be429f1fe77df3f603ac424abb440")
    }

    @Test func verification() {
        let digest = MD5Password.secret(user: "joe", password: "secret")
        let answer = bytes(MD5Password.response(secret: digest, salt: Self.salt))
        func isRight(_ answer: [UInt8], _ secret: StoredSecret, salt: [UInt8] = Self.salt) -> Bool {
            MD5Password.verify(answer: answer, user: "joe", secret: secret, salt: salt)
        }
        #expect(isRight(answer, .plain("secret")))
        #expect(isRight(answer, .md5(digest)))
        #expect(!isRight(answer, .plain("Secret")))
        #expect(!isRight(answer, .md5(digest), salt: [1, 2, 3, 5]))
        #expect(!isRight(bytes(digest), .md5(digest)))
        #expect(!isRight(answer.dropLast(), .md5(digest)))
        #expect(!isRight(answer, .none))
        #expect(!isRight([], .none))
        #expect(!isRight(answer, .scram(.derive(password: "secret", salt: [1], iterations: 1))))
    }
}
