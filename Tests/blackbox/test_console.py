"""The admin console: who may come in, what each SHOW answers, bad input, drivers as console clients."""
import asyncio
import os
import re
import shutil
import struct
import subprocess

import psycopg
import psycopg2
import pytest

import wire
from postgres import newest_bin, password_of
from processes import DEADLINE, UNPRIVILEGED, is_root, wait_until

pytestmark = pytest.mark.sluice_only("the console with the columns of 1.26, the extended protocol and WHERE")

CONNECTION = """type:t user:t database:t replication:t state:t addr:t port:i local_addr:t local_port:i connect_time:t request_time:t
    wait:i wait_us:i close_needed:i ptr:t link:t remote_pid:i tls:t application_name:t prepared_statements:i id:i"""
BUFFERS = " recv_pos:i pkt_pos:i pkt_remain:i send_pos:i send_remain:i pkt_avail:i send_avail:i"
COUNTS = "server_assignment_count:n xact_count:n query_count:n bytes_received:n bytes_sent:n xact_time:n query_time:n wait_time:n "
STATS = ["server_assignment_count", "xact_count", "query_count", "received", "sent", "xact_time", "query_time", "wait_time",
         "client_parse_count", "server_parse_count", "bind_count", "client_login_count"]

# PgBouncer 1.25.2's columns with 1.26's login counters; t text, i int4, q int8, n numeric
TOPICS = {
    "CLIENTS": CONNECTION,
    "SERVERS": CONNECTION,
    "SOCKETS": CONNECTION + BUFFERS,
    "ACTIVE_SOCKETS": CONNECTION + BUFFERS,
    "POOLS": """database:t user:t cl_active:i cl_waiting:i cl_active_cancel_req:i cl_waiting_cancel_req:i sv_active:i sv_active_cancel:i
        sv_being_canceled:i sv_idle:i sv_used:i sv_tested:i sv_login:i maxwait:i maxwait_us:i pool_mode:t load_balance_hosts:t""",
    "PEER_POOLS": "peer_id:i cl_active_cancel_req:i cl_waiting_cancel_req:i sv_active_cancel:i sv_login:i",
    "DATABASES": """name:t host:t port:i database:t force_user:t pool_size:i min_pool_size:i reserve_pool_size:i server_lifetime:i
        pool_mode:t load_balance_hosts:t max_connections:i current_connections:i max_client_connections:i current_client_connections:i
        paused:i disabled:i""",
    "PEERS": "peer_id:i host:t port:i pool_size:i",
    "USERS": """name:t pool_size:t reserve_pool_size:t pool_mode:t max_user_connections:i current_connections:i
        max_user_client_connections:i current_client_connections:i""",
    "STATS": "database:t " + " ".join(f"total_{n}:n" for n in STATS) + " " + " ".join(f"avg_{n}:n" for n in STATS).replace("avg_received", "avg_recv"),
    "STATS_TOTALS": "database:t " + COUNTS + "client_parse_count:n server_parse_count:n bind_count:n client_login_count:n",
    "STATS_AVERAGES": "database:t " + COUNTS + "avg_client_parse_count:n avg_server_parse_count:n avg_bind_count:n avg_client_login_count:n",
    "TOTALS": "name:t value:n",
    "LISTS": "list:t items:i",
    "CONFIG": "key:t value:t default:t changeable:t",
    "MEM": "name:t size:i used:i free:i memtotal:i",
    "DNS_HOSTS": "hostname:t ttl:q addrs:t",
    "DNS_ZONES": "zonename:t serial:q count:i",
    "STATE": "key:t value:t",
    "VERSION": "version:t",
    "SLUICE": "version:t",
    "client_encoding": "client_encoding:t",
    "default_transaction_isolation": "default_transaction_isolation:t",
}
OIDS = {"t": 25, "i": 23, "q": 20, "n": 1700}


@pytest.fixture(params=[1, 4])
def pooler(request, make_pooler):
    return make_pooler(workers=request.param, admin_users="app", stats_users="app2", default_pool_size=2)


def console(pooler, user="app", database="pgbouncer", **more):
    return pooler.connect(user=user, database=database, **more)


def table(client, sql):
    """Rows as dictionaries."""
    reply = client.query(sql).check()
    names = [m[1] for m in reply if m[0] == "T"][0]
    return [dict(zip(names, row)) for row in reply.rows]


def one(client, sql):
    rows = table(client, sql)
    assert len(rows) == 1, rows
    return rows[0]


def described(client):
    """The columns of the next RowDescription: (name, type, table, attribute, size, modifier, format)."""
    columns = []
    while True:
        kind, body = client.read_raw()
        assert kind != "E", body
        if kind == "T":
            at = 2
            for _ in range(struct.unpack_from("!H", body)[0]):
                end = body.index(b"\0", at)
                oid_table, attribute, oid, size, modifier, form = struct.unpack_from("!IhIhih", body, end + 1)
                columns.append((body[at:end].decode(), oid, oid_table, attribute, size, modifier, form))
                at = end + 19
        if kind == "Z":
            return columns


@pytest.mark.parametrize("topic", TOPICS)
def test_columns_and_their_types(pooler, topic):
    pooler.connect().rows("select 1")
    client = console(pooler)
    expected = [column.split(":") for column in TOPICS[topic].split()]
    client.send(wire.query(f"SHOW {topic};"))
    columns = described(client)
    assert [(c[0], c[1]) for c in columns] == [(name, OIDS[kind]) for name, kind in expected]
    assert all(c[2:4] == (0, 0) and c[5:] == (-1, 0) for c in columns)
    # the extended protocol describes the same
    client.send(wire.parse("", f"select {topic}"), wire.describe(), wire.sync())
    assert [c[:2] for c in described(client)] == [c[:2] for c in columns]


def test_what_is_gone_is_gone(pooler):
    client = console(pooler)
    for command in ("SUSPEND", "SHOW FDS"):
        assert client.query(command).error.message == f"invalid command '{command}', use SHOW HELP;"


def test_greeting(pooler):
    client = console(pooler)
    p = client.parameters
    assert p["server_version"].endswith("/bouncer")
    assert {k: p[k] for k in ("client_encoding", "server_encoding", "DateStyle", "TimeZone", "standard_conforming_strings", "is_superuser")} == {
        "client_encoding": "UTF8", "server_encoding": "UTF8", "DateStyle": "ISO", "TimeZone": "GMT", "standard_conforming_strings": "on", "is_superuser": "on"}
    # PgBouncer 1.26 says its release here, too
    assert p["pgbouncer.version"] + "/bouncer" == p["server_version"]


def test_versions_stand_where_tools_look_for_them(pooler):
    """pgbouncer_fdw splits SHOW VERSION at its dots and casts the parts, so nothing may follow the number; the own one stands apart."""
    lines = subprocess.run([pooler.kind.path, "--version"], capture_output=True, text=True).stdout.splitlines()
    client = console(pooler)
    assert client.value("SHOW VERSION") == lines[0] == "PgBouncer 1.26.1"
    assert re.fullmatch(r"Sluice \d+\.\d+\.\d+", client.value("SHOW SLUICE"))
    assert client.value("SHOW SLUICE") == lines[-1].split(" (commit")[0]


# The topics that pgbouncer_fdw has views of.
VIEWS = ["CLIENTS", "CONFIG", "DATABASES", "DNS_HOSTS", "DNS_ZONES", "LISTS", "POOLS", "SERVERS", "SOCKETS", "STATS", "USERS"]
# The types that its views cast to, where they are not the console's own.
CASTS = {"connect_time": "timestamptz", "request_time": "timestamptz", "changeable": "boolean", "load_balance_hosts": "int", "serial": "text"}


def test_the_views_of_pgbouncer_fdw_work(pooler, postgres):
    """Each view reads a SHOW through dblink into typed columns, and casts the parts of SHOW VERSION to know which columns there are."""
    if not postgres.sql("select from pg_available_extensions where name = 'dblink'"):
        pytest.skip("this PostgreSQL comes without dblink")
    user = pooler.connect()
    user.rows("select 1")
    host, port = pooler.address
    target = f"host={host} port={port} dbname=pgbouncer user=app2 password={password_of('app2')}"
    try:
        postgres.sql("create extension dblink")
        version = f"(select substring(version from '\\d.+') as number from dblink('{target}', 'show version') as x(version text)) v"
        parts = ", ".join(f"split_part(number, '.', {part})::int" for part in (1, 2, 3))
        assert postgres.sql(f"select {parts} from {version}") == [("1", "26", "1")]
        for topic in VIEWS:
            columns = [column.split(":") for column in TOPICS[topic].split()]
            types = {"t": "text", "i": "int", "q": "bigint", "n": "bigint"}
            definition = ", ".join(f'"{name}" {CASTS.get(name, types[kind])}' for name, kind in columns)
            rows = postgres.sql(f"select x.* from dblink('{target}', 'show {topic.lower()}') as x({definition})")
            assert rows or topic.startswith("DNS"), topic
    finally:
        postgres.sql("drop extension if exists dblink")


def test_who_may_come_in(pooler):
    assert console(pooler).value("SHOW VERSION")
    assert console(pooler, database="sluice").value("SHOW VERSION")
    looker = console(pooler, user="app2")
    for topic in TOPICS:
        looker.query(f"SHOW {topic}").check()
    for command in ("PAUSE", "RESUME", "RELOAD", "KILL", "KILL_CLIENT 1", "SET verbose=1", "SHUTDOWN", "DISABLE lab", "RECONNECT", "WAIT_CLOSE"):
        assert looker.query(command).error.message == "admin access needed"
    assert looker.query("SET client_encoding = 'UTF8'").notices[0]["M"] == "SET ignored"
    with pytest.raises(wire.ServerError) as e:
        console(pooler, user="scram_user")
    assert (e.value.severity, e.value.message) == ("FATAL", "not allowed")
    with pytest.raises(wire.ServerError, match="password authentication failed|SASL authentication failed"):
        console(pooler, password="wrong")


def test_kill_client_needs_admin_rights(pooler):
    """CVE-2026-6667"""
    victim = pooler.connect()
    victim.rows("select 1")
    victim_id = one(console(pooler), "SHOW CLIENTS WHERE database = lab")["id"]
    looker = console(pooler, user="app2")
    assert looker.query(f"KILL_CLIENT {victim_id}").error.message == "admin access needed"
    assert looker.extended("KILL_CLIENT $1", [victim_id]).error.message == "admin access needed"
    assert victim.value("select 7") == "7"


def test_own_user_on_the_unix_socket(pooler):
    """User pgbouncer, from a process of the pooler's own system user, is let in without a password; nobody else is."""
    command = [f"{newest_bin()}/psql", "-XAtc", "SHOW VERSION", "-h", pooler.folder, "-p", str(pooler.port), "-U", "pgbouncer", "pgbouncer", "-w"]
    more = {"user": UNPRIVILEGED, "group": UNPRIVILEGED, "extra_groups": []} if is_root() else {}
    done = subprocess.run(command, capture_output=True, text=True, **more)
    assert done.returncode == 0 and done.stdout == "PgBouncer 1.26.1\n", done.stderr
    if is_root():
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode != 0
    with pytest.raises((wire.ServerError, wire.Closed)):
        console(pooler, user="pgbouncer", password="x")


def test_auth_type_any(make_pooler):
    pooler = make_pooler(auth_type="any", admin_users="app", databases={"lab": {"user": "app", "password": password_of("app")}})
    assert console(pooler).query("SET verbose=0").tags == ["SET verbose=0"]
    stranger = console(pooler, user="somebody")
    assert stranger.query("SHOW STATS").check()
    assert stranger.query("RELOAD").error.message == "admin access needed"


def test_secrets_are_for_admins_and_never_in_the_log(make_pooler):
    """With auth_type = any everybody may look at SHOW CONFIG, and the password of the directory stood there; SET wrote it into the log."""
    options = 'ldapserver=127.0.0.1 ldapbasedn="dc=example,dc=net" ldapbinddn=cn=admin ldapbindpasswd={}'
    pooler = make_pooler(admin_users="app", stats_users="app2", auth_ldap_options=options.format("hidden-1"), verbose=2)
    admin, looker = console(pooler), console(pooler, user="app2")

    def value(client):
        return one(client, "SHOW CONFIG WHERE key = auth_ldap_options")["value"]

    assert value(admin) == options.format("hidden-1") and value(looker) == options.format("***")
    admin.query("SET auth_ldap_options = '%s'" % options.format("hidden-2")).check()
    assert value(admin) == options.format("hidden-2") and value(looker) == options.format("***")
    assert not looker.rows("SHOW CONFIG WHERE value = '%s'" % options.format("hidden-2")), "no guessing"
    assert "hidden" not in repr(looker.run(wire.parse("", "select config"), wire.bind(""), wire.execute(), wire.sync()).check().rows)
    # a password with a blank and no quotes is no good, and is not repeated either
    admin.query("SET auth_ldap_options = '%s'" % options.format("hidden-3 rest-of-it"))
    pooler.wait_log(r"SET auth_ldap_options=.* command issued")
    assert "hidden" not in pooler.log() and "rest-of-it" not in pooler.log()


def test_limits_do_not_keep_admins_out(make_pooler):
    pooler = make_pooler(admin_users="app", stats_users="app2", max_client_conn=1, max_user_client_connections=1, max_db_client_connections=1)
    pooler.connect().rows("select 1")
    with pytest.raises(wire.ServerError, match="max_client_conn"):
        pooler.connect()
    admins = [console(pooler) for _ in range(3)]
    assert all(a.value("SHOW VERSION") for a in admins)
    with pytest.raises(wire.ServerError, match="max_db_client_connections"):
        console(pooler, user="app2")


def test_rows_follow_what_happens(pooler):
    a, b = pooler.connect(parameters={"application_name": "first"}), pooler.connect()
    a.rows("begin")
    b.extended("select $1::int", ["1"], name="s1")
    admin = console(pooler)
    assert {c["state"]: c["application_name"] for c in table(admin, "SHOW CLIENTS WHERE database = lab")}["active"] == "first"
    assert {c["state"] for c in table(admin, "SHOW CLIENTS WHERE database = lab")} == {"active", "idle"}
    client = one(admin, "SHOW CLIENTS WHERE application_name = first")
    server = one(admin, "SHOW SERVERS WHERE state = active")
    assert client["link"] == server["ptr"] and server["link"] == client["ptr"] and client["type"] == "C" and server["type"] == "S"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+", client["connect_time"])
    assert int(server["remote_pid"]) == a.pid()
    pool = one(admin, "SHOW POOLS WHERE database = lab")
    assert (pool["cl_active"], pool["cl_waiting"], pool["sv_active"]) == ("2", "0", "1")
    stats = one(admin, "SHOW STATS WHERE database = lab")
    assert (stats["total_client_parse_count"], stats["total_bind_count"], stats["total_client_login_count"]) == ("1", "1", "2")
    assert stats["total_xact_count"] == "1" and int(stats["total_query_count"]) >= 2 and int(stats["total_received"]) > 0
    lists = {r["list"]: int(r["items"]) for r in table(admin, "SHOW LISTS")}
    assert len(lists) == 14 and lists["used_clients"] == 3 and lists["databases"] == 3
    assert [r["name"] for r in table(admin, "SHOW DATABASES")] == ["lab", "lab2", "pgbouncer"]
    assert one(admin, "SHOW DATABASES WHERE name = lab")["current_client_connections"] == "2"
    assert len(table(admin, "SHOW MEM")) == 13 and len(table(admin, "SHOW TOTALS")) == 24
    assert all(int(r["size"]) > 0 for r in table(admin, "SHOW MEM") if r["name"] in ("client_cache", "server_cache", "pool_cache"))


def test_the_console_counts_as_with_pgbouncer(pooler):
    """Whoever watches the totals must not find himself in them: a console client is one query, without bytes and times, and has no Parse."""
    pooler.connect().rows("select 1")
    admin = console(pooler)
    for _ in range(3):
        admin.extended("SHOW VERSION")
        admin.query("SHOW STATS").check()
    console(pooler).query("SHOW POOLS").check()
    row = one(admin, "SHOW STATS_TOTALS WHERE database = pgbouncer")
    login = row.pop("client_login_count")
    assert row == dict.fromkeys(row, "0") | {"database": "pgbouncer", "xact_count": "2", "query_count": "2"} and login == "2"
    lab = one(admin, "SHOW STATS_TOTALS WHERE database = lab")
    totals = {r["name"].removeprefix("total_"): r["value"] for r in table(admin, "SHOW TOTALS")}
    assert (totals["client_bytes"], totals["server_bytes"]) == (lab["bytes_received"], lab["bytes_sent"])
    assert (totals["query_count"], totals["query_time"], totals["client_login_count"]) == ("3", lab["query_time"], "3")


@pytest.mark.parametrize("workers", [1, 4])
def test_averages_are_there_before_the_first_period_ends(make_pooler, workers):
    """PgBouncer's cover the last whole period and the time since; ours were 0 for the first minute."""
    pooler = make_pooler(workers=workers, admin_users="app")
    client, admin = pooler.connect(), console(pooler)
    client.rows("select pg_sleep(0.01)")
    for topic in ("SHOW STATS WHERE database = lab", "SHOW STATS_AVERAGES WHERE database = lab"):
        row = one(admin, topic)
        assert int(row.get("avg_query_time", row.get("query_time"))) >= 10_000
    totals = {r["name"]: int(r["value"]) for r in table(admin, "SHOW TOTALS")}
    assert totals["avg_xact_time"] == totals["total_xact_time"] // totals["total_xact_count"] > 0
    # and they go back to nothing when nothing happens
    admin.query("SET stats_period = 1").check()
    wait_until(lambda: one(admin, "SHOW STATS WHERE database = lab")["avg_query_time"] == "0", "two periods without a query")


@pytest.mark.parametrize("settings", [{}, {"max_db_connections": 7, "max_db_client_connections": 9, "min_pool_size": 1, "reserve_pool_size": 4, "server_lifetime": 60}])
def test_the_row_of_the_console_in_show_databases(make_pooler, settings):
    """The limits that hold for every database stand in the console's own row, too."""
    pooler = make_pooler(admin_users="app", **settings)
    admin, _ = console(pooler), console(pooler)
    of_all = {"max_connections": str(settings.get("max_db_connections", 0)), "max_client_connections": str(settings.get("max_db_client_connections", 0))}
    assert one(admin, "SHOW DATABASES WHERE name = pgbouncer") == of_all | {
        "name": "pgbouncer", "host": None, "port": str(pooler.port), "database": "pgbouncer", "force_user": "pgbouncer", "pool_size": "2",
        "min_pool_size": "0", "reserve_pool_size": "0", "server_lifetime": str(settings.get("server_lifetime", 3600)), "pool_mode": "statement",
        "load_balance_hosts": None, "current_connections": "0", "current_client_connections": "2", "paused": "0", "disabled": "0"}


@pytest.mark.parametrize("mode,limit,counts", [("transaction", 200, ("2", "2", "2")), ("transaction", 0, ("0", "0", "0")), ("session", 200, ("0", "0", "0"))])
def test_parse_and_bind_are_counted_where_statements_are_mapped(make_pooler, mode, limit, counts):
    """PgBouncer counts what it looks into; where statements pass untouched, that is nothing."""
    pooler = make_pooler(admin_users="app", pool_mode=mode, max_prepared_statements=limit)
    client = pooler.connect()
    for number in range(2):
        client.run(wire.parse(f"s{number}", f"select {number}"), wire.bind(f"s{number}"), wire.execute(), wire.sync()).check()
    stats = one(console(pooler), "SHOW STATS WHERE database = lab")
    assert (stats["total_client_parse_count"], stats["total_server_parse_count"], stats["total_bind_count"]) == counts


def test_totals_are_exact_over_all_workers(pooler):
    clients = [pooler.connect() for _ in range(8)]
    for client in clients:
        for _ in range(5):
            client.rows("select 1")
        client.rows("begin")
        client.rows("select 1")
        client.rows("commit")
    row = one(console(pooler), "SHOW STATS_TOTALS WHERE database = lab")
    assert (row["xact_count"], row["query_count"], row["client_login_count"], row["server_assignment_count"]) == ("48", "64", "8", "48")
    assert int(row["bytes_received"]) == 8 * sum(len(wire.query(q)) for q in ["select 1"] * 6 + ["begin", "commit"])


def test_where_and_order_by(pooler):
    admin = console(pooler)
    keys = [r["key"] for r in table(admin, "SHOW CONFIG")]
    assert keys == sorted(keys)
    assert [r["key"] for r in table(admin, "SHOW CONFIG ORDER BY key DESC")] == keys[::-1]
    boot = table(admin, "SHOW CONFIG WHERE changeable = 'no'")
    assert {"listen_port", "workers"} <= {r["key"] for r in boot} and all(r["changeable"] == "no" for r in boot)
    assert one(admin, "SHOW CONFIG WHERE key = auth_user AND changeable = yes")["value"] is None
    error = admin.query("SHOW CONFIG WHERE kee = x").error
    assert error.message == "no such column: kee" and "changeable" in error.fields["H"]


def test_bad_input_is_answered_and_the_connection_stays(pooler):
    admin = console(pooler)
    for sql, text in [
        ("FOO", "invalid command 'FOO', use SHOW HELP;"), ("SHOW FOO", "invalid command 'SHOW FOO', use SHOW HELP;"),
        ("PAUSE nowhere", "no such database: nowhere"), ("RESUME nowhere", "no such database: nowhere"), ("DISABLE", "a database is required"),
        ("KILL_CLIENT x", "invalid client pointer supplied"), ("KILL_CLIENT 999999", "client not found"), ("SET no_such = 1", "SET failed"),
        ("SET max_client_conn = abc", "SET failed"), ("SET listen_port = 1", "SET failed"), ("RESUME", "pooler is not paused/suspended"),
        ("RESUME lab", "database lab is not paused"), ("PAUSE pgbouncer", "cannot pause admin db: pgbouncer"),
        ("DISABLE pgbouncer", "cannot disable admin db: pgbouncer"), ("ENABLE pgbouncer", "cannot enable admin db: pgbouncer"),
        ("WHY CLIENT 999999", "client not found"), ("WHY POOL no way", "no such pool: no way"),
        ('SHOW "stats', "invalid command 'SHOW \"stats', use SHOW HELP;"), ("SHOW STATS; SHOW POOLS", "invalid command 'SHOW STATS; SHOW POOLS', use SHOW HELP;"),
    ]:
        error = admin.query(sql).error
        assert (error.severity, error.code if "SET failed" not in text else "08P01", error.message) == ("ERROR", "08P01", text)
        error = admin.extended(sql).error
        assert error.message == text
    assert "left open" in admin.query('SHOW "stats').error.fields["D"]
    assert "restart" in admin.query("SET listen_port = 1").error.fields["D"]
    for sql, hint in (
        ("PAUSE la", 'Did you mean "lab"?'), ("SET defualt_pool_size = 1", "Did you mean default_pool_size?"), ("SHOW POLS", "Did you mean SHOW POOLS?"),
        ("SET no_such = 1", "SHOW CONFIG lists them."),
    ):
        assert admin.query(sql).error.fields["H"] == hint
    assert "H" not in admin.query("PAUSE nowhere").error.fields
    assert admin.value("SHOW VERSION")


def test_an_argument_of_10_megabytes(pooler):
    admin, other = console(pooler), pooler.connect()
    reply = admin.query("PAUSE " + "x" * 10_000_000)
    assert "too long" in reply.error.message and reply.status == "I"
    reply = admin.run(wire.parse("", "SHOW " + "y" * 10_000_000), wire.bind(), wire.execute(), wire.sync())
    assert reply.kinds == "EZ"
    assert admin.value("SHOW VERSION") and other.value("select 1") == "1"
    assert pooler.memory() < 200 << 20


def test_messages_that_no_console_understands(pooler):
    for message in (wire.function_call(1), wire.copy_data(b"x"), wire.message("Q", b"SHOW VERSION"), b"Q\0\0\0\1"):
        client = console(pooler)
        client.send(message)
        assert client.read_to_end().error.severity == "FATAL"
    assert console(pooler).value("SHOW VERSION")


def test_pipelines_and_pieces(pooler):
    admin = console(pooler)
    burst = wire.query("SHOW STATE") + wire.query("NONSENSE") + wire.ask("SHOW VERSION") + wire.sync()
    for byte in burst:
        admin.send(bytes([byte]))
    seen = wire.Reply(m for _ in range(3) for m in admin.read_until("Z"))
    assert seen.kinds == "TDDDCZEZ12DCZ"
    reply = admin.run(*[wire.query("SHOW STATE")] * 200, ready=200)
    assert reply.kinds == "TDDDCZ" * 200


def test_extended_protocol(pooler):
    pooler.connect().rows("select 1")
    admin = console(pooler)
    reply = admin.extended("SHOW POOLS WHERE database = $1", ["lab"]).check()
    assert [r[0] for r in reply.rows] == ["lab"]
    reply = admin.run(wire.parse("s", "SHOW STATE"), wire.bind("s", portal="p"), wire.execute("p", 2), wire.execute("p", 2), wire.sync()).check()
    assert reply.kinds == "12DDsDCZ"
    assert admin.extended("PAUSE $1", ["lab2"]).check().tags == ["PAUSE"]
    assert admin.extended("RESUME lab2").check().tags == ["RESUME"]
    assert admin.run(wire.bind("nowhere"), wire.sync()).codes == ["26000"]
    # binary results
    admin.send(wire.parse("", "SHOW LISTS WHERE list = databases"), wire.bind(result_formats=[1]), wire.execute(), wire.sync())
    bodies = []
    while True:
        kind, body = admin.read_raw()
        if kind == "D":
            bodies.append(body)
        if kind == "Z":
            break
    assert bodies[0].endswith(struct.pack("!ii", 4, 3))


# drivers


def url(pooler, user="app"):
    return pooler.url(user=user, database="pgbouncer")


@pytest.mark.drivers
def test_psycopg3(pooler):
    pooler.connect().rows("select 1")
    with psycopg.connect(url(pooler)) as c:  # its own BEGIN and COMMIT around it
        rows = c.execute("SHOW STATS WHERE database = %s", ["lab"]).fetchall()
        assert rows[0][0] == "lab"
        assert c.execute("SHOW LISTS").fetchall()[0] == ("databases", 3)
    with psycopg.connect(url(pooler), autocommit=True) as c:
        cursor = c.cursor(binary=True, row_factory=psycopg.rows.dict_row)
        assert cursor.execute("SHOW STATS_TOTALS WHERE database = lab").fetchone()["xact_count"] == 1
        assert cursor.execute("SHOW LISTS").fetchone()["items"] == 3
        with pytest.raises(psycopg.Error, match="invalid command"):
            c.execute("SELECT * FROM pg_class")


@pytest.mark.drivers
def test_psycopg2(pooler):
    c = psycopg2.connect(url(pooler))
    cursor = c.cursor()
    cursor.execute("SHOW POOLS")
    assert [d.name for d in cursor.description][:2] == ["database", "user"] and cursor.fetchall()[0][0] == "pgbouncer"
    c.commit()
    c.close()


@pytest.mark.drivers
def test_asyncpg(pooler):
    import asyncpg

    async def main():
        c = await asyncpg.connect(url(pooler))
        rows = await c.fetch("SHOW DATABASES")
        assert [r["name"] for r in rows] == ["lab", "lab2", "pgbouncer"] and rows[0]["pool_size"] == 2
        rows = await c.fetch("SHOW STATS WHERE database = $1", "pgbouncer")
        assert int(rows[0]["total_client_login_count"]) == 1
        await c.close()

    asyncio.run(main())


@pytest.mark.drivers
def test_pg8000(pooler):
    import pg8000.native

    c = pg8000.native.Connection("app", host="127.0.0.1", port=pooler.port, database="pgbouncer", password=password_of("app"))
    assert [r[0] for r in c.run("SHOW STATE")] == ["active", "paused", "suspended"]
    c.close()


@pytest.mark.drivers
def test_jdbc(pooler):
    assert shutil.which("java"), "no java: scripts/install.sh test installs it"
    busy = pooler.connect()
    busy.rows("select 1")
    busy.rows("begin")
    environment = dict(os.environ, PGPORT=str(pooler.port), PGUSER="app", PGPASSWORD=password_of("app"))
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "JdbcConsole.java")
    done = subprocess.run(["java", "-cp", "/usr/share/java/postgresql.jar", program], env=environment, capture_output=True, text=True, timeout=4 * DEADLINE)
    assert done.returncode == 0 and done.stdout.count("ok ") == 4, done.stdout + done.stderr
    assert busy.value("select 2") == "2"


@pytest.mark.drivers
def test_psql(pooler):
    psql = f"{newest_bin()}/psql"
    done = subprocess.run([psql, "-X", url(pooler)], input="SHOW HELP;\nSHOW POOLS;\nNONSENSE;\nSHOW STATE\\gdesc\n", capture_output=True, text=True)
    assert "Console usage" in done.stderr and "WAIT_CLOSE" in done.stderr and "invalid command 'NONSENSE" in done.stderr
    assert "cl_waiting" in done.stdout


def test_the_exporters_queries(pooler):
    """prometheus-community's pgbouncer_exporter: simple protocol, extra_float_digits in the startup packet (lib/pq)."""
    admin = console(pooler, user="app2", parameters={"extra_float_digits": "2", "client_encoding": "UTF8", "datestyle": "ISO, MDY"})
    admin.query("SHOW STATS;").check()
    assert len(admin.rows("SHOW VERSION;")[0]) == 1
    assert all(len(r) == 2 and r[1].isdigit() for r in admin.rows("SHOW LISTS;"))
    config = {r[0]: r[1] for r in admin.rows("SHOW CONFIG;")}
    assert float(config["max_client_conn"]) == 1000 and float(config["max_user_connections"]) == 0
    admin.query("SHOW DATABASES;").check()
    admin.query("SHOW STATS_TOTALS;").check()
    admin.query("SHOW POOLS;").check()


def test_the_page_of_the_console_names_the_real_columns(pooler):
    """docs/console.md tells what each column means; here it is compared with what SHOW answers."""
    root = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
    with open(f"{root}/docs/console.md") as f:
        page = f.read()
    client = console(pooler)
    documented = {}
    for name, text in re.findall(r"(?ms)^### SHOW (\w+)\n(.*?)(?=^##)", page):
        own = dict(re.findall(r"(?m)^\| `(\w+)` \| (\w+) \| \S.*\|$", text))
        base = re.search(r"The columns are those of SHOW (\w+)", text)
        documented[name] = (documented[base.group(1)] if base else {}) | own
    assert len(documented) > 20 and "sv_used" in documented["POOLS"]
    types = {25: "text", 23: "integer", 20: "bigint", 1700: "numeric"}
    for name, columns in documented.items():
        client.send(wire.query(f"SHOW {name}"))
        assert {c[0]: types[c[1]] for c in described(client)} == columns, name
