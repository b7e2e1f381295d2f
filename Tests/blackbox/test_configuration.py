"""What the files say takes effect: PgBouncer's own examples, included files, overrides, reloads, unused pools."""
import os
import re
import signal
import subprocess

import pytest

import wire
from conftest import ROOT
from postgres import password_of
from processes import give, wait_until

pytestmark = [pytest.mark.poolers_only]


# PgBouncer's example files


def example(*names):
    for name in names:
        for folder in (f"{ROOT}/.build-pgbouncer", ""):
            if os.path.exists(folder + name):
                return folder + name
    pytest.skip("PgBouncer's files are not here: scripts/pgbouncer-files.sh gets them")


FILES = ["/etc/pgbouncer/pgbouncer.ini", "/usr/share/doc/pgbouncer/examples/pgbouncer.ini", "/usr/share/doc/pgbouncer/pgbouncer-minimal.ini"]


@pytest.mark.sluice_only("PgBouncer has no --check")
@pytest.mark.parametrize("name", FILES)
def test_pgbouncers_examples_are_good_as_they_are(kind, name):
    answer = subprocess.run([kind.path, "--check", example(name)], capture_output=True, text=True)
    assert answer.returncode == 0 and "error" not in answer.stderr, answer


@pytest.mark.sluice_only("the section [sluice] only adds to what was read")
@pytest.mark.parametrize("name", FILES)
def test_pgbouncers_examples_are_served(make_pooler, name):
    """The file unchanged, with paths and ports of this test behind it."""
    users = example("/usr/share/doc/pgbouncer/examples/userlist.txt")
    pooler = make_pooler(start=False)
    paths = {key: pooler.settings[key] for key in ("listen_port", "listen_addr", "unix_socket_dir", "logfile", "server_tls_sslmode")}
    pooler.write_ini(
        f"%include {example(name)}\n[sluice]\n"
        + "".join(f"{key} = {value}\n" for key, value in paths.items())
        + f"pidfile = {pooler.folder}/pid\nauth_file = {users}\n[databases]\nlab = host=127.0.0.1 port={pooler.postgres.port} user=app password={password_of('app')}\n"
    )
    pooler.start()
    assert pooler.connect(user="marko", password="asdasd").rows("select 1") == [("1",)]
    with pytest.raises(wire.ServerError):
        pooler.connect(user="marko", password="wrong")


# overrides: a user's beats a database's beats the global value


def three(make_pooler, setting, values, **more):
    """lab has the database's value, lab2 the global one; app2 has one of its own."""
    everywhere, database, user = values
    return make_pooler(databases={"lab": {setting: database}, "lab2": {}}, sections={"users": {"app2": f"{setting}={user}"}}, **{setting if setting != "pool_size" else "default_pool_size": everywhere}, **more)


def holding(pooler, count, **who):
    clients = [pooler.connect(**who) for _ in range(count)]
    for client in clients:
        client.rows("begin")
    return clients


def test_pool_size(make_pooler):
    pooler = three(make_pooler, "pool_size", (3, 2, 1), query_wait_timeout=1)
    for who, size in [({"database": "lab2"}, 3), ({"database": "lab"}, 2), ({"database": "lab", "user": "app2"}, 1), ({"database": "lab2", "user": "app2"}, 1)]:
        clients = holding(pooler, size, **who)
        one_more = pooler.connect(**who)
        one_more.send(wire.query("select 1"))
        assert "query_wait_timeout" in str(one_more.read_to_end().errors[-1])
        for client in clients:
            client.close()


@pytest.mark.since("1.26")
def test_query_wait_timeout(make_pooler):
    pooler = make_pooler(
        databases={"lab": {"query_wait_timeout": 1}, "lab2": {}}, sections={"users": {"app2": "query_wait_timeout=1"}}, default_pool_size=1, query_wait_timeout=0
    )
    for who in ({"database": "lab"}, {"database": "lab2", "user": "app2"}):
        (busy,) = holding(pooler, 1, **who)
        waiting = pooler.connect(**who)
        waiting.send(wire.query("select 1"))
        assert "query_wait_timeout" in str(waiting.read_to_end().errors[-1])
        busy.close()


@pytest.mark.since("1.23")
@pytest.mark.parametrize("setting, text", [("query_timeout", "query timeout"), ("idle_transaction_timeout", "idle transaction timeout"), ("transaction_timeout", "transaction timeout")])
def test_timeouts_of_a_user(make_pooler, setting, text):
    pooler = make_pooler(sections={"users": {"app2": f"{setting}=1"}})
    bystander, victim = pooler.connect(), pooler.connect(user="app2")
    for client in (bystander, victim):
        client.rows("begin")
    if setting == "query_timeout":
        for client in (bystander, victim):
            client.send(wire.query("select pg_sleep(4)"))
    assert text in str(victim.read_to_end().errors[-1])
    if setting == "query_timeout":
        bystander.read_until("Z")
    assert bystander.rows("select 1") == [("1",)]


@pytest.mark.since("1.24")
def test_client_idle_timeout_of_a_user(make_pooler):
    pooler = make_pooler(sections={"users": {"app2": "client_idle_timeout=1"}})
    bystander, victim = pooler.connect(), pooler.connect(user="app2")
    assert "client_idle_timeout" in str(victim.read_to_end().errors[-1])
    assert bystander.rows("select 1") == [("1",)]


def test_pool_mode(make_pooler):
    pooler = three(make_pooler, "pool_mode", ("session", "transaction", "statement"))
    told = pooler.connect(database="lab2"), pooler.connect(database="lab"), pooler.connect(database="lab", user="app2")
    told[2].send(wire.query("begin"))
    assert "transaction blocks not allowed in statement pooling mode" in str(told[2].read_to_end().errors[-1])
    for mode_of_two, client in (("session", told[0]), ("transaction", told[1])):
        client.rows("select 1")
        other = pooler.connect(database="lab2" if client is told[0] else "lab")
        assert (other.pid() == client.pid()) == (mode_of_two == "transaction")
    if pooler.kind.is_sluice:
        assert [client.parameters["pgbouncer.pool_mode"] for client in told] == ["session", "transaction", "statement"]


@pytest.mark.since("1.24")
def test_server_lifetime_of_a_database(make_pooler):
    pooler = make_pooler(databases={"lab": {"server_lifetime": 1}, "lab2": {}})
    for database in ("lab", "lab2"):
        pooler.connect(database=database).rows("select 1")
    wait_until(lambda: not pooler.servers("lab"), "the old server to go")
    assert pooler.log_contains("server lifetime over") and len(pooler.servers("lab2")) == 1


# what drivers may look at


@pytest.mark.since("1.26")
def test_the_pooler_tells_what_it_is(make_pooler):
    pooler = make_pooler(max_prepared_statements=17, login_notify_message="Maintenance at noon.")
    client = pooler.connect()
    assert client.parameters["pgbouncer.version"].startswith("1.26")
    assert client.parameters["pgbouncer.pool_mode"] == "transaction"
    assert client.parameters["pgbouncer.max_prepared_statements"] == "17"
    assert [n["M"] for n in client.greeting.notices] == ["Maintenance at noon."]


# reloads


def keepalive_timer(local, remote):
    """Seconds until the kernel probes a connection of the pooler's port; None if it does not mean to."""

    def timer():
        with open("/proc/net/tcp") as f:
            for line in f:
                part = line.split()
                if part[1].endswith(f":{local:04X}") and part[2].endswith(f":{remote:04X}") and part[5][:2] != "01":
                    return part[5].split(":")  # 01: its last segment is not acknowledged yet
        return None

    kind, jiffies = wait_until(timer, "the connection to be at rest")
    return int(jiffies, 16) / os.sysconf("SC_CLK_TCK") if kind == "02" else None


def test_what_is_set_on_clients_sockets_follows_a_reload(make_pooler):
    pooler = make_pooler(workers=1, tcp_keepidle=5000)

    def timer():
        client = pooler.connect()
        return keepalive_timer(pooler.port, client.socket.getsockname()[1])

    first = timer()
    assert 4000 < first <= 5000
    pooler.reload(tcp_keepidle=0)
    with open("/proc/sys/net/ipv4/tcp_keepalive_time") as f:
        system = int(f.read())
    assert system - 1000 < timer() <= system
    pooler.reload(tcp_keepalive=0)
    assert timer() is None
    pooler.reload(tcp_keepalive=1, tcp_keepidle=300)
    assert 200 < timer() <= 300


def test_tcp_defer_accept_follows_a_reload(make_pooler):
    """Held back by the kernel, a connection without data is nobody's client yet."""
    pooler = make_pooler(workers=1, tcp_defer_accept=60, admin_users="app")
    admin = pooler.connect(database="pgbouncer", address=pooler.socket_path)

    def logging_in():
        return dict(admin.rows("show lists"))["login_clients"]

    silent = wire.connect(pooler.address)
    assert pooler.connect().rows("select 1") == [("1",)]
    assert logging_in() == "0"
    pooler.reload(tcp_defer_accept=0)
    silent_too = wire.connect(pooler.address)
    wait_until(lambda: logging_in() == "1", "the kernel to hand it over")
    assert ("tcp_defer_accept", "0", "1", "yes") in admin.rows("show config")
    for s in (silent, silent_too):
        s.close()


def test_a_reload_names_what_only_a_restart_changes(make_pooler):
    """Whoever changed the port in the file saw a good RELOAD, and nothing happened."""
    pooler = make_pooler(workers=0, verbose=0)
    pooler.reload(verbose=1)
    assert not pooler.log_contains("only a restart")
    pooler.reload(listen_backlog=7, workers=3, verbose=0)
    pooler.wait_log("WARNING only a restart puts these changes into force: .*")
    names = re.findall("into force: (.*)", pooler.log())[-1].split(", ")
    assert sorted(names) == ["listen_backlog", "workers"]


@pytest.mark.sluice_only("PgBouncer has no --check")
def test_a_missing_folder_for_the_socket_is_named(kind, make_pooler):
    pooler = make_pooler(start=False)
    pooler.settings["unix_socket_dir"] = f"{pooler.folder}/gone"
    pooler.write_ini()
    answer = subprocess.run([kind.path, "--check", pooler.ini_path], capture_output=True, text=True)
    assert answer.returncode == 1 and f'unix_socket_dir: "{pooler.folder}/gone" does not exist' in answer.stderr, answer


def test_included_files_are_read_at_each_reload(make_pooler):
    pooler = make_pooler(start=False)
    part = f"{pooler.folder}/part.ini"
    pooler.write_ini()
    text = open(pooler.ini_path).read()

    def write(databases):
        with open(part, "w") as f:
            f.write("[databases]\n" + "".join(f"{name} = host=127.0.0.1 port={pooler.postgres.port} dbname=lab\n" for name in databases))
        give(part)

    write(["one"])
    pooler.write_ini(f"{text}%include {part}\n")
    pooler.start()
    assert pooler.connect(database="one").rows("select 1") == [("1",)]
    write(["one", "two"])
    pooler.process.send_signal(signal.SIGHUP)

    def known():
        try:
            return pooler.connect(database="two").rows("select 1")
        except wire.ServerError:
            return None

    wait_until(known, "the new database")


@pytest.mark.parametrize(
    "broken, text",
    [
        ("default_pool_size = 2\nquery_wait_timeout = soon\n", r'pooler.ini:\d+: query_wait_timeout: "soon" is not a time: expected seconds'),
        ("nonsense = 1\n", r'pooler.ini:\d+: unknown setting "nonsense" in section \[pgbouncer\]'),
        ("[databases]\nlab = prt=1\n", r'pooler.ini:\d+: unknown setting "prt" in database "lab" \(did you mean "port"\?\)'),
        ("%include /nowhere/more.ini\n", r"pooler.ini:\d+: %include: /nowhere/more.ini: cannot be read: No such file"),
    ],
)
def test_a_broken_file_changes_nothing(make_pooler, broken, text):
    pooler = make_pooler(default_pool_size=1)
    client = pooler.connect()
    pooler.settings["default_pool_size"] = 3
    pooler.write_ini()
    with open(pooler.ini_path, "a") as f:
        f.write(broken)
    pooler.process.send_signal(signal.SIGHUP)
    pooler.wait_log("ERROR .*" + text)
    pooler.wait_log("RELOAD failed")
    client.rows("begin")
    waiting = pooler.connect()
    waiting.send(wire.query("select 1"))
    assert len(pooler.servers()) == 1
    client.rows("commit")
    waiting.read_until("Z")


@pytest.mark.parametrize("before, after", [("app", None), (None, "app"), ("app", "plain_user")])
@pytest.mark.parametrize("state", ["idle", "in a transaction", "waiting"])
def test_the_forced_user_changes_at_a_reload(make_pooler, before, after, state):
    """Clients stay; with their next transaction they are on a server of the other user."""
    pooler = make_pooler(databases={"lab": {"user": before}}, default_pool_size=1, workers=1)
    client = pooler.connect(user="app2", parameters={"datestyle": "German", "application_name": "stays"})
    assert client.value("select current_user") == (before or "app2")
    waiting = pooler.connect(user="app2")
    if state != "idle":
        client.rows("begin")
    if state == "waiting":
        waiting.send(wire.query("select current_user"))
    pooler.databases["lab"]["user"] = after
    pooler.reload()
    if state == "waiting":
        assert waiting.read_until("Z").rows == [(after or "app2",)]
    if state != "idle":
        assert client.value("select current_user") == (before or "app2")
        client.rows("commit")
    wait_until(lambda: client.value("select current_user") == (after or "app2"), "the other user")
    assert client.value("show datestyle").startswith("German") and client.value("show application_name") == "stays"
    wait_until(lambda: [u for (u,) in pooler.postgres.sql("select usename from pg_stat_activity where datname = 'lab'")] == [after or "app2"], "the old servers to go")


def test_conffile_names_the_file_of_the_next_reload(make_pooler):
    pooler = make_pooler(start=False, default_pool_size=1)
    other = f"{pooler.folder}/other.ini"
    with open(pooler.ini_path) as f:
        text = f.read()
    with open(other, "w") as f:
        f.write(text.replace("lab2 =", "renamed ="))
    give(other)
    pooler.write_ini(text + f"conffile = {other}\n")
    pooler.start()
    pooler.connect(database="lab2").close()
    pooler.process.send_signal(signal.SIGHUP)

    def renamed():
        try:
            return pooler.connect(database="renamed").rows("select 1")
        except wire.ServerError:
            return None

    wait_until(renamed, "the other file's database")
    with pytest.raises(wire.ServerError):
        pooler.connect(database="lab2")


# unused pools


@pytest.mark.since("1.26")
def test_pool_idle_timeout(make_pooler):
    pooler = make_pooler(databases={"lab": {}, "lab2": {"user": "app", "min_pool_size": 1}}, pool_idle_timeout=1)
    stays = pooler.connect(user="app2")
    stays.rows("select 1")
    pooler.connect(user="app").rows("select 1")
    pooler.clients[-1].close()
    wait_until(lambda: [u for (u,) in pooler.postgres.sql("select usename from pg_stat_activity where datname = 'lab'")] == ["app2"], "the unused pool's server to go")
    assert pooler.log_count("closing because: pool idle timeout") == 1
    assert len(pooler.servers("lab2")) == 1, "a pool that is kept warm"
    assert stays.rows("select 1") == [("1",)]
    assert pooler.connect(user="app").rows("select 1") == [("1",)]


# what PgBouncer 1.26 has removed


@pytest.mark.sluice_only
def test_what_was_removed_is_taken_with_a_warning(make_pooler):
    pooler = make_pooler(suspend_timeout=10)
    assert pooler.log_contains(r'WARNING .*:\d+: setting "suspend_timeout" is accepted but has no effect: PgBouncer 1.26 removed it')
    assert pooler.connect().rows("select 1") == [("1",)]


@pytest.mark.sluice_only("PgBouncer has no --check")
def test_check_names_every_tls_file_that_cannot_be_read(make_pooler, kind):
    settings = {f"{side}_tls_{what}_file": f"/nonexistent/{side}.{what}" for side in ("client", "server") for what in ("cert", "key", "ca")}
    pooler = make_pooler(start=False, client_tls_sslmode="verify-full", **{**settings, "server_tls_sslmode": "verify-full"})
    answer = subprocess.run([kind.path, "--check", pooler.ini_path], capture_output=True, text=True)
    assert answer.returncode == 1
    for name, path in settings.items():
        assert answer.stderr.count(f"{name}: {path}: cannot be read: ") == 1, answer.stderr
    # what is not used is not looked at, and each side is told about for itself
    pooler.settings.update({"client_tls_sslmode": "disable", "server_tls_cert_file": None, "server_tls_ca_file": None, "server_tls_ciphers": "nonsense"})
    pooler.settings["server_tls_key_file"] = pooler.ini_path
    pooler.write_ini()
    answer = subprocess.run([kind.path, "--check", pooler.ini_path], capture_output=True, text=True)
    assert answer.returncode == 1 and "client_tls" not in answer.stderr and "server_tls_ciphers: no cipher" in answer.stderr, answer.stderr
