import Glibc

/// What the system says of this process.
public enum ProcessFigures {
    /// Seconds of processor time, of all threads.
    public static var processorSeconds: Double {
        var usage = rusage()
        getrusage(RUSAGE_SELF, &usage)
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        return seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }

    /// Bytes of memory in use; 0 where the system does not say.
    public static var residentBytes: Int64 {
        guard let content = try? Files.read("/proc/self/statm") else { return 0 }
        let fields = String(decoding: content, as: UTF8.self).split(separator: " ")
        guard fields.count > 1, let pages = Int64(fields[1]) else { return 0 }
        return pages * Int64(sysconf(Int32(_SC_PAGESIZE)))
    }

    /// File descriptors in use.
    public static var openDescriptors: Int {
        guard let directory = opendir("/proc/self/fd") else { return 0 }
        defer { closedir(directory) }
        var count = -3  // `.`, `..` and the directory's own
        while readdir(directory) != nil { count += 1 }
        return max(0, count)
    }

    /// File descriptors that are allowed.
    public static var maximumDescriptors: Int {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        return Int(clamping: limit.rlim_cur)
    }

    /// Seconds since 1970.
    public static var wallClock: Double {
        Double(WallClock.now()) / 1e6
    }
}

extension Connector {
    /// Whether one of a host's first four addresses takes a connection within a second. `host` is a name, an address, or the directory
    /// of a Unix socket. Looks it up and waits on a thread of its own.
    public static func answers(host: String, port: UInt16) async -> Bool {
        await withCheckedContinuation { continuation in
            let problem = Threads.start(name: "probe") {
                let addresses =
                    host.hasPrefix("/") || host.hasPrefix("@")
                    ? SocketAddress(unixPath: "\(host)/.s.PGSQL.\(port)").map { [$0] } ?? [] : Resolver.resolveNow(host, port: port)
                continuation.resume(returning: addresses.prefix(4).contains { answersNow(at: $0, milliseconds: 1000) })
            }
            if problem != nil { continuation.resume(returning: false) }
        }
    }

    private static func answersNow(at address: SocketAddress, milliseconds: Int32) -> Bool {
        guard let descriptor = try? start(to: address, options: SocketOptions()) else { return false }
        defer { close(descriptor) }
        var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        guard poll(&entry, 1, milliseconds) == 1 else { return false }
        var error: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0
    }
}
