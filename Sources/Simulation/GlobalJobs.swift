#if DEBUG
    import Glibc

    @testable import EventLoop

    /// Takes the jobs of tasks from Swift's runtime before they get to libdispatch, by the hooks that it has for that, and ends the process:
    /// what runs there can't be replayed. All tasks of the pooler have executors of their own, the loops and `TaskThread`.
    ///
    /// Nobody else in the process may use tasks while a simulation runs.
    enum GlobalJobs {
        private typealias Original = @convention(thin) (UnownedJob) -> Void
        private typealias Hook = @convention(thin) (UnownedJob, Original) -> Void
        private typealias DelayedOriginal = @convention(thin) (UInt64, UnownedJob) -> Void
        private typealias DelayedHook = @convention(thin) (UInt64, UnownedJob, DelayedOriginal) -> Void
        private typealias DeadlineOriginal = @convention(thin) (Int64, Int64, Int64, Int64, Int32, UnownedJob) -> Void
        private typealias DeadlineHook = @convention(thin) (Int64, Int64, Int64, Int64, Int32, UnownedJob, DeadlineOriginal) -> Void

        static func forbid() {
            hook("swift_task_enqueueGlobal_hook", Hook.self) { _, _ in
                fatalError("a task that runs on libdispatch: it can't be replayed")
            }
            hook("swift_task_enqueueMainExecutor_hook", Hook.self) { _, _ in
                fatalError("a task that runs on the main actor: it can't be replayed")
            }
            hook("swift_task_enqueueGlobalWithDelay_hook", DelayedHook.self) { _, _, _ in
                fatalError("a task that sleeps by the real clock: it can't be replayed")
            }
            hook("swift_task_enqueueGlobalWithDeadline_hook", DeadlineHook.self) { _, _, _, _, _, _, _ in
                fatalError("a task that sleeps by the real clock: it can't be replayed")
            }
        }

        static func allow() {
            for name in [
                "swift_task_enqueueGlobal_hook", "swift_task_enqueueMainExecutor_hook", "swift_task_enqueueGlobalWithDelay_hook",
                "swift_task_enqueueGlobalWithDeadline_hook",
            ] {
                variable(name).assumingMemoryBound(to: UnsafeRawPointer?.self).pointee = nil
            }
        }

        private static func hook<Function>(_ name: String, _ type: Function.Type, _ function: Function) {
            variable(name).assumingMemoryBound(to: Function?.self).pointee = function
        }

        private static func variable(_ name: String) -> UnsafeMutableRawPointer {
            guard let address = dlsym(nil, name) else { fatalError("Swift's runtime has no \(name)") }
            return address
        }
    }

#endif
