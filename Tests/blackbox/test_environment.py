"""`sluice --from-environment`: the variables of PgBouncer's images; `${NAME}` in files; `sluicectl generate`."""
import os
import re
import signal
import stat
import subprocess

import pytest

import wire
from postgres import password_of
from processes import DEADLINE, UNPRIVILEGED, free_port, give, is_root, listening, start, wait_until

pytestmark = pytest.mark.sluice_only("PgBouncer reads no variables")

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


def clean(env):
    """The environment that a container has: PATH and what is asked for."""
    return {"PATH": os.environ["PATH"], "HOME": "/", "USER": "root", "LANG": "C.UTF-8"} | {k: str(v) for k, v in env.items()}


def run(command, env=None):
    who = {"user": UNPRIVILEGED, "group": UNPRIVILEGED, "extra_groups": []} if is_root() else {}
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, stdin=subprocess.DEVNULL, env=clean(env or {}), **who)


@pytest.fixture
def contained(kind, run_folder):
    """contained(POOL_MODE="session", ...) starts one as the image would, through its entrypoint."""
    started = []

    def begin(**env):
        folder = run_folder.folder("environment")
        # the entrypoint looks for `sluice` and `sluicectl` as the image has them
        env = {"LISTEN_PORT": free_port(), "UNIX_SOCKET_DIR": folder, "LISTEN_ADDR": "127.0.0.1"} | env
        path = f"{os.path.dirname(kind.path)}:{os.environ['PATH']}"
        with open(f"{folder}/log", "w") as log:
            give(f"{folder}/log")
            process = start([f"{ROOT}/Config/docker/entrypoint.sh"], env=clean(env) | {"PATH": path}, stdout=log, stderr=log)
        port = int(env.get("SLUICE_LISTEN_PORT", env["LISTEN_PORT"]))

        class Contained:
            def log(self):
                with open(f"{folder}/log") as f:
                    return f.read()

            def connect(self, user="app", database="lab", password=None):
                return wire.Client(("127.0.0.1", port), user=user, password=password or password_of(user), database=database)

            def health(self):
                return run([f"{ROOT}/Config/docker/entrypoint.sh", "health"], env | {"PATH": path})

        started.append((process, folder))
        wait_until(lambda: listening(port) or process.poll() is not None, Contained().log)
        assert process.poll() is None, Contained().log()
        return Contained()

    yield begin
    for process, _ in started:
        process.send_signal(signal.SIGQUIT)
        process.wait(DEADLINE)


def secret_file(tmp_path, text, mode=0o644):
    # a folder that the unprivileged user may look into
    for folder in (tmp_path, *(parent for parent in tmp_path.parents if "pytest-of-" in str(parent))):
        os.chmod(folder, os.stat(folder).st_mode | 0o555)
    path = tmp_path / "secret"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_a_url(contained, postgres):
    pooler = contained(DATABASE_URL=f"postgres://app:{password_of('app')}@127.0.0.1:{postgres.port}/lab")
    assert pooler.connect().value("select 1") == "1"
    assert pooler.connect(database="lab2").value("select current_database()") == "lab2"
    assert pooler.health().returncode == 0
    assert "WARNING" not in pooler.log().replace("running as root", ""), pooler.log()


def test_edoburus_variables(contained, postgres, tmp_path):
    pooler = contained(
        DB_HOST="127.0.0.1", DB_PORT=postgres.port, DB_USER="app", DB_PASSWORD_FILE=secret_file(tmp_path, password_of("app") + "\n"), DB_NAME="lab",
        POOL_MODE="session", DEFAULT_POOL_SIZE=3, ADMIN_USERS="boss", ADMIN_PASSWORDS="chief", CLIENT_ENCODING="LATIN1")
    client = pooler.connect()
    assert client.parameters["client_encoding"] == "LATIN1"
    console = pooler.connect("boss", "pgbouncer", "chief")
    rows = {row[0]: row[1] for row in console.query("show config").rows}
    assert (rows["pool_mode"], rows["default_pool_size"], rows["auth_type"]) == ("session", "3", "scram-sha-256")
    with pytest.raises(wire.ServerError, match="no such database"):
        pooler.connect(database="lab2")


def test_bitnamis_variables(contained, postgres):
    port = free_port()
    pooler = contained(
        POSTGRESQL_HOST="127.0.0.1", POSTGRESQL_PORT=postgres.port, POSTGRESQL_USERNAME="app", POSTGRESQL_PASSWORD=password_of("app"),
        POSTGRESQL_DATABASE="lab", PGBOUNCER_DATABASE="shop", PGBOUNCER_PORT="tcp://10.0.0.1:6432", SLUICE_LISTEN_PORT=port,
        PGBOUNCER_DSN_0=f"second=host=127.0.0.1 port={postgres.port} dbname=lab2", PGBOUNCER_MAX_CLIENT_CON="7")
    assert pooler.connect(database="shop").value("select current_database()") == "lab"
    assert pooler.connect(database="second").value("select current_database()") == "lab2"
    assert not pooler.connect(database="pgbouncer").query("reload").errors
    assert "PGBOUNCER_MAX_CLIENT_CON: not known, so it has no effect (did you mean PGBOUNCER_MAX_CLIENT_CONN?)" in pooler.log()


@pytest.mark.parametrize("env, said", [
    ({}, "environment: nothing to pool: expected DATABASE_URL, DB_HOST, DATABASES_HOST or POSTGRESQL_HOST"),
    ({"DB_HOST": "h", "POOL_MODE": "fast"}, 'environment: POOL_MODE: "fast" is not known: expected session, transaction or statement'),
    ({"DATABASE_URL_FILE": "/does/not/exist"}, "environment: DATABASE_URL_FILE: /does/not/exist: cannot be read: No such file or directory: expected a file"),
])
def test_what_is_wrong_is_said_with_the_variable(kind, env, said):
    for check in (["--check"], []):
        done = run([kind.path, "--from-environment", *check], env)
        assert done.returncode == 1 and said in done.stderr, done.stderr


@pytest.mark.skipif(not is_root(), reason="needs a file that the pooler's user may not read")
def test_a_secret_that_may_not_be_read(kind, tmp_path):
    done = run([kind.path, "--from-environment"], {"DB_HOST": "h", "DB_USER": "u", "DB_PASSWORD_FILE": secret_file(tmp_path, "x", 0o600)})
    assert done.returncode == 1 and re.search(r"DB_PASSWORD_FILE: \S+/secret: cannot be read: Permission denied", done.stderr), done.stderr


def test_variables_in_a_file(kind, tmp_path, postgres, make_pooler):
    file = tmp_path / "sluice.ini"
    file.write_text("%expand_environment\n[databases]\nlab = host=${DB_HOST} password=${PW}\n[sluice]\nlisten_port = ${PORT:-6543}\n")
    secret_file(tmp_path, "")
    sluicectl = f"{os.path.dirname(kind.path)}/sluicectl"
    for command in ([kind.path, "--check", str(file)], [sluicectl, "config", "check", str(file)]):
        done = run(command, {"DB_HOST": "127.0.0.1", "PW": "it's; a 'b"})
        assert done.returncode == 0, done.stdout + done.stderr
        done = run(command, {"DB_HOST": "127.0.0.1"})
        assert done.returncode == 1 and f"{file}:3: password: the environment variable PW is not set" in done.stdout + done.stderr


@pytest.mark.parametrize("live", [False, True])
def test_generate(kind, run_folder, postgres, live):
    """What was generated is taken without a warning, and works."""
    folder = run_folder.folder("generate")
    sluicectl = f"{os.path.dirname(kind.path)}/sluicectl"
    url = f"postgres://app:{password_of('app')}@127.0.0.1:{postgres.port}/lab"
    command = [sluicectl, "generate", url, *(["--live"] if live else [])]
    shown = run(command)
    assert shown.returncode == 0 and password_of("app") not in shown.stdout, shown.stderr
    assert ("lab2 = " in shown.stdout) == live and ("\n* = " in shown.stdout) != live
    done = run([*command, "--output", folder])
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(os.stat(f"{folder}/userlist.txt").st_mode) == 0o600
    again = run([*command, "--output", folder])
    assert again.returncode == 1 and "exists: expected a folder without it; nothing was written" in again.stderr
    checked = run([sluicectl, "config", "check", f"{folder}/sluice.ini"])
    assert checked.returncode == 0, checked.stdout
    port = free_port()
    with open(f"{folder}/sluice.ini") as f:
        text = f.read()
    with open(f"{folder}/own.ini", "w") as f:
        f.write(re.sub("listen_port = .*|$", f"listen_port = {port}", text, count=1).replace("metrics_listen = 127.0.0.1:9127", "unix_socket_dir ="))
    give(f"{folder}/own.ini")
    with open(f"{folder}/log", "w") as log:
        give(f"{folder}/log")
        process = start([kind.path, f"{folder}/own.ini"], stdout=log, stderr=log)
    try:
        wait_until(lambda: listening(port) or process.poll() is not None, lambda: open(f"{folder}/log").read())
        client = wire.Client(("127.0.0.1", port), user="app", password=password_of("app"), database="lab2")
        assert client.value("select current_database()") == "lab2"
        client.close()
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait(DEADLINE)


def test_a_superuser_gets_the_secrets_of_all(kind, run_folder, postgres):
    folder = run_folder.folder("generate")
    sluicectl = f"{os.path.dirname(kind.path)}/sluicectl"
    url = f"postgres://postgres@/lab?host={os.path.dirname(postgres.socket_path)}&port={postgres.port}"
    done = run([sluicectl, "generate", url, "--live", "--output", folder])
    assert done.returncode == 0, done.stderr
    with open(f"{folder}/userlist.txt") as f:
        assert re.search(r'(?m)^"app" "SCRAM-SHA-256\$', f.read())


def test_generate_with_a_wrong_url(kind, run_folder, postgres):
    folder = run_folder.folder("generate")
    sluicectl = f"{os.path.dirname(kind.path)}/sluicectl"
    for url, status, said in (
        ("mysql://app:hidden@h/d", 1, "expected postgres://user:password@host:port/database"),
        (f"postgres://app:hidden@127.0.0.1:{postgres.port}/lab", 2, "password authentication failed"),
        (f"postgres://app:hidden@127.0.0.1:{free_port()}/lab", 2, "Connection refused"),
    ):
        done = run([sluicectl, "generate", url, "--live", "--output", folder])
        assert done.returncode == status and said in done.stderr and "hidden" not in done.stderr, done.stderr
        assert os.listdir(folder) == []
    done = run([sluicectl, "generate", "postgres://app@h/d", "--output", "/does/not/exist"])
    assert done.returncode == 1 and "nothing was written" in done.stderr
