/// Servers that have become free while another one is being placed.
///
/// To serve the client that gets a server may free that server again at once, thousands of times: so only the outermost call of `returnToPool` places
/// servers, one after the other, or the stack would grow with the queue.
struct PlacementQueue {
    private var freed: [ServerConnection] = []
    private var isPlacing = false

    var isEmpty: Bool { freed.isEmpty }

    /// A server is free. True: the caller places it, and then those that `next` returns.
    mutating func begins(_ server: ServerConnection) -> Bool {
        guard isPlacing else {
            isPlacing = true
            return true
        }
        freed.append(server)
        return false
    }

    /// The next server to place; nil: there is none, and the caller is done.
    mutating func next() -> ServerConnection? {
        if let server = freed.popLast() { return server }
        isPlacing = false
        return nil
    }
}
