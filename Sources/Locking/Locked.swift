import Glibc
import Synchronization

#if THREAD_SANITIZER

    // ThreadSanitizer does not see that `Synchronization.Mutex` orders accesses and reports every one of them; it knows pthread mutexes.
    // The build that it checks (`make test-tsan`) uses one; everything else is the same.

    /// A value behind a lock.
    public final class Locked<Value: ~Copyable>: @unchecked Sendable {
        // SAFETY (@unchecked Sendable): `value` is touched between lock and unlock only.
        private var value: Value
        private let mutex: UnsafeMutablePointer<pthread_mutex_t>

        public init(_ value: consuming sending Value) {
            self.value = value
            mutex = .allocate(capacity: 1)
            pthread_mutex_init(mutex, nil)
        }

        deinit {
            pthread_mutex_destroy(mutex)
            mutex.deallocate()
        }

        /// Runs `body` with the value, alone.
        public func withLock<Result, Failure: Error>(
            _ body: (inout sending Value) throws(Failure) -> sending Result
        ) throws(Failure) -> sending Result {
            pthread_mutex_lock(mutex)
            defer { pthread_mutex_unlock(mutex) }
            return try body(&value)
        }
    }

#else

    /// A value behind a lock.
    public struct Locked<Value: ~Copyable>: ~Copyable, Sendable {
        @usableFromInline let mutex: Mutex<Value>

        @inlinable
        public init(_ value: consuming sending Value) {
            mutex = Mutex(value)
        }

        /// Runs `body` with the value, alone.
        @inlinable
        public borrowing func withLock<Result, Failure: Error>(
            _ body: (inout sending Value) throws(Failure) -> sending Result
        ) throws(Failure) -> sending Result {
            try mutex.withLock(body)
        }
    }

#endif
