import CLibevent
import Glibc
import Synchronization

/// Who may have which descriptors. The kernel gives the lowest number that is free, so the number of a new one tells how many are left.
enum Descriptors {
    /// Asked once, after the limit was raised.
    private static let systemLimit = Int32(clamping: ProcessFigures.maximumDescriptors)
    private static var limit: Int32 {
        #if DEBUG
            if let simulated = Kernel.simulated { return simulated.descriptorLimit }
        #endif
        return systemLimit
    }
    static var total: Int { Int(limit) }

    /// From here on clients get none: what is left serves those who are there. Connections to servers, cancel requests, look-ups,
    /// scrapes and files need some.
    static var endForClients: Int32 { limit - min(32, limit / 4) }

    /// From here on servers get none, either: what is left is for files that are opened later, such as a new log, certificates, passwords.
    static var endForServers: Int32 { limit - min(8, limit / 16) }

    /// Whether somebody got a number that is not for clients, or none, since it was last asked how many are left.
    private static let areScarce = Atomic(false)

    /// Tells which number somebody got; negative: none was left.
    static func note(_ descriptor: Int32) {
        if descriptor < 0 || descriptor >= endForClients { areScarce.store(true, ordering: .relaxed) }
    }

    /// Whether there is a descriptor for one more HTTP connection. The kernel is asked only while they are scarce.
    static var hasOneForScrape: Bool {
        guard areScarce.load(ordering: .relaxed) else { return true }
        // First: what others note from here on stays.
        areScarce.store(false, ordering: .relaxed)
        let next = eventfd(0, Int32(EFD_CLOEXEC))
        note(next)
        if next >= 0 { close(next) }
        return next >= 0 && next < endForServers
    }
}
