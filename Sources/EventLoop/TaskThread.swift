/// A thread for tasks that belong to no loop: what collects reports for operators.
///
/// Swift's own executor is libdispatch, which needs descriptors of its own, reads files of `/proc` while its threads are busy, and ends
/// the process when it cannot open one. So no task of the process runs on it: each is made with `Task(executorPreference:)`. A task that
/// asks an actor on a loop runs there meanwhile, and comes back to this thread with the answer. Tasks run in the order in which they
/// became ready.
public final class TaskThread: TaskExecutor {
    private let jobs = Waitable<[UnownedJob]>([])
    private let name: String

    /// Makes an executor whose jobs wait until `start`. `name`: of the thread, at most 15 bytes.
    public init(name: String) { self.name = name }

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
        jobs.withLock { $0.append(job) }
        jobs.signal()
    }

    private func run() -> Never {
        while true {
            let ready = jobs.wait { jobs -> [UnownedJob]? in
                guard !jobs.isEmpty else { return nil }
                defer { jobs = [] }
                return jobs
            }
            for job in ready { job.runSynchronously(on: asUnownedTaskExecutor()) }
        }
    }
}
