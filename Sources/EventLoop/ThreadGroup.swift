import Glibc

/// A few threads for work that would stall a loop: hashing of passwords, calls of libraries that block. Bounded: what finds no place is
/// refused instead of waiting for ever.
public final class ThreadGroup: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): `jobs`, `started` and `idle` are touched between lock and unlock of `mutex` only.
    private var jobs: [@Sendable () -> Void] = []
    /// Jobs of `jobs` that were taken already.
    private var taken = 0
    private var started = 0
    private var idle = 0
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private let name: String
    private let threads: Int
    private let capacity: Int

    /// Threads are started when there is something to do, and stay.
    ///
    /// - Parameters:
    ///   - name: of the threads, at most 15 bytes.
    ///   - threads: the most that run at a time.
    ///   - capacity: the most jobs that wait.
    public init(name: String, threads: Int, capacity: Int) {
        (self.name, self.threads, self.capacity) = (name, threads, capacity)
        mutex = .allocate(capacity: 1)
        condition = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        // Its threads hold it, so it goes only if it never had one.
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Has `job` run soon on one of the threads. False: too many are waiting already, or no thread could be started.
    ///
    /// - Parameter limit: the most jobs that this one waits behind, where that is less than the capacity.
    public func submit(behindAtMost limit: Int = .max, _ job: @escaping @Sendable () -> Void) -> Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        let waiting = jobs.count - taken
        guard waiting < capacity, waiting <= limit else { return false }
        #if DEBUG
            if let simulated = Kernel.simulated {
                jobs.append(job)
                simulated.start(thread: name) { self.workOnce() }
                return true
            }
        #endif
        // Under the lock, for it happens a few times in a process: so a job that finds no thread is never somebody else's.
        if idle <= waiting, started < threads, Threads.start(name: name, { self.work() }) == nil { started += 1 }
        guard started > 0 else { return false }
        jobs.append(job)
        pthread_cond_signal(condition)
        return true
    }

    private func work() {
        pthread_mutex_lock(mutex)
        while true {
            while jobs.count == taken {
                idle += 1
                pthread_cond_wait(condition, mutex)
                idle -= 1
            }
            let job = take()
            pthread_mutex_unlock(mutex)
            job()
            pthread_mutex_lock(mutex)
        }
    }

    /// The next job of some that there are.
    private func take() -> @Sendable () -> Void {
        let job = jobs[taken]
        taken += 1
        if taken == jobs.count {
            jobs.removeAll(keepingCapacity: true)
            taken = 0
        } else if taken > 256 {
            jobs.removeFirst(taken)
            taken = 0
        }
        return job
    }

    #if DEBUG
        /// A simulation has a thread for each job.
        private func workOnce() {
            pthread_mutex_lock(mutex)
            let job = take()
            pthread_mutex_unlock(mutex)
            job()
        }
    #endif
}
