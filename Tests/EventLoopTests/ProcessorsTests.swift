import Foundation
import Testing

@testable import EventLoop

@Suite struct ProcessorsTests {
    /// Files below a folder that stands for `/`; a path that ends in a slash makes a folder.
    private func quota(_ files: [String: String]) throws -> Int? {
        let root = NSTemporaryDirectory() + "sluice-processors-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        defer { try? FileManager.default.removeItem(atPath: root) }
        for (path, content) in files {
            let place = root + path
            try FileManager.default.createDirectory(
                atPath: (place as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
            try content.write(toFile: place, atomically: false, encoding: .utf8)
        }
        return ControlGroups(root: root).quota
    }

    private static let unified = "29 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
    private static let separate = """
        22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
        31 24 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 master:2 - cgroup cgroup rw,cpu,cpuacct
        32 24 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory

        """

    /// A pod with one and a half processors on a machine of 96: two threads, not 96.
    @Test func aQuotaOfAContainerIsRoundedUp() throws {
        for (line, count) in [
            ("150000 100000", 2), ("100000 100000", 1), ("50000 100000", 1), ("400000 100000", 4), ("1000 100000", 1), ("max 100000", nil),
            ("110000 50000", 3), ("", nil), ("150000", nil), ("0 100000", nil), ("100000 0", nil), ("-1 100000", nil), ("a b", nil),
            ("9223372036854775807 1", 1 << 20),
        ] {
            let files = ["/proc/self/cgroup": "0::/\n", "/proc/self/mountinfo": Self.unified, "/sys/fs/cgroup/cpu.max": line + "\n"]
            #expect(try quota(files) == count, "\(line)")
        }
    }

    /// The quota may stand at any group around the process: a systemd slice, the pod around a container.
    @Test func theSmallestQuotaOnTheWayUpCounts() throws {
        var files = [
            "/proc/self/cgroup": "0::/kube.slice/pod.slice/c1\n", "/proc/self/mountinfo": Self.unified,
            "/sys/fs/cgroup/kube.slice/cpu.max": "800000 100000\n", "/sys/fs/cgroup/kube.slice/pod.slice/cpu.max": "250000 100000\n",
            "/sys/fs/cgroup/kube.slice/pod.slice/c1/cpu.max": "max 100000\n", "/sys/fs/cgroup/other/cpu.max": "100000 100000\n",
        ]
        #expect(try quota(files) == 3)
        files["/sys/fs/cgroup/kube.slice/pod.slice/c1/cpu.max"] = "150000 100000\n"
        #expect(try quota(files) == 2)
    }

    @Test func versionOneHasItsOwnFiles() throws {
        let files = { (quota: String) in
            [
                "/proc/self/cgroup": "9:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n0::/docker/abc\n",
                "/proc/self/mountinfo": Self.separate, "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
                "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
                "/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us": quota,
                "/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000\n",
            ]
        }
        #expect(try quota(files("150000\n")) == 2)
        #expect(try quota(files("-1\n")) == nil)
        #expect(try quota(files("")) == nil)
    }

    /// Inside a container the kernel names the group as the host sees it, or with /.. in front, while only the group itself is mounted.
    @Test func aGroupThatIsMountedAloneIsFound() throws {
        let mount = "31 24 0:28 /docker/abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n"
        for path in ["/docker/abc", "/docker/abc/inner", "/elsewhere", "/../def"] {
            let files = [
                "/proc/self/cgroup": "4:cpu:\(path)\n", "/proc/self/mountinfo": mount, "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "350000\n",
                "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            ]
            #expect(try quota(files) == 4, "\(path)")
        }
        // Somebody else's group that happens to be mounted, too, says nothing about this process.
        let both = Self.unified + "40 24 0:26 /other /mnt/other rw - cgroup2 cgroup2 rw\n"
        #expect(
            try quota([
                "/proc/self/cgroup": "0::/mine\n", "/proc/self/mountinfo": both, "/mnt/other/cpu.max": "100000 100000\n",
                "/sys/fs/cgroup/mine/cpu.max": "300000 100000\n",
            ]) == 3)
    }

    @Test func strangeFilesLimitNothing() throws {
        #expect(try quota([:]) == nil)
        #expect(
            try quota([
                "/proc/self/cgroup": "\n:\n::::\nx\n0::/a\n", "/proc/self/mountinfo": "1\n- - - -\n1 2 3 4 5 6 - cgroup2\n",
            ]) == nil)
        let blank = "29 24 0:26 / /sys/fs/c\\040group rw - cgroup2 cgroup2 rw\n"
        #expect(
            try quota(["/proc/self/cgroup": "0::/\n", "/proc/self/mountinfo": blank, "/sys/fs/c group/cpu.max": "200000 100000\n"]) == 2)
    }

    @Test func neitherMaskNorQuotaIsExceeded() {
        #expect(Processors(online: 96, allowed: 96, quota: 1).usable == 1)
        #expect(Processors(online: 96, allowed: 2, quota: 4).usable == 2)
        #expect(Processors(online: 96, allowed: 96, quota: nil).usable == 96)
        #expect(Processors(online: 1, allowed: 0, quota: 0).usable == 1)
        let current = Processors.current
        #expect(current.usable >= 1 && current.usable <= current.online)
    }
}
