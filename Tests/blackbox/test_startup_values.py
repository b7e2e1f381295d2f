"""Startup values that no SET can give to a server exactly: their clients have servers that were opened with them, and nobody else has."""
import threading

import pytest

from processes import wait_until
from wire import ServerError, bind, execute, parse, sync

pytestmark = pytest.mark.sluice_only("PgBouncer drops or refuses these values")


def show(pooler, topic):
    reply = pooler.connect(database="pgbouncer").query(f"show {topic}").check()
    names = next(m[1] for m in reply if m[0] == "T")
    return [dict(zip(names, row)) for row in reply.rows]


@pytest.fixture
def make_trusting(make_pooler, postgres):
    """Lets the superuser in, without a password."""
    return lambda **settings: make_pooler(
        databases={"lab": {"host": postgres.socket_dir}}, users={"postgres": "x", "app": "x"}, auth_type="trust", **settings)


def outcome(connect, sqls):
    """What a client with its startup values hears: at the login, or to each of these queries."""
    try:
        client = connect()
    except ServerError as error:
        return error.severity, error.code, error.message
    with client:
        told = {k: v for k, v in client.parameters.items() if not k.startswith("pgbouncer.")}
        return told, [[m[1]["M"] if m[0] == "E" else m[1] for m in client.query(sql) if m[0] in "DE"] for sql in sqls]


# --- what SET refuses, and a login takes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("user, brought", [
    ("app", {"temp_tablespaces": "nope"}), ("app", {"temp_tablespaces": "nope", "DateStyle": "German"}),
    ("app", {"options": "-c ignore_system_indexes=on"}), ("app", {"post_auth_delay": "0"}), ("app", {"default_tablespace": "nope"}),
    ("app", {"log_connections": "on"}), ("app", {"jit_debugging_support": "on"}), ("app", {"shared_buffers": "1MB"}),
    ("app", {"server_version_num": "1"}), ("app", {"my.": "1"}), ("app", {"my.a-b": "1"}), ("app", {"log_statement": "none"}),
    ("postgres", {"log_connections": "on"}), ("postgres", {"options": "-c jit_debugging_support=on -c log_disconnections=on"}),
], ids=str)
def test_a_value_counts_as_at_a_login(make_pooler, make_trusting, postgres, user, brought):
    # What SET refuses was refused, or thrown away for the whole pool, though PostgreSQL takes it at a login; and a value that a login
    # refuses was put on a server all the same, whose next client was closed for it.
    names = [n for n in ("temp_tablespaces", "ignore_system_indexes", "post_auth_delay", "default_tablespace", "log_connections", "log_disconnections", "jit_debugging_support", "datestyle")]
    sqls = [f"show {name}" for name in names]
    pooler = (make_trusting if user == "postgres" else make_pooler)(default_pool_size=3)
    plain = outcome(lambda: postgres.connect("lab", user=user), sqls)
    direct = outcome(lambda: postgres.connect("lab", user=user, parameters=brought), sqls)
    other = pooler.connect(user=user)
    for _ in range(3):
        assert outcome(lambda: pooler.connect(user=user, parameters=brought), sqls) == direct
        assert outcome(lambda: pooler.connect(user=user), sqls) == plain
        assert other.value("select 'undisturbed'") == "undisturbed"


def test_a_library_is_loaded_for_its_client_alone(make_trusting, postgres):
    # A library that one client asked for stayed on a server for all clients.
    postgres.needs_library("auto_explain")
    sqls = ["select current_setting('auto_explain.log_format', true)", "show session_preload_libraries"]
    pooler = make_trusting(default_pool_size=2)
    brought = {"options": "-c session_preload_libraries=auto_explain"}
    direct = outcome(lambda: postgres.connect("lab", user="postgres", parameters=brought), sqls)
    assert direct[1][0] == [("text",)]
    plain = outcome(lambda: postgres.connect("lab", user="postgres"), sqls)
    for _ in range(3):
        assert outcome(lambda: pooler.connect(user="postgres", parameters=brought), sqls) == direct
        assert outcome(lambda: pooler.connect(user="postgres"), sqls) == plain


# --- names of applications -------------------------------------------------------------------------------------------------------


def test_a_custom_name_is_seen_by_those_who_bring_it(make_pooler, postgres):
    # It stayed on the server as '' for everybody, where a policy with IS NULL decides otherwise.
    pooler = make_pooler(default_pool_size=2)
    ask = "select current_setting('app.tenant', true), current_setting('app.tenant', true) is null"
    for _ in range(3):
        for tenant in ("one", "two"):
            with pooler.connect(parameters={"options": f"-c app.tenant={tenant}"}) as c:
                assert c.rows(ask) == [(tenant, "f")]
                c.rows("reset app.tenant")
                assert c.rows(ask) == [(tenant, "f")]
                c.rows("discard all")
                assert c.rows(ask) == [(tenant, "f")]
        with pooler.connect() as c:
            assert c.rows(ask) == [(None, "t")]


def test_many_tenants_share_their_servers(make_pooler, postgres):
    pooler = make_pooler(default_pool_size=2)
    clients = [pooler.connect(parameters={"options": f"-c app.tenant=t{n}", "application_name": f"a{n}"}) for n in range(20)]
    for _ in range(2):
        for n, c in enumerate(clients):
            assert c.rows("select current_setting('app.tenant'), current_setting('application_name')") == [(f"t{n}", f"a{n}")]
    wait_until(lambda: len(postgres.backends("lab")) <= 2, "the server that made room to end")


def test_a_custom_name_keeps_its_spelling(make_trusting, postgres):
    # It was told in lower case.
    brought = {"my.CamelCase": "1", "options": "-c Other.Name=2"}
    ask = "select name, setting from pg_settings where name ilike 'my.%' or name ilike 'other.%' order by 1"
    direct = postgres.connect("lab", user="postgres", parameters=brought)
    pooler = make_trusting(default_pool_size=1)
    for _ in range(2):
        c = pooler.connect(user="postgres", parameters=brought)
        assert c.rows("show all") and [r[:2] for r in c.rows("show all") if "." in r[0]] == [r[:2] for r in direct.rows("show all") if "." in r[0]]
        assert c.rows(ask) == direct.rows(ask)


@pytest.mark.parametrize("brought", [
    {"DateStyle": "nonsense", "TimeZone": "Mars/Olympus"}, {"TimeZone": "Mars/Olympus", "DateStyle": "nonsense"},
    {"DateStyle": "nonsense", "options": "-c timezone=Mars/Olympus"}, {"statement_timeout": "-5", "options": "-c work_mem=1kB -c bytea_output=octal"},
    {"client_encoding": "klingon", "IntervalStyle": "fortnights"}, {"IntervalStyle": "fortnights", "client_encoding": "klingon"},
    {"role": "nobody", "extra_float_digits": "99"}, {"log_statement": "none", "options": "-c extra_float_digits=99"},
], ids=str)
def test_of_several_values_that_are_refused_postgresql_names_the_first(make_pooler, postgres, brought):
    # The one was named that the pooler had tried first.
    direct = outcome(lambda: postgres.connect("lab", user="app", parameters=brought), [])
    pooler = make_pooler(default_pool_size=2)
    for _ in range(2):
        assert outcome(lambda: pooler.connect(parameters=brought), []) == direct
        assert pooler.connect().value("select 1") == "1"


# --- bytes -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["UTF8", "LATIN1", "SJIS", "SQL_ASCII"])
@pytest.mark.parametrize("value", [b"\xe4", "ä".encode(), b"\x95\x5c", b"a\xff\xfeb", b"\xf4\x8f\xbe\x80", "\U0010ff80\U0010ffff".encode()], ids=repr)
def test_a_value_is_bytes_whatever_the_encoding_says(make_pooler, postgres, encoding, value):
    # What is no UTF-8 became U+FFFD, and what is no text in the client's encoding ended in 22021.
    if encoding in ("LATIN1", "SJIS") and postgres.major >= 18:
        pytest.skip("PostgreSQL 18 reports search_path, and in the client's encoding: the pooler's greeting does not convert it")
    brought = {"client_encoding": encoding, "search_path": value}
    ask = ["select encode(textsend(current_setting('search_path')), 'hex')", "show search_path", "select 1"]
    pooler = make_pooler(default_pool_size=2)
    direct = outcome(lambda: postgres.connect("lab", user="app", parameters=brought), ask)
    for _ in range(2):
        assert outcome(lambda: pooler.connect(parameters=brought), ask) == direct
        assert outcome(lambda: pooler.connect(), ["select 1", "show search_path"])[1] == [[("1",)], [('"$user", public',)]]


@pytest.mark.parametrize("name", [b"d\xe4ta", "däta".encode(), b"x" * 62 + "ä".encode()], ids=repr)
def test_the_name_of_a_database_is_bytes(make_pooler, postgres, name):
    # A name that is no UTF-8 became U+FFFD, and one that is cut inside a character, too.
    pooler = make_pooler(databases={"*": f"host=127.0.0.1 port={postgres.port}"})

    def said(connect):
        with pytest.raises(ServerError) as e:
            connect()
        return e.value.code, e.value.message

    direct = said(lambda: postgres.connect(name, user="app"))
    assert said(lambda: pooler.connect(database=name)) == direct


@pytest.mark.parametrize("name", [b"n\xe4me", b"\xf4\x8f\xbe\x80"], ids=repr)
def test_the_name_of_a_statement_is_bytes(make_pooler, postgres, name):
    pooler = make_pooler(default_pool_size=1)
    c, direct = pooler.connect(), postgres.connect("lab", user="app")
    bursts = [parse(name, "select 1") + bind(name) + execute() + sync(), parse(name, "select 2") + sync(), bind(b"other" + name) + sync()]
    for burst in bursts:
        replies = []
        for client in (c, direct):
            client.send(burst)
            replies.append([m if m[0] != "E" else (m[1]["C"], m[1]["M"]) for m in client.read_until("Z")])
        assert replies[0] == replies[1]


# --- one size for all ---------------------------------------------------------------------------------------------------------------


def test_pools_of_a_user_share_their_size(make_pooler, postgres):
    pooler = make_pooler(default_pool_size=1, stats_users="app")
    a, b = pooler.connect(), pooler.connect(parameters={"temp_tablespaces": "nope"})
    c = pooler.connect(parameters={"options": "-c app.tenant=x"})
    for _ in range(5):
        for client in (a, b, c):
            assert client.value("select 1") == "1"
            wait_until(lambda: len(postgres.backends("lab")) <= 1, "the server that made room to end")
    pools = [row for row in show(pooler, "pools") if row["database"] == "lab"]
    assert len(pools) == 1 and int(pools[0]["cl_active"]) == 3 and int(pools[0]["cl_waiting"]) == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_busy_pool_makes_room_for_other_startup_values(make_pooler, postgres, workers):
    pooler = make_pooler(default_pool_size=2, workers=workers)
    stop = threading.Event()
    failed = []

    def work(brought, expected):
        try:
            with pooler.connect(parameters=brought) as c:
                while not stop.is_set():
                    rows = c.rows("select current_setting('app.tenant', true), current_setting('temp_tablespaces')")
                    assert rows == [expected], rows
        except Exception as error:
            failed.append(error)

    kinds = [({}, (None, "")), ({"options": "-c app.tenant=x"}, ("x", "")), ({"temp_tablespaces": "nope"}, (None, "nope"))]
    busy = [threading.Thread(target=work, args=kinds[0]) for _ in range(6)]
    for thread in busy:
        thread.start()
    try:
        for brought, expected in kinds * 3:
            with pooler.connect(parameters=brought) as c:
                for _ in range(3):
                    assert c.rows("select current_setting('app.tenant', true), current_setting('temp_tablespaces')") == [expected]
            wait_until(lambda: len(postgres.backends("lab")) <= 2, "the server that made room to end")
    finally:
        stop.set()
        for thread in busy:
            thread.join()
    assert not failed


def test_pools_for_values_of_one_client_go_with_it(make_pooler):
    pooler = make_pooler(default_pool_size=2, workers=1, server_idle_timeout=1, stats_users="app")

    def pools():
        return next(int(row["used"]) for row in show(pooler, "mem") if row["name"] == "pool_cache")

    pooler.connect().close()
    before = pools()
    for n in range(10):
        pooler.connect(parameters={"temp_tablespaces": f"nope{n}"}).close()
        with pytest.raises(ServerError):
            pooler.connect(parameters={"log_statement": f"nonsense{n}"})
    wait_until(lambda: pools() <= before, "the pools to go")


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_a_name_that_postgresql_does_not_know_is_left_out(make_pooler, mode):
    pooler = make_pooler(default_pool_size=2, pool_mode=mode)
    for _ in range(3):
        with pooler.connect(parameters={"some_driver_option": "1", "other_option": "2", "DateStyle": "German"}) as c:
            assert c.value("show datestyle") == "German, DMY"
    assert pooler.log_contains('ignoring startup parameter "some_driver_option"')
