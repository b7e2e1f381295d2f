"""Sluice without a file: `--database-url` and DATABASE_URL."""
import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
import urllib.parse
import urllib.request

import pytest

import wire
from pooler import DISASTERS
from postgres import password_of
from processes import DEADLINE, UNPRIVILEGED, free_port, give, is_root, listening, start, wait_until

pytestmark = pytest.mark.sluice_only("PgBouncer needs a file")


class Started:
    """A pooler that was started by a URL."""

    def __init__(self, command, port, log_path, **env):
        self.port, self.log_path, self.clients, self.path = port, log_path, [], command[0]
        with open(log_path, "w") as log:
            give(log_path)
            environment = {k: v for k, v in os.environ.items() if k != "DATABASE_URL"} | env
            self.process = start(command, env=environment, stdout=log, stderr=log)

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def wait_log(self, pattern):
        wait_until(lambda: re.search(pattern, self.log()), lambda: f"{pattern!r} in the log:\n{self.log()}")

    def connect(self, user="app", database="lab", **more):
        client = wire.Client(("127.0.0.1", self.port), user=user, password=password_of(user), database=database, **more)
        self.clients.append(client)
        return client

    def stop(self):
        for client in self.clients:
            client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
        assert self.process.wait(DEADLINE) == 0, self.log()
        assert not DISASTERS.search(self.log()), self.log()


@pytest.fixture
def by_url(kind, run_folder):
    """by_url("postgres://...", "--more", arguments) starts one and waits until it listens."""
    started = []

    def begin(url, *more, joined=False, **env):
        port = free_port()
        argument = [] if url is None else [f"--database-url={url}"] if joined else ["--database-url", url]
        pooler = Started([kind.path, *argument, "--listen-port", str(port), *more], port, f"{run_folder.folder('url')}/log", **env)
        started.append(pooler)
        wait_until(lambda: listening(port) or pooler.process.poll() is not None, lambda: f"it to listen:\n{pooler.log()}")
        assert pooler.process.poll() is None, pooler.log()
        return pooler

    yield begin
    for pooler in started:
        pooler.stop()


def url(postgres, user="app", place=None, database="lab", **parameters):
    query = "&".join(f"{name}={urllib.parse.quote(value)}" for name, value in parameters.items())
    return f"postgres://{user}:{password_of(user)}@{place or f'127.0.0.1:{postgres.port}'}/{database}?{query}"


@contextlib.contextmanager
def knocking(pooler):
    """A client that logs in meanwhile, and is not expected to get anywhere."""

    def knock():
        with contextlib.suppress(wire.ServerError, wire.Closed, OSError):
            pooler.connect()

    thread = threading.Thread(target=knock)
    thread.start()
    try:
        yield
    finally:
        pooler.process.send_signal(signal.SIGQUIT)
        thread.join()


def test_settings_in_the_url_hold_on_every_server(by_url, postgres):
    """They were swallowed: an application that gave its statement_timeout in the URL ran without one."""
    pooler = by_url(url(
        postgres, options="-c lock_timeout=7s -c work_mem=5MB", statement_timeout="11s", timezone="Asia/Tokyo", client_encoding="LATIN1", application_name="by-url"))
    first, second = pooler.connect(), pooler.connect(parameters={"statement_timeout": "3s"})
    expected = {"lock_timeout": "7s", "work_mem": "5MB", "statement_timeout": "11s", "TimeZone": "Asia/Tokyo", "client_encoding": "LATIN1", "application_name": "by-url"}
    for _ in range(2):
        assert {name: first.value(f"show {name}") for name in expected} == expected
        # what a client chooses for itself comes before, and is gone with it
        assert second.value("show statement_timeout") == "3s" and second.value("show lock_timeout") == "7s"
    assert (first.parameters["TimeZone"], first.parameters["client_encoding"]) == ("Asia/Tokyo", "LATIN1")
    other = pooler.connect(database="lab2")
    assert other.value("show statement_timeout") == "11s"
    assert "WARNING" not in pooler.log(), pooler.log()


def test_what_has_no_effect_is_named(by_url, postgres):
    """Beware of sslmod=require, which was swallowed: the password travelled in the clear."""
    pooler = by_url(url(postgres, sslmod="require", target_session_attrs="read-write", connection_limit="5", sslpassword="hidden", sslcrl="/x"))
    for warning in (
        r'sslmod: not known, so it has no effect \(did you mean "sslmode"\?\)', "target_session_attrs: read-write has no effect: ",
        "no effect here: connection_limit, sslpassword, sslcrl",
    ):
        pooler.wait_log("WARNING database URL: " + warning)
    assert "hidden" not in pooler.log()
    assert pooler.connect().value("select 1") == "1"


def test_connect_timeout_bounds_the_wait_for_a_server(by_url, postgres):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        pooler = by_url(url(postgres, place=f"127.0.0.1:{silent.getsockname()[1]}", connect_timeout="1"))
        with knocking(pooler):
            pooler.wait_log(r"closing because: connect timeout \(age=[1-4]s\)")


def test_hosts_have_ports_of_their_own(by_url, postgres):
    """They had to be the same, though whoever runs several servers on one machine has no choice."""
    pooler = by_url(url(postgres, place=f"127.0.0.1:{free_port()},127.0.0.1:{postgres.port}"))
    assert pooler.connect().value("select inet_server_port()") == str(postgres.port)


def test_no_verify_means_tls_without_a_look_at_the_certificate(by_url, postgres):
    """node-postgres' word was an error; the server of this run speaks no TLS, so it is refused and hears no password."""
    pooler = by_url(url(postgres, sslmode="no-verify"))
    with knocking(pooler):
        pooler.wait_log("server does not support|server refused SSL")


@pytest.mark.parametrize("joined", [False, True])
def test_the_password_is_in_no_process_title(by_url, postgres, joined):
    """Everybody on the machine reads the command lines of all processes, and monitoring keeps them."""
    secret = password_of("app")
    pooler = by_url(url(postgres, sslmode="prefer"), "--pool-size", "3", joined=joined)
    with open(f"/proc/{pooler.process.pid}/cmdline", "rb") as f:
        title = f.read().decode()
    assert secret not in title and "app:***@127.0.0.1" in title
    assert title.rstrip("\0").split("\0")[-4:] == ["--listen-port", str(pooler.port), "--pool-size", "3"]
    shown = subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(pooler.process.pid)], capture_output=True, text=True).stdout
    assert secret not in shown and "sslmode=prefer" in shown
    assert pooler.connect().value("select 1") == "1"
    # the URL is read again at a reload, from memory
    pooler.process.send_signal(signal.SIGHUP)
    pooler.wait_log("RELOAD done")
    assert pooler.connect().value("select 1") == "1"


def test_a_password_among_the_parameters_is_hidden_too(by_url, postgres):
    pooler = by_url(f"postgres://127.0.0.1:{postgres.port}/lab?user=app&password={password_of('app')}&sslmode=prefer")
    with open(f"/proc/{pooler.process.pid}/cmdline", "rb") as f:
        assert password_of("app") not in f.read().decode()
    assert pooler.connect().value("select 1") == "1"


def test_the_environment_variable_is_taken(by_url, postgres):
    pooler = by_url(None, DATABASE_URL=url(postgres))
    assert pooler.connect().value("select 1") == "1"


@pytest.mark.parametrize("arguments", [["postgres://app:hidden@h/d"], ["--database-url", "postgres://app:hid/den@h/d"], ["--database-url", "postgres://app:hid?den@h/d"], ["--database-url", "jdbc:postgresql://app:hidden@h/d"]])
def test_a_wrong_url_is_refused_without_repeating_its_password(kind, arguments):
    who = {"user": UNPRIVILEGED, "group": UNPRIVILEGED, "extra_groups": []} if is_root() else {}
    done = subprocess.run([kind.path, *arguments], capture_output=True, text=True, timeout=DEADLINE, stdin=subprocess.DEVNULL, **who)
    assert done.returncode == 1 and "hid" not in done.stdout + done.stderr and "den" not in done.stdout + done.stderr


def page_of(pooler):
    pooler.wait_log(r"page and metrics on http://127\.0\.0\.1:\d+/")
    return re.search(r"page and metrics on (http://127\.0\.0\.1:\d+/)", pooler.log()).group(1)


def test_the_user_of_the_url_looks_at_the_console(by_url, postgres):
    """Nobody could: who tried the pooler out saw neither pools nor waits."""
    pooler = by_url(url(postgres))
    console = pooler.connect(database="pgbouncer")
    assert console.query("show pools").rows is not None
    assert console.query("pause").error.message == "admin access needed"
    operator = by_url(url(postgres), "--admin").connect(database="pgbouncer")
    assert not operator.query("pause").errors and not operator.query("resume").errors


def test_over_the_unix_socket_the_own_user_may_do_everything(by_url, postgres, run_folder):
    folder = run_folder.folder("socket")
    pooler = by_url(url(postgres), "--unix-socket-dir", folder)
    sluicectl = f"{os.path.dirname(pooler.path)}/sluicectl"
    command = [sluicectl, "-h", folder, "-p", str(pooler.port), "-U", "pgbouncer", "reload"]
    who = {"user": UNPRIVILEGED, "group": UNPRIVILEGED, "extra_groups": []} if is_root() else {}
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, **who)
    assert done.returncode == 0, done.stdout + done.stderr
    assert by_url(url(postgres), "--unix-socket-dir", "off").connect().value("select 1") == "1"


def test_every_pooler_has_a_page_and_tells_its_address(by_url, postgres):
    pages = {page_of(by_url(url(postgres))) for _ in range(2)}
    assert len(pages) == 2
    for page in pages:
        with urllib.request.urlopen(page, timeout=DEADLINE) as answer:
            assert b"<html" in answer.read()


def test_the_page_stays_where_it_is_at_a_reload(by_url, postgres):
    first, second = by_url(url(postgres)), by_url(url(postgres))
    for pooler in (first, second):
        page = page_of(pooler)
        pooler.process.send_signal(signal.SIGHUP)
        pooler.wait_log("RELOAD done")
        with urllib.request.urlopen(page + "metrics", timeout=DEADLINE) as answer:
            assert answer.status == 200
    off = by_url(url(postgres), "--metrics-listen", "off")
    off.connect()
    assert "page and metrics" not in off.log()


def test_the_start_says_that_all_is_well(by_url, postgres):
    pooler = by_url(url(postgres))
    pooler.wait_log(rf'PostgreSQL \d+[^ ]* .*answers at 127\.0\.0\.1:{postgres.port}: user "app", database "lab"')


@pytest.fixture
def stranger():
    """A port where something listens that is no PostgreSQL: it answers everything with a line of text."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        running = threading.Event()

        def serve():
            while not running.is_set():
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1000)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        running.set()
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_the_start_says_what_is_wrong_and_goes_on(by_url, postgres, stranger):
    nobody = free_port()
    for wrong, sentence in (
        (url(postgres, place=f"127.0.0.1:{nobody}"), rf"no PostgreSQL answers at 127\.0\.0\.1:{nobody}: Connection refused: check that it runs"),
        (url(postgres, place="nowhere.invalid"), r"the host of the database URL is not known \(nowhere\.invalid: "),
        (url(postgres).replace(password_of("app"), "no"), r'the password of user "app" in the database URL is wrong \(PostgreSQL at .* says: password authentication failed'),
        (url(postgres, sslmode="require"), r"speaks no TLS, and sslmode=require insists on it"),
        (url(postgres, database="none"), r'there is no database "none"'),
        (url(postgres, place=f"127.0.0.1:{stranger}"), rf"127\.0\.0\.1:{stranger} (does not speak like PostgreSQL|failed)"),
        (url(postgres, place=f"127.0.0.1:{stranger}", sslmode="disable"), rf"127\.0\.0\.1:{stranger} (does not speak like PostgreSQL|failed)"),
    ):
        pooler = by_url(wrong)
        pooler.wait_log(f"ERROR .*{sentence}.*; it is tried again for each client that comes")
        assert password_of("app") not in pooler.log()
        pooler.stop()


def test_a_server_that_comes_later_is_found_at_once(by_url, own_postgres):
    """The pause after a failed connect is for storms of clients; who starts both at the same time must not pay for it."""
    own_postgres.stop()
    pooler = by_url(url(own_postgres))
    pooler.wait_log("no PostgreSQL answers")
    own_postgres.start()
    own_postgres.wait_ready()
    # server_login_retry is 15 s
    client = pooler.connect()
    assert client.value("select 1") == "1" and pooler.log().count("connect failed") <= 2


def refused(kind, tmp_path, *arguments, **env):
    """The output of a start that ends by itself with status 1."""
    who = {"user": UNPRIVILEGED, "group": UNPRIVILEGED, "extra_groups": []} if is_root() else {}
    environment = {k: v for k, v in os.environ.items() if k != "DATABASE_URL"} | env
    done = subprocess.run([kind.path, *arguments], capture_output=True, text=True, timeout=DEADLINE, stdin=subprocess.DEVNULL, env=environment, **who)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stderr


def test_a_server_that_wants_a_password_that_the_url_lacks(kind, postgres, tmp_path):
    """It went on, and every login failed."""
    said = refused(kind, tmp_path, "--database-url", f"postgres://app@127.0.0.1:{postgres.port}/lab", "--listen-port", str(free_port()))
    assert re.search(r"FATAL .*asks for a password and the database URL has none: expected postgres://user:password@host:port/database", said), said


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
def test_a_pooler_in_front_of_itself(kind, host, tmp_path):
    """Each of its servers was a client of its own, until the pool was full and everybody waited."""
    port = free_port()
    listen = "0.0.0.0" if host == "127.0.0.2" else "127.0.0.1"
    said = refused(kind, tmp_path, "--database-url", f"postgres://app:app@{host}:{port}/app", "--listen-port", str(port), "--listen-addr", listen)
    assert re.search(rf"FATAL .*leads to this pooler itself \({host}:{port}\): expected the address of PostgreSQL, or another port", said), said


@contextlib.contextmanager
def forwarder(to):
    """A port whose connections all lead to another one, as behind NAT: neither end sees the other's address."""
    listener = socket.create_server(("127.0.0.1", 0))
    ends = []

    def copy(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve():
        with contextlib.suppress(OSError):
            while True:
                here = listener.accept()[0]
                ends.append(here)
                there = socket.create_connection(("127.0.0.1", to))
                ends.append(there)
                for pair in ((here, there), (there, here)):
                    threads.append(threading.Thread(target=copy, args=pair))
                    threads[-1].start()

    threads = [threading.Thread(target=serve)]
    threads[0].start()
    try:
        yield listener.getsockname()[1]
    finally:
        # An accept that waits is not woken by a close.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        for end in ends:
            end.close()


@pytest.mark.parametrize("password, more", [("app", []), ("", ["--password-file"]), ("app", ["--workers", "2"])])
def test_a_pooler_in_front_of_itself_behind_a_forwarder(kind, run_folder, tmp_path, password, more):
    """No address tells: the process hears its own nonce."""
    port = free_port()
    if more == ["--password-file"]:
        file = f"{run_folder.folder('password')}/password"
        with open(file, "w") as f:
            f.write("app\n")
        give(file)
        more, password = ["--password-file", file], "for-clients"
    with forwarder(port) as outside:
        said = refused(kind, tmp_path, "--database-url", f"postgres://app:{password}@127.0.0.1:{outside}/app", "--listen-port", str(port), *more)
    assert re.search(rf"FATAL .*leads to this pooler itself \(127\.0\.0\.1:{outside}\): expected the address of PostgreSQL, or another port", said), said
    assert "it is tried again" not in said


def test_a_forwarder_in_front_of_postgres_is_none(by_url, postgres):
    with forwarder(postgres.port) as outside:
        pooler = by_url(url(postgres, place=f"127.0.0.1:{outside}"))
        pooler.wait_log(f"PostgreSQL .* answers at 127.0.0.1:{outside}")
        assert pooler.connect().value("select 1") == "1"
        pooler.stop()


@pytest.mark.parametrize("slip, written", [("se@cret", "%40"), ("se#cret", "%23"), ("se/cret", "%2F"), ("se?cret", "%3F")])
def test_a_password_with_an_unescaped_character(kind, tmp_path, slip, written):
    """Drivers disagree about where such a password ends, so nobody guesses."""
    said = refused(kind, tmp_path, "--database-url", f"postgres://app:{slip}@127.0.0.1:1/lab", "--listen-port", str(free_port()))
    assert re.search(rf"database URL: password: .* in it is written .*{written}", said), said
    assert "cret" not in said


def test_options_of_a_start_by_url_are_settings_of_a_file(kind, tmp_path):
    file = tmp_path / "sluice.ini"
    file.write_text("[sluice]\n")
    for option in (["--admin"], ["--metrics-listen", "off"], ["--unix-socket-dir", "off"], ["--workers", "1"]):
        assert "with a configuration file, these are settings: " in refused(kind, tmp_path, str(file), *option)


def test_a_folder_of_the_socket_that_is_not_there(kind, postgres, tmp_path):
    said = refused(kind, tmp_path, "--database-url", url(postgres), "--listen-port", str(free_port()), "--unix-socket-dir", "/does/not/exist")
    assert "/does/not/exist" in said and "No such file or directory" in said
