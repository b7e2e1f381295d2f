import Bytes

/// The variables of a container, with the habits that images of databases share: `NAME_FILE` names a file that holds the value of `NAME`,
/// an empty variable is none, and what Kubernetes writes for each of its services is nobody's setting.
struct EnvironmentVariables {
    /// What stands for the file name in messages.
    static let file = "environment"

    private let values: NameTable<String>
    private let read: FileReader
    /// Names that mean a setting by themselves, such as `CLIENT_TLS_CA_FILE`: no files with the value of another variable.
    private let reserved: Set<String>
    private var used: Set<String> = []
    private(set) var warnings: [String] = []

    init(_ values: NameTable<String>, reserved: Set<String>, read: @escaping FileReader) {
        self.values = values
        self.reserved = reserved
        self.read = read
    }

    /// The value of the first of these variables that has one, and which that is.
    mutating func first(of names: [String]) throws(ConfigurationError) -> (name: String, text: String)? {
        var found: (name: String, text: String)?
        for name in names {
            guard let text = try value(of: name) else { continue }
            if let found, !found.text.hasSameBytes(as: text) {
                warnings.append("\(Self.file): \(name) has no effect beside \(found.name)")
            }
            if found == nil { found = (name, text) }
        }
        return found
    }

    /// The value of a variable, or of the file that its `_FILE` names.
    mutating func value(of name: String) throws(ConfigurationError) -> String? {
        let fileName = name + "_FILE"
        let plain = given(name)
        guard !reserved.contains(fileName), let path = given(fileName) else { return plain }
        guard plain == nil else { throw Self.fault(name, "\(fileName) is set, too: expected one of them") }
        let bytes: [UInt8]
        do throws(ConfigurationError) { bytes = try read(path) } catch {
            throw Self.fault(fileName, "\(error.description): expected a file that this user may read, with the value in it")
        }
        // An editor ends the last line.
        let content = bytes.last == UInt8(ascii: "\n") ? bytes.dropLast() : bytes[...]
        let line = content.last == UInt8(ascii: "\r") ? content.dropLast() : content
        guard !line.isEmpty else { throw Self.fault(fileName, "\(path) is empty: expected the value in it") }
        guard !line.contains(0), let text = String(validating: line, as: UTF8.self) else {
            throw Self.fault(fileName, "\(path) is not text in UTF-8: expected the value in it")
        }
        return text
    }

    /// Names of some kind that are set.
    func names(_ isMeant: (String) -> Bool) -> [String] { values.keys.filter(isMeant).sorted() }

    func has(_ name: String) -> Bool { values[name].map { !$0.isEmpty } ?? false || values[name + "_FILE"].map { !$0.isEmpty } ?? false }

    private mutating func given(_ name: String) -> String? {
        guard let text = values[name], used.insert(name).inserted || !text.isEmpty else { return nil }
        if text.isEmpty {
            warnings.append("\(Self.file): \(name) is empty, so it counts as not set")
            return nil
        }
        // The address of a service of that name, in the form of Docker's old links.
        return name.hasSuffix("_PORT") && text.hasPrefix("tcp://") ? nil : text
    }

    mutating func use(_ name: String) { used.insert(name) }

    mutating func warn(_ message: String) { warnings.append("\(Self.file): \(message)") }

    /// Variables of these families that mean nothing.
    mutating func warnOfUnused(prefixes: [String], known: [String]) {
        for name in values.keys.sorted() where !used.contains(name) && prefixes.contains(where: name.hasPrefix) {
            if name.contains("_SERVICE_") || name.contains("_PORT_") || values[name]?.hasPrefix("tcp://") == true { continue }
            let hint = Names.nearest(to: name, among: known.map { $0.lowercased() }).map { " (did you mean \($0.uppercased())?)" } ?? ""
            warn("\(name): not known, so it has no effect\(hint)")
        }
    }

    static func fault(_ name: String?, _ message: String) -> ConfigurationError {
        ConfigurationError(file: file, key: name, message: message)
    }
}
