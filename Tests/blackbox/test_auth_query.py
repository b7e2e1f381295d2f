"""auth_query: users whom the user list does not know are looked up in PostgreSQL, by a connection that no client can influence."""
import pytest

import wire
from postgres import password_of
from processes import free_port, wait_until

pytestmark = pytest.mark.since("1.25")

QUERY = "select rolname, rolpassword from pg_authid where rolname = $1 and rolcanlogin"


@pytest.fixture
def lookups(make_pooler, postgres):
    """A pooler that knows only `postgres` by its list, and asks the server for everybody else. `postgres` is trusted on the server's Unix socket."""

    def make(databases=None, users=None, **settings):
        databases = {name: {"host": postgres.socket_dir, **keys} for name, keys in (databases or {"lab": {}}).items()}
        return make_pooler(databases=databases, users=users or {"postgres": "unused"}, **{"auth_user": "postgres", "auth_query": QUERY, **settings})

    return make


def refused(pooler, **how):
    with pytest.raises(wire.ServerError) as info:
        pooler.connect(**how)
    assert info.value.severity == "FATAL"
    return info.value


@pytest.mark.parametrize("method", ["scram-sha-256", "md5", "plain"])
@pytest.mark.parametrize("user", ["app", "md5_user"])
def test_users_are_looked_up(lookups, method, user):
    pooler = lookups(auth_type=method)
    if (method, user) == ("scram-sha-256", "md5_user"):
        assert "authentication failed" in refused(pooler, user=user).message
        return
    c = pooler.connect(user)
    assert c.rows("select current_user") == [(user,)]
    assert "authentication failed" in refused(pooler, user=user, password="wrong").message


def test_an_unknown_user_is_told_so(lookups):
    pooler = lookups()
    assert "no such user" in refused(pooler, user="nobody_knows").message


def test_users_of_the_list_are_not_looked_up(lookups):
    pooler = lookups(auth_query="select nonsense", users={"postgres": "x", "app": password_of("app")})
    assert pooler.connect().value("select 1") == "1"
    assert not pooler.log_contains("error in auth_query")


def test_the_result_is_fresh_at_every_login(lookups, postgres):
    pooler = lookups()
    postgres.sql("create role changing login password 'first'")
    try:
        postgres.sql("grant all on database lab to changing")
        pooler.settings["auth_type"] = "scram-sha-256"
        assert "authentication failed" in refused(pooler, user="changing", password="second").message
        postgres.sql("alter role changing password 'second'")
        assert "authentication failed" in refused(pooler, user="changing", password="first").message
    finally:
        postgres.sql("revoke all on database lab from changing; drop role changing")


def test_expired_and_missing_passwords_never_match(lookups, postgres):
    pooler = lookups(auth_query=None)
    postgres.sql("create role expired login password 'pw' valid until '2001-01-01'; create role bare login; create role valid login password 'pw' valid until '2999-01-01'")
    try:
        for user in ("expired", "bare"):
            for password in ("pw", "x"):
                e = refused(pooler, user=user, password=password)
                assert "authentication failed" in e.message, user
        # this one gets as far as the server, which has no HBA line for it
        assert "authentication failed" not in refused(pooler, user="valid", password="pw").message
    finally:
        postgres.sql("drop role expired; drop role bare; drop role valid")


@pytest.mark.parametrize(
    "query, log",
    [
        ("select 1 where $1 = 'x'", "columns"),
        ("select $1::text, 'a', 'b'", "columns"),
        ("select $1::text, 'a' from generate_series(1, 2)", "more than one row"),
        ("select 'somebody', $1::text", "another user"),
        ("select usename, passwd from not_pg_shadow where usename = $1", '"not_pg_shadow" does not exist'),
        ("select nonsense from", "syntax error"),
        ("select $1::text, repeat('x', 70000)", "longer than"),
        ("notify a", "bind message supplies"),
    ],
)
def test_nonsense_is_an_error_for_that_client_alone(lookups, query, log):
    pooler = lookups(auth_query=query, users={"postgres": "x", "app": password_of("app")})
    other = pooler.connect()
    assert refused(pooler, user="app2").message == "bouncer config error"
    pooler.wait_log(f"S: error in auth_query.*({log})")
    assert other.value("select 1") == "1"
    assert pooler.connect().value("select 2") == "2"


@pytest.mark.parametrize("query", ["select null::text, 'pw' where $1 <> ''", "select $1::text, 'pw' where false"])
def test_a_null_name_is_no_row(lookups, query):
    pooler = lookups(auth_query=query)
    assert "no such user" in refused(pooler, user="app").message


def test_what_clients_ask_for_never_reaches_the_query(lookups, postgres):
    """CVE-2025-12819: an unauthenticated client's search_path decided which function auth_query called."""
    with postgres.connect("lab") as c:
        c.rows("create schema evil authorization app")
        c.rows("create function evil.who(text) returns table (n text, p text) language sql as $$ select $1, 'chosen by the attacker' $$")
        c.rows("create function public.who(text) returns table (n text, p text) language sql security definer as $$ select rolname::text, rolpassword from pg_authid where rolname = $1 $$")
    try:
        pooler = lookups(auth_query="select n, p from who($1)")
        for parameters in ({"search_path": "evil, public"}, {"options": "-c search_path=evil,public"}):
            for _ in range(2):
                e = refused(pooler, user="app", password="chosen by the attacker", parameters=parameters)
                assert "authentication failed" in e.message
        assert pooler.connect(parameters={"search_path": "public"}).value("select current_user") == "app"
    finally:
        with postgres.connect("lab") as c:
            c.rows("drop schema evil cascade; drop function public.who")


def test_clients_that_are_auth_user_have_a_pool_of_their_own(lookups, postgres):
    pooler = lookups(default_pool_size=1, users={"postgres": "pw"})
    owner = pooler.connect("postgres", "pw")
    owner.rows("begin")
    assert pooler.connect("app").value("select current_user") == "app"
    owner.rows("commit")
    assert len(pooler.servers("lab", "usename = 'postgres'")) == 2


def test_auth_dbname_global_and_per_database(lookups, postgres):
    pooler = lookups(databases={"lab": {}, "lab2": {"auth_dbname": "lookup2"}, "lookup": {"dbname": "app"}, "lookup2": {"dbname": "postgres"}}, auth_dbname="lookup")
    assert pooler.connect("app", database="lab").value("select current_database()") == "lab"
    assert pooler.connect("app", database="lab2").value("select current_database()") == "lab2"
    assert len(pooler.servers("app", "usename = 'postgres'")) == 1
    assert pooler.log_contains(r"lookup2/postgres@")


def test_auth_user_and_query_of_a_database(lookups):
    pooler = lookups(databases={"lab": {"auth_user": "postgres", "auth_query": "'select $1::text, ''it is this''::text'"}, "lab2": {}}, auth_user=None, auth_type="plain")
    assert pooler.connect("trust_user", "it is this").value("select current_user") == "trust_user"
    assert "authentication failed" in refused(pooler, user="trust_user", password="not this").message
    # lab2 has no auth_user: an unknown user fails like one with a wrong password
    assert "authentication failed" in refused(pooler, user="trust_user", password="it is this", database="lab2").message


def test_an_auth_dbname_that_is_not_configured(lookups):
    pooler = lookups(auth_dbname="missing")
    assert refused(pooler, user="app").message == "bouncer config error"
    pooler.wait_log('authentication database "missing" is not configured')


def test_the_reserved_database_is_refused_as_auth_dbname(lookups):
    pooler = lookups(auth_dbname="pgbouncer", start=False)
    assert pooler.launch().wait(wire.HANG) == 1
    pooler.process = None
    assert "pgbouncer" in pooler.stderr()


def test_many_logins_share_the_pool(lookups):
    pooler = lookups(default_pool_size=2)
    import threading

    failures = []

    def login():
        try:
            assert pooler.connect("app").value("select 1") == "1"
        except BaseException as e:
            failures.append(e)

    threads = [threading.Thread(target=login) for _ in range(30)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not failures
    assert len(pooler.servers("lab", "usename = 'postgres'")) <= 2


def test_a_server_that_can_t_be_reached_is_told(lookups):
    pooler = lookups(databases={"lab": {}, "nowhere": {"port": free_port()}}, auth_dbname="nowhere", client_login_timeout=2)
    e = refused(pooler, user="app")
    assert "server login has been failing" in e.message or "client_login_timeout" in e.message
    assert "server login has been failing" in refused(pooler, user="app").message


def test_a_lookup_that_hangs_ends_with_its_client(lookups):
    users = {"postgres": "x", "app": password_of("app")}
    pooler = lookups(auth_query="select $1::text, pg_sleep(1000)::text", client_login_timeout=2, server_connect_timeout=4, users=users)
    assert "client_login_timeout" in refused(pooler, user="app2").message
    assert pooler.connect().value("select 1") == "1"
    pooler.wait_log("closing because: .*took too long")


def test_the_lookup_pool_survives_a_dead_server(lookups, postgres):
    pooler = lookups()
    assert pooler.connect("app").value("select 1") == "1"
    pids = pooler.servers("lab", "usename = 'postgres'")
    assert pids
    for pid in pids:
        postgres.sql(f"select pg_terminate_backend({pid})")
    wait_until(lambda: not pooler.servers("lab", "usename = 'postgres'"), "the server to go")
    pooler.wait_log(r" S-0x\w+: lab/postgres@.*closing because: ", len(pids))
    assert pooler.connect("app").value("select 1") == "1"


def test_names_with_strange_characters(lookups, postgres):
    name = "a'b\"c; -- ü$1"
    quoted = '"' + name.replace('"', '""') + '"'
    postgres.sql(f"create role {quoted} login password 'pw'")
    try:
        pooler = lookups(auth_type="trust", databases={"lab": {"user": "trust_user"}})
        assert pooler.connect(name, "").value("select 1") == "1"
        assert "no such user" in refused(pooler, user=name + "x").message
    finally:
        postgres.sql(f"drop role {quoted}")
