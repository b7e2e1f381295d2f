extension LDAPOptions {
    /// The options as a text for eyes other than the operators': the password of `ldapbinddn` is left out. A text that can't be read
    /// is left out as a whole, for nobody knows where its password is.
    static func withoutPasswords(_ text: String) -> String {
        guard let pairs = try? pairs(text) else { return hidden }
        let bytes = Array(text.utf8)
        var result: [UInt8] = []
        var from = 0
        for pair in pairs where pair.name.lowercased().contains("passw") {
            result += bytes[from..<pair.source.lowerBound] + Array("\(pair.name)=\(hidden)".utf8)
            from = pair.source.upperBound
        }
        return String(decoding: result + bytes[from...], as: UTF8.self)
    }

    /// What stands in place of a secret.
    private static let hidden = "***"
}
