"""Passwords for PostgreSQL that expire: `password_file` and `password_command`."""
import fcntl
import glob
import os
import signal
import struct
import subprocess
import threading
import time

import pytest

import wire
from processes import give, wait_until
from test_console import table
from test_hostile_server import OK, READY, FakeServer, hold
from test_sluicectl import binary, ctl  # noqa: F401 (fixtures)
from test_url import by_url, url  # noqa: F401 (a fixture)
from wire import message

pytestmark = [pytest.mark.poolers_only, pytest.mark.sluice_only("PgBouncer's passwords stand in files that are read at a reload")]


class Secret:
    """The server's password for user app, the file that holds it, and a command that prints it and counts its runs."""

    def __init__(self, postgres, folder):
        self.postgres, self.folder, self.number = postgres, folder, 0
        self.path, self.lock, self.script, self.runs_path = (f"{folder}/{name}" for name in ("secret", "lock", "command", "runs"))
        for path in (self.lock, self.runs_path):
            open(path, "w").close()
            give(path)
        self.says(f"exec flock {self.lock} cat {self.path}")
        self.change()

    @property
    def text(self):
        return f"secret-number-{self.number}"

    def write(self, text):
        with open(self.path + ".new", "w") as f:
            f.write(text)
        give(self.path + ".new")
        os.rename(self.path + ".new", self.path)

    def change(self):
        """A new password. Whoever reads under the lock never sees the one without the other."""
        with open(self.lock) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.number += 1
            self.postgres.sql(f"alter role app password '{self.text}'")
            self.write(self.text + "\n")

    def says(self, command):
        """What the command does, after it was counted."""
        with open(self.script + ".new", "w") as f:
            f.write(f'echo "$PGUSER@$PGHOST:$PGPORT" >> {self.runs_path}\n{command}\n')
        give(self.script + ".new")
        os.rename(self.script + ".new", self.script)

    @property
    def command(self):
        return f"'sh {self.script}'"

    @property
    def runs(self):
        with open(self.runs_path) as f:
            return f.read().split()

    def given_by(self, way):
        return {"user": "app", f"password_{way}": self.path if way == "file" else self.command}


@pytest.fixture
def secret(own_postgres, run_folder):
    return Secret(own_postgres, run_folder.folder("secret"))


def refused(pooler, **how):
    with pytest.raises(wire.ServerError) as info:
        pooler.connect(**how)
    assert info.value.severity == "FATAL"
    return info.value


def processes_with(word):
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as f:
                if word.encode() in f.read():
                    found.append(path)
        except OSError:
            pass
    return found


# --- the password changes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("way", ["file", "command"])
def test_no_query_fails_while_the_password_changes(make_pooler, secret, way, workers):
    pooler = make_pooler(secret.postgres, databases={"lab": secret.given_by(way)}, workers=workers, server_lifetime=1, default_pool_size=4)
    # One server stays: where file and server change one after the other, a login in between is refused twice.
    holder = pooler.connect()
    holder.rows("begin")
    over, faults, counts = threading.Event(), [], [0] * 6

    def load(index):
        try:
            while not over.is_set():
                with pooler.connect() as client:
                    for _ in range(100 if index % 2 else 10_000):
                        value = f"{index}-{counts[index]}"
                        assert client.value(f"select '{value}'") == value
                        counts[index] += 1
        except Exception as fault:  # whatever it is
            faults.append(repr(fault))

    def logged(text):
        with open(pooler.log_path) as f:
            return f.read().count(text)

    threads = [threading.Thread(target=load, args=(index,)) for index in range(len(counts))]
    for thread in threads:
        thread.start()
    for _ in range(4):
        time.sleep(2)  # the pace of the changes; nothing is measured by it
        logins = logged("new connection to server")
        secret.change()
        wait_until(lambda: logged("new connection to server") > logins + 4 or faults, "logins with the new password")
    over.set()
    for thread in threads:
        thread.join()
    assert not faults and all(counts), (faults, counts)
    assert holder.value("select 1") == "1"
    assert logged("the password was refused") > 0 and not logged("secret-number")
    # one run for a change, not one for a login
    if way == "command":
        assert len(secret.runs) < logged("new connection to server") / 2


@pytest.mark.parametrize("way", ["file", "command"])
def test_servers_that_are_logged_in_stay(make_pooler, secret, way):
    pooler = make_pooler(secret.postgres, databases={"lab": secret.given_by(way)})
    client = pooler.connect()
    pid = client.pid()
    secret.change()
    assert client.pid() == pid
    # a second one needs a login, with the new password
    client.rows("begin")
    assert pooler.connect().pid() != pid
    assert pooler.log_count("the password was refused") == 1


def test_the_password_of_a_user(make_pooler, secret):
    """Clients go on logging in with what the user list says."""
    pooler = make_pooler(
        secret.postgres, databases={"lab": {}, "own": {"user": "app", "password": secret.text}}, sections={"users": {"app": f"password_command={secret.command}"}})
    assert pooler.connect().value("select current_user") == "app"
    assert secret.runs == [f"app@127.0.0.1:{secret.postgres.port}"]
    # the database's own password comes before, and other users are not concerned
    assert pooler.connect(database="own").value("select 1") == "1"
    assert pooler.connect(user="app2").value("select current_user") == "app2"
    assert len(secret.runs) == 1
    with pytest.raises(wire.ServerError):
        pooler.connect(password=secret.text)


def test_a_database_without_a_user_asks_for_each_client_s_user(make_pooler, secret):
    secret.says("echo $PGUSER-pw")
    secret.postgres.sql("alter role app password 'app-pw'")
    pooler = make_pooler(
        secret.postgres, databases={"lab": {"password_command": secret.command}}, users={"app": "for clients", "app2": "for clients"})
    for user in ("app", "app2"):
        assert pooler.connect(user=user, password="for clients").value("select current_user") == user
    assert sorted(run.split("@")[0] for run in secret.runs) == ["app", "app2"]


def test_the_password_of_auth_user(make_pooler, secret):
    secret.postgres.sql("alter role app superuser")
    pooler = make_pooler(
        secret.postgres, users={}, auth_user="app", auth_query="select usename, passwd from pg_shadow where usename = $1",
        sections={"users": {"app": f"password_file={secret.path}"}})
    assert pooler.connect(user="app2").value("select current_user") == "app2"


def test_a_replication_client(make_pooler, secret):
    secret.postgres.sql("alter role app replication")
    pooler = make_pooler(secret.postgres, databases={"lab": secret.given_by("command")})
    pooler.connect().rows("select 1")
    secret.change()
    client = pooler.connect(parameters={"replication": "database"})
    assert client.query("IDENTIFY_SYSTEM").check().rows[0][3] == "lab"
    assert len(secret.runs) == 2


@pytest.mark.parametrize("workers", [1, 4])
def test_logins_share_a_run(make_pooler, secret, workers):
    pooler = make_pooler(secret.postgres, databases={"lab": secret.given_by("command")}, workers=workers, default_pool_size=10)
    clients = [pooler.connect() for _ in range(10)]
    for client in clients:
        client.rows("begin")
    assert len(pooler.servers()) == 10 and len(secret.runs) == 1
    # with no lifetime each login has a run of its own, or shares one that is under way
    pooler.reload(password_lifetime=0)
    for client in clients:
        client.rows("rollback")
    secret.postgres.sql("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'lab'")
    wait_until(lambda: not pooler.servers(), "the servers to be gone")
    assert clients[0].value("select 1") == "1" and len(secret.runs) == 2


def test_a_reload_asks_anew(make_pooler, secret):
    pooler = make_pooler(secret.postgres, databases={"lab": secret.given_by("command")})
    pooler.connect().rows("begin")
    pooler.reload()
    pooler.connect().rows("begin")
    assert len(secret.runs) == 2 and not pooler.log_contains("the password was refused")


def test_a_refusal_by_pam_is_one_of_the_password(make_pooler, secret, run_folder):
    """RDS judges tokens with PAM, and PostgreSQL then says 28000."""
    seen = []

    def judge(s):
        s.sendall(message("R", struct.pack("!I", 3)))
        size = struct.unpack("!xI", s.recv(5, 0x100))[0]
        seen.append(s.recv(size - 4, 0x100).rstrip(b"\0").decode())
        if seen[-1] != "second":
            s.sendall(message("E", b'SFATAL\0C28000\0MPAM authentication failed for user "app"\0\0'))
            s.close()
            return
        s.sendall(OK + READY)
        hold(s)

    secret.says(f"test $(wc -l < {secret.runs_path}) = 1 && echo first || echo second")
    server = FakeServer(judge)
    try:
        pooler = make_pooler(databases={"fake": {"host": "127.0.0.1", "port": server.port, **secret.given_by("command")}})
        pooler.connect(database="fake")
        assert seen == ["first", "second"]
    finally:
        server.close()


def test_a_password_that_stays_wrong(make_pooler, secret):
    secret.says("echo wrong")
    pooler = make_pooler(secret.postgres, databases={"lab": secret.given_by("command")})
    error = refused(pooler)
    assert (error.code, error.message) == ("28P01", 'password authentication failed for user "app"')
    assert len(secret.runs) == 2
    secret.says(f"cat {secret.path}")

    def connected():
        try:
            return pooler.connect()
        except wire.ServerError as error:
            assert error.code == "28P01"

    assert wait_until(connected, "the right password to be asked for").value("select 1") == "1"


# --- it can't be had ------------------------------------------------------------------------------------------------------

FAULTS = {
    "exit 3": "password_command: exit status 3",
    "echo secret-half; exit 1": "password_command: exit status 1",
    "kill -9 0": "password_command: ended by signal 9",
    "true": "password_command: there is nothing: expected one line, the password",
    "echo": "password_command: there is nothing: expected one line, the password",
    "echo secret-one; echo secret-two": "password_command: there is more than one line: expected the password alone",
    "yes secret-yes": "password_command: the output is longer than 65535 bytes: expected the password alone",
    "printf 'secret-\\377\\n'": "password_command: the line is not text in UTF-8",
    "exec sleep 3599.25": "password_command: no end after 1 s (password_command_timeout)",
    "sleep 3599.25 & echo secret-one": "password_command: no end after 1 s (password_command_timeout)",
    "exec >&-; exec sleep 3599.25": "password_command: no end after 1 s (password_command_timeout)",
    "echo secret-error >&2; exit 7": "password_command: exit status 7",
}


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("command", FAULTS)
def test_a_command_that_fails(make_pooler, secret, command, workers):
    """Nobody who has a server hears of it; whoever waits without one hears what it is."""
    pooler = make_pooler(secret.postgres, databases={"lab": secret.given_by("command")}, workers=workers, password_command_timeout=1)
    first, second = pooler.connect(), pooler.connect()
    pid = first.pid()
    first.rows("begin")
    secret.says(command)
    pooler.reload()
    second.send(wire.query("select 'served'"))
    pooler.wait_log("server login failed: " + FAULTS[command].replace("(", r"\(").replace(")", r"\)"))
    assert first.pid() == pid
    first.rows("commit")
    assert second.read_until("Z").check().rows == [("served",)]
    # without any server
    secret.postgres.sql("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'lab'")
    wait_until(lambda: not pooler.servers(), "the servers to be gone")
    second.send(wire.query("select 1"))
    assert second.read_until("E").error.message == "server login failed: " + FAULTS[command]
    wait_until(lambda: not processes_with("3599.25"), "no process to be left")
    assert "secret-" not in pooler.log().replace(secret.folder, "")
    # and it is tried again
    secret.says(f"cat {secret.path}")

    def is_served():
        reply = pooler.connect()
        reply.send(wire.query("select 1"))
        reply = reply.read_until("Z", "E")
        assert not reply.errors or FAULTS[command] in reply.error.message
        return not reply.errors

    wait_until(is_served, "the command to be run again")


def test_a_file_that_is_missing_or_wrong(make_pooler, secret):
    os.rename(secret.path, secret.path + ".away")
    pooler = make_pooler(secret.postgres, databases={"lab": secret.given_by("file")})
    pooler.wait_log(rf"WARNING .*pooler.ini:2: password_file: {secret.path}: cannot be read: No such file or directory")
    assert refused(pooler).message == "server login failed: password_file: cannot be read: No such file or directory"
    # only the operator is told which file
    pooler.wait_log(f"server login failed: password_file {secret.path}: cannot be read")
    secret.write("secret-one\nsecret-two\n")

    def other(expected):
        def is_heard():
            return refused(pooler).message == f"server login failed: password_file: {expected}"

        wait_until(is_heard, expected)

    other("there is more than one line: expected the password alone")
    secret.write("x" * 70000)
    other("the line is longer than 65535 bytes")
    for text in (secret.text, secret.text + "\r\n"):
        secret.write(text)
        pooler.reload()
        assert pooler.connect().value("select 1") == "1"
        secret.postgres.sql("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'lab'")
        wait_until(lambda: not pooler.servers(), "the servers to be gone")
    assert "secret-" not in pooler.log().replace(secret.folder, "")


@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGINT])
def test_no_command_outlives_the_pooler(make_pooler, secret, how):
    secret.says("exec sleep 3598.75")
    pooler = make_pooler(secret.postgres, databases={"lab": secret.given_by("command")}, password_command_timeout=0, auth_type="trust")
    client = pooler.raw()
    client.send(wire.startup_packet({"user": "app", "database": "lab"}))
    wait_until(lambda: processes_with("3598.75"), "the command to run")
    pooler.signal(how)
    client.close()
    pooler.wait()
    wait_until(lambda: not processes_with("3598.75"), "the command to be gone")


def test_the_command_gets_nothing_of_the_pooler_s(make_pooler, secret):
    """No socket, no signal that is ignored or blocked, an empty standard input."""
    secret.says(f"ls -l /proc/$$/fd > {secret.folder}/fds; grep -E 'Sig(Blk|Ign)' /proc/self/status > {secret.folder}/signals; cat; cat {secret.path}")
    pooler = make_pooler(secret.postgres, databases={"lab": secret.given_by("command")})
    pooler.connect(), pooler.raw()
    with open(f"{secret.folder}/fds") as f:
        assert "socket:" not in f.read()
    with open(f"{secret.folder}/signals") as f:
        blocked, ignored = [int(line.split()[1], 16) for line in f.read().splitlines()]
    assert blocked == 0 and not ignored & 1 << signal.SIGPIPE - 1


def test_doctor_asks_with_the_password_of_the_moment(ctl, make_pooler, secret):  # noqa: F811
    def doctor(status=0, **keys):
        pooler = make_pooler(secret.postgres, start=False, databases={"lab": {}, **keys}, sections={"users": {"app": f"password_command={secret.command}"}})
        return ctl("doctor", "-c", pooler.ini_path, status=status)

    assert "0 errors" in doctor(lab={"user": "app"})
    assert secret.runs == [f"app@127.0.0.1:{secret.postgres.port}"]
    assert "0 errors" in doctor(lab=secret.given_by("file")) and "0 errors" in doctor() and len(secret.runs) == 2
    secret.says("echo secret-one; exit 9")
    text = doctor(status=1, lab={"user": "app"})
    assert 'cannot be asked as "app": password_command: exit status 9' in text and "secret-" not in text.replace(secret.folder, "")


@pytest.mark.parametrize("workers", [1, 3])
def test_why_a_client_waits(make_pooler, secret, workers):
    secret.says("exec sleep 3596.25")
    pooler = make_pooler(secret.postgres, databases={"lab": secret.given_by("command")}, password_command_timeout=0, workers=workers, auth_type="trust", admin_users="app")
    pooler.raw().send(wire.startup_packet({"user": "app", "database": "lab"}))
    wait_until(lambda: processes_with("3596.25"), "the command to run")
    why = {r["item"]: r["value"] for r in table(pooler.connect(database="pgbouncer"), "WHY POOL lab app")}
    assert why["limit"] == "password_command_timeout" and "waits for its password" in why["reason"]


def test_nothing_shows_the_password(make_pooler, secret):
    pooler = make_pooler(secret.postgres, databases={"lab": secret.given_by("command")}, admin_users="app", verbose=2)
    pooler.connect().rows("select 1")
    console = pooler.connect(database="pgbouncer")
    topics = "databases servers clients pools stats config users credentials mem sockets active_sockets lists fds".split()
    shown = [str(console.query(f"show {topic}").rows) for topic in topics]
    with open(f"/proc/{pooler.pid}/cmdline", "rb") as f:
        title = f.read().decode()
    for text in [*shown, title, pooler.log()]:
        assert "secret-number" not in text


# --- where it is given ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["file", "command"])
def test_with_a_url(by_url, secret, way):  # noqa: F811
    """Clients log in with the URL's password."""
    pooler = by_url(url(secret.postgres), f"--password-{way}", secret.path if way == "file" else f"sh {secret.script}", "--password-lifetime", "60")
    client = pooler.connect()
    assert client.value("select current_user") == "app"
    secret.change()
    client.rows("begin")
    assert pooler.connect().value("select 1") == "1" and pooler.connect(database="lab2").value("select 1") == "1"
    assert "secret-number" not in pooler.log()


def run(kind, *arguments):
    return subprocess.run([kind.path, *arguments], capture_output=True, text=True, env={"PATH": os.environ["PATH"]})


def test_a_command_line_that_makes_no_sense(kind, secret, make_pooler):
    for arguments, expected in (
        (["--password-file", "/a", "--password-command", "b"], "give --password-file or --password-command, not both"),
        (["--password-file", ""], "--password-file: expected the path of a file"),
        (["--password-command", ""], "--password-command: expected a command of the shell"),
        (["--password-command", "a", "--password-lifetime=-1"], "--password-lifetime: expected whole seconds from 0"),
    ):
        answer = run(kind, "--database-url", url(secret.postgres), *arguments)
        assert answer.returncode == 1 and expected in answer.stderr, answer.stderr
    answer = run(kind, "--password-file", "/a", "/etc/passwd")
    assert answer.returncode == 1 and "with a configuration file, password_file" in answer.stderr


def test_check_tells_what_is_wrong(kind, secret, make_pooler):
    pooler = make_pooler(start=False, databases={"lab": {"user": "app", "password": "x", "password_file": "/nowhere"}}, sections={"users": {"app": "password_file=/a password_command=b"}})
    answer = run(kind, "--check", pooler.ini_path)
    assert answer.returncode == 1
    for line in (
        'pooler.ini:2: password_file: database "lab": password and password_file are both given: expected one of them',
        'password_file: user "app": password_file and password_command are both given: expected one of them',
        "pooler.ini:2: password_file: /nowhere: cannot be read: No such file or directory",
    ):
        assert line in answer.stderr, answer.stderr
