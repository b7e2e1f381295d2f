import Glibc

/// A thread for tasks that belong to no loop: what collects reports for operators.
///
/// Swift's own executor is libdispatch, which needs descriptors of its own, reads files of `/proc` while its threads are busy, and ends
/// the process when it cannot open one. So no task of the process runs on it: each is made with `Task(executorPreference:)`. A task that
/// asks an actor on a loop runs there meanwhile, and comes back to this thread with the answer. Tasks run in the order in which they
/// became ready.
public final class TaskThread: TaskExecutor, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): `jobs` is touched between lock and unlock of `mutex` only.
    private var jobs: [UnownedJob] = []
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private let name: String

    /// Makes an executor whose jobs wait until `start`. `name`: of the thread, at most 15 bytes.
    public init(name: String) {
        self.name = name
        mutex = .allocate(capacity: 1)
        condition = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        // Its thread holds it, so it goes only if it never had one.
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Starts the thread, which lives as long as the process. Returns the error when the system refuses.
    public func start() -> SystemError? {
        #if DEBUG
            if Kernel.simulated != nil { return nil }
        #endif
        return Threads.start(name: name) { self.run() }
    }

    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        #if DEBUG
            if let simulated = Kernel.simulated { return simulated.run(job, on: asUnownedTaskExecutor()) }
        #endif
        pthread_mutex_lock(mutex)
        jobs.append(job)
        pthread_cond_signal(condition)
        pthread_mutex_unlock(mutex)
    }

    private func run() -> Never {
        var ready: [UnownedJob] = []
        while true {
            pthread_mutex_lock(mutex)
            while jobs.isEmpty { pthread_cond_wait(condition, mutex) }
            swap(&jobs, &ready)
            pthread_mutex_unlock(mutex)
            for job in ready { job.runSynchronously(on: asUnownedTaskExecutor()) }
            ready.removeAll(keepingCapacity: true)
        }
    }
}
