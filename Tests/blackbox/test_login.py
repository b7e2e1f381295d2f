"""Who gets in, how, and with which words the others are turned away; what a startup packet may carry."""
import os
import socket
import struct
import threading

import pytest

import wire
from postgres import password_of
from processes import wait_until
from wire import Closed, ServerError, ask, message, query, startup_packet, sync

# a database whose server login never depends on who the client is
FORCED = {"lab": {"user": "trust_user", "password": "unused"}}


def refused(pooler, **how):
    with pytest.raises(wire.ServerError) as info:
        pooler.connect(**how)
    assert info.value.severity == "FATAL"
    return info.value


def secret(form, user, password):
    return {"plain": password, "md5": wire.md5_secret(user, password), "scram": wire.scram_secret(password), "empty": ""}[form]


def server_code(pooler, code):
    """Old PgBouncers put 08P01 in place of the server's own code."""
    return code if pooler.kind.since("1.21") else "08P01"


# --- towards clients (reference 4.1) ---------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["plain", "md5", "scram", "empty"])
@pytest.mark.parametrize("method", ["trust", "plain", "md5", "scram-sha-256", "any"])
def test_client_login_matrix(make_pooler, method, form):
    pooler = make_pooler(auth_type=method, databases=FORCED, users={"joe": secret(form, "joe", "joe's pw")})
    works = method in ("trust", "any") or form in ("plain", "scram") or (method, form) in (("plain", "md5"), ("md5", "md5"))
    if works:
        c = pooler.connect("joe", "joe's pw")
        assert c.rows("select 1, current_user") == [("1", "trust_user")]
        asked = [m[1] for m in c.greeting if m[0] == "R"]
        expected = {"trust": [0], "any": [0], "plain": [3, 0], "md5": [10, 11, 12, 0] if form == "scram" else [5, 0], "scram-sha-256": [10, 11, 12, 0]}
        assert asked == expected[method]
        if method not in ("trust", "any"):
            e = refused(pooler, user="joe", password="wrong")
            assert e.code in ("08P01", "28P01")
    else:
        e = refused(pooler, user="joe", password="joe's pw")
        assert e.code in ("08P01", "28P01") and "authentication failed" in e.message


@pytest.mark.parametrize("method, text", [("plain", "password authentication failed"), ("md5", "password authentication failed"), ("scram-sha-256", "SASL authentication failed")])
@pytest.mark.parametrize("user", ["app", "nobody_knows"])
def test_wrong_password_and_unknown_user_get_the_same_text(make_pooler, method, text, user):
    pooler = make_pooler(auth_type=method, databases=FORCED)
    e = refused(pooler, user=user, password="wrong")
    assert text in e.message
    assert pooler.connect().value("select 1") == "1"


def test_under_md5_unknown_users_are_asked_as_most_users_are(make_pooler):
    """A SCRAM secret is asked for by SCRAM: where all are, another question would say that there is no such user."""

    def asked(pooler, user):
        client = pooler.raw()
        client.send(wire.startup_packet({"user": user, "database": "lab"}))
        return client.read()[:2]

    secrets = {user: wire.scram_secret(password_of(user)) for user in ("app", "app2")}
    for users, question in ((secrets, ("R", 10)), ({"app": password_of("app")}, ("R", 5))):
        pooler = make_pooler(auth_type="md5", users=users)
        assert asked(pooler, "app") == asked(pooler, "nobody_knows") == question
        texts = {refused(pooler, user=user, password="wrong").message for user in ("app", "nobody_knows")}
        assert len(texts) == 1


def test_trust_turns_an_unknown_user_away(make_pooler):
    pooler = make_pooler(auth_type="trust", databases=FORCED)
    assert '"trust" authentication failed' in refused(pooler, user="nobody_knows").message


def test_any_lets_everybody_in_as_the_forced_user(make_pooler):
    pooler = make_pooler(auth_type="any", databases=FORCED)
    assert pooler.connect("who_ever", "").value("select current_user") == "trust_user"


@pytest.mark.parametrize("method", ["plain", "md5", "scram-sha-256"])
def test_an_unknown_database_is_told_only_after_the_login(make_pooler, method):
    pooler = make_pooler(auth_type=method)
    assert "authentication failed" in refused(pooler, database="nowhere", password="wrong").message
    e = refused(pooler, database="nowhere")
    assert "no such database: nowhere" in e.message and e.code in ("08P01", "3D000")


def test_an_unknown_database_under_trust(make_pooler):
    pooler = make_pooler(auth_type="trust")
    assert "no such database: nowhere" in refused(pooler, database="nowhere").message


def test_a_database_that_only_the_server_does_not_know(make_pooler):
    # psycopg's test_connectdb_error: behind PgBouncer such a login hung past 25 seconds
    pooler = make_pooler(databases={"lab": {}, "ghost": {"dbname": "ghost"}})
    e = refused(pooler, database="ghost")
    assert e.code == server_code(pooler, "3D000") and 'database "ghost" does not exist' in e.message
    assert pooler.connect().value("select 1") == "1"


def test_an_empty_password(make_pooler):
    pooler = make_pooler(auth_type="plain", databases=FORCED)
    assert "empty password returned by client" in refused(pooler, password="").message


def test_a_password_of_every_kind_of_character(make_pooler):
    passwords = {"u1": "with space", "u2": 'quo""te"', "u3": "ünïcödé ☂", "u4": "a=b,c=d", "u5": "x" * 500, "u6": "\\back'slash"}
    for method in ("plain", "md5", "scram-sha-256"):
        pooler = make_pooler(auth_type=method, databases=FORCED, users=passwords)
        for user, password in passwords.items():
            assert pooler.connect(user, password).value("select 1") == "1", (method, user)


def test_a_password_of_60_kb(make_pooler):
    pooler = make_pooler(auth_type="plain", databases=FORCED, users={"big": wire.scram_secret("p" * 60000)})
    assert pooler.connect("big", "p" * 60000).value("select 1") == "1"
    assert "password authentication failed" in refused(pooler, user="big", password="p" * 59999).message


def test_a_user_list_entry_that_changes_counts_after_a_reload(make_pooler):
    pooler = make_pooler(databases=FORCED, users={"joe": "old"})
    old = pooler.connect("joe", "old")
    pooler.write_users({"joe": "new", "eve": "eve"})
    pooler.reload()
    wait_until(lambda: may_login(pooler, "joe", "new"), "the new password to count")
    assert pooler.connect("eve", "eve").value("select 1") == "1"
    refused(pooler, user="joe", password="old")
    assert old.value("select 'still in'") == "still in"


def may_login(pooler, user, password):
    try:
        pooler.connect(user, password)
        return True
    except wire.ServerError:
        return False


# --- SCRAM's edges -----------------------------------------------------------------------------------------------------


def begin_scram(pooler, user="app"):
    c = pooler.raw()
    c.user = user
    c.send(wire.startup_packet({"user": user, "database": "lab"}))
    asked = c.read()
    assert asked[:2] == ("R", 10) and asked[2] == b"SCRAM-SHA-256\0\0", "exactly the one mechanism is offered"
    return c


@pytest.fixture
def scram_pooler(make_pooler):
    return make_pooler(databases=FORCED)


def ends_with_fatal(client, *texts):
    seen = client.read_to_end()
    assert [e.severity for e in seen.errors] == ["FATAL"] and not any(m[0] == "Z" or m[:2] == ("R", 0) for m in seen), seen
    assert any(t in seen.error.message for t in texts or ("",)), seen.error.message


def test_scram_unknown_mechanism(scram_pooler):
    c = begin_scram(scram_pooler)
    c.send(wire.Scram("app-pw").first_message(mechanism="SCRAM-SHA-1"))
    ends_with_fatal(c, "client selected an invalid SASL authentication mechanism")


def test_scram_plus_without_tls_is_refused(scram_pooler):
    c = begin_scram(scram_pooler)
    c.send(wire.Scram("app-pw").first_message(mechanism="SCRAM-SHA-256-PLUS", header="p=tls-server-end-point,,"))
    ends_with_fatal(c)


def test_scram_channel_binding_flag_p_is_refused(scram_pooler):
    c = begin_scram(scram_pooler)
    c.send(wire.Scram("app-pw").first_message(header="p=tls-server-end-point,,"))
    ends_with_fatal(c)


def test_scram_authzid_is_refused(scram_pooler):
    c = begin_scram(scram_pooler)
    c.send(wire.Scram("app-pw").first_message(header="n,a=postgres,"))
    ends_with_fatal(c)


@pytest.mark.since("1.26")
@pytest.mark.parametrize("first", [b"", b"n", b"n,,", b"n,,r=", b"n,,n=app", b"n,,m=x,n=,r=abc", b"\xff\xfe\0,,", b"n,,n=,r=" + b"x" * 5000], ids=range(8))
def test_scram_malformed_first_message(scram_pooler, first):
    c = begin_scram(scram_pooler)
    c.send(message("p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first))
    if first.startswith(b"n,,n=,r=xxx"):
        c.half_close()  # a long nonce may be answered or refused, but not crash
        c.read_to_end()
    else:
        ends_with_fatal(c)
    assert scram_pooler.connect().value("select 1") == "1"


@pytest.mark.since("1.26")
@pytest.mark.parametrize("length", [-2, 0, 1, 1000, 2**31 - 1])
def test_scram_first_message_with_a_lying_length(scram_pooler, length):
    # CVE-2026-6664: a malformed SCRAM message crashed PgBouncer before the login
    c = begin_scram(scram_pooler)
    c.send(message("p", b"SCRAM-SHA-256\0" + struct.pack("!i", length) + b"n,,n=,r=abcdefghijkl"))
    ends_with_fatal(c)
    assert scram_pooler.connect().value("select 1") == "1"


@pytest.mark.since("1.26")
@pytest.mark.parametrize("final", [b"", b"c=biws", b"c=biws,p=AAAA", b"c=biws,r=wrong,p=AAAA", b"c=eSws,r=%r,p=AAAA", b"c=biws,r=%r", b"c=biws,r=%r,p=", b"c=biws,r=%r,p=!!!!", b"c=biws,r=%r,p=" + b"A" * 3000, b"p=AAAA", b",,,,"], ids=range(11))
def test_scram_malformed_final_message(scram_pooler, final):
    # a client-final-message without a nonce was one of PgBouncer's security faults of 2025/26
    c = begin_scram(scram_pooler)
    s = wire.Scram("app-pw")
    c.send(s.first_message())
    nonce = c.read()[2].split(b",")[0][2:]
    c.send(message("p", final.replace(b"%r", nonce)))
    ends_with_fatal(c)
    assert scram_pooler.connect().value("select 1") == "1"


def test_scram_with_flag_y_is_accepted(scram_pooler):
    # a client that could do channel binding but saw none offered
    c = begin_scram(scram_pooler)
    s = wire.Scram("app-pw")
    c.send(s.first_message(header="y,,"))
    c.send(s.final_message(c.read()[2].decode()))
    assert c.read_until("Z")[-1] == ("Z", "I")


@pytest.mark.since("1.25")
def test_scram_repeated_logins_get_the_same_salt(scram_pooler):
    # also for a user that does not exist, or the salt tells who exists
    for user in ("app", "nobody_knows"):
        salts = set()
        for _ in range(3):
            c = begin_scram(scram_pooler, user)
            c.send(wire.Scram("x").first_message())
            salts.add(c.read()[2].split(b",")[1])
        assert len(salts) == 1


# --- towards servers (reference 4.2) -----------------------------------------------------------------------------------

SERVER_METHOD = {"trust_user": "trust", "plain_user": "password", "md5_user": "md5", "scram_user": "scram"}


@pytest.mark.parametrize("form", ["plain", "md5", "scram"])
@pytest.mark.parametrize("user", SERVER_METHOD)
def test_server_login_matrix(make_pooler, postgres, user, form):
    stored = postgres.secret_of(user) if form == "scram" and user != "md5_user" else secret(form, user, password_of(user))
    pooler = make_pooler(auth_type="trust", users={user: stored, "app": "app-pw"})
    method = SERVER_METHOD[user]
    if method == "trust" or form == "plain" or (method, form) == ("md5", "md5"):
        c = pooler.connect(user)
        assert c.value("select current_user") == user
        c.rows("begin")
        assert pooler.connect(user).value("select current_user") == user, "a second server logs in as well"
    else:
        e = refused(pooler, user=user)
        if method == "password":
            assert e.code == server_code(pooler, "28P01") and "password authentication failed" in e.message, "the hash was sent as a password"
        else:
            assert "wrong password type" in e.message
    assert pooler.connect().value("select 1") == "1"


def test_server_login_with_an_outdated_password(make_pooler):
    pooler = make_pooler(auth_type="trust", users={"app": "outdated", "app2": "app2-pw"})
    e = refused(pooler, user="app")
    assert e.code == server_code(pooler, "28P01") and e.message.endswith('password authentication failed for user "app"')
    assert pooler.connect("app2").value("select 1") == "1"


def test_scram_pass_through(make_pooler, postgres):
    # the user list holds only the server's own SCRAM secret: the client's proof yields the key for the server
    pooler = make_pooler(users={"scram_user": postgres.secret_of("scram_user")})
    a = pooler.connect("scram_user")
    assert a.value("select current_user") == "scram_user"
    a.rows("begin")
    b = pooler.connect("scram_user")
    assert b.value("select current_user") == "scram_user"


@pytest.mark.since("1.26")
def test_scram_pass_through_after_the_server_connection_was_lost(make_pooler, postgres):
    # PgBouncer 1.25 took the stored secret for an ad-hoc one after the first login (#1504)
    pooler = make_pooler(users={"scram_user": postgres.secret_of("scram_user")})
    for _ in range(3):
        c = pooler.connect("scram_user")
        pid = c.pid()
        postgres.sql(f"select pg_terminate_backend({pid})")
        wait_until(lambda: pid not in postgres.backends("lab"), "the backend to end")
        wait_until(lambda: served(pooler, "scram_user"), "a new server login by pass-through")


def served(pooler, user):
    try:
        return pooler.connect(user).value("select current_user") == user
    except (wire.ServerError, wire.Closed):
        return False


@pytest.mark.since("1.26")
def test_a_forced_user_and_clients_with_scram_secrets(make_pooler):
    # PgBouncer before 1.26 answered the server with the key of whoever had logged in
    pooler = make_pooler(databases={"lab": {"user": "app2", "password": "app2-pw"}}, users={"joe": wire.scram_secret("joe-pw")})
    assert pooler.connect("joe").value("select current_user") == "app2"


@pytest.mark.parametrize("with_password", [True, False])
def test_forced_user(make_pooler, with_password):
    entry = {"user": "app2", "password": "app2-pw"} if with_password else {"user": "app2"}
    pooler = make_pooler(databases={"lab": entry})
    assert pooler.connect("app").value("select current_user") == "app2"
    assert pooler.connect("scram_user").value("select current_user") == "app2"


# --- limits (exact texts are matched by tools) -----------------------------------------------------------------------------


def test_max_client_conn(make_pooler):
    pooler = make_pooler(max_client_conn=3)
    kept = [pooler.connect() for _ in range(3)]
    e = refused(pooler)
    assert e.message == "no more connections allowed (max_client_conn)" and e.code == "08P01"
    assert [c.value("select 1") for c in kept] == ["1"] * 3
    kept[0].terminate()
    wait_until(lambda: may_login(pooler, "app", None), "the free place to be given away")


@pytest.mark.since("1.24")
def test_max_db_client_connections(make_pooler):
    pooler = make_pooler(max_db_client_connections=2)
    kept = [pooler.connect() for _ in range(2)]
    e = refused(pooler)
    assert e.message == "client connections exceeded (max_db_client_connections)" and e.code == "08P01"
    assert pooler.connect(database="lab2").value("select 1") == "1"
    kept[0].terminate()
    wait_until(lambda: may_login(pooler, "app", None), "the free place to be given away")


@pytest.mark.since("1.24")
def test_max_user_client_connections(make_pooler):
    pooler = make_pooler(max_user_client_connections=2)
    kept = [pooler.connect(), pooler.connect(database="lab2")]
    e = refused(pooler)
    assert e.message == "client connections exceeded (max_user_client_connections)" and e.code == "08P01"
    assert pooler.connect("app2").value("select 1") == "1"
    kept[1].terminate()
    wait_until(lambda: may_login(pooler, "app", None), "the free place to be given away")


@pytest.mark.since("1.24")
def test_client_limits_per_database_and_user(make_pooler):
    pooler = make_pooler(
        databases={"lab": {"max_db_client_connections": 1}, "lab2": {}}, sections={"users": {"app2": "max_user_client_connections=1"}}
    )
    pooler.connect()
    assert refused(pooler).message == "client connections exceeded (max_db_client_connections)"
    pooler.connect("app2", database="lab2")
    assert refused(pooler, user="app2", database="lab2").message == "client connections exceeded (max_user_client_connections)"
    assert pooler.connect(database="lab2").value("select 1") == "1"


def test_failed_logins_do_not_use_up_the_limits(make_pooler):
    pooler = make_pooler(max_client_conn=3)
    for _ in range(10):
        refused(pooler, password="wrong")
        refused(pooler, database="nowhere")
    kept = [pooler.connect() for _ in range(3)]
    assert [c.value("select 1") for c in kept] == ["1"] * 3


# --- startup parameters (clients.md 1.7) -----------------------------------------------------------------------------------

unknown_parameters = pytest.mark.sluice_only("PgBouncer ends the connection: unsupported startup parameter")


@unknown_parameters
@pytest.mark.poolers_only
@pytest.mark.parametrize("name", ["pgbouncer", "connection_limit", "pool_timeout", "schema", "connect_timeout", "socket_timeout", "statement_cache_size"])
def test_leftovers_of_a_connection_string_are_swallowed(target, name):
    # ...:6543/postgres?pgbouncer=true&connection_limit=1 pasted into postgres.js, asyncpg, pgx or lib/pq
    c = target.connect(parameters={name: "true" if name == "pgbouncer" else "1" if name != "schema" else "public"})
    assert c.value("select 'in'") == "in"
    assert name not in c.parameters


@unknown_parameters
@pytest.mark.poolers_only
def test_all_leftovers_and_settings_at_once(target):
    c = target.connect(parameters={"pgbouncer": "true", "connection_limit": "1", "statement_timeout": "12345", "application_name": "postgres.js", "pool_timeout": "0"})
    assert c.rows("select current_setting('statement_timeout'), current_setting('application_name')") == [("12345ms", "postgres.js")]


SETTINGS = [
    ("extra_float_digits", "0", "0"),
    ("search_path", "pg_catalog", "pg_catalog"),
    ("search_path", '"$user", public, pg_temp', '"$user", public, pg_temp'),
    ("search_path", '"My Schema"', '"My Schema"'),
    ("statement_timeout", "54321", "54321ms"),
    ("statement_timeout", "7s", "7s"),
    ("lock_timeout", "4321", "4321ms"),
    ("idle_in_transaction_session_timeout", "65432", "65432ms"),
    ("client_min_messages", "error", "error"),
    ("default_transaction_read_only", "on", "on"),
    ("IntervalStyle", "iso_8601", "iso_8601"),
    ("geqo", "off", "off"),
    ("work_mem", "5MB", "5MB"),
]


@unknown_parameters
@pytest.mark.parametrize("name, value, shown", SETTINGS)
def test_a_startup_setting_holds_on_every_server_and_only_for_its_client(make_pooler, name, value, shown):
    pooler = make_pooler(default_pool_size=3)
    plain = pooler.connect()
    usual = plain.value(f"show {name}")
    assert usual != shown
    c = pooler.connect(parameters={name: value})
    assert c.value(f"show {name}") == shown
    holders = []
    for _ in range(2):  # on the second and third server, too
        holders.append(pooler.connect())
        holders[-1].rows("begin")
        assert c.value(f"show {name}") == shown
        assert holders[-1].value(f"show {name}") == usual
    for holder in holders:
        holder.rows("commit")
    for _ in range(3):
        assert c.value(f"show {name}") == shown
        assert plain.value(f"show {name}") == usual
        assert c.extended(f"select current_setting('{name}')").values == [shown]
        assert plain.extended(f"select current_setting('{name}')").values == [usual]
    c.terminate()
    assert plain.value(f"show {name}") == usual


@unknown_parameters
@pytest.mark.parametrize(
    "options, expected",
    [
        ("-c statement_timeout=3s", {"statement_timeout": "3s"}),
        ("-cstatement_timeout=3s -c geqo=off", {"statement_timeout": "3s", "geqo": "off"}),
        ("--statement_timeout=3s --lock-timeout=4s", {"statement_timeout": "3s", "lock_timeout": "4s"}),
        ("-c search_path=one,\\ two", {"search_path": "one, two"}),
        ("-c   application_name=with\\ space\\\\and\\ back", {"application_name": "with space\\and back"}),
        ("-c datestyle=German -c TimeZone=UTC", {"DateStyle": "German, DMY"}),
        ("", {}),
    ],
)
def test_options_in_every_form(target, options, expected):
    c = target.connect(parameters={"options": options})
    for name, value in expected.items():
        assert c.value(f"show {name}") == value
    assert target.connect().value("select 1") == "1"


@pytest.mark.since("1.20")
def test_tracked_options_work_as_in_pgbouncer(target):
    c = target.connect(parameters={"options": "-c datestyle=German --timezone=Asia/Tokyo"})
    assert c.value("show datestyle").startswith("German") and c.value("show timezone") == "Asia/Tokyo"


@pytest.mark.parametrize("options", ["-c=", "-c", "--", "--=", "-c =", "-c a", "-x", "\\", "-c a=b\\", "garbage", "-c " * 1000], ids=range(11))
def test_broken_options_end_in_an_error_or_a_login(make_pooler, options):
    # "-c=" made PgBouncer loop for ever (CVE of 2025)
    pooler = make_pooler()
    try:
        pooler.connect(parameters={"options": options}).query("select 1")
    except (wire.ServerError, wire.Closed) as e:
        assert not isinstance(e, wire.ServerError) or e.severity in ("FATAL", "ERROR")
    assert pooler.connect().value("select 1") == "1"


@unknown_parameters
@pytest.mark.parametrize("name, value", [("statement_timeout", "banana"), ("search_path", '"unclosed'), ("DateStyle", "Klingon"), ("TimeZone", "Mars/Olympus")])
def test_a_refused_startup_value_is_told_and_disturbs_nobody(make_pooler, name, value):
    # PostgreSQL refuses the login. A pooler may find out with the first query, but must not run it regardless.
    pooler = make_pooler(default_pool_size=1)
    other = pooler.connect()
    usual = other.value(f"show {name}")
    try:
        c = pooler.connect(parameters={name: value})
        r = wire.Reply()
        c.send(query("select 'ran regardless'"))
        try:
            r += c.read_until("Z")
        except wire.Closed:
            r = None
        if r is not None:
            assert r.errors and not r.values
    except wire.ServerError as e:
        assert e.code in ("22023", "08P01")
    assert other.value(f"show {name}") == usual
    assert pooler.connect().value(f"show {name}") == usual


@unknown_parameters
def test_a_good_value_beside_a_refused_one_is_taken_back(make_pooler):
    # statement_timeout had been set before lock_timeout was refused, and the next client's queries were cancelled by it
    pooler = make_pooler(default_pool_size=1)
    for first, second in (("statement_timeout", "lock_timeout"), ("lock_timeout", "statement_timeout")):
        with pytest.raises(ServerError) as e:
            pooler.connect(parameters=[(first, "77s"), (second, "rubbish")])
        assert e.value.code == "22023"
        assert pooler.connect().rows(SHOW_TIMEOUTS) == [("0", "0")]
        assert pooler.connect(parameters={first: "76s"}).value(f"show {first}") == "76s"
        assert pooler.connect().rows(SHOW_TIMEOUTS) == [("0", "0")]


SHOW_TIMEOUTS = "select current_setting('statement_timeout'), current_setting('lock_timeout')"


def login_in_vain(client):
    try:
        client.login()
    except (Closed, OSError, ServerError, ValueError):
        pass


@unknown_parameters
@pytest.mark.parametrize("end", ["FIN", "RST", "Terminate"])
def test_a_client_that_leaves_while_its_parameters_are_tried_leaves_none_behind(make_pooler, postgres, end):
    pooler = make_pooler(default_pool_size=1)
    other = pooler.connect()
    for turn in range(5):
        with postgres.paused(other.pid()) as backend:
            c = pooler.raw()
            c.user, c.password = "app", password_of("app")
            c.send(startup_packet({"user": "app", "database": "lab", "statement_timeout": f"6{turn}s", "lock_timeout": f"5{turn}s"}))
            threading.Thread(target=login_in_vain, args=(c,)).start()
            backend.wait_unread()  # the first SETs are on their way
            {"FIN": c.close, "RST": c.reset, "Terminate": c.terminate}[end]()
            other.send(query(SHOW_TIMEOUTS))
        assert other.read_until("Z").rows == [("0", "0")]
        assert pooler.connect().rows(SHOW_TIMEOUTS) == [("0", "0")]
        assert pooler.connect(parameters={"statement_timeout": f"6{turn}s"}).rows(SHOW_TIMEOUTS) == [(f"{'1min' if turn == 0 else f'6{turn}s'}", "0")]


# --- what a client resets goes back to its startup packet ------------------------------------------------------------------

ASYNCPG_RESET = "SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;"


@pytest.fixture
def app_schema(postgres):
    with postgres.connect("lab") as c:
        c.rows("create schema if not exists app authorization app; create table if not exists app.in_app(i int); alter table app.in_app owner to app")
    yield
    with postgres.connect("lab") as c:
        c.rows("drop schema app cascade")


@unknown_parameters
@pytest.mark.parametrize("extended", [False, True], ids=["simple", "extended"])
@pytest.mark.parametrize("how", ["RESET ALL", "RESET search_path", "SET search_path=public", "DISCARD ALL", ASYNCPG_RESET], ids=["reset all", "reset", "set", "discard all", "asyncpg"])
def test_search_path_of_the_startup_packet_outlives_what_its_client_resets(make_pooler, app_schema, how, extended):
    # tenants by schema: after a RESET the pooler took the server for one that still had the value, for this client and the next
    if extended and how == ASYNCPG_RESET:
        pytest.skip("several statements")
    pooler = make_pooler(default_pool_size=1)
    c = pooler.connect(parameters={"search_path": "app"})
    if how.startswith("SET") and make_pooler.postgres.major >= 18:
        # it is reported there, so what a client sets is its own from then on, and nobody else's
        second, third = pooler.connect(parameters={"search_path": "app"}), pooler.connect()
        for _ in range(3):
            (c.extended(how) if extended else c.query(how)).check()
            assert second.value("show search_path") == "app" and third.value("show search_path") == '"$user", public'
            assert c.value("show search_path") == "public"
        return
    for _ in range(3):
        assert c.value("show search_path") == "app"
        r = (c.extended(how) if extended else c.query(how)).check()
        assert r.status == "I"
        second, third = pooler.connect(parameters={"search_path": "app"}), pooler.connect()
        assert second.rows("select current_setting('search_path'), 'in_app'::regclass::text") == [("app", "in_app")]
        assert third.value("show search_path") == '"$user", public'
        assert c.rows("select current_setting('search_path'), 'in_app'::regclass::text") == [("app", "in_app")]
        c.query(how).check()
        assert third.value("show search_path") == '"$user", public', "the other way round"
        c.query(how).check()
        assert c.value("show search_path") == "app"
        c.query(how).check()
        assert second.value("show search_path") == "app"
        second.terminate()
        third.terminate()


OF_THE_PACKET = {"search_path": "app", "TimeZone": "Asia/Tokyo", "application_name": "tenant", "DateStyle": "German, DMY", "statement_timeout": "77s"}
SHOW_THEM = "select " + ", ".join(f"current_setting('{name}')" for name in OF_THE_PACKET)


@unknown_parameters
@pytest.mark.parametrize("mode", ["transaction", "session"])
@pytest.mark.parametrize("how", ["DISCARD ALL", "RESET ALL", ASYNCPG_RESET], ids=["discard all", "reset all", "asyncpg"])
def test_every_value_of_the_startup_packet_is_back_after_a_reset(make_pooler, app_schema, mode, how):
    # npgsql and asyncpg reset their connections between uses, and PostgreSQL goes back to the startup packet then
    pooler = make_pooler(default_pool_size=1, pool_mode=mode)
    plain = pooler.connect()
    usual = plain.rows(SHOW_THEM)
    plain.terminate()
    c = pooler.connect(parameters=OF_THE_PACKET)
    for _ in range(3):
        assert c.rows(SHOW_THEM) == [tuple(OF_THE_PACKET.values())]
        c.rows("set timezone = 'Europe/Vienna'")
        c.rows("set application_name = 'something else'")
        c.rows("set statement_timeout = '5s'")
        c.query(how).check()
        assert c.extended(SHOW_THEM).rows == [tuple(OF_THE_PACKET.values())]
        c.query(how).check()
    c.terminate()
    assert pooler.connect().rows(SHOW_THEM) == usual


@unknown_parameters
def test_session_mode_leaves_a_clients_own_set_alone(make_pooler, app_schema):
    pooler = make_pooler(default_pool_size=1, pool_mode="session")
    c = pooler.connect(parameters={"search_path": "app", "TimeZone": "Asia/Tokyo"})
    c.rows("set search_path = public")
    c.rows("set timezone = 'Europe/Vienna'")
    assert c.rows("select current_setting('search_path'), current_setting('TimeZone')") == [("public", "Europe/Vienna")]
    c.terminate()
    assert pooler.connect().value("show search_path") == '"$user", public'


@unknown_parameters
def test_discard_all_in_front_of_a_query_in_one_burst_keeps_the_startup_packet(make_pooler, app_schema):
    pooler = make_pooler(default_pool_size=1)
    c = pooler.connect(parameters=OF_THE_PACKET)
    for _ in range(3):
        r = c.run(query("DISCARD ALL"), ask(SHOW_THEM), sync(), ready=2).check()
        assert r.rows == [tuple(OF_THE_PACKET.values())]


def test_ignore_startup_parameters(make_pooler):
    pooler = make_pooler(ignore_startup_parameters="extra_float_digits, made_up_name,geqo")
    plain = pooler.connect()
    c = pooler.connect(parameters={"extra_float_digits": "0", "made_up_name": "x", "geqo": "off"})
    assert c.value("show extra_float_digits") == plain.value("show extra_float_digits")
    assert c.value("show geqo") == "on"


def test_ignored_options(make_pooler):
    # they took effect all the same: what PgBouncer had dropped for years counted after a switch
    pooler = make_pooler(ignore_startup_parameters="options")
    c = pooler.connect(parameters={"options": "-c geqo=off -c timezone=Europe/Oslo -c statement_timeout=5s"})
    assert c.value("show geqo") == "on" and c.value("show statement_timeout") == "0"
    assert c.value("show timezone") == "Europe/Oslo"


def test_a_long_list_of_parameters(target):
    c = target.connect(parameters=[("application_name", "a" * 63), ("client_encoding", "UTF8"), ("DateStyle", "ISO"), ("TimeZone", "UTC"), ("standard_conforming_strings", "on")])
    assert c.value("show application_name") == "a" * 63 and c.value("show timezone") == "UTC"


def test_application_name_add_host(make_pooler):
    pooler = make_pooler(application_name_add_host=1)
    assert pooler.connect(parameters={"application_name": "me"}).value("show application_name").startswith("me - 127.0.0.1:")
    assert pooler.connect().value("show application_name").startswith("app - 127.0.0.1:")


def test_application_name_add_host_on_a_unix_socket(make_pooler):
    """A process id says little without its machine, where several poolers share a server."""
    pooler = make_pooler(application_name_add_host=1)
    expected = f"me - unix({os.getpid()}@{socket.gethostname()}):{pooler.port}"
    assert pooler.connect(address=pooler.socket_path, parameters={"application_name": "me"}).value("show application_name") == expected[:63]
    assert pooler.log_contains(rf"@unix\({os.getpid()}\):{pooler.port} login attempt")


# --- reasons in the log ----------------------------------------------------------------------------------------------------


@pytest.mark.sluice_only("the log says why")
def test_the_log_says_why_nobody_can_prove_a_password(make_pooler):
    users = {"app": wire.md5_secret("app", "app-pw"), "app2": "", "trust_user": "x"}
    pooler = make_pooler(users=users)
    for user, reason in (("app", "the user has an MD5 secret, which SCRAM can't be checked against"), ("app2", "user has no password"), ("stranger", "no such user"),
                         ("trust_user", "password does not match")):
        with pytest.raises(wire.ServerError) as e:
            pooler.connect(user, "app-pw")
        assert e.value.message == "SASL authentication failed"
        pooler.wait_log(rf"/{user}@.*login failed: {reason}")


@pytest.mark.sluice_only("the log says why")
def test_the_log_says_why_auth_type_any_lets_nobody_in(make_pooler):
    pooler = make_pooler(auth_type="any", databases={"lab": {}, "lab2": {"user": "app"}})
    for database, text in (("lab", "bouncer config error"), ("nowhere", "no such database: nowhere")):
        with pytest.raises(wire.ServerError) as e:
            pooler.connect("stranger", "x", database=database)
        assert e.value.message == text
    pooler.wait_log('login failed: auth_type any needs a forced user: expected user= in the entry of database "lab"')
    assert pooler.connect("stranger", "x", database="lab2").value("select current_user") == "app"


# --- probes ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unix", [False, True], ids=["TCP", "Unix"])
def test_a_probe_that_says_nothing_is_not_logged(make_pooler, unix):
    """Balancers and kubelets connect every second or so to see whether somebody listens: half of a log was about them."""
    pooler = make_pooler(admin_users="app")
    address = pooler.socket_path if unix else pooler.address
    for end in ("close", "half_close") if unix else ("close", "reset", "half_close"):
        c = wire.Client(address, login=False)
        getattr(c, end)()
        if end == "half_close":
            with pytest.raises(wire.Closed):
                c.read_byte()
            c.close()
    # whoever has said something is told about
    for said in (b"\0", wire.request_packet(wire.SSL)):
        c = pooler.raw(address)
        c.send(said)
        if said != b"\0":
            assert c.read_byte() == b"N"
        c.close()
    pooler.wait_log(r"\(nodb\)/\(nouser\)@.*closing because: client unexpected eof", 2)
    assert pooler.connect(address=address).value("select 1") == "1"
    assert pooler.log_count("closing because: client") == 2
    pooler.connect(database="pgbouncer").query("set verbose = 1").check()
    c = pooler.raw(address)
    c.close()
    pooler.wait_log(r"DEBUG .*\(nodb\)/\(nouser\)@.*closing because: client unexpected eof")


def test_the_greeting_shows_the_clients_own_values(make_pooler):
    pooler = make_pooler()
    pooler.connect().value("select 1")
    c = pooler.connect(parameters={"TimeZone": "Asia/Tokyo", "application_name": "mine", "DateStyle": "German, DMY"})
    assert c.parameters["TimeZone"] == "Asia/Tokyo" and c.parameters["application_name"] == "mine"
    assert c.parameters["DateStyle"].startswith("German")
    d = pooler.connect()
    assert d.parameters["TimeZone"] != "Asia/Tokyo" and d.parameters["application_name"] == ""


# --- logs -------------------------------------------------------------------------------------------------------------------


def test_logins_and_disconnects_are_logged_with_their_reason(make_pooler):
    pooler = make_pooler()
    c = pooler.connect()
    pooler.wait_log(r"login attempt: db=lab user=app tls=no")
    # as PgBouncer names the other end of a Unix socket: by its process and the port in the socket's name
    pooler.connect(address=pooler.socket_path)
    pooler.wait_log(rf"C-0x[0-9a-f]+: lab/app@unix\({os.getpid()}\):{pooler.port} login attempt: ")
    c.close()
    pooler.wait_log(r"closing because: client (unexpected eof|close request)")
    refused(pooler, password="wrong")
    pooler.wait_log(r"closing because: (SASL|password) authentication failed")
    assert not pooler.log_contains("app-pw"), "a password in the log"


def test_quiet_logs(make_pooler):
    pooler = make_pooler(log_connections=0, log_disconnections=0)
    pooler.connect().terminate()
    pooler.connect().value("select 1")
    assert not pooler.log_contains("login attempt") and not pooler.log_contains("closing because")
