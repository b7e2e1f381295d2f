import CLibevent
import Glibc

/// Asks name servers on a loop, through libevent's evdns: nothing waits, and no thread is needed. Belongs to the loop's thread.
///
/// Numeric addresses and `/etc/hosts` are the caller's business (`HostsFile`); libevent would answer from it without a time to live.
public final class NameResolver {
    /// What became of a question.
    public enum Answer: Sendable {
        /// Addresses with port 0, IPv6 first where there is a route to it, and for how many seconds they hold.
        case found([SocketAddress], timeToLive: Int)
        /// Why there are none, such as `name does not exist`.
        case failed(String)
    }

    /// Questions that are not answered yet.
    public private(set) var pending = 0
    private let base: OpaquePointer
    /// What keeps the events of `base` alive.
    private let loop: EventLoop

    /// - Parameter resolvConf: a file in the format of resolv.conf(5); a name server may have a port (`127.0.0.1:5353`, `[::1]:5353`).
    /// - Throws: when descriptors are short, so that neither the file can be read nor a name server be asked. A resolver made then would
    ///   be of no use for ever: evdns opens its sockets here, and a question without any is never answered.
    public init(on loop: EventLoop, resolvConf: String) throws(SystemError) {
        let path = resolvConf.isEmpty ? "/etc/resolv.conf" : resolvConf
        do throws(SystemError) {
            _ = try Files.read(path)
        } catch {
            if error.number == EMFILE || error.number == ENFILE { throw error }
        }
        guard let base = evdns_base_new(loop.base, Int32(EVDNS_BASE_DISABLE_WHEN_INACTIVE)) else {
            throw SystemError(call: "evdns_base_new", number: errno)
        }
        self.base = base
        self.loop = loop
        // Without the file, or without a name server in it, the one on this machine is asked, as the C library does.
        _ = evdns_base_resolv_conf_parse(
            base, Int32(DNS_OPTION_SEARCH | DNS_OPTION_NAMESERVERS | DNS_OPTION_MISC), path)
        if evdns_base_count_nameservers(base) == 0 { _ = evdns_base_nameserver_ip_add(base, "127.0.0.1") }
        guard evdns_base_count_nameservers(base) > 0 else { throw SystemError(call: "socket", number: EMFILE) }
    }

    deinit { evdns_base_free(base, 0) }

    /// One question in both families.
    private final class Question {
        let resolver: NameResolver
        let done: (Answer) -> Void
        var outstanding = 2
        var four: [SocketAddress] = []
        var six: [SocketAddress] = []
        var timeToLive = Int.max
        var failures: [Int32] = []

        init(_ resolver: NameResolver, _ done: @escaping (Answer) -> Void) {
            self.resolver = resolver
            self.done = done
        }

        func answered() {
            outstanding -= 1
            guard outstanding == 0 else { return }
            resolver.pending -= 1
            let routable = six.filter(\.hasRoute)
            let addresses = routable + four + six.filter { !routable.contains($0) }
            if !addresses.isEmpty {
                done(.found(addresses, timeToLive: timeToLive))
            } else {
                // "No such name" says more than "none in this family".
                let code = failures.contains(DNS_ERR_NOTEXIST) ? DNS_ERR_NOTEXIST : failures.last ?? DNS_ERR_UNKNOWN
                done(.failed(String(cString: evdns_err_to_string(code))))
            }
        }
    }

    /// Looks a name up; `done` is called on the loop's thread, between turns, or at once when no question can be sent.
    public func ask(_ name: String, _ done: @escaping (Answer) -> Void) {
        pending += 1
        let question = Question(self, done)
        for family in [AF_INET, AF_INET6] {
            let context = Unmanaged.passRetained(question)
            let request =
                family == AF_INET
                ? evdns_base_resolve_ipv4(base, name, 0, Self.callback, context.toOpaque())
                : evdns_base_resolve_ipv6(base, name, 0, Self.callback, context.toOpaque())
            if request == nil {
                context.release()
                question.failures.append(DNS_ERR_UNKNOWN)
                question.answered()
            }
        }
    }

    private static let callback: evdns_callback_type = { result, type, count, timeToLive, addresses, context in
        let question = Unmanaged<Question>.fromOpaque(context!).takeRetainedValue()
        if result == DNS_ERR_NONE, count > 0, let addresses {
            question.timeToLive = min(question.timeToLive, Int(max(0, timeToLive)))
            if Int32(type) == DNS_IPv4_A {
                let list = UnsafeBufferPointer(start: addresses.assumingMemoryBound(to: in_addr.self), count: Int(count))
                question.four = list.map { SocketAddress($0) }
            } else {
                let list = UnsafeBufferPointer(start: addresses.assumingMemoryBound(to: in6_addr.self), count: Int(count))
                question.six = list.map { SocketAddress($0) }
            }
        } else {
            question.failures.append(result == DNS_ERR_NONE ? DNS_ERR_NODATA : result)
        }
        question.answered()
    }
}
