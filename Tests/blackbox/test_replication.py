"""Replication through the pooler, with PostgreSQL's own programs: physical and logical, streams of any length."""
import os
import re
import shutil
import subprocess

import pytest

import wire
from postgres import Postgres, password_of
from processes import DEADLINE, UNPRIVILEGED, is_root, wait_until

pytestmark = [pytest.mark.poolers_only, pytest.mark.since("1.24")]


@pytest.fixture(scope="module")
def primary(run_folder, postgres_template):
    """A PostgreSQL that lets user app replicate; one for all tests here, and removed with them: WAL takes much room."""
    server = Postgres(run_folder, postgres_template)
    with open(f"{server.data}/postgresql.conf", "a") as f:
        f.write("wal_level = logical\nwal_sender_timeout = 0\n")
    with open(f"{server.data}/pg_hba.conf", "a") as f:
        f.write("local replication postgres trust\nhost replication all 127.0.0.1/32 scram-sha-256\n")
    server.start()
    server.sql("alter role app replication")
    yield server
    server.stop()
    shutil.rmtree(server.folder)


@pytest.fixture(autouse=True)
def clean(primary):
    """Nobody of the test before is left."""
    wait_until(lambda: not senders(primary) and not primary.backends("lab"), "the last test's servers to leave")
    primary.sql("select pg_drop_replication_slot(slot_name) from pg_replication_slots")


def pooler_of(make_pooler, primary, **more):
    databases = {"lab": {}, "replication": {"dbname": "lab"}}
    return make_pooler(primary, databases=databases, **more)


def senders(primary):
    return [pid for (pid,) in primary.sql("select pid from pg_stat_activity where backend_type = 'walsender'")]


def tool(pooler, name, *arguments):
    """Starts one of PostgreSQL's programs against the pooler."""
    who = {"user": UNPRIVILEGED, "group": UNPRIVILEGED, "extra_groups": []} if is_root() else {}
    environment = dict(os.environ, PGPASSWORD=password_of("app"), PGSSLMODE="disable", PGCONNECT_TIMEOUT="30")
    command = [f"{pooler.postgres.bin}/{name}", "-h", "127.0.0.1", "-p", str(pooler.port), "-U", "app", *arguments]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, **who)


def finish(process):
    output = process.communicate(timeout=DEADLINE * 2)[0]
    assert process.returncode == 0, output
    return output


def fill(primary, rows=20000):
    with primary.connect("lab") as c:
        c.rows("create table if not exists filling (id int, text text)")
        c.rows(f"insert into filling select i, repeat(md5(i::text), 30) from generate_series(1, {rows}) i")


def verify(primary, folder):
    """Compares a backup with its manifest, where the tool of this PostgreSQL works: the one of a wheel crashes, whatever it looks at."""
    done = subprocess.run([f"{primary.bin}/pg_verifybackup", folder], capture_output=True, text=True)
    if done.returncode < 0:
        direct = f"{folder}-direct"
        taken = [f"{primary.bin}/pg_basebackup", "-D", direct, "-h", "127.0.0.1", "-p", str(primary.port), "-U", "app", "-c", "fast", "--no-sync"]
        subprocess.run(taken, check=True, capture_output=True, env=dict(os.environ, PGPASSWORD=password_of("app")))
        assert subprocess.run([f"{primary.bin}/pg_verifybackup", direct], capture_output=True).returncode == done.returncode
        shutil.rmtree(direct)
    else:
        assert done.returncode == 0, done.stderr


def test_pg_basebackup(make_pooler, primary):
    """Hundreds of megabytes in COPY OUT, and the WAL beside it on a second connection in COPY BOTH."""
    fill(primary)
    pooler = pooler_of(make_pooler, primary, pool_mode="transaction")
    folder = f"{pooler.folder}/backup"
    finish(tool(pooler, "pg_basebackup", "-D", folder, "-X", "stream", "-c", "fast", "--no-sync"))
    verify(primary, folder)
    shutil.rmtree(folder)
    assert pooler.log_count(r"login attempt: db=replication user=app tls=no replication=physical") == 2
    wait_until(lambda: not senders(primary), "the servers of the backup to go")


def test_pg_receivewal(make_pooler, primary):
    pooler = pooler_of(make_pooler, primary)
    folder = f"{pooler.folder}/wal"
    os.mkdir(folder)
    os.chmod(folder, 0o777)
    finish(tool(pooler, "pg_receivewal", "--slot=stream", "--create-slot"))
    receiver = tool(pooler, "pg_receivewal", "-D", folder, "--slot=stream", "--no-loop", "--synchronous")
    try:
        # It begins where the server is when it comes: on a busy machine that was behind the first segment.
        wait_until(lambda: primary.sql("select from pg_stat_replication where state = 'streaming'"), "the receiver to stream")
        names = []
        for _ in range(3):
            fill(primary, 5000)
            names.append(primary.sql("select pg_walfile_name(pg_current_wal_lsn())")[0][0])
            primary.sql("select pg_switch_wal()")
        for name in names:
            wait_until(lambda: os.path.exists(f"{folder}/{name}"), f"segment {name}")
            with open(f"{folder}/{name}", "rb") as a, open(f"{primary.data}/pg_wal/{name}", "rb") as b:
                assert a.read() == b.read()
    finally:
        receiver.terminate()
        output = receiver.communicate(timeout=DEADLINE)[0]
    assert "error" not in output, output
    wait_until(lambda: primary.sql("select active from pg_replication_slots")[0][0] == "f", "the walsender to go")


def test_pg_recvlogical(make_pooler, primary):
    primary.needs_library("test_decoding")
    pooler = pooler_of(make_pooler, primary)
    path = f"{pooler.folder}/changes"
    finish(tool(pooler, "pg_recvlogical", "-d", "lab", "--slot=changes", "-P", "test_decoding", "--create-slot"))
    receiver = tool(pooler, "pg_recvlogical", "-d", "lab", "--slot=changes", "--start", "-f", path, "--no-loop")
    try:
        with pooler.connect() as client:  # somebody who pools, beside it
            client.rows("create table changing (id int, big text)")
            client.rows("insert into changing select i, repeat('x', 3000000) from generate_series(1, 5) i")
            client.rows("insert into changing values (4711, 'last')")

        def content():
            return open(path).read() if os.path.exists(path) else ""

        wait_until(lambda: "4711" in content(), "the last change")
        changes = re.findall(r"^table public.changing: INSERT: id\[integer\]:(\d+) big\[text\]:'(x*|last)'$", content(), re.M)
        assert [(int(i), len(t)) for i, t in changes] == [(i, 3000000) for i in range(1, 6)] + [(4711, 4)]
    finally:
        receiver.terminate()
        receiver.communicate(timeout=DEADLINE)
    assert pooler.log_contains(r"login attempt: db=lab user=app tls=no replication=logical")
    finish(tool(pooler, "pg_recvlogical", "-d", "lab", "--slot=changes", "--drop-slot"))


@pytest.mark.parametrize("mode", ["transaction", "statement", "session"])
def test_a_server_of_its_own(make_pooler, primary, mode):
    pooler = pooler_of(make_pooler, primary, pool_mode=mode)
    one, two = (pooler.connect(parameters={"replication": "database"}) for _ in range(2))
    assert len(senders(primary)) == 2
    pids = [client.value("select pg_backend_pid()") for client in (one, two)]
    assert [client.value("select pg_backend_pid()") for client in (one, two)] == pids and pids[0] != pids[1]
    assert one.query("IDENTIFY_SYSTEM").rows[0][3] == "lab"
    assert one.parameters["server_version"] == two.parameters["server_version"]
    with pooler.connect() as pooled:
        assert pooled.value("select pg_backend_pid()") not in pids
    two.close()
    wait_until(lambda: senders(primary) == pids[:1], "its server to go")
    assert one.value("select pg_backend_pid()") == pids[0]


def test_startup_parameters_go_through_as_they_are(make_pooler, primary):
    pooler = pooler_of(make_pooler, primary)
    client = pooler.connect(
        parameters={"replication": "database", "options": "-c work_mem=123kB -c search_path=a,\\ b", "application_name": "copier", "extra_float_digits": "2"}
    )
    for name, value in (("work_mem", "123kB"), ("search_path", "a, b"), ("application_name", "copier"), ("extra_float_digits", "2")):
        assert client.value(f"show {name}") == value


def test_ignored_options_do_not_go_through(make_pooler, primary):
    # the list of what is ignored held for other clients only
    pooler = pooler_of(make_pooler, primary, ignore_startup_parameters="options")
    client = pooler.connect(parameters={"replication": "database", "options": "-c work_mem=123kB -c timezone=Europe/Oslo"})
    assert client.value("show work_mem") != "123kB" and client.value("show timezone") == "Europe/Oslo"


def test_prepared_statements_are_left_alone(make_pooler, primary):
    pooler = pooler_of(make_pooler, primary)
    client = pooler.connect(parameters={"replication": "database"})
    reply = client.run(wire.query("select 1"), wire.query("IDENTIFY_SYSTEM"), ready=2)
    assert reply.rows[0] == ("1",) and reply.rows[1][3] == "lab"


@pytest.mark.parametrize("word, mode", [("true", "physical"), ("on", "physical"), ("1", "physical"), ("YES", "physical"), ("database", "logical"), ("off", "no"), ("false", "no"), ("0", "no")])
def test_the_words_for_it(make_pooler, primary, word, mode):
    pooler = pooler_of(make_pooler, primary)
    pooler.connect(parameters={"replication": word}).close()
    pooler.wait_log(f"login attempt: db=lab user=app tls=no replication={mode}")


def test_a_wrong_word_is_refused(make_pooler, primary):
    with pytest.raises(wire.ServerError) as caught:
        pooler_of(make_pooler, primary).connect(parameters={"replication": "sometimes"})
    assert 'invalid value for parameter "replication": "sometimes"' in str(caught.value)


def test_who_may_not_replicate_hears_it_from_the_server(make_pooler, primary):
    pooler = pooler_of(make_pooler, primary)
    with pytest.raises(wire.ServerError) as directly:
        primary.connect("lab", "app2", parameters={"replication": "database"})
    with pytest.raises(wire.ServerError) as caught:
        pooler.connect(user="app2", parameters={"replication": "database"})
    assert caught.value.message == directly.value.message and caught.value.code == "42501"
    pooler.wait_log(r"closing because: login failed \(age")
    with pooler.connect(user="app2") as client:
        assert client.rows("select 1") == [("1",)]


def test_a_full_pool_loses_one_idle_server(make_pooler, primary):
    pooler = pooler_of(make_pooler, primary, default_pool_size=3, workers=1)
    clients = [pooler.connect() for _ in range(3)]
    for client in clients:
        client.rows("begin")
    for client in clients:
        client.rows("commit")
    assert len(pooler.servers()) == 3
    one = pooler.connect(parameters={"replication": "database"})
    wait_until(lambda: len(pooler.servers()) == 2 and len(senders(primary)) == 1, "one server for another")
    assert pooler.log_count("closing because: evicted for pool_size") == 1
    assert one.value("select 1") == "1"


def test_it_waits_while_all_servers_are_busy(make_pooler, primary):
    pooler = pooler_of(make_pooler, primary, default_pool_size=1, workers=1)
    busy = pooler.connect()
    busy.rows("begin")
    waiting = pooler.raw()
    waiting.user, waiting.password = "app", password_of("app")
    waiting.send(wire.startup_packet([("user", "app"), ("database", "lab"), ("replication", "database")]))
    busy.rows("commit")
    waiting.login()
    assert waiting.value("select 1") == "1"


def test_a_moved_database_ends_it(make_pooler, primary):
    pooler = pooler_of(make_pooler, primary)
    client = pooler.connect(parameters={"replication": "database"})
    client.rows("select 1")
    pooler.databases["lab"] = {"dbname": "lab2"}
    pooler.reload()
    assert "database configuration changed" in str(client.read_to_end().errors[-1])


def test_ignored_startup_parameters_do_not_reach_the_server(make_pooler, primary):
    pooler = pooler_of(make_pooler, primary, ignore_startup_parameters="fancy,Fanciest", application_name_add_host=1)
    client = pooler.connect(parameters={"replication": "database", "fancy": "1", "fanciest": "2", "application_name": "copier"})
    assert client.value("show application_name").startswith("copier - 127.0.0.1:")
    with pytest.raises(wire.ServerError) as caught:
        pooler.connect(parameters={"replication": "database", "plain": "1"})
    assert 'unrecognized configuration parameter "plain"' in str(caught.value)
