import CLibpq
import Glibc

/// Reads a connection URL, or a string of keywords, as libpq reads it.
public enum ConnectionString {
    public struct Invalid: Error, CustomStringConvertible {
        public let description: String
    }

    /// The keywords that have a value. Throws with libpq's own words.
    public static func parse(_ text: String) throws(Invalid) -> [String: String] {
        var problem: UnsafeMutablePointer<CChar>?
        guard let options = PQconninfoParse(text, &problem) else {
            let words = problem.map { String(cString: $0) } ?? "out of memory"
            PQfreemem(problem)
            throw Invalid(description: String(words.prefix { $0 != "\n" }))
        }
        defer { PQconninfoFree(options) }
        var result: [String: String] = [:]
        var next = options
        while let keyword = next.pointee.keyword {
            if let value = next.pointee.val { result[String(cString: keyword)] = String(cString: value) }
            next += 1
        }
        return result
    }

    /// libpq's version, as 150018 for 15.18.
    public static var libraryVersion: Int { Int(PQlibVersion()) }
}
