import EventLoop
import TLS

/// What the salts are made of that users get who do not exist, or whose secret has none.
///
/// The salt of a stored SCRAM secret never changes. So one that changes from process to process, or from start to start, tells that there
/// is no such user. Nothing of the user list goes into the key: its digest would let a stranger try passwords at home.
extension PoolerProcess {
    /// A TLS key is known to all who stand for the same server, on this machine or another, and outlives a restart. Before another user is
    /// taken on: it is often root's.
    func drawProcessKey() {
        let path = configuration.settings.clientTlsKeyFile
        guard configuration.settings.clientTlsSslmode != .disable, !path.isEmpty, let secret = try? Files.read(path) else { return }
        let key = Digest.hmacSHA256(key: secret, message: Array("Sluice: salts of users who do not exist".utf8))
        shared.processKey.withLock { $0 = key }
    }

    /// Processes that share a port agree on the key of the first one.
    func shareProcessKey() {
        let settings = configuration.settings
        guard settings.soReuseport else { return }
        do throws(SystemError) {
            let common = try SharedBytes(named: "sluice-\(settings.listenPort)", orElse: shared.processKey.withLock { $0 })
            shared.processKey.withLock { $0 = common.bytes }
            commonKey = common
        } catch {
            shared.log.warning(
                "so_reuseport: no key in common with the other processes, whose answers to unknown users will differ: \(error.description)")
        }
    }
}
