"""What clients and scripts match on: every refusal of the pooler's, word for word, with its SQLSTATE; one entry each."""
import re
import signal
import struct

import pytest

import wire
from certificates import Authority
from postgres import password_of
from processes import free_port, give
from tls import TLSClient, client_context


pytestmark = [pytest.mark.poolers_only, pytest.mark.sluice_only("SQLSTATEs and words of 1.26; older versions of PgBouncer have others")]

GOOD = {"user": "app", "database": "lab"}


def raw(pooler, *parts):
    """What a client hears that says this first."""
    client = pooler.raw()
    client.send(*parts)
    return client.read_to_end().errors[-1]


def login(pooler, **who):
    try:
        pooler.connect(**who)
    except wire.ServerError as e:
        return e
    raise AssertionError("it was let in")


def first_password(pooler, sent):
    """The answer to this in place of the first password message."""
    client = pooler.raw()
    client.send(wire.startup_packet(GOOD))
    client.read_until("R")
    client.send(sent)
    return client.read_to_end().errors[-1]


def after_login(pooler, *parts, **who):
    client = pooler.connect(**who)
    client.send(*parts)
    return client.read_to_end().errors[-1]


def waiting(pooler, then=lambda pooler: None):
    """What a client hears that waits in vain for a server which another one holds."""
    busy = pooler.connect()
    busy.rows("begin")
    client = pooler.connect()
    client.send(wire.query("select 1"))
    then(pooler)
    return client.read_to_end().errors[-1]


def changed(pooler, databases=None, **settings):
    if databases is not None:
        pooler.databases = databases
    pooler.reload(**settings)


# name: (settings, what to do with the pooler, message)
LOGIN = {
    "no such database": ({}, lambda p: login(p, database="nowhere"), "no such database: nowhere"),
    "trust": ({"auth_type": "trust"}, lambda p: login(p, user="stranger"), '"trust" authentication failed'),
    "plain": ({"auth_type": "plain"}, lambda p: login(p, password="wrong"), "password authentication failed"),
    "md5": ({"auth_type": "md5"}, lambda p: login(p, password="wrong"), "password authentication failed"),
    "scram": ({}, lambda p: login(p, password="wrong"), "SASL authentication failed"),
    "scram, unknown user": ({}, lambda p: login(p, user="stranger"), "SASL authentication failed"),
    "any without a forced user": ({"auth_type": "any"}, lambda p: login(p), "bouncer config error"),
    "empty password": ({"auth_type": "plain"}, lambda p: login(p, password=""), "empty password returned by client"),
    "password too long": ({"auth_type": "plain"}, lambda p: login(p, password="x" * 65536), "password too long"),
    "mechanism": ({}, lambda p: first_password(p, wire.message("p", b"SCRAM-SHA-1\0" + struct.pack("!I", 0))), "client selected an invalid SASL authentication mechanism"),
    "max_client_conn": ({"max_client_conn": 0}, lambda p: login(p), "no more connections allowed (max_client_conn)"),
    "no user": ({}, lambda p: raw(p, wire.startup_packet({"database": "lab"})), "no PostgreSQL user name specified in startup packet", "28000"),
    "user too long": ({}, lambda p: login(p, user="u" * 128), "username too long"),
    "layout": ({}, lambda p: raw(p, wire.request_packet(wire.PROTOCOL_3_0, b"user\0app\0\0more")), "invalid startup packet layout: expected terminator as last byte"),
    "options": (
        {},
        lambda p: login(p, parameters={"options": "--nonsense"}),
        "--nonsense requires a value",
        "42601",
    ),
    "options with an empty name": (
        {},
        lambda p: login(p, parameters={"options": "-c="}),
        'unrecognized configuration parameter ""',
        "42704",
    ),
    "protocol 2": ({}, lambda p: raw(p, struct.pack("!II", 296, 2 << 16) + b"\0" * 288), "old V2 protocol not supported"),
    "a header": ({}, lambda p: raw(p, b"\0\0\0\7\0\3\0\0"), "bad packet header: '0000000700030000'"),
    "a length above 2^31": ({}, lambda p: raw(p, b"\x80\0\0\x08\0\3\0\0"), "bad packet header: '8000000800030000'"),
    "password first": ({}, lambda p: raw(p, wire.message("p", b"secret\0")), "client password pkt before startup packet"),
    "startup twice": ({}, lambda p: first_password(p, wire.startup_packet(GOOD)), "client re-sent startup pkt"),
    "a query instead of a password": ({}, lambda p: first_password(p, wire.query("select 1")), "unknown pkt"),
    "client_login_timeout": ({"client_login_timeout": 1}, lambda p: raw(p, b""), "client_login_timeout"),
    "replication": ({}, lambda p: login(p, parameters={"replication": "x"}), 'invalid value for parameter "replication": "x"', "22023"),
    "a fixed parameter": ({}, lambda p: login(p, parameters={"is_superuser": "on"}), 'parameter "is_superuser" cannot be changed', "55P02"),
    "session_authorization": ({}, lambda p: login(p, parameters={"session_authorization": "postgres"}), 'permission denied to set session authorization "postgres"', "42501"),
    "protocol 4": ({}, lambda p: raw(p, wire.startup_packet(GOOD, 4 << 16)), "unsupported frontend protocol 4.0: server supports 3.0 to 3.2", "0A000"),
}

SERVICE = {
    "a message nobody knows": ({}, lambda p: after_login(p, wire.message("\x01")), "unknown pkt"),
    "a header later": ({}, lambda p: after_login(p, b"Q\0\0\0\3"), "bad packet header: '5100000003'"),
    "disable_pqexec": ({"disable_pqexec": 1}, lambda p: after_login(p, wire.query("select 1")), "PQexec disallowed"),
    "statement mode": ({"pool_mode": "statement"}, lambda p: after_login(p, wire.query("begin")), "transaction blocks not allowed in statement pooling mode"),
    "query_timeout, waiting": ({"query_timeout": 1, "default_pool_size": 1}, waiting, "query_timeout"),
    "query_wait_timeout": ({"query_wait_timeout": 1, "default_pool_size": 1}, waiting, "query_wait_timeout"),
    "query_timeout, running": ({"query_timeout": 1}, lambda p: after_login(p, wire.query("select pg_sleep(60)")), "query timeout"),
    "idle_transaction_timeout": ({"idle_transaction_timeout": 1}, lambda p: after_login(p, wire.query("begin")), "idle transaction timeout"),
    "transaction_timeout": ({"transaction_timeout": 1}, lambda p: after_login(p, wire.query("begin; select pg_sleep(60)")), "transaction timeout"),
    "client_idle_timeout": ({"client_idle_timeout": 1}, lambda p: after_login(p, b""), "client_idle_timeout"),
    "database removed": ({"default_pool_size": 1}, lambda p: waiting(p, lambda p: changed(p, {"lab2": {}})), "database removed"),
    "server shutting down": ({"default_pool_size": 1}, lambda p: waiting(p, lambda p: p.signal(signal.SIGINT)), "server shutting down"),
}


def check(make_pooler, settings, provoke, message, code="08P01"):
    is_said(make_pooler(**settings), provoke, message, code)


def is_said(pooler, provoke, message, code="08P01"):
    error = provoke(pooler)
    assert (error.severity, error.code, error.message) == ("FATAL", code, message)
    pooler.wait_log("closing because: " + re.escape(message) + r" \(age")


@pytest.mark.parametrize("name", LOGIN)
def test_refusals_at_the_login(make_pooler, name):
    check(make_pooler, *LOGIN[name])


@pytest.mark.parametrize("name", SERVICE)
def test_refusals_after_it(make_pooler, name):
    check(make_pooler, *SERVICE[name])


# who is refused by other means than a password of the list: (what it needs, settings, what to do with the pooler, message)


@pytest.fixture(scope="module")
def authority(run_folder):
    return Authority(run_folder.folder("certificates"))


class Place:
    """Files that the settings of a test name."""

    def __init__(self, run_folder, authority):
        self.folder, self.authority = run_folder.folder("errors"), authority

    def file(self, text):
        path = f"{self.folder}/rules"
        with open(path, "w") as f:
            f.write(text)
        give(path)
        return path

    def tls(self, mode):
        own = self.authority.sign()
        return {"client_tls_sslmode": mode, "client_tls_cert_file": own.certificate, "client_tls_key_file": own.key, "client_tls_ca_file": self.authority.certificate}


@pytest.fixture
def place(run_folder, authority):
    return Place(run_folder, authority)


def encrypted(pooler, certificate=None, **who):
    try:
        TLSClient(pooler.address, context=client_context(certificate=certificate), **{"user": "app", "password": "app-pw", "database": "lab", **who})
    except wire.ServerError as e:
        return e
    raise AssertionError("it was let in")


def disabled(pooler, database="lab", **who):
    pooler.connect(database="pgbouncer").query(f"DISABLE {database}").check()
    return login(pooler, **who)


def killed(pooler):
    client, admin = pooler.connect(), pooler.connect(database="pgbouncer")
    [row] = [r for r in admin.query("SHOW CLIENTS WHERE database = lab").check().rows]
    admin.query(f"KILL_CLIENT {row[-1]}").check()
    return client.read_to_end().errors[-1]


ADMIN = {"admin_users": "app"}
LOOKUPS = {"auth_user": "postgres", "auth_query": "select rolname, rolpassword from pg_authid where rolname = $1", "users": {"postgres": "x", "app": "app-pw"}, "admin_users": "app"}

OTHERS = {
    "a disabled database": (lambda place: ADMIN, disabled, 'database "lab" is disabled'),
    "not allowed on the console": (lambda place: {}, lambda p: login(p, database="pgbouncer"), "not allowed"),
    "an unknown user on the console": (lambda place: ADMIN, lambda p: login(p, user="stranger", database="pgbouncer"), "SASL authentication failed"),
    "KILL_CLIENT": (lambda place: ADMIN, killed, "admin forced disconnect"),
    "auth_query knows nobody": (lambda place: LOOKUPS, lambda p: login(p, user="stranger"), "SASL authentication failed"),
    "auth_query that fails": (lambda place: {**LOOKUPS, "auth_query": "nonsense"}, lambda p: login(p, user="stranger"), "bouncer config error"),
    "auth_query in no database": (lambda place: {**LOOKUPS, "auth_dbname": "missing"}, lambda p: login(p, user="stranger"), "bouncer config error"),
    "auth_query on the console": (lambda place: LOOKUPS, lambda p: login(p, user="stranger", database="pgbouncer"), "bouncer config error"),
    "auth_query in a disabled database": (
        lambda place: {**LOOKUPS, "auth_dbname": "lab2"},
        lambda p: disabled(p, "lab2", user="stranger"),
        'authentication database "lab2" is disabled',
    ),
    "no certificate": (lambda place: {"auth_type": "hba", "auth_hba_file": place.file("hostssl all all all cert"), **place.tls("require")}, encrypted, "certificate authentication failed"),
    "somebody else's certificate": (
        lambda place: {"auth_type": "cert", "stranger": place.authority.sign("other", names=()), **place.tls("verify-full")},
        lambda p: encrypted(p, p.stranger),
        "certificate authentication failed",
    ),
    "TLS is required": (lambda place: place.tls("require"), login, "SSL required"),
    "peer": (lambda place: {"auth_type": "hba", "auth_hba_file": place.file("local all all peer")}, lambda p: login(p, address=p.socket_path), "unix socket login rejected"),
    "peer on TCP": (lambda place: {"auth_type": "hba", "auth_hba_file": place.file("host all all all peer")}, login, "unix socket login rejected"),
    "reject": (lambda place: {"auth_type": "hba", "auth_hba_file": place.file("host all all all reject")}, login, "login rejected"),
    "no rule": (lambda place: {"auth_type": "hba", "auth_hba_file": place.file("host nothing all all trust")}, login, "no authentication method is found"),
    "PAM": (lambda place: {"auth_type": "pam"}, login, "PAM authentication failed"),
    "PAM, empty password": (lambda place: {"auth_type": "pam"}, lambda p: login(p, password=""), "empty password returned by client"),
    "LDAP": (lambda place: {"auth_type": "ldap", "auth_ldap_options": f"ldapserver=127.0.0.1 ldapport={free_port()} ldapprefix=uid= ldapsuffix=,dc=x"}, login, "LDAP authentication failed"),
    "LDAP without options": (lambda place: {"auth_type": "ldap"}, login, "auth_ldap_options is null"),
    "data behind an SSL request": (lambda place: {}, lambda p: raw(p, wire.request_packet(wire.SSL), wire.startup_packet(GOOD)), "received unencrypted data after SSL request"),
    "data behind an SSL request that is granted": (
        lambda place: place.tls("allow"),
        lambda p: raw(p, wire.request_packet(wire.SSL), wire.startup_packet(GOOD)),
        "received unencrypted data after SSL request",
    ),
    "data behind a GSSAPI request": (
        lambda place: {},
        lambda p: raw(p, wire.request_packet(wire.GSSENC), wire.startup_packet(GOOD)),
        "received unencrypted data after GSSAPI encryption request",
    ),
    "a server that wants another form of the password": (
        lambda place: {"auth_type": "md5", "users": {"app": wire.md5_secret("app", password_of("app"))}},
        login,
        "server login failed: wrong password type",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_refusals_by_others_than_the_list(make_pooler, place, postgres, name):
    make_settings, provoke, message = OTHERS[name]
    settings = dict(make_settings(place))
    stranger = settings.pop("stranger", None)
    if "auth_query" in settings:
        # `postgres` is trusted on the server's Unix socket
        settings["databases"] = {name: {"host": postgres.socket_dir} for name in ("lab", "lab2")}
    pooler = make_pooler(**settings)
    pooler.stranger = stranger
    is_said(pooler, provoke, message)


def test_limits_on_clients(make_pooler):
    pooler = make_pooler(databases={"lab": {"max_db_client_connections": 1}, "lab2": {}}, sections={"users": {"app2": "max_user_client_connections=1"}})
    pooler.connect()
    is_said(pooler, login, "client connections exceeded (max_db_client_connections)")
    pooler.connect(user="app2", database="lab2")
    is_said(pooler, lambda p: login(p, user="app2", database="lab2"), "client connections exceeded (max_user_client_connections)")


def test_a_pooler_that_shuts_down(make_pooler):
    pooler = make_pooler()
    client = pooler.connect()
    pooler.signal(signal.SIGTERM)
    pooler.wait_log("got SIGTERM")
    error = login(pooler, address=pooler.socket_path)
    assert (error.severity, error.code, error.message) == ("FATAL", "08P01", "pooler is shutting down")
    assert client.rows("select 1") == [("1",)]


def test_a_moved_database_with_server_fast_close(make_pooler):
    pooler = make_pooler(pool_mode="session", server_fast_close=1)
    client = pooler.connect()
    client.rows("select 1")
    changed(pooler, {"lab": {"dbname": "lab2"}})
    error = client.read_to_end().errors[-1]
    assert (error.code, error.message) == ("08P01", "database configuration changed")


def test_a_server_that_crashed(make_pooler, own_postgres):
    pooler = make_pooler(own_postgres)
    client = pooler.connect()
    client.rows("begin")
    own_postgres.kill()
    error = client.read_to_end().errors[-1]
    assert error.severity == "FATAL"
    pooler.wait_log("closing because: server conn crashed\\?|terminating connection")


def test_a_client_that_waits_is_told_so(make_pooler):
    pooler = make_pooler(default_pool_size=1, query_wait_notify=1)
    busy, client = pooler.connect(), pooler.connect()
    busy.rows("begin")
    client.send(wire.query("select 1"))
    notice = client.read_until("N")[-1][1]
    assert (notice["S"], notice["C"], notice["M"]) == ("NOTICE", "00000", "No server connection available in postgres backend, client being queued")
    busy.rows("commit")
    client.read_until("Z")


# errors about servers


def test_a_login_that_the_server_refuses(make_pooler):
    """The server's own words and SQLSTATE, for the first one and for whoever comes next; see test_refusals.py."""
    pooler = make_pooler(databases={"gone": {"dbname": "gone"}}, server_login_retry=3600)
    for error in (login(pooler, database="gone"), login(pooler, database="gone")):
        assert (error.code, error.message) == ("3D000", 'database "gone" does not exist')
    assert pooler.log_contains('server login failed: FATAL database "gone" does not exist')


def test_a_server_that_could_not_be_reached_is_remembered(make_pooler):
    pooler = make_pooler(databases={"dead": {"port": free_port()}}, server_login_retry=3600, query_wait_timeout=1)
    login(pooler, database="dead")
    is_said(pooler, lambda p: login(p, database="dead"), "server login has been failing, cached error: connect failed (server_login_retry)")


def test_a_server_that_is_down(make_pooler, own_postgres):
    pooler = make_pooler(own_postgres, client_login_timeout=2, server_login_retry=0)
    own_postgres.stop()
    is_said(pooler, login, "client_login_timeout (server down)")
    pooler.wait_log("closing because: connect failed")


def test_a_parameter_that_the_server_refuses(make_pooler):
    pooler = make_pooler()
    with pytest.raises(wire.ServerError) as e:
        pooler.connect(parameters={"datestyle": "nonsense"})
    error = e.value
    assert (error.severity, error.code, error.message) == ("FATAL", "22023", 'invalid value for parameter "DateStyle": "nonsense"')
