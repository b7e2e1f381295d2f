"""sluicectl from outside: every command, its output, its exit status; `top` in a terminal that tmux plays."""
import json
import os
import re
import signal
import subprocess

import pytest

import wire
from postgres import password_of
from processes import DEADLINE, free_port, wait_until
from terminal import CLEAN, Screen

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


@pytest.fixture(scope="session")
def binary(pytestconfig):
    path = os.path.join(os.path.dirname(os.path.abspath(pytestconfig.getoption("--pooler"))), "sluicectl")
    if not os.access(path, os.X_OK):
        path = f"{ROOT}/.build/release/sluicectl"
    assert os.access(path, os.X_OK), f"no sluicectl at {path}: swift build -c release --product sluicectl"
    return path


@pytest.fixture
def ctl(binary):
    """ctl("pools", "--json", status=0) runs it and returns standard output."""

    def run(*arguments, status=0, env=None, both=False, **more):
        done = subprocess.run([binary, *arguments], capture_output=True, text=True, env=dict(CLEAN, **(env or {})), timeout=DEADLINE, stdin=subprocess.DEVNULL, **more)
        assert done.returncode == status, f"{arguments}: status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return (done.stdout, done.stderr) if both else done.stdout

    return run


@pytest.fixture
def pooler(make_pooler):
    return make_pooler(admin_users="app", stats_users="app2")


def where(pooler, user="app"):
    return ["-h", "127.0.0.1", "-p", str(pooler.port), "-U", user]


def secret(user="app"):
    return {"PGPASSWORD": password_of(user)}


# shows


TOPICS = ["pools", "clients", "servers", "databases", "users", "stats", "stats_totals", "stats_averages", "totals", "config", "lists", "sockets", "active_sockets", "mem", "dns_hosts", "dns_zones", "version", "sluice", "state", "peers", "peer_pools", "histograms", "errors"]
SLUICE_ONLY = {"histograms", "errors", "sluice"}
SINCE = {"state": "1.20", "peers": "1.19", "peer_pools": "1.19"}


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic(ctl, pooler, topic):
    if topic in SLUICE_ONLY and not pooler.kind.is_sluice:
        pytest.skip("PgBouncer has no such topic")
    if not pooler.kind.since(SINCE.get(topic, "1.0")):
        pytest.skip(f"PgBouncer {SINCE[topic]} or later")
    with pooler.connect() as client:
        client.rows("select 1")
        rows = json.loads(ctl("show", topic, "--json", *where(pooler), env=secret()))
        assert isinstance(rows, list) and (rows or topic in ("dns_hosts", "dns_zones", "peers", "peer_pools", "errors"))
        assert isinstance(json.loads(ctl(topic, "--json", *where(pooler), env=secret())), list)
        text = ctl(topic, *where(pooler), env=secret())
        if rows:
            assert text.split("\n")[0].split() == list(rows[0])
    if rows:
        assert all(column in ctl("show", topic, "--help") for column in rows[0]) or not pooler.kind.is_sluice
    assert "OVERVIEW" in ctl("show", topic, "--help") and topic in ctl(topic, "--help")


def test_json_types(ctl, pooler):
    with pooler.connect() as client:
        client.rows("select 1")
        row = next(r for r in json.loads(ctl("pools", "--json", *where(pooler), env=secret())) if r["database"] == "lab")
        assert row["user"] == "app" and isinstance(row["maxwait"], int) and isinstance(row["pool_mode"], str)
        stats = next(r for r in json.loads(ctl("stats", "--json", *where(pooler), env=secret())) if r["database"] == "lab")
        assert isinstance(stats["total_query_count"], int)


def test_where_order_and_columns(ctl, pooler):
    with pooler.connect() as a, pooler.connect(database="lab2") as b:
        a.rows("select 1")
        b.rows("select 1")
        rows = json.loads(ctl("clients", "--json", "--where", "database=lab2", *where(pooler), env=secret()))
        assert [r["database"] for r in rows] == ["lab2"]
        rows = json.loads(ctl("databases", "--json", "--order-by", "name:desc", "--columns", "name", *where(pooler), env=secret()))
        names = [r["name"] for r in rows]
        assert all(list(r) == ["name"] for r in rows) and names == sorted(names, reverse=True) and "lab" in names
        _, error = ctl("databases", "--columns", "nonsense", *where(pooler), env=secret(), status=1, both=True)
        assert 'no column "nonsense"' in error and "name" in error


def test_expanded(ctl, pooler):
    text = ctl("lists", "-x", "--where", "list=databases", *where(pooler), env=secret())
    assert [line.split()[0] for line in text.strip().split("\n")] == ["list", "items"]


@pytest.mark.parametrize("command", [["lists"], pytest.param(["why", "pool", "lab", "app"], marks=pytest.mark.sluice_only("WHY"))], ids=["lists", "why"])
def test_watch_repeats_until_interrupted(binary, pooler, command):
    pooler.connect().rows("select 1")
    process = subprocess.Popen([binary, *command, "--json", "--watch", "0.1", *where(pooler)], stdout=subprocess.PIPE, text=True, env=dict(CLEAN, **secret()))
    decoder = json.JSONDecoder()
    seen, count = "", 0
    while count < 3:
        seen += process.stdout.readline()
        try:
            decoder.raw_decode(seen)
            seen, count = "", count + 1
        except json.JSONDecodeError:
            pass
    process.send_signal(signal.SIGINT)
    assert process.wait(DEADLINE) == 130


def test_run_watches_what_only_looks(binary, ctl, pooler):
    process = subprocess.Popen([binary, "run", "SHOW POOLS", "--watch", "0.1", "--json", *where(pooler)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=secret())
    assert all('"database"' in process.stdout.readline() for _ in range(3))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    _, error = ctl("run", "RELOAD", "--watch", "1", *where(pooler), env=secret(), status=64, both=True)
    assert "only looks" in error
    assert ctl("run", "RELOAD", *where(pooler), env=secret()) == "RELOAD\n"
    assert json.loads(ctl("run", "RELOAD", "--json", *where(pooler), env=secret())) == {"tag": "RELOAD"}
    assert ctl("run", "RELOAD", "--quiet", *where(pooler), env=secret()) == ""


def test_output_to_a_closed_pipe_ends_quietly(binary, pooler):
    command = f"'{binary}' config {' '.join(where(pooler))} | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=dict(CLEAN, **secret()))
    assert done.stdout.startswith("key") and not done.stderr


# verbs


def test_pause_and_resume(ctl, pooler):
    with pooler.connect() as client:
        client.rows("select 1")
        assert ctl("pause", "lab", *where(pooler), env=secret()) == "PAUSE\n"
        wait_until(lambda: not pooler.servers(), "the servers to be closed")
        client.send(wire.query("select 2"))
        assert json.loads(ctl("resume", "lab", "--json", *where(pooler), env=secret())) == {"tag": "RESUME"}
        assert client.read_until("Z").values == ["2"]
        assert ctl("reconnect", "-q", *where(pooler), env=secret()) == ""
        assert ctl("reload", *where(pooler), env=secret()) == "RELOAD\n"
        assert ctl("wait-close", *where(pooler), env=secret()) == "WAIT_CLOSE\n"


@pytest.mark.sluice_only("PgBouncer leaves the database paused")
def test_ctrl_c_gives_a_pause_up(binary, ctl, pooler):
    with pooler.connect() as client:
        client.rows("begin")
        process = subprocess.Popen([binary, "pause", "lab", *where(pooler)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(CLEAN, **secret()))
        paused = lambda: next(r for r in json.loads(ctl("databases", "--json", *where(pooler), env=secret())) if r["name"] == "lab")["paused"]
        wait_until(lambda: paused() == 1, "the pause to begin")
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 130
        wait_until(lambda: paused() == 0, "the pause to be given up")
        client.rows("commit")
        assert client.value("select 3") == "3"


def test_disable_enable_and_set(ctl, pooler):
    ctl("disable", "lab", *where(pooler), env=secret())
    with pytest.raises(wire.ServerError):
        pooler.connect()
    ctl("enable", "lab", *where(pooler), env=secret())
    pooler.connect().close()
    ctl("set", "query_wait_timeout", "77", *where(pooler), env=secret())
    row = next(r for r in json.loads(ctl("show", "config", "--json", *where(pooler), env=secret())) if r["key"] == "query_wait_timeout")
    assert row["value"] == "77"
    if pooler.kind.is_sluice:
        ctl("reset", "query_wait_timeout", *where(pooler), env=secret())
        row = next(r for r in json.loads(ctl("show", "config", "--json", *where(pooler), env=secret())) if r["key"] == "query_wait_timeout")
        assert row["value"] == "120"
    ctl("set", "query_wait_timeout", "no number", *where(pooler), env=secret(), status=1)


def test_kill(ctl, pooler):
    client = pooler.connect()
    client.rows("select 1")
    ctl("kill", "lab", *where(pooler), env=secret())
    with pytest.raises((wire.Closed, wire.ServerError, OSError)):
        client.rows("select 2")
    ctl("resume", "lab", *where(pooler), env=secret())


@pytest.mark.since("1.24")
def test_kill_client(ctl, pooler):
    victim, other = pooler.connect(parameters={"application_name": "victim"}), pooler.connect()
    victim.rows("select 1")
    row = json.loads(ctl("clients", "--json", "--where", "application_name=victim", *where(pooler), env=secret()))[0]
    ctl("kill-client", str(row["id"]), *where(pooler), env=secret())
    with pytest.raises((wire.Closed, wire.ServerError, OSError)):
        victim.rows("select 2")
    assert other.value("select 3") == "3"


@pytest.mark.since("1.23")
@pytest.mark.parametrize("flag", [[], ["--wait-for-servers"], ["--wait-for-clients"]])
def test_shutdown(ctl, pooler, flag):
    pooler.ended_on_purpose = True
    ctl("shutdown", *flag, *where(pooler), env=secret())
    assert pooler.wait() == 0


@pytest.mark.sluice_only("PgBouncer has no histograms")
def test_histograms_and_errors(ctl, make_pooler):
    pooler = make_pooler(admin_users="app", workers=2)
    with pooler.connect() as client:
        for _ in range(10):
            client.rows("select 1")
        client.query("select 1/0")
        rows = [r for r in json.loads(ctl("histograms", "--json", *where(pooler), env=secret())) if r["database"] == "lab"]
        for kind in ("wait", "query", "transaction"):
            assert sum(r["count"] for r in rows if r["kind"] == kind) == 11
        assert all(r["from_us"] < r["to_us"] for r in rows)
    with pytest.raises(wire.ServerError):
        pooler.connect(password="wrong")

    def errors():
        return {(r["kind"], r["reason"]): (r["count"], r["is_error"]) for r in json.loads(ctl("errors", "--json", *where(pooler), env=secret()))}

    wait_until(lambda: ("client", "client unexpected eof") in errors() and any(kind == "login" for kind, _ in errors()), lambda: f"all kinds: {errors()}")
    assert errors()["sqlstate", "22012"] == (1, 1) and errors()["client", "client unexpected eof"][1] == 0


@pytest.mark.sluice_only("PgBouncer gives no reasons")
def test_why(ctl, make_pooler):
    pooler = make_pooler(admin_users="app", default_pool_size=1)
    with pooler.connect() as holder, pooler.connect(parameters={"application_name": "waiter"}) as waiter:
        holder.rows("begin")
        waiter.send(wire.query("select 1"))
        find = lambda: json.loads(ctl("clients", "--json", "--where", "state=waiting", *where(pooler), env=secret()))
        row = wait_until(find, "the client to wait")[0]
        assert "pool_size" in ctl("why", "client", str(row["id"]), *where(pooler), env=secret())
        assert json.loads(ctl("why", "pool", "lab", "app", "--json", *where(pooler), env=secret()))
        holder.rows("commit")
        waiter.read_until("Z")


# refusals


def test_refusals_have_a_status_and_words(ctl, pooler):
    out, error = ctl("pause", "no such", *where(pooler), env=secret(), status=1, both=True)
    assert out == "" and "no such" in error
    _, error = ctl("run", "NONSENSE", *where(pooler), env=secret(), status=1, both=True)
    assert "invalid command" in error
    _, error = ctl("run", "SHOW 'open", *where(pooler), env=secret(), status=1, both=True)
    assert error.startswith("sluicectl: ERROR")
    _, error = ctl("reload", *where(pooler, "app2"), env=secret("app2"), status=1, both=True)
    assert "admin access needed" in error
    _, error = ctl("pools", *where(pooler, "md5_user"), env=secret("md5_user"), status=2, both=True)
    assert "not allowed" in error
    _, error = ctl("pools", *where(pooler), env={"PGPASSWORD": "wrong"}, status=2, both=True)
    assert "password" in error or "SASL" in error
    _, error = ctl("pools", *where(pooler), "-w", status=2, both=True)
    assert "password" in error
    _, error = ctl("pools", "-h", "127.0.0.1", "-p", str(free_port()), status=2, both=True)
    assert "refused" in error
    for wrong in (["nonsense"], ["pools", "--nonsense"], ["pools", "--watch", "0"], ["pools", "-p", "0"], ["kill-client", "x"], ["disable"], ["pools", "--where", "x"]):
        ctl(*wrong, *(where(pooler) if "--where" in wrong else []), env=secret(), status=64)


@pytest.mark.parametrize("word, meant", [("pols", "pools"), ("stats_totls", "stats-totals"), ("puase", "pause"), ("docter", "doctor"), ("zebra", None)])
def test_a_misspelt_command_is_told_what_it_may_mean(ctl, word, meant):
    _, error = ctl(word, "lab", status=64, both=True)
    assert f'There is no command or topic "{word}"' in error and (f'(did you mean "{meant}"?)' in error) == bool(meant), error


def test_a_console_that_never_answers(ctl):
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        _, error = ctl("pools", "-h", "127.0.0.1", "-p", str(silent.getsockname()[1]), "--timeout", "1", status=2, both=True)
        assert "no answer" in error


def test_every_subcommand_has_help(ctl):
    commands = re.findall(r"^  ([a-z-]+)(?:  |$)", ctl("--help").split("SUBCOMMANDS:")[1], re.M)
    assert {"show", "top", "doctor", "config", "reload", "pause", "resume", "disable", "enable", "reconnect", "kill", "kill-client", "wait-close", "set", "shutdown", "why", "run"} <= set(commands)
    for command in commands:
        assert "USAGE: sluicectl" in ctl(command, "--help") == ctl("help", command)
    assert "sluicectl" in ctl("--version")


def test_help_of_topics_and_of_what_has_two_meanings(ctl):
    """`help top` was an unexpected argument, and `config --help` knew nothing of `config check`."""
    assert "COLUMNS" in ctl("help", "pools") == ctl("pools", "--help")
    assert "SUBCOMMANDS" in ctl("help", "config") and "check" in ctl("config", "--help")
    assert "COLUMNS" in ctl("show", "config", "--help")
    assert "FILE.ini" in ctl("help", "config", "check")


@pytest.mark.sluice_only("looks with WHERE, which PgBouncer does not know")
def test_set_takes_an_equals_sign(ctl, pooler):
    for arguments, value in ((["query_wait_notify=7"], "7"), (["query_wait_notify", "8"], "8"), (["login_notify_message=a=b c"], "a=b c")):
        ctl("set", *arguments, *where(pooler), env=secret())
        assert pooler.connect(database="pgbouncer").rows(f"SHOW CONFIG WHERE key = {arguments[0].split('=')[0]}")[0][1] == value
    ctl("set", "query_wait_notify", *where(pooler), env=secret(), status=64)


def test_a_password_on_the_command_line_is_in_no_process_title(binary, pooler):
    """`-d` takes a URL, as psql's does; a watch runs for days, and everybody reads its command line."""
    url = f"postgres://app:{password_of('app')}@127.0.0.1:{pooler.port}/pgbouncer"
    with subprocess.Popen([binary, "state", "--watch", "1", *where(pooler), "-d", url], stdout=subprocess.PIPE, env=CLEAN, text=True) as watch:
        assert watch.stdout.readline()
        with open(f"/proc/{watch.pid}/cmdline") as f:
            title = f.read()
        watch.terminate()
    assert password_of("app") not in title and "app:***@127.0.0.1" in title


# where to connect


def test_connection_from_the_environment(ctl, pooler):
    env = dict(secret(), PGHOST="127.0.0.1", PGPORT=str(pooler.port), PGUSER="app", PGDATABASE="lab")
    assert json.loads(ctl("pools", "--json", env=env))


def test_connection_from_the_ini_file(ctl, pooler, make_pooler):
    assert json.loads(ctl("pools", "--json", "--config", pooler.ini_path))
    assert json.loads(ctl("-c", pooler.ini_path, "pools", "--json"))
    assert json.loads(ctl("pools", "--json", env={"SLUICE_CONFIG": pooler.ini_path}))
    # no socket: the first address, with the password of the user list
    tcp = make_pooler(admin_users="app", unix_socket_dir="", listen_addr="127.0.0.1")
    assert json.loads(ctl("pools", "--json", "-c", tcp.ini_path))
    _, error = ctl("pools", "-c", "/nonexistent.ini", status=2, both=True)
    assert "/nonexistent.ini" in error


# config check, doctor


def test_config_check(ctl, pooler, tmp_path):
    assert "valid" in ctl("config", "check", pooler.ini_path)
    broken = tmp_path / "broken.ini"
    broken.write_text("[databases]\napp = host=127.0.0.1\n[sluice]\npool_mod = transaction\nlisten_port = many\n")
    text = ctl("config", "check", str(broken), status=1)
    assert f'{broken}:4: unknown setting "pool_mod"' in text and f"{broken}:5: listen_port" in text
    answer = json.loads(ctl("config", "check", str(broken), "--json", status=1))
    assert answer["valid"] is False and len(answer["errors"]) == 2
    odd = tmp_path / "odd.ini"
    odd.write_text("[databases]\napp = host=127.0.0.1 min_pool_size=50 pool_size=10\n[sluice]\nadmin_users = nobody\n")
    assert "min_pool_size 50" in ctl("config", "check", str(odd))
    ctl("config", "check", "--strict", str(odd), status=1)


def test_doctor(ctl, make_pooler, own_postgres):
    fits = make_pooler(postgres=own_postgres, default_pool_size=20, start=False, users={"app": password_of("app")})
    text = ctl("doctor", "-c", fits.ini_path)
    assert "0 errors" in text and "300 connections, 10 reserved" in text
    own_postgres.sql("alter role app connection limit 7")
    own_postgres.sql("alter database lab2 connection limit 3")
    own_postgres.sql("alter system set idle_session_timeout = '5min'")
    own_postgres.sql("select pg_reload_conf()")
    findings = json.loads(ctl("doctor", "--json", "-c", fits.ini_path, status=1))
    errors = {f["subject"]: f for f in findings if f["level"] == "error"}
    assert "max_user_connections = 7" in errors["user app"]["remedy"]
    assert "max_db_connections = 3" in errors["database lab2"]["remedy"]
    assert any("idle_session_timeout" in f["text"] for f in findings if f["level"] == "warning")
    own_postgres.sql("alter role app connection limit -1")
    large = make_pooler(postgres=own_postgres, default_pool_size=400, start=False, databases={"lab": {}, "gone": {"dbname": "gone"}}, users={"app": password_of("app")})
    text = ctl("doctor", "-c", large.ini_path, status=1)
    assert "the server has 290" in text and 'no database "gone"' in text
    own_postgres.stop()
    assert "cannot be asked" in ctl("doctor", "-c", fits.ini_path, status=1)
    ctl("doctor", status=64)
    ctl("doctor", "-c", "/nonexistent.ini", status=2)


# top


@pytest.fixture
def screen(binary, tmp_path):
    made = []

    def make(pooler, *arguments, **more):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        command = " ".join([binary, "top", "-n", "0.5", *where(pooler), *arguments])
        made.append(Screen(folder, command, env=secret(), **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_top_shows_who_waits_and_takes_keys(screen, make_pooler):
    pooler = make_pooler(admin_users="app", default_pool_size=1)
    holder, waiter = pooler.connect(), pooler.connect(parameters={"application_name": "patient"})
    holder.rows("begin")
    waiter.send(wire.query("select 1"))
    top = screen(pooler)
    top.wait("1 waiting", "lab", "patient", "WAITING: 1", "q quit")
    if pooler.kind.is_sluice:
        top.wait("reason:", "advice:", "held by client", "p95")
    lines = top.text().split("\n")
    assert len(lines) >= 24 and all(len(line) <= 80 for line in lines)
    top.keys("2")
    top.wait("[2 Clients]", "patient")
    top.keys("/")
    top.keys("nobody-has-this", "Enter")
    top.wait("nothing here fits the filter")
    top.keys("/", "Escape")
    top.wait("patient")
    top.keys("3")
    top.wait("[3 Servers]", "active")
    top.keys("?")
    top.wait("pause the database of the row")
    top.keys("?")
    top.resize(100, 40)
    wait_until(lambda: any("q quit" in line for line in top.text().split("\n")[38:]), lambda: f"the footer in the last line:\n{top.text()}")
    top.resize(60, 12)
    wait_until(lambda: "q quit" in top.text().split("\n")[11], lambda: f"the footer in the last line:\n{top.text()}")
    top.resize(80, 24)
    top.keys("q")
    top.ended(0)
    holder.rows("commit")
    waiter.read_until("Z")


@pytest.mark.sluice_only("PgBouncer leaves the database paused when the command is given up")
def test_top_pauses_and_resumes(screen, ctl, make_pooler):
    pooler = make_pooler(admin_users="app")
    with pooler.connect() as client:
        client.rows("begin")
        paused = lambda: next(r for r in json.loads(ctl("databases", "--json", *where(pooler), env=secret())) if r["name"] == "lab")["paused"]
        top = screen(pooler)
        top.wait("lab", "q quit")
        top.keys("/", "lab", "Enter")
        top.keys("p")
        top.wait("pause database lab? (y/n)")
        top.keys("n")
        top.wait("nothing done")
        top.keys("p")
        top.wait("(y/n)")
        top.keys("y")
        top.wait("waiting for the pooler; Esc gives up")
        wait_until(lambda: paused() == 1, "the pause to begin")
        top.keys("Escape")
        wait_until(lambda: paused() == 0, "the pause to be given up")
        client.rows("commit")
        top.keys("p")
        top.wait("(y/n)")
        top.keys("y")
        top.wait("PAUSE: done")
        assert paused() == 1
        top.keys("r")
        top.wait("(y/n)")
        top.keys("y")
        top.wait("RESUME: done")
        assert client.value("select 1") == "1"
        top.keys("C-c")
        top.ended(0)


# Asked to end, dying of a fault (SIGTRAP is what a failed check of Swift's raises), killed by a signal that means nothing to it.
@pytest.mark.parametrize("name", ["TERM", "HUP", "INT", "QUIT", "SEGV", "ABRT", "TRAP", "ILL", "BUS", "FPE", "SYS", "PIPE", "ALRM", "USR1", "XCPU"])
def test_top_gives_the_terminal_back_at_a_signal(screen, pooler, name):
    top = screen(pooler)
    top.wait("q quit")
    os.kill(top.child(), getattr(signal, f"SIG{name}"))
    top.ended(128 + getattr(signal, f"SIG{name}"))


def test_top_stops_and_goes_on(screen, pooler):
    """By the key, and by kill -TSTP, which leaves a raw terminal to the shell unless it is handled."""
    top = screen(pooler)
    for stop in (lambda: top.keys("C-z"), lambda: os.kill(top.child(), signal.SIGTSTP)):
        top.wait("q quit")
        stop()
        top.wait("Stopped")
        assert "q quit" not in top.text()
        top.keys("clear; stty -a | grep -o ' -\\?icanon ' | tr -d ' ' | sed 's/^/mode:/'", "Enter")
        wait_until(lambda: re.search(r"^mode:icanon$", top.text(), re.M), lambda: f"an ordinary terminal:\n{top.text()}")
        top.keys("fg", "Enter")
    top.wait("q quit")
    top.keys("q")
    top.ended(0)


def test_top_ends_with_its_terminal(screen, pooler):
    top = screen(pooler)
    top.wait("q quit")
    child = top.child()
    top.close()
    wait_until(lambda: not os.path.exists(f"/proc/{child}"), "it to end")


def test_top_survives_a_restart_of_the_pooler(screen, make_pooler):
    pooler = make_pooler(admin_users="app")
    top = screen(pooler)
    top.wait("q quit")
    pooler.stop()
    top.wait("no connection")
    pooler.start()
    wait_until(lambda: "q quit" in top.text() and "no connection" not in top.text(), lambda: f"it to connect again:\n{top.text()}")
    top.keys("q")
    top.ended(0)


def test_top_needs_a_terminal(ctl, pooler):
    _, error = ctl("top", *where(pooler), env=secret(), status=2, both=True)
    assert "needs a terminal" in error


@pytest.mark.sluice_only("needs nothing of PgBouncer")
def test_unit_file_and_other_samples():
    for name in ("sluice.service", "sluice@.service"):
        unit = f"{ROOT}/Config/systemd/{name}"
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
        # The program is not installed where the unit expects it; everything else has to be right.
        complaints = [line for line in (done.stdout + done.stderr).split("\n") if re.search(r"sluice@?.*\.service", line) and "is not executable" not in line]
        assert not complaints, complaints
        done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=30", unit], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-500:] + done.stderr
    relaxed = "{extends: default, rules: {line-length: disable, document-start: disable, comments: disable, braces: disable}}"
    done = subprocess.run(["yamllint", "-d", relaxed, f"{ROOT}/Config"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    with open(f"{ROOT}/Config/grafana/sluice.json") as f:
        dashboard = json.load(f)
    with open(f"{ROOT}/docs/metrics.md") as f:
        known = set(re.findall(r"^\| `([a-z_]+)`", f.read(), re.M))
    used = set()
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            used |= set(re.findall(r"\b(?:sluice|process)_[a-z_]+", target["expr"]))
    rules = open(f"{ROOT}/Config/prometheus/sluice-rules.yml").read()
    used |= set(re.findall(r"\bsluice_[a-z_]+", rules))
    unknown = {name for name in used if re.sub(r"_(bucket|sum|count)$", "", name) not in known and name not in known}
    assert not unknown, f"the dashboard or the rules use metrics that do not exist: {unknown}"


def test_bash_completes_subcommands(ctl, tmp_path):
    script = tmp_path / "sluicectl.bash"
    script.write_text(ctl("--generate-completion-script", "bash"))
    line = "sluicectl re"
    asked = f"source {script}; COMP_WORDS=({line}); COMP_CWORD=1; COMP_LINE='{line}'; COMP_POINT={len(line)}; _sluicectl {line} sluicectl; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, timeout=DEADLINE)
    assert {"reload", "resume", "reconnect"} <= set(done.stdout.split()), done
    for shell, begins in (("zsh", "#compdef sluicectl"), ("fish", "function __sluicectl")):
        assert ctl("--generate-completion-script", shell).startswith(begins)
