"""What every started process needs: a folder that goes away, a port of its own, an end that is certain."""
import ctypes
import os
import pwd
import random
import resource
import selectors
import shutil
import signal
import socket
import subprocess
import tempfile
import time

UNPRIVILEGED = "postgres"
DEADLINE = float(os.environ.get("BLACKBOX_HANG", 60))  # seconds: a hang guard, says nothing about speed
_port_locks = []
_libc = ctypes.CDLL(None)


def wait_until(condition, what, deadline=DEADLINE):
    """Waits for a fact that can only be looked up; returns the first true value."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited {deadline} s for {what() if callable(what) else what}"
        time.sleep(0.01)


def is_root():
    return os.geteuid() == 0


def free_port():
    """A port below the ephemeral range that no other run of this suite takes: an abstract socket is the lock."""
    while True:
        port = random.randrange(12000, 32000)
        lock = socket.socket(socket.AF_UNIX)
        try:
            lock.bind(f"\0sluice-blackbox-port-{port}")
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
            continue
        _port_locks.append(lock)
        return port


def listening(port):
    """Looks without connecting: a probe would be the pooler's first client and stand in its log."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table) as f:
                for line in f:
                    part = line.split()
                    if part[3] == "0A" and part[1].endswith(f":{port:04X}"):
                        return True
        except FileNotFoundError:
            pass
    return False


def listening_at(path):
    """The same for a Unix socket: its file is there before it listens."""
    with open("/proc/net/unix") as f:
        return any(line.rstrip().endswith(" " + path) and line.split()[3] == "00010000" for line in f)


def readable(sockets, seconds=None):
    """Those of the sockets that can be read, as soon as one can; none when the time is up. select() refuses descriptors above 1023."""
    with selectors.PollSelector() as selector:
        for s in sockets:
            selector.register(s, selectors.EVENT_READ)
        return [key.fileobj for key, _ in selector.select(seconds)]


def unread(local, remote):
    """Bytes that wait in the kernel for the owner of local port `local`, on its TCP connection with port `remote`."""
    with open("/proc/net/tcp") as f:
        for line in f:
            part = line.split()
            if part[1].endswith(f":{local:04X}") and part[2].endswith(f":{remote:04X}"):
                return int(part[4].split(":")[1], 16)
    return 0


class RunFolder:
    """A folder for one run. A small shell outlives us and removes it, whatever ends us."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="sluice-bb-", dir="/tmp")
        os.chmod(self.path, 0o755)
        self.count = 0
        read_end, self.write_end = os.pipe()
        self.janitor = subprocess.Popen(
            ["sh", "-c", 'read nothing; n=0; while ! rm -rf "$0" 2>/dev/null && [ $n -lt 50 ]; do n=$((n+1)); sleep 0.1; done', self.path],
            stdin=read_end, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )
        os.close(read_end)

    def folder(self, name):
        self.count += 1
        path = f"{self.path}/{name}{self.count}"
        os.mkdir(path)
        give(path)
        return path

    def close(self):
        os.close(self.write_end)
        try:
            self.janitor.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            pass  # a slow disk; it goes on by itself


def give(path):
    """Hands a file to the unprivileged user."""
    if is_root():
        shutil.chown(path, UNPRIVILEGED, UNPRIVILEGED)


def start(command, death_signal=signal.SIGTERM, env=None, **files):
    """Starts a process as the unprivileged user (when root); the kernel ends it when we die."""

    def before_exec():
        _libc.prctl(1, death_signal)  # PR_SET_PDEATHSIG
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    who = {"user": UNPRIVILEGED, "group": UNPRIVILEGED, "extra_groups": []} if is_root() else {}
    if is_root():
        env = dict(env or os.environ, HOME=pwd.getpwnam(UNPRIVILEGED).pw_dir, USER=UNPRIVILEGED)
    return subprocess.Popen(command, preexec_fn=before_exec, stdin=subprocess.DEVNULL, env=env, **who, **files)


def raise_open_files(needed):
    """Room for many sockets in this process; False when the hard limit is too low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        if hard < needed:
            return False
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return True


def process_status(pid, field):
    with open(f"/proc/{pid}/status") as f:
        for line in f:
            if line.startswith(field + ":"):
                return line.split()[1]
    raise KeyError(field)


def anonymous_memory(pid):
    """Bytes of the process's own memory (RssAnon)."""
    return int(process_status(pid, "RssAnon")) * 1024


def descriptors_of(pid):
    """The open descriptors of a process, and what they are."""
    found = {}
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(number)] = os.readlink(f"/proc/{pid}/fd/{number}")
        except FileNotFoundError:
            pass  # closed meanwhile
    return found
