import EventLoop

/// What comes of the probe at the start.
extension PoolerProcess {
    func probed(_ report: StartProbe.Report) {
        switch report.kind {
        case .success: shared.log.info("\(report.sentence)")
        case .mayPass: shared.log.error("\(report.sentence); it is tried again for each client that comes")
        case .isFinal:
            shared.log.critical("\(report.sentence)")
            ServiceManager.notify(.stopping)
            end(status: 1)
        }
    }
}
