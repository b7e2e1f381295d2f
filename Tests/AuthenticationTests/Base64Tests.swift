import Testing

@testable import Authentication

@Suite struct Base64Tests {
    /// RFC 4648, section 10.
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
    ])
    func vectors(plain: String, encoded: String) {
        #expect(text(Base64.encode(bytes(plain))) == encoded)
        #expect(Base64.encodedString(bytes(plain)) == encoded)
        #expect(Base64.decode(bytes(encoded)) == bytes(plain))
    }

    @Test func everyByteComesBack() {
        let all = [UInt8](0...255)
        for count in 0...all.count { #expect(Base64.decode(Base64.encode(Array(all.prefix(count)))) == Array(all.prefix(count))) }
    }

    @Test(arguments: [
        "Z", "Zg", "Zg=", "Zg===", "=", "==", "====", "Z===", "Zg==Zg==", "Zm9v=", "Zm=v", "=m9v", "Zh==", "Zm9=", "Zm9 v", "Zm 9",
        "Zm9v\n",
        "Zm-_", "Zm9\0", "Zmé=",
    ])
    func malformed(encoded: String) {
        #expect(Base64.decode(bytes(encoded)) == nil)
    }
}
