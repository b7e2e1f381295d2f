"""Mistakes of those who set it up: each is told in a sentence that says what to do, and nothing is half done."""
import os
import re
import shutil
import signal
import subprocess

import pytest

import wire
from pooler import Kind
from processes import DEADLINE, UNPRIVILEGED, free_port, give, is_root, listening, wait_until

pytestmark = pytest.mark.sluice_only("PgBouncer takes neither URLs nor variables, and has other words")

# What is written, and what is said of it.
URLS = {
    "of Java": ("jdbc:postgresql://app:hidden@{server}/lab", 'leave out "jdbc:", and write user and password in front of the host'),
    "of SQLAlchemy": ("postgresql+asyncpg://app:hidden@{server}/lab", 'leave out "+asyncpg", which names a driver'),
    "in quotes": ("'postgres://app:hidden@{server}/lab'", "leave out the quotes"),
    "with its variable": ("DATABASE_URL=postgres://app:hidden@{server}/lab", 'leave out the name of the variable and the "="'),
    "with an @ in the password": ("postgres://app:hid@den@{server}/lab", 'password: an "@" in it is written %40'),
    "with a / in the password": ("postgres://app:hid/den@{server}/lab", 'password: a "/" in it is written %2F'),
    "with a # in the password": ("postgres://app:hid#den@{server}/lab", 'password: a "#" in it is written %23'),
    "with a % in the password": ("postgres://app:hid%den@{server}/lab", "a percent sign is written %25"),
    "with a placeholder": ("postgres://app:[YOUR-PASSWORD]@{server}/lab", "password: a placeholder stands there: expected what it stands for"),
    "with an unknown sslmode": ("postgres://app:hidden@{server}/lab?sslmode=on", "expected disable, allow, prefer, require, verify-ca or verify-full"),
    "without a user": ("postgres://{server}/lab", "user: the URL names no user"),
    "of another server": ("mysql://app:hidden@{server}/lab", "expected postgres://user:password@host:port/database"),
}

# How a URL comes in: the command line of sluice or sluicectl, and the environment.
DOORS = {
    "--database-url": (["sluice", "--database-url", "{url}", "--listen-port", "{port}"], {}),
    "DATABASE_URL": (["sluice", "--listen-port", "{port}"], {"DATABASE_URL": "{url}"}),
    "--from-environment": (["sluice", "--from-environment"], {"DATABASE_URL": "{url}", "LISTEN_PORT": "{port}"}),
    "--check": (["sluice", "--from-environment", "--check"], {"DATABASE_URL": "{url}", "LISTEN_PORT": "{port}"}),
    "generate": (["sluicectl", "generate", "{url}", "--live", "--output", "{folder}"], {}),
}


def run(kind, command, environment=None, folder="/"):
    """As the unprivileged user; it ends by itself."""
    who = {"user": UNPRIVILEGED, "group": UNPRIVILEGED, "extra_groups": []} if is_root() else {}
    program = f"{os.path.dirname(kind.path)}/{command[0]}"
    env = {"PATH": os.environ["PATH"], "HOME": "/", "LANG": "C.UTF-8"} | (environment or {})
    return subprocess.run([program, *command[1:]], env=env, cwd=folder, capture_output=True, text=True, timeout=DEADLINE, stdin=subprocess.DEVNULL, **who)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("slip", URLS)
def test_a_broken_url_at_every_door(kind, postgres, run_folder, slip, door):
    url, said = URLS[slip]
    folder, port = run_folder.folder("door"), free_port()
    values = {"url": url.format(server=f"127.0.0.1:{postgres.port}"), "port": port, "folder": folder}
    command, environment = DOORS[door]
    done = run(kind, [word.format(**values) for word in command], {name: value.format(**values) for name, value in environment.items()}, folder)
    assert done.returncode == 1 and said in done.stderr and "URL" in done.stderr, done.stderr
    assert not re.search(r"hid|den\b", done.stdout + done.stderr.replace("hidden from", "")), done.stderr
    assert os.listdir(folder) == [] and not listening(port)
    assert len([line for line in done.stderr.splitlines() if line.strip() and "running as root" not in line]) == 1, done.stderr


def root_s_own(path, text="secret\n"):
    """A file that the pooler's user may not read."""
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, 0o600)
    shutil.chown(path, "root", "root")
    return path


@pytest.mark.needs_root
class TestSecretsThatMayNotBeRead:
    def test_a_key(self, make_pooler, kind):
        pooler = make_pooler(start=False, client_tls_sslmode="require")
        key = root_s_own(f"{pooler.folder}/key.pem")
        pooler.settings |= {"client_tls_key_file": key, "client_tls_cert_file": key}
        pooler.write_ini()
        for command in (["sluice", "--check", pooler.ini_path], ["sluice", pooler.ini_path]):
            done = run(kind, command)
            assert done.returncode == 1 and re.search(rf"client_tls_(key|cert)_file: {key}: cannot be read: Permission denied", done.stderr), done.stderr
        assert not listening(pooler.port)

    def test_a_password_file(self, make_pooler, kind):
        pooler = make_pooler(start=False)
        path = root_s_own(f"{pooler.folder}/secret")
        pooler.databases = {"lab": {"user": "app", "password_file": path}, "lab2": {}}
        pooler.write_ini()
        done = run(kind, ["sluice", "--check", pooler.ini_path])
        assert f"{pooler.ini_path}:2: password_file: {path}: cannot be read: Permission denied" in done.stderr, done.stderr
        # who does not need it is served
        pooler.start()
        pooler.wait_log(f"password_file: {path}: cannot be read: Permission denied")
        assert pooler.connect(database="lab2").value("select 1") == "1"
        with pytest.raises(wire.ServerError, match="server login failed: password_file: cannot be read: Permission denied"):
            pooler.connect(database="lab")

    def test_a_user_list(self, make_pooler, kind):
        pooler = make_pooler(start=False)
        root_s_own(pooler.users_path, '"app" "app-pw"\n')
        said = f"auth_file is not read: {pooler.users_path}: cannot be read: Permission denied"
        done = run(kind, ["sluice", "--check", pooler.ini_path])
        assert f"warning: {said}" in done.stderr, done.stderr
        # as with PgBouncer it starts, for users may come from auth_query; here nobody gets in
        pooler.start()
        pooler.wait_log(f"WARNING .*{re.escape(said)}")
        with pytest.raises(wire.ServerError):
            pooler.connect()

    def test_a_user_list_at_a_reload_changes_nothing(self, make_pooler):
        pooler = make_pooler(admin_users="app")
        admin = pooler.connect(database="pgbouncer")
        root_s_own(pooler.users_path, '"app" "app-pw"\n')
        error = admin.query("RELOAD").error
        assert re.search(rf"{re.escape(pooler.users_path)}: cannot be read: Permission denied", error.fields["D"]), error.fields
        assert pooler.connect().value("select 1") == "1"

    @pytest.mark.parametrize("name", ["DATABASE_URL_FILE", "DB_PASSWORD_FILE"])
    def test_a_secret_of_a_container(self, kind, run_folder, name):
        path = root_s_own(f"{run_folder.folder('secret')}/secret")
        done = run(kind, ["sluice", "--from-environment"], {"DB_HOST": "h", "DB_USER": "u", name: path})
        assert done.returncode == 1 and f"{name}: {path}: cannot be read: Permission denied: expected a file that this user may read" in done.stderr, done.stderr


def test_a_variable_without_a_value(make_pooler, kind):
    """At the start, by --check and at a reload: file, line, key and the name of the variable."""
    pooler = make_pooler(start=False, admin_users="app")
    with open(pooler.ini_path) as f:
        good = f.read()
    broken = "%expand_environment\n" + good.replace("[pgbouncer]\n", "[pgbouncer]\nquery_timeout = ${SECONDS_OF_A_QUERY}\n")
    line = broken[: broken.index("query_timeout")].count("\n") + 1
    said = f"{pooler.ini_path}:{line}: query_timeout: the environment variable SECONDS_OF_A_QUERY is not set"
    pooler.write_ini(broken)
    for command in (["sluice", "--check", pooler.ini_path], ["sluice", pooler.ini_path], ["sluicectl", "config", "check", pooler.ini_path]):
        done = run(kind, command)
        assert done.returncode == 1 and said in done.stdout + done.stderr, done.stdout + done.stderr
        assert not listening(pooler.port)
    assert run(kind, ["sluice", "--check", pooler.ini_path], {"SECONDS_OF_A_QUERY": "5"}).returncode == 0
    pooler.write_ini(good)
    pooler.start()
    admin = pooler.connect(database="pgbouncer")
    pooler.write_ini(broken)
    assert said in admin.query("RELOAD").error.fields["D"]
    assert pooler.connect().value("select 1") == "1"


# What stands in files of PgBouncer's, and has nothing to mean here.
MEANINGLESS = {
    "suspend_timeout": "10", "job_name": "pgbouncer", "service_name": "pgbouncer", "pkt_buf": "4096", "sbuf_loopcnt": "5", "dns_zone_check_period": "0"}
LEFT = """[databases]
lab = host=127.0.0.1 port={server} user=app password=app-pw
[users]
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir = {folder}
auth_type = scram-sha-256
auth_file = {folder}/users.txt
logfile = {folder}/left.log
pidfile = {folder}/left.pid
"""


def left(pooler, more):
    text = LEFT.format(server=pooler.postgres.port, port=pooler.port, folder=pooler.folder)
    pooler.write_ini(text + "".join(f"{key} = {value}\n" for key, value in more.items()))


def test_a_file_left_by_pgbouncer(make_pooler, kind):
    """What would change something if it were missed is a warning with file and line; what PgBouncer did for itself is taken in silence."""
    pooler = make_pooler(start=False)
    left(pooler, MEANINGLESS)
    done = run(kind, ["sluice", "--check", pooler.ini_path])
    assert done.returncode == 0, done.stderr
    assert re.search(rf'warning: {re.escape(pooler.ini_path)}:\d+: setting "suspend_timeout" is accepted but has no effect: PgBouncer 1.26 removed it', done.stdout + done.stderr)
    for name in set(MEANINGLESS) - {"suspend_timeout"}:
        assert name not in done.stdout + done.stderr
    # nothing was made by looking
    assert not os.path.exists(f"{pooler.folder}/left.log") and not os.path.exists(f"{pooler.folder}/left.pid")
    pooler.start()
    assert pooler.connect().value("select 1") == "1"


def test_a_file_that_is_refused_leaves_nothing(make_pooler):
    pooler = make_pooler(start=False)
    left(pooler, MEANINGLESS | {"pool_modus": "fast", "default_pool_sise": "3"})
    before = sorted(os.listdir(pooler.folder))
    pooler.launch()
    assert pooler.wait() == 1
    assert re.search(r'pooler\.ini:\d+: unknown setting "pool_modus" in section \[pgbouncer\] \(did you mean "pool_mode"\?\)', pooler.stderr()), pooler.stderr()
    assert sorted(set(os.listdir(pooler.folder)) - {"stderr.log"}) == [name for name in before if name != "stderr.log"]
    assert not listening(pooler.port)
    pooler.process = None


def test_a_program_that_is_replaced_goes_on(kind, make_pooler, run_folder):
    """An upgrade puts another program in its place: the process, its reloads and its console go on with the one that it was started with."""
    folder = run_folder.folder("program")
    program = f"{folder}/sluice"
    shutil.copy(kind.path, program)
    pooler = make_pooler(start=False, admin_users="app")
    pooler.kind = Kind(program, "sluice", kind.workers)
    pooler.start()
    client, admin = pooler.connect(), pooler.connect(database="pgbouncer")
    with open(f"{folder}/new", "w") as f:
        f.write("#!/bin/sh\nexit 7\n")
    os.chmod(f"{folder}/new", 0o755)
    give(f"{folder}/new")
    os.rename(f"{folder}/new", program)
    assert client.value("select 1") == "1"
    pooler.reload(query_timeout=77)
    assert not admin.query("reload").errors and pooler.connect().value("select 2") == "2"
    pooler.signal(signal.SIGINT)
    client.close()
    wait_until(lambda: not listening(pooler.port), "it to listen no more")
    assert pooler.wait() == 0
    pooler.process = None
