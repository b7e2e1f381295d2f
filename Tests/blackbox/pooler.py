"""The pooler under test: started as `BINARY CONFIG.ini`, watched, and never allowed to crash unnoticed."""
import os
import re
import signal
import subprocess

import wire
from postgres import USERS, password_of
from processes import DEADLINE, anonymous_memory, free_port, give, listening, listening_at, start, wait_until

# texts that no run may leave in the log, whatever a test was about
DISASTERS = re.compile(r"ThreadSanitizer|AddressSanitizer|UndefinedBehaviorSanitizer|Fatal error|Simultaneous access|@@@ bug|BUG:|assert\w* .*failed|Program crashed|fault of the pooler")


class Kind:
    """Which pooler, which version, what it is able to do."""

    def __init__(self, path, name, workers=None):
        self.path, self.name, self.workers = os.path.abspath(path), name, workers
        self.version = (0, 0)
        if name == "pgbouncer":
            answer = subprocess.run([self.path, "--version"], capture_output=True, text=True).stdout
            self.version = tuple(int(n) for n in re.search(r"(\d+)\.(\d+)", answer).groups())

    @property
    def is_sluice(self):
        return self.name == "sluice"

    def since(self, version):
        """Does it behave like PgBouncer of that version or later?"""
        return self.is_sluice or self.version >= tuple(int(n) for n in version.split(".")[:2])

    @property
    def signal_at_once(self):
        return signal.SIGQUIT if self.since("1.23") else signal.SIGTERM


class Pooler:
    """One pooler process with its own folder, ports and log.

    databases  {name: connect string} or {name: {key: value}}; the PostgreSQL's host and port are filled in unless given
    users      {name: secret} of the user list; all known users with plain text passwords unless given
    settings   lines of the main section; None takes a default away
    sections   further sections, {name: {key: value}}
    """

    open_files = None  # how many descriptors it may have, if a test wants them to be few
    address_space = None  # how many bytes of memory it may have, if a test wants them to be few
    preloaded = None  # a library whose functions it gets in place of the system's

    def __init__(self, kind, run_folder, postgres, databases=None, users=None, sections=None, start=True, ini=None, **settings):
        self.kind, self.postgres = kind, postgres
        self.folder = run_folder.folder("pooler")
        self.port = free_port()
        self.ini_path, self.users_path = f"{self.folder}/pooler.ini", f"{self.folder}/users.txt"
        self.log_path, self.stderr_path = f"{self.folder}/pooler.log", f"{self.folder}/stderr.log"
        self.process, self.clients, self.ended_on_purpose = None, [], False
        self.databases = databases if databases is not None else {"lab": {}, "lab2": {}}
        self.users = users if users is not None else {name: password_of(name) for name in USERS}
        self.sections = sections or {}
        self.settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": self.port,
            "unix_socket_dir": self.folder,
            "auth_type": "scram-sha-256",
            "auth_file": self.users_path,
            "logfile": self.log_path,
            "pool_mode": "transaction",
            "default_pool_size": 5,
            "max_client_conn": 1000,
            "log_stats": 0,
            "server_tls_sslmode": "disable",
        }
        if kind.is_sluice and kind.workers:
            self.settings["workers"] = kind.workers
        self.settings.update(settings)
        if not kind.is_sluice:
            self.settings.pop("workers", None)  # PgBouncer has one thread, whatever a test asks for
        self.write_users(self.users)
        self.write_ini(ini)
        if start:
            self.start()

    def unknown_setting(self):
        """The setting that PgBouncer did not start for, because it has none of that name."""
        found = re.search(r"unknown parameter: pgbouncer/(\S+)|unrecognized connection parameter: (\S+)", self.log())
        return found and (found.group(1) or found.group(2))

    # files

    def _connect_string(self, name, value):
        if isinstance(value, str):
            return value
        value = dict({"host": "127.0.0.1", "port": self.postgres.port, "dbname": name if name in ("app", "lab", "lab2") else "lab"}, **value)
        return " ".join(f"{k}={v}" for k, v in value.items() if v is not None)

    def write_ini(self, text=None):
        if text is None:
            lines = ["[databases]"] + [f"{name} = {self._connect_string(name, value)}" for name, value in self.databases.items()]
            lines += ["[pgbouncer]"] + [f"{k} = {v}" for k, v in self.settings.items() if v is not None]
            for section, entries in self.sections.items():
                lines += [f"[{section}]"] + [f"{k} = {v}" for k, v in entries.items()]
            text = "\n".join(lines) + "\n"
        with open(self.ini_path, "w") as f:
            f.write(text)
        give(self.ini_path)

    def write_users(self, users):
        with open(self.users_path, "w") as f:
            for name, secret in users.items():
                f.write('"%s" "%s"\n' % (name.replace('"', '""'), secret.replace('"', '""')))
        give(self.users_path)

    # life

    def launch(self):
        """Starts the process and looks no further: for files that must be refused."""
        log = open(self.stderr_path, "a")
        give(self.stderr_path)
        command = [self.kind.path, self.ini_path]
        if self.open_files:
            command = ["sh", "-c", f'ulimit -n {self.open_files} && exec "$0" "$@"'] + command
        if self.address_space:
            command = ["prlimit", f"--as={self.address_space}"] + command
        env = dict(os.environ, LD_PRELOAD=self.preloaded) if self.preloaded else None
        self.process = start(command, env=env, stdout=log, stderr=log)
        log.close()
        return self.process

    def start(self):
        self.launch()
        self.ended_on_purpose = False

        def ready():
            assert self.process.poll() is None, f"{self.kind.name} ended with status {self.process.returncode} before it listened:\n{self.log()}"
            if self.settings.get("listen_addr"):
                return listening(self.port)
            return listening_at(self.socket_path)

        wait_until(ready, lambda: f"{self.kind.name} to listen:\n{self.log()}")

    @property
    def pid(self):
        return self.process.pid

    def signal(self, number):
        if number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            self.ended_on_purpose = True
        self.process.send_signal(number)

    def wait(self, deadline=DEADLINE):
        """The exit status, once it ended."""
        self.ended_on_purpose = True
        return self.process.wait(deadline)

    def alive(self):
        return self.process.poll() is None

    def reload(self, **settings):
        """Changes settings, sends SIGHUP and returns when the log says that it was done (PgBouncer's: that it was begun)."""
        self.settings.update(settings)
        self.write_ini()
        mark = r"RELOAD (done|failed)" if self.kind.is_sluice else r"(?i)SIGHUP|re-?reading config|reload"
        before = self.log_count(mark)
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.log_count(mark) > before, "the reload to be logged")

    def stop(self):
        """Ends it at once and says how it went."""
        for client in self.clients:
            client.close()
        self.clients.clear()
        if self.process is None:
            return
        crashed = self.process.poll() if not self.ended_on_purpose else None
        if self.process.poll() is None:
            self.process.send_signal(self.kind.signal_at_once)
            try:
                status = self.process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"{self.kind.name} did not end at {self.kind.signal_at_once!r}:\n{self.log()[-3000:]}")
            assert status in (0, 0 if self.kind.since("1.23") else 1), f"{self.kind.name} ended with status {status}:\n{self.log()[-3000:]}"
        self.process = None
        assert crashed is None, f"{self.kind.name} had ended with status {crashed} during the test:\n{self.log()[-3000:]}"
        disaster = DISASTERS.search(self.log())
        assert not disaster, f"{disaster.group(0)} in the log:\n{self.log()[max(disaster.start() - 500, 0):][:3000]}"

    def memory(self):
        return anonymous_memory(self.pid)

    # log

    def log(self):
        """What it wrote: the log file, or standard error while there is none."""
        parts = []
        for path in (self.log_path, self.stderr_path):
            try:
                with open(path, errors="replace") as f:
                    parts.append(f.read())
            except FileNotFoundError:
                parts.append("")
        # both hold the same lines once the log file is open; standard error alone has the first and the fatal ones
        return parts[0] + "\n".join(line for line in parts[1].splitlines() if line not in parts[0])

    def stderr(self):
        with open(self.stderr_path, errors="replace") as f:
            return f.read()

    def log_count(self, pattern):
        return len(re.findall(pattern, self.log()))

    def log_contains(self, pattern):
        return bool(re.search(pattern, self.log()))

    def wait_log(self, pattern, count=1):
        wait_until(lambda: self.log_count(pattern) >= count, lambda: f"{pattern!r} in the log:\n{self.log()[-3000:]}")

    # clients

    @property
    def address(self):
        return ("127.0.0.1", self.port)

    @property
    def socket_path(self):
        return f"{self.settings['unix_socket_dir']}/.s.PGSQL.{self.port}"

    def connect(self, user="app", password=None, database="lab", address=None, **more):
        """A raw client, logged in; closed with the pooler."""
        password = password if password is not None else password_of(user)
        client = wire.Client(address or self.address, user=user, password=password, database=database, **more)
        self.clients.append(client)
        return client

    def raw(self, address=None):
        """A connected socket on which nothing was said yet."""
        client = wire.Client(address or self.address, login=False)
        self.clients.append(client)
        return client

    def servers(self, database="lab", where="true"):
        return self.postgres.backends(database, where)

    def url(self, user="app", database="lab", scheme="postgresql"):
        return f"{scheme}://{user}:{password_of(user)}@127.0.0.1:{self.port}/{database}"
