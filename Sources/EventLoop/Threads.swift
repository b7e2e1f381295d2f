import Glibc

/// Threads for what may block or owns a loop; all else runs on the loops.
public enum Threads {
    private final class Start {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    /// Starts a detached thread. Returns the error when the system refuses.
    @discardableResult
    public static func start(name: String, _ body: @escaping @Sendable () -> Void) -> SystemError? {
        #if DEBUG
            if let simulated = Kernel.simulated {
                simulated.start(thread: name, body)
                return nil
            }
        #endif
        var thread = pthread_t()
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        let start = Unmanaged.passRetained(Start(body))
        let status = pthread_create(
            &thread, &attributes,
            { context in
                Unmanaged<Start>.fromOpaque(context!).takeRetainedValue().body()
                return nil
            }, start.toOpaque())
        guard status == 0 else {
            start.release()
            return SystemError(call: "pthread_create", number: status)
        }
        pthread_setname_np(thread, String(name.prefix(15)))
        return nil
    }
}
