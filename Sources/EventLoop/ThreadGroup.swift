/// A few threads for work that would stall a loop: hashing of passwords, calls of libraries that block. Bounded: what finds no place is
/// refused instead of waiting for ever.
public final class ThreadGroup: Sendable {
    private typealias Job = @Sendable () -> Void

    private struct Work {
        var jobs: [Job] = []
        /// Jobs of `jobs` that were taken already.
        var taken = 0
        var started = 0
        var idle = 0

        var waiting: Int { jobs.count - taken }

        /// The next job; nil when there is none.
        mutating func take() -> Job? {
            guard waiting > 0 else { return nil }
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
    }

    private let work = Waitable(Work())
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
    }

    /// Has `job` run soon on one of the threads. False: too many are waiting already, or no thread could be started.
    ///
    /// - Parameter limit: the most jobs that this one waits behind, where that is less than the capacity.
    public func submit(behindAtMost limit: Int = .max, _ job: @escaping @Sendable () -> Void) -> Bool {
        work.withLock { work in
            guard work.waiting < capacity, work.waiting <= limit else { return false }
            #if DEBUG
                if let simulated = Kernel.simulated {
                    // A simulation has a thread for each job.
                    work.jobs.append(job)
                    simulated.start(thread: name) { self.work.withLock { $0.take() }?() }
                    return true
                }
            #endif
            // Under the lock, for it happens a few times in a process: so a job that finds no thread is never somebody else's.
            if work.idle <= work.waiting, work.started < threads, Threads.start(name: name, { self.run() }) == nil { work.started += 1 }
            guard work.started > 0 else { return false }
            work.jobs.append(job)
            self.work.signal()
            return true
        }
    }

    private func run() -> Never {
        while true {
            var isIdle = false
            let job = work.wait { work in
                if isIdle { work.idle -= 1 }
                let job = work.take()
                isIdle = job == nil
                if isIdle { work.idle += 1 }
                return job
            }
            job()
        }
    }
}
