import Configuration

@testable import PoolCore

/// A pool over all workers whose every fact is what the test says.
struct StagedPool: WholePool {
    var presentGeneration: UInt32 = 0
    var connected = 0
    var usable = 0
    var failure: PoolFailure?
    var isDivided = false
    var idle = [0]
    var oldest = [Int64.max]
    var mayRetire = true

    init(workers: Int = 1) {
        idle = Array(repeating: 0, count: workers)
        oldest = Array(repeating: .max, count: workers)
    }

    var workers: Int { idle.count }
    func idleServers(of worker: Int) -> Int { idle[worker] }
    func oldestWaiter(of worker: Int) -> Int64 { oldest[worker] }
    func mayCloseForAge(now: Int64, spacing: Int64) -> Bool { mayRetire }
}

extension PoolSettings {
    /// Those of a pool of `size` servers and nothing but defaults.
    static func staged(size: Int = 2, reserve: Int = 0, _ change: (inout PoolSettings) -> Void = { _ in }) -> PoolSettings {
        var configuration = Configuration()
        configuration.settings.defaultPoolSize = size
        configuration.settings.reservePoolSize = reserve
        var settings = PoolSettings(configuration, database: Database(name: "lab"), user: "app")
        change(&settings)
        return settings
    }
}

extension PoolStateMachine {
    /// A worker's part of a pool in which nothing has happened yet.
    static func staged(
        worker: Int = 0, size: Int = 2, reserve: Int = 0, _ change: (inout PoolSettings) -> Void = { _ in }
    ) -> PoolStateMachine {
        PoolStateMachine(worker: worker, settings: .staged(size: size, reserve: reserve, change))
    }

    /// A client asks, and waits.
    @discardableResult
    mutating func wait(_ client: Slot, since moment: Int64, _ pool: StagedPool = StagedPool()) -> PoolQueue.Ticket? {
        if case .wait(let ticket) = clientAsks(client, now: moment, pool) { ticket } else { nil }
    }

    /// A server is opened and rests.
    mutating func rest(_ server: Slot, since moment: Int64 = 0, _ pool: StagedPool = StagedPool()) -> Placement {
        openingBegan()
        serverOpened()
        return serverFreed(server, generation: pool.presentGeneration, now: moment, mayMigrate: false, pool)
    }
}
