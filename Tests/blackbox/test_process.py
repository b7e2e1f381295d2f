"""The process: its command line, what it refuses at the start, pidfile, background, systemd, syslog."""
import fcntl
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

import processes
import wire
from processes import DEADLINE, UNPRIVILEGED, give, is_root, listening, listening_at, wait_until

pytestmark = [pytest.mark.poolers_only]


def run(kind, *arguments, **more):
    who = {"user": UNPRIVILEGED, "group": UNPRIVILEGED, "extra_groups": []} if is_root() and not more.pop("as_root", False) else {}
    environment = {k: v for k, v in os.environ.items() if k != "DATABASE_URL"}
    return subprocess.run([kind.path, *arguments], capture_output=True, text=True, timeout=DEADLINE, stdin=subprocess.DEVNULL, env=dict(environment, **more), **who)


# the command line


@pytest.mark.parametrize("flag", ["-V", "--version"])
def test_version_is_told_line_by_line(kind, flag):
    answer = run(kind, flag)
    assert answer.returncode == 0 and not answer.stderr
    lines = answer.stdout.splitlines()
    assert re.match(r"PgBouncer \d+\.\d+\.\d+", lines[0]), lines
    assert lines[1].startswith("libevent 2.") and lines[2].startswith("adns: ") and lines[3].startswith("tls: OpenSSL")
    if kind.is_sluice:
        assert lines[4] == "systemd: yes"
        assert re.fullmatch(r"Sluice \d+\.\d+\.\d+( \(commit [0-9a-f]{12}\+?\))?", lines[5])


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_is_told(kind, flag):
    answer = run(kind, flag)
    assert answer.returncode == 0
    for word in ("--daemon", "--quiet", "--user", "--verbose", "--version", "--help"):
        assert word in answer.stdout


@pytest.mark.parametrize("arguments", [[], ["a.ini", "b.ini"], ["--nonsense"], ["-x", "a.ini"]])
def test_a_wrong_command_line_ends_with_1(kind, arguments):
    answer = run(kind, *arguments)
    assert answer.returncode == 1
    assert "--help" in answer.stderr and not answer.stdout


@pytest.mark.sluice_only
def test_the_name_of_the_program_does_not_matter(kind, make_pooler, run_folder):
    pooler = make_pooler(start=False)
    link = run_folder.folder("bin") + "/pgbouncer"
    os.symlink(kind.path, link)
    assert subprocess.run([link, "--version"], capture_output=True, text=True).stdout == run(kind, "--version").stdout
    assert subprocess.run([link, "--check", pooler.ini_path], capture_output=True).returncode == 0


@pytest.mark.sluice_only("PgBouncer has no --check")
def test_check_tells_all_that_is_wrong(kind, make_pooler):
    pooler = make_pooler(start=False)
    good = run(kind, "--check", pooler.ini_path)
    assert good.returncode == 0 and "error" not in good.stderr and "no errors" in good.stdout, good
    pooler.write_ini(
        "[databases]\nlab = host=127.0.0.1 prt=5 pool_size=x\n[pgbouncer]\nlisten_port = many\npool_mod = session\nlisten_port = 6432\n[nonsense]\nx = 1\n[users]\nx y\n"
    )
    bad = run(kind, "--check", pooler.ini_path)
    assert bad.returncode == 1
    lines = [line for line in bad.stderr.splitlines() if line.startswith("error: ")]
    assert [int(re.search(r"\.ini:(\d+):", line).group(1)) for line in lines] == [2, 2, 4, 5, 7, 10]
    assert "did you mean \"port\"" in lines[0]
    assert ": pool_size: \"x\" is not a number: expected" in lines[1]
    assert ": listen_port: \"many\" is not a number: expected an integer from 0 to 65535" in lines[2]
    assert "did you mean \"pool_mode\"" in lines[3]
    assert "expected [pgbouncer], [sluice], [databases], [users] or [peers]" in lines[4]
    missing = run(kind, "--check", "/nowhere/at/all.ini")
    assert missing.returncode == 1 and "/nowhere/at/all.ini: cannot be read: No such file or directory" in missing.stderr


@pytest.mark.sluice_only("PgBouncer has no --check")
@pytest.mark.parametrize(
    "line, text",
    [
        ("user = nobody-of-that-name", 'user: "nobody-of-that-name" is not known to the system'),
        ("unix_socket_group = no-such-group", 'unix_socket_group: "no-such-group" is not known to the system'),
        ("unix_socket_dir =", "nowhere to listen on"),
        ("syslog_facility = local9", 'syslog_facility: "local9" is not known: expected auth,'),
    ],
)
def test_check_looks_at_what_the_system_knows(kind, make_pooler, line, text):
    pooler = make_pooler(start=False)
    pooler.write_ini(f"[pgbouncer]\n{line}\n")
    answer = run(kind, "--check", pooler.ini_path)
    assert answer.returncode == 1 and text in answer.stderr, answer.stderr


def test_verbosity(kind, make_pooler):
    """-v adds to the setting."""
    pooler = make_pooler(start=False)
    launch(pooler, "-v", "-v")
    with pooler.connect(database="lab") as client:
        client.rows("set datestyle = 'German'")
    with pooler.connect(database="lab", parameters={"datestyle": "SQL"}) as client:
        client.rows("select 1")
    pooler.wait_log(r"NOISE .*varcache_apply: .*SET DateStyle='SQL'")
    with pooler.connect(database="lab", parameters={"datestyle": "ISO"}) as client:
        client.rows("select 1")
    pooler.wait_log("varcache_set_canonical: setting DateStyle to its canonical version ISO -> ISO, [MD]")


def test_quiet_keeps_off_standard_error(kind, make_pooler):
    pooler = make_pooler(start=False)
    launch(pooler, "-q")
    pooler.connect().close()
    pooler.wait_log("closing because")
    assert pooler.stderr() == ""


# who it runs as


@pytest.mark.needs_root
def test_a_file_is_not_served_as_root(kind, make_pooler):
    pooler = make_pooler(start=False)
    answer = run(kind, pooler.ini_path, as_root=True)
    assert answer.returncode == 1
    assert "should not run as root" in answer.stderr + pooler.log()


@pytest.mark.needs_root
@pytest.mark.parametrize("how", ["setting", "option", "both"])
def test_root_becomes_the_user_that_was_named(kind, make_pooler, how):
    pooler = make_pooler(start=False, **({} if how == "option" else {"user": UNPRIVILEGED if how == "setting" else "nobody"}))
    launch(pooler, *([] if how == "setting" else ["-u", UNPRIVILEGED]), as_root=True)
    with open(f"/proc/{pooler.pid}/status") as f:
        uids = set(next(line for line in f if line.startswith("Uid:")).split()[1:])
    assert uids == {str(pwd.getpwnam(UNPRIVILEGED).pw_uid)}
    assert pooler.connect().rows("select 1") == [("1",)]


@pytest.mark.needs_root
def test_an_unknown_user_is_refused(kind, make_pooler):
    pooler = make_pooler(start=False)
    answer = run(kind, "-u", "nobody-of-that-name", pooler.ini_path, as_root=True)
    assert answer.returncode == 1 and "nobody-of-that-name" in answer.stderr


# what is refused


def refused(pooler, text, arguments=()):
    """Starts it, which must end with status 1 and this text."""
    launch(pooler, *arguments, waits=False)
    assert pooler.wait() == 1, pooler.log()
    assert text in pooler.log(), pooler.log()
    assert "FATAL" in pooler.log()
    pooler.process = None


def test_a_used_socket_is_refused(make_pooler):
    first = make_pooler()
    second = make_pooler(start=False, unix_socket_dir=first.folder, listen_port=first.port)
    refused(second, "unix socket is in use, cannot continue")
    assert first.connect().rows("select 1") == [("1",)]


def test_a_lock_file_is_refused(make_pooler):
    pooler = make_pooler(start=False)
    open(pooler.socket_path + ".lock", "w").close()
    refused(pooler, f"unix port {pooler.port} is in use")


def test_nowhere_to_listen_on(make_pooler):
    refused(make_pooler(start=False, listen_addr="", unix_socket_dir=""), "nowhere to listen on")


def test_one_unusable_address_is_a_warning_and_none_is_fatal(make_pooler):
    pooler = make_pooler(start=False, listen_addr="203.0.113.7,127.0.0.1", listen_port=None)
    pooler.settings["listen_port"] = pooler.port
    pooler.write_ini()
    pooler.start()
    assert pooler.log_contains("WARNING .*203.0.113.7")
    assert pooler.connect().rows("select 1") == [("1",)]
    none = make_pooler(start=False, listen_addr="203.0.113.7")
    launch(none, waits=False)
    assert none.wait() == 1
    assert none.log_contains("WARNING .*203.0.113.7") and "FATAL" in none.log()
    none.process = None


@pytest.mark.needs_strace
@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
@pytest.mark.sluice_only("about several workers")
def test_whoever_connects_while_it_starts_is_served(make_pooler):
    """A socket that was there for a moment, to see whether the port is free, listened, too: who had connected to it was reset."""
    pooler = make_pooler(start=False, workers=2)
    # Each socket listens for a second before anything else happens; with -D the pooler is our child, and not strace.
    slowly = ["strace", "-D", "-f", "-q", "-o", "/dev/null", "-e", "trace=listen", "-e", "inject=listen:delay_exit=1000000"]
    with open(pooler.stderr_path, "w") as log:
        give(pooler.stderr_path)
        pooler.process = processes.start([*slowly, pooler.kind.path, pooler.ini_path], stdout=log, stderr=log)
    wait_until(lambda: listening(pooler.port), lambda: f"it to listen:\n{pooler.log()}")
    assert pooler.connect().value("select 1") == "1"


@pytest.mark.sluice_only("about several workers")
def test_as_many_workers_as_processors_that_it_may_use(make_pooler):
    """In a pod with one processor of 96, workers = 0 started 96 workers; they were throttled together."""
    allowed = os.sched_getaffinity(0)
    pooler = make_pooler(start=False, workers=0, admin_users="app")
    os.sched_setaffinity(0, {min(allowed)})
    try:
        pooler.start()
    finally:
        os.sched_setaffinity(0, allowed)
    pooler.wait_log(r"(?m)process up: .*, 1 worker$")
    assert pooler.connect(database="pgbouncer").rows("SHOW CONFIG WHERE key = workers")[0][1] == "1"
    if len(allowed) > 1:
        pooler.wait_log(r"processors: \d+ in the machine, 1 allowed for this process.*; 'workers = 0' means 1")


def test_a_used_port_is_refused_with_several_workers_too(make_pooler):
    first = make_pooler(**({"workers": 2} if make_pooler.kind.is_sluice else {}))
    second = make_pooler(start=False, unix_socket_dir="", listen_port=first.port, **({"workers": 2} if make_pooler.kind.is_sluice else {}))
    launch(second, waits=False)
    assert second.wait() == 1
    assert "in use" in second.log(), second.log()
    second.process = None
    assert first.connect().rows("select 1") == [("1",)]


def test_an_old_socket_file_is_replaced(make_pooler):
    pooler = make_pooler()
    pooler.signal(signal.SIGKILL)
    pooler.wait()
    assert os.path.exists(pooler.socket_path)
    pooler.start()
    wait_until(lambda: listening_at(pooler.socket_path), "the socket to be listened on")
    assert pooler.connect(address=pooler.socket_path).rows("select 1") == [("1",)]


@pytest.mark.parametrize("mode", ["0700", "0751"])
def test_the_socket_gets_its_mode(make_pooler, mode):
    pooler = make_pooler(unix_socket_mode=mode)
    assert os.stat(pooler.socket_path).st_mode & 0o777 == int(mode, 8)


def test_an_abstract_socket(make_pooler):
    pooler = make_pooler(start=False, unix_socket_dir="")
    pooler.settings["unix_socket_dir"] = f"@sluice-test-{pooler.port}"
    pooler.write_ini()
    pooler.start()
    client = pooler.connect(address=f"\0sluice-test-{pooler.port}/.s.PGSQL.{pooler.port}")
    assert client.rows("select 1") == [("1",)]


# pidfile and background


def pidfile(pooler):
    pooler.settings["pidfile"] = f"{pooler.folder}/pid"
    pooler.write_ini()
    return pooler.settings["pidfile"]


def test_the_pidfile_comes_and_goes(make_pooler):
    pooler = make_pooler(start=False)
    path = pidfile(pooler)
    pooler.start()
    wait_until(lambda: os.path.exists(path) and open(path).read(), "the pidfile")
    assert open(path).read() == f"{pooler.pid}\n" and os.stat(path).st_mode & 0o777 == 0o644
    pooler.signal(signal.SIGTERM)
    assert pooler.wait() == 0
    assert not os.path.exists(path)


def test_the_pidfile_of_a_live_process_is_respected(make_pooler):
    pooler = make_pooler(start=False)
    with open(pidfile(pooler), "w") as f:
        f.write(f"{os.getpid()}\n")
    refused(pooler, f"pidfile '{pooler.settings['pidfile']}' exists, another instance running?")
    assert open(pooler.settings["pidfile"]).read() == f"{os.getpid()}\n"


def test_the_pidfile_of_a_dead_process_is_replaced(make_pooler):
    pooler = make_pooler(start=False)
    ended = subprocess.Popen(["true"])
    ended.wait()
    path = pidfile(pooler)
    with open(path, "w") as f:
        f.write(f"{ended.pid}\n")
    give(path)
    pooler.start()
    wait_until(lambda: open(path).read() == f"{pooler.pid}\n", "the new pidfile")


def test_the_background(make_pooler):
    pooler = make_pooler(start=False)
    path = pidfile(pooler)
    launch(pooler, "-d", waits=False)
    assert pooler.process.wait(DEADLINE) == 0, pooler.log()
    pooler.process = None
    wait_until(lambda: listening(pooler.port) and os.path.exists(path) and open(path).read(), lambda: f"the daemon:\n{pooler.log()}")
    pid = int(open(path).read())
    try:
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        assert int(fields[3]) != os.getsid(0), "a session of its own"
        assert all(os.readlink(f"/proc/{pid}/fd/{n}") == "/dev/null" for n in (0, 1, 2))
        assert pooler.connect().rows("select 1") == [("1",)]
        assert f"[{pid}] LOG" in pooler.log()
    finally:
        os.kill(pid, signal.SIGQUIT)
    wait_until(lambda: not os.path.exists(path), "the pidfile to go")
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the daemon to end")


def test_the_background_needs_a_pidfile(make_pooler):
    refused(make_pooler(start=False), "daemon needs pidfile configured", ["-d"])


# systemd


class Notifications:
    """What systemd would hear."""

    def __init__(self, folder):
        self.path = f"{folder}/notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o777)
        self.socket.settimeout(DEADLINE)

    def next(self):
        return self.socket.recv(4096).decode()

    def next_but_status(self):
        while True:
            text = self.next()
            if not text.startswith("STATUS="):
                return text


@pytest.mark.sluice_only("PgBouncer is often built without it, and 1.18 says nothing of RELOADING")
def test_systemd_hears_of_every_turn(make_pooler):
    pooler = make_pooler(start=False)
    manager = Notifications(pooler.folder)
    launch(pooler, environment={"NOTIFY_SOCKET": manager.path})
    assert manager.next_but_status() == "READY=1"
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    pooler.reload()
    match = re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=(\d+)", manager.next_but_status())
    assert match and before <= int(match.group(1)) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert manager.next_but_status() == "READY=1"
    client = pooler.connect()
    pooler.signal(signal.SIGTERM)
    assert manager.next_but_status() == "STOPPING=1"
    client.close()
    assert pooler.wait() == 0


@pytest.mark.sluice_only
def test_systemd_hears_the_status(make_pooler):
    pooler = make_pooler(start=False, stats_period=1)
    manager = Notifications(pooler.folder)
    launch(pooler, environment={"NOTIFY_SOCKET": manager.path})
    text = manager.next()
    while not text.startswith("STATUS="):
        text = manager.next()
    assert "\n" not in text and re.search(r"\d", text)


def test_sockets_of_systemd(kind, make_pooler, run_folder):
    """Socket activation: the descriptors are there already, numbered from 3."""
    if "systemd: yes" not in run(kind, "--version").stdout:
        pytest.skip("a PgBouncer that was built without systemd")
    pooler = make_pooler(start=False)
    tcp = socket.socket()
    tcp.bind(("127.0.0.1", 0))
    tcp.listen(16)
    path = f"{pooler.folder}/activated"
    local = socket.socket(socket.AF_UNIX)
    local.bind(path)
    local.listen(16)
    os.chmod(path, 0o777)
    launch(pooler, sockets=[tcp, local], waits=False)
    address = tcp.getsockname()
    for where in (address, path):
        assert pooler.connect(address=where).rows("select 1") == [("1",)]
    assert not listening(pooler.port) and not os.path.exists(pooler.socket_path)
    assert pooler.log_contains("WARNING .*listen_addr")
    pooler.stop()
    assert os.path.exists(path), "the socket is systemd's"
    tcp.close()
    local.close()


@pytest.mark.sluice_only
def test_the_journal_gets_severities(make_pooler):
    pooler = make_pooler(start=False)
    journal = open(pooler.stderr_path, "w")
    give(pooler.stderr_path)
    status = os.fstat(journal.fileno())
    launch(pooler, environment={"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
    wait_until(lambda: "process up" in pooler.stderr(), "the first lines")
    assert re.search(r"^<6>LOG process up", pooler.stderr(), re.M)
    assert re.search(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \S+ \[\d+\] LOG process up", open(pooler.log_path).read(), re.M)
    journal.close()
    pooler.stop()
    launch(pooler, environment={"JOURNAL_STREAM": "1:1"})
    wait_until(lambda: re.search(r"^\d{4}.* LOG process up", pooler.stderr(), re.M), "plain lines, for somebody else's journal")


# the log


def test_a_rotated_log_is_reopened(make_pooler):
    pooler = make_pooler()
    os.rename(pooler.log_path, pooler.log_path + ".1")
    pooler.process.send_signal(signal.SIGHUP)
    wait_until(lambda: os.path.exists(pooler.log_path), "the new log file")
    pooler.connect().close()
    pooler.wait_log("closing because")
    assert "closing because" not in open(pooler.log_path + ".1").read()


@pytest.fixture
def syslog():
    """A system log of this test's own, where no other is running."""
    if not is_root() or os.path.exists("/dev/log"):
        pytest.skip("needs root, and no syslog daemon")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind("/dev/log")
        os.chmod("/dev/log", 0o666)
        server.settimeout(DEADLINE)
        try:
            yield server
        finally:
            os.unlink("/dev/log")


def test_syslog(make_pooler, syslog):
    def line_of(name, what):
        """Other programs of this machine may write there, too."""
        while True:
            line = syslog.recv(8192).decode()
            if f" {name}[{pooler.pid}]: " in line and what in line:
                return int(re.match(r"<(\d+)>", line).group(1))

    pooler = make_pooler(syslog=1, syslog_facility="local3", syslog_ident="moat")
    assert line_of("moat", "") >> 3 == 19
    with pytest.raises(wire.ServerError):
        pooler.connect(password="wrong")
    line_of("moat", "closing because")
    if pooler.kind.is_sluice:
        pooler.reload(syslog_ident="ditch", syslog_facility="daemon")
        pooler.connect()
        assert line_of("ditch", "login attempt") == 3 << 3 | 6


# helpers


def launch(pooler, *arguments, as_root=False, environment=None, sockets=(), waits=True):
    """As Pooler.start, with more arguments, another environment, or descriptors from 3 on."""
    log = open(pooler.stderr_path, "a")
    give(pooler.stderr_path)
    command = [pooler.kind.path, *arguments, pooler.ini_path]
    env = dict(os.environ, **(environment or {}))
    numbers = []
    if sockets:
        # The number of the process is known only once it runs.
        shell = 'export LISTEN_PID=$$ LISTEN_FDS=%d; exec "$@"' % len(sockets)
        numbers = [fcntl.fcntl(s.fileno(), fcntl.F_DUPFD, 50) for s in sockets]
        moves = " ".join(f"{3 + i}<&{n}" for i, n in enumerate(numbers))
        command = ["bash", "-c", f"exec {moves}; {shell}", "sh", *command]
    if as_root:
        pooler.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
    else:
        pooler.process = processes.start(command, env=env, stdout=log, stderr=log, pass_fds=numbers)
    for number in numbers:
        os.close(number)
    log.close()
    pooler.ended_on_purpose = False
    if waits:
        wait_until(lambda: pooler.process.poll() is not None or listening(pooler.port), lambda: f"it to listen:\n{pooler.log()}")
        assert pooler.process.poll() is None, pooler.log()
