"""auth_query: users whom the user list does not know are looked up in PostgreSQL, by a connection that no client can influence."""
import pytest

import wire
from postgres import password_of
from processes import free_port, give, wait_until

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


@pytest.mark.parametrize("method, question", [("scram-sha-256", 10), ("md5", 10), ("plain", 3)])
def test_an_unknown_user_is_asked_like_any_other(lookups, method, question):
    """A refusal without a question would tell who exists."""
    pooler = lookups(auth_type=method)
    assert pooler.connect().value("select 1") == "1"
    for user in ("app", "nobody_knows"):
        c = pooler.raw()
        c.send(wire.startup_packet({"user": user, "database": "lab"}))
        assert c.read_until("R", "E")[-1][:2] == ("R", question)
        assert "authentication failed" in refused(pooler, user=user, password="wrong").message
    assert refused(pooler, user="nobody_knows").message == refused(pooler, user="app", password="wrong").message
    pooler.wait_log("auth_query knows no such user")


def test_where_secrets_are_md5_hashes_unknown_users_are_asked_for_md5(lookups):
    pooler = lookups(auth_type="md5")
    assert pooler.connect("md5_user").value("select 1") == "1"
    for user in ("md5_user", "nobody_knows"):
        c = pooler.raw()
        c.send(wire.startup_packet({"user": user, "database": "lab"}))
        assert c.read_until("R", "E")[-1][:2] == ("R", 5)


# --- another name ---------------------------------------------------------------------------------------------------------

RENAME = "select rolname, rolpassword from pg_authid where rolname = lower(split_part($1, '@', 1)) and rolcanlogin"


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("method", ["scram-sha-256", "plain", "md5"])
def test_the_client_becomes_the_user_whom_the_query_returns(lookups, method, workers):
    """Names with a domain, or in capitals, are how directories and cloud consoles write them."""
    pooler = lookups(auth_type=method, auth_query=RENAME, workers=workers)
    for name in ("app@example.com", "APP", "App@x", "app"):
        c = pooler.connect(name, password_of("app"))
        assert c.rows("select current_user, session_user") == [("app", "app")]
        assert "authentication failed" in refused(pooler, user=name, password="wrong").message
    # one pool for all the spellings
    assert len(pooler.servers("lab", "usename = 'app'")) == 1
    assert pooler.log_contains("login attempt: db=lab user=app ")
    assert "authentication failed" in refused(pooler, user="nobody@example.com", password="x").message


def test_the_same_packet_may_become_another_user_next_time(lookups, postgres):
    """What was learnt at the last login with the same packet is not about this one."""
    with postgres.connect("lab") as c:
        c.rows("create table who (name text)")
        c.rows("insert into who values ('app')")
    try:
        pooler = lookups(auth_query="select rolname, rolpassword from pg_authid, public.who where rolname = name and $1 <> ''")
        for name in ("app", "app2", "trust_user", "app"):
            with postgres.connect("lab") as c:
                c.rows(f"update who set name = '{name}'")
            assert pooler.connect("somebody", password_of(name)).value("select current_user") == name
    finally:
        with postgres.connect("lab") as c:
            c.rows("drop table who")


def test_plain_passwords_work_under_another_name(lookups):
    query = "select lower($1), 'the password' where lower($1) = 'trust_user'"
    for method in ("md5", "scram-sha-256", "plain"):
        pooler = lookups(auth_type=method, auth_query=query)
        assert pooler.connect("Trust_User", "the password").value("select current_user") == "trust_user"
        assert "authentication failed" in refused(pooler, user="Trust_User", password="another").message


def test_limits_and_settings_of_a_user_are_those_of_the_new_name(lookups):
    pooler = lookups(auth_query=RENAME, sections={"users": {"app": "max_user_client_connections=2 pool_mode=session"}})
    kept = [pooler.connect(name, password_of("app")) for name in ("app@a", "APP@b")]
    assert refused(pooler, user="app@c", password=password_of("app")).message == "client connections exceeded (max_user_client_connections)"
    kept[0].rows("set work_mem = '3MB'")
    assert kept[0].value("show work_mem") == "3MB"
    assert pooler.connect("app2@a", password_of("app2")).value("select current_user") == "app2"


def test_the_console_knows_the_new_name(lookups):
    pooler = lookups(auth_query=RENAME, auth_dbname="lab", admin_users="app")
    console = pooler.connect("APP@example.com", password_of("app"), database="pgbouncer")
    assert console.query("show version").rows
    assert refused(pooler, user="APP2@example.com", password=password_of("app2"), database="pgbouncer").message == "not allowed"


def hba(run_folder, text):
    path = f"{run_folder.folder('hba')}/rules"
    with open(path, "w") as f:
        f.write(text)
    give(path)
    return {"auth_type": "hba", "auth_hba_file": path}


def test_rules_are_about_the_name_that_the_query_returns(lookups, run_folder):
    """Whoever is shut out does not get in by another spelling, and whoever is let in needs no rule for each."""
    pooler = lookups(auth_query=RENAME, **hba(run_folder, "host all app2 all reject\nhost all app all scram-sha-256\nhost all md5_user all md5\n"))
    assert pooler.connect("App@example.com", password_of("app")).value("select current_user") == "app"
    assert pooler.connect("app", password_of("app")).value("select current_user") == "app"
    for name in ("app2", "APP2", "app2@example.com"):
        assert refused(pooler, user=name, password=password_of("app2")).message == "login rejected"
    assert refused(pooler, user="TRUST_USER", password="x").message == "no authentication method is found"


def test_nobody_is_looked_up_where_no_rule_would_let_anybody_in(lookups, run_folder):
    rules = "host lab2 all all scram-sha-256\nhost lab all 192.0.2.0/24 scram-sha-256\nlocal lab all trust\nhost all all all reject\n"
    pooler = lookups(databases={"lab": {}, "lab2": {}}, auth_query=RENAME, **hba(run_folder, rules))
    assert refused(pooler, user="app").message == "login rejected"
    assert not pooler.servers()
    assert pooler.connect("APP", password_of("app"), database="lab2").value("select current_user") == "app"


def test_identical_rows_are_one(lookups):
    """A view that joins returns the same row for each group of a user."""
    pooler = lookups(auth_query="select rolname, rolpassword from pg_authid, generate_series(1, 3) where rolname = $1")
    assert pooler.connect().value("select current_user") == "app"
    assert "authentication failed" in refused(pooler, user="app", password="wrong").message


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
        ("select $1::text, 'a' || n from generate_series(1, 2) n", "several rows that differ"),
        ("select $1 || n, 'a' from generate_series(1, 2) n", "several rows that differ"),
        ("values ($1::text, null), ($1, '')", "several rows that differ"),
        ("select '', $1::text", "about nobody"),
        ("select repeat($1, 100), 'x'", "about nobody"),
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
    assert refused(pooler, user="app").message == "SASL authentication failed"
    pooler.wait_log("auth_query knows no such user")


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
        assert refused(pooler, user=name + "x").message == '"trust" authentication failed'
    finally:
        postgres.sql(f"drop role {quoted}")
