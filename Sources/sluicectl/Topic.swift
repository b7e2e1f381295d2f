import ArgumentParser
import Console

/// What `show` can show: the topics of the console's own table.
struct Topic: ExpressibleByArgument, Equatable {
    let name: String
    let doc: String
    /// Names and types of the columns, in order.
    let columns: [String]

    init?(_ text: String) {
        let name = text.lowercased().map { $0 == "-" ? "_" : String($0) }.joined()
        guard let topic = Self.all.first(where: { $0.name == name }) else { return nil }
        self = topic
    }

    init?(argument: String) { self.init(argument) }

    private init(name: String, doc: String, columns: [String]) {
        self.name = name
        self.doc = doc
        self.columns = columns
    }

    static var allValueStrings: [String] { all.map(\.name) }

    static let all: [Topic] =
        ShowTopic.all.map { topic in
            Topic(name: topic.name, doc: topic.doc, columns: topic.columns.map { "\($0.name) (\($0.type.rawValue))" })
        } + [Topic(name: "help", doc: "The console's own help.", columns: [])]

    /// All topics, a line each.
    static var list: String {
        let widest = all.reduce(0) { max($0, $1.name.count) }
        return all.map { "  \($0.name)\(String(repeating: " ", count: widest - $0.name.count))  \($0.doc)" }.joined(separator: "\n")
    }
}

/// `sluicectl show pools --help`, and for short `sluicectl pools --help`.
enum TopicHelp {
    static func page(for arguments: [String]) -> String? {
        guard arguments.count >= 3, arguments[0] == "show", let topic = Topic(arguments[1]),
            arguments.dropFirst(2).contains("--help")
        else { return nil }
        let usage = Sluicectl.helpMessage(for: Show.self).split(separator: "\n", omittingEmptySubsequences: false)
            .drop { !$0.hasPrefix("USAGE") }.joined(separator: "\n").replacing("<topic>", with: topic.name)
            .replacing("<TOPIC>", with: topic.name)
        let columns = topic.columns.isEmpty ? "" : "COLUMNS:\n" + topic.columns.map { "  \($0)\n" }.joined() + "\n"
        return "OVERVIEW: \(topic.doc)\n\n\(columns)\(usage)\n"
    }
}

/// What the console says about its commands.
enum ConsoleDocs {
    /// The line about a command, by its first word.
    static func abstract(_ verb: Console.Verb) -> String {
        CommandTable.all.first { $0.verb == verb }?.doc ?? ""
    }
}
