import Compression
import EventLoop

extension HTTPResponse {
    /// What tells caches that a path has more than one representation.
    static let varies = (name: "Vary", value: "Accept-Encoding")

    /// The same in gzip; as it is where that would not be smaller, or where there is no memory for it.
    func compressed() -> HTTPResponse {
        guard let smaller = Gzip.compress(body.copy), smaller.count < body.count else { return self }
        return HTTPResponse(status: status, headers: headers + [("Content-Encoding", "gzip")], body: Body(smaller))
    }
}
