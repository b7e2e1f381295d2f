import EventLoop
import Statistics

/// Answers `/metrics`, `/healthz`, `/readyz`, `/` and `/status.json`.
///
/// The workers are asked once for all requests that come in while they answer, so a thousand scrapes at once cost what a few cost.
public actor MonitoringSite {
    private let source: any MonitoringSource
    private let tasks: TaskThread
    private var selection = PoolSelection()
    private var gathering: Task<Gathered, Never>?
    private var last: Gathered?
    /// What was made of `last`.
    private var pages: [Page: HTTPResponse] = [:]
    private var compressed: [Page: HTTPResponse] = [:]

    private enum Page: Hashable {
        case metrics, status, ready, health
    }

    private struct Gathered: Sendable {
        let snapshot: MonitoringSnapshot
        let pools: [PoolStatistics]
        let availability: Availability
        let time: Int64
    }

    /// Microseconds for which an answer is good enough for the next one who asks.
    private static let freshness: Int64 = 50_000

    /// A site about this source, which it asks in tasks of `tasks`.
    public init(source: any MonitoringSource, tasks: TaskThread) {
        (self.source, self.tasks) = (source, tasks)
    }

    /// The answer to a request.
    public func respond(_ request: HTTPRequest) async -> HTTPResponse {
        guard request.method == "GET" || request.method == "HEAD" else {
            return .plain(405, "expected GET or HEAD", [("Allow", "GET, HEAD")])
        }
        let isGzipWanted = AcceptedCodings(request.acceptEncoding).includesGzip
        switch request.path {
        case "/": return isGzipWanted ? WebPage.compressed : WebPage.response
        case "/metrics": return await page(.metrics, isGzipWanted)
        case "/status.json": return await page(.status, isGzipWanted)
        case "/healthz": return await page(.health, false)
        case "/readyz": return await page(.ready, false)
        default: return .plain(404, "expected /, /metrics, /healthz, /readyz or /status.json")
        }
    }

    private func page(_ page: Page, _ isGzipWanted: Bool) async -> HTTPResponse {
        let gathered = await gather()
        let isLast = gathered.time == last?.time
        if isLast, let made = isGzipWanted ? compressed[page] : pages[page] { return made }
        let plain = (isLast ? pages[page] : nil) ?? make(page, gathered)
        let response = isGzipWanted ? plain.compressed() : plain
        if isLast {
            pages[page] = plain
            if isGzipWanted { compressed[page] = response }
        }
        return response
    }

    private func gather() async -> Gathered {
        if let last, MonotonicClock.now() - last.time < Self.freshness { return last }
        if let gathering { return await gathering.value }
        let task = Task(executorPreference: tasks) { await self.ask() }
        gathering = task
        let gathered = await task.value
        return gathered
    }

    private func ask() async -> Gathered {
        let snapshot = await source.snapshot()
        let availability = await Availability.judge(snapshot, source)
        let gathered = Gathered(
            snapshot: snapshot, pools: selection.select(snapshot.statistics.pools), availability: availability, time: MonotonicClock.now())
        last = gathered
        pages = [:]
        compressed = [:]
        gathering = nil
        return gathered
    }

    private func make(_ page: Page, _ gathered: Gathered) -> HTTPResponse {
        let snapshot = gathered.snapshot
        let availability = gathered.availability
        switch page {
        case .metrics:
            let text = PrometheusText.render(snapshot, pools: gathered.pools)
            return HTTPResponse(
                status: 200, headers: [("Content-Type", PrometheusText.contentType), HTTPResponse.varies], body: .init(text))
        case .status:
            let text = StatusDocument.render(
                snapshot, pools: gathered.pools, isReady: availability.isReady, reason: availability.reason)
            return HTTPResponse(
                status: 200, headers: [("Content-Type", "application/json"), ("Cache-Control", "no-store"), HTTPResponse.varies],
                body: .init(text))
        case .health: return .plain(200, "ok: all \(snapshot.workers) workers answer")
        case .ready: return .plain(availability.isReady ? 200 : 503, availability.reason)
        }
    }
}

/// Whether clients should be sent here.
struct Availability {
    let isReady: Bool
    let reason: String

    static func judge(_ snapshot: MonitoringSnapshot, _ source: any MonitoringSource) async -> Availability {
        if snapshot.isDraining { return Availability(isReady: false, reason: "draining: a shutdown has begun") }
        let pools = snapshot.reach.values
        if pools.contains(where: { $0.connected > 0 }) { return Availability(isReady: true, reason: "ok: servers are connected") }
        if let failure = pools.compactMap(\.failure).min(), pools.allSatisfy({ $0.failure != nil }) {
            return Availability(isReady: false, reason: "no server can be reached: \(oneLine(failure))")
        }
        let found = await source.probe()
        if !found.reachable.isEmpty || found.unreachable.isEmpty {
            return Availability(isReady: true, reason: "ok: no server is connected at the moment, and one can be reached")
        }
        return Availability(isReady: false, reason: "no server can be reached: \(oneLine(found.unreachable.joined(separator: ", ")))")
    }

    private static func oneLine(_ text: String) -> String {
        String(text.map { $0.isNewline ? " " : $0 }.prefix(300))
    }
}
