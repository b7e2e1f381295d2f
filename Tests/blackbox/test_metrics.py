"""metrics_listen: Prometheus text, health, and an HTTP server that strangers cannot use against queries."""
import gzip
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.request

import pytest

import wire
from processes import DEADLINE, free_port, give, listening, raise_open_files, start, wait_until

pytestmark = pytest.mark.sluice_only("PgBouncer has no HTTP server")


@pytest.fixture
def monitored(make_pooler):
    """A pooler with metrics; `.metrics_port` tells where."""

    def make(**more):
        port = free_port()
        pooler = make_pooler(metrics_listen=f"127.0.0.1:{port}", **more)
        pooler.metrics_port = port
        wait_until(lambda: listening(port), "the HTTP port to be open")
        return pooler

    return make


def get(pooler, path, method="GET"):
    """(status, headers, text) of a request."""
    request = urllib.request.Request(f"http://127.0.0.1:{pooler.metrics_port}{path}", method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=DEADLINE) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.headers, e.read().decode()


def metrics(pooler):
    """{'name{labels}': value}"""
    status, _, text = get(pooler, "/metrics")
    assert status == 200
    return series(text)


def series(text):
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if not line.startswith("#")}


def value(pooler, name, **labels):
    """The sum of all series of a metric with these labels."""
    wanted = [f'{k}="{v}"' for k, v in labels.items()]
    return sum(v for k, v in metrics(pooler).items() if re.split(r"[{ ]", k)[0] == name and all(w in k for w in wanted))


def promtool():
    path = shutil.which("promtool")
    assert path, "no promtool: scripts/install.sh test installs it (package prometheus)"
    return path


def exchange(pooler, data, shut=False):
    """Raw bytes to the HTTP port; what comes until the server closes."""
    with socket.create_connection(("127.0.0.1", pooler.metrics_port), DEADLINE) as s:
        s.settimeout(DEADLINE)
        answer = b""
        try:
            s.sendall(data)
            if shut:
                s.shutdown(socket.SHUT_WR)
            while chunk := s.recv(65536):
                answer += chunk
        except OSError:
            pass
        return answer


@pytest.mark.parametrize("workers", [1, 4])
def test_counts_what_happened(monitored, workers):
    pooler = monitored(workers=workers)
    clients = [pooler.connect() for _ in range(5)]
    for client in clients:
        for _ in range(10):
            client.rows("select 1")
    assert clients[0].query("select nonsense").codes == ["42703"]
    where = {"database": "lab", "user": "app"}
    assert value(pooler, "sluice_queries_total", **where) == 51
    assert value(pooler, "sluice_transactions_total", **where) == 51
    assert value(pooler, "sluice_logins_total", **where) == 5
    assert value(pooler, "sluice_query_seconds_count", **where) == 51
    assert value(pooler, "sluice_query_seconds_bucket", le="+Inf", **where) == 51
    assert value(pooler, "sluice_errors_total", sqlstate="42703", **where) == 1
    assert value(pooler, "sluice_pool_clients", **where) == 5
    assert value(pooler, "sluice_pool_size", **where) == 5
    for client in clients:
        client.close()
    wait_until(lambda: value(pooler, "sluice_client_disconnects_total", **where) == 5, "the closes to be counted")
    assert value(pooler, "sluice_clients") == 0


def test_failed_logins_are_counted_by_reason(monitored):
    pooler = monitored()
    for _ in range(3):
        with pytest.raises(wire.ServerError):
            pooler.connect(password="wrong")
    wait_until(lambda: value(pooler, "sluice_login_failures_total") == 3, "three failures")


def test_operators_who_leave_are_no_failed_logins(monitored):
    """Each console connection that ended was counted as a client that was closed before it had a pool."""
    pooler = monitored(admin_users="app")
    with pooler.connect(user="app", database="pgbouncer") as admin:
        admin.query("SHOW VERSION").check()
        admin.terminate()
    with pooler.connect(user="app", database="pgbouncer") as admin:
        wait_until(lambda: ["pgbouncer", "client", "client close request"] in [[r[0], r[2], r[3]] for r in admin.rows("SHOW ERRORS")], "the count")
        assert not [r for r in admin.rows("SHOW ERRORS WHERE kind = login")]


def test_promtool_finds_no_fault(monitored):
    pooler = monitored(databases={"lab": {}, "'odd\\name'": {"dbname": "lab"}})
    pooler.connect().rows("select 1")
    pooler.connect(database="odd\\name").rows("select 1")
    _, headers, text = get(pooler, "/metrics")
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    check = subprocess.run([promtool(), "check", "metrics"], input=text, capture_output=True, text=True)
    assert check.returncode == 0 and not check.stderr.strip(), check.stdout + check.stderr


def coded(pooler, path, accept, method="GET"):
    """(headers, body) as they come, for what is sent as Accept-Encoding."""
    headers, body = exchange(pooler, f"{method} {path} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {accept}\r\n\r\n".encode()).split(b"\r\n\r\n", 1)
    return headers.decode().lower(), body


@pytest.mark.parametrize("path, beginning", [("/metrics", "# HELP sluice_info"), ("/status.json", '{"version"'), ("/", "<!doctype html>")])
def test_gzip(monitored, path, beginning):
    pooler = monitored()
    pooler.connect().rows("select 1")
    for accept in ("gzip", "gzip, deflate, br", "*"):
        headers, body = coded(pooler, path, accept)
        assert "content-encoding: gzip" in headers and "vary: accept-encoding" in headers
        assert f"content-length: {len(body)}" in headers
        text = gzip.decompress(body).decode()
        assert text.startswith(beginning) and len(body) < len(text)
        assert coded(pooler, path, accept, method="HEAD")[1] == b""
    for accept in ("identity", "gzip;q=0", "br"):
        headers, body = coded(pooler, path, accept)
        assert "content-encoding" not in headers and "vary: accept-encoding" in headers and body.decode().startswith(beginning)
    assert "content-encoding" not in coded(pooler, "/healthz", "gzip")[0], "a line does not get smaller"


def test_limits_by_database_and_user(monitored):
    pooler = monitored(
        databases={"lab": {"max_db_connections": 7, "max_db_client_connections": 90}, "lab2": {}}, max_db_connections=40, max_user_client_connections=60,
        sections={"users": {"app": "max_user_connections=3 max_user_client_connections=80"}},
    )  # fmt: skip
    clients = [pooler.connect(), pooler.connect(), pooler.connect(database="lab2"), pooler.connect(user="app2")]
    for client in clients[:3]:
        client.rows("select 1")
    found = metrics(pooler)

    def of(kind, name):
        return [found[f'sluice_{kind}_{what}{{{kind}="{name}"}}'] for what in ("servers", "servers_maximum", "clients", "clients_maximum")]

    # each pool has opened a server for its first login
    assert of("database", "lab") == [2, 7, 3, 90]
    assert of("database", "lab2") == [1, 40, 1, 0]
    assert of("user", "app") == [2, 3, 3, 80]
    assert of("user", "app2") == [1, 0, 1, 60]
    assert not [k for k in found if "database_servers" in k and '"pgbouncer"' in k], "the console is no database of that kind"


def test_idle_in_transaction_is_a_state(monitored):
    """A client that holds a server and asks for nothing looked like one at work."""
    pooler = monitored(workers=1)

    def clients():
        return {state: value(pooler, "sluice_pool_clients", database="lab", state=state) for state in ("active", "idle_in_transaction", "waiting", "idle")}

    client, failed, other = pooler.connect(), pooler.connect(), pooler.connect()
    client.rows("begin")
    failed.rows("begin")
    failed.query("select nonsense")
    wait_until(lambda: clients() == {"active": 0, "idle_in_transaction": 2, "waiting": 0, "idle": 1}, lambda: clients())
    assert json.loads(get(pooler, "/status.json")[2])["pools"][0]["idle_in_transaction"] == 2
    client.send(wire.query("select pg_sleep(600)"))
    wait_until(lambda: clients() == {"active": 1, "idle_in_transaction": 1, "waiting": 0, "idle": 1}, lambda: clients())
    failed.rows("rollback")
    other.rows("select 1")
    wait_until(lambda: clients() == {"active": 1, "idle_in_transaction": 0, "waiting": 0, "idle": 2}, lambda: clients())


# What prometheus-community/pgbouncer_exporter 0.11 calls the columns of the console, from its source (collector.go).
EXPORTER_PROCESS = {
    name: "gauge"
    for name in """
    pgbouncer_databases pgbouncer_users pgbouncer_pools pgbouncer_free_clients pgbouncer_used_clients pgbouncer_login_clients
    pgbouncer_free_servers pgbouncer_used_servers pgbouncer_cached_dns_names pgbouncer_cached_dns_zones pgbouncer_in_flight_dns_queries
    pgbouncer_config_max_client_connections pgbouncer_config_max_user_connections pgbouncer_up
    pgbouncer_process_resident_memory_bytes pgbouncer_process_open_fds pgbouncer_process_max_fds pgbouncer_process_start_time_seconds
    """.split()
} | {"pgbouncer_process_cpu_seconds_total": "counter"}
EXPORTER_DATABASES = ["pool_size", "reserve_pool", "max_connections", "current_connections", "paused", "disabled"]
EXPORTER_TOTALS = {
    "queries_pooled_total": ("query_count", 1), "queries_duration_seconds_total": ("query_time", 1e6), "received_bytes_total": ("bytes_received", 1),
    "sent_bytes_total": ("bytes_sent", 1), "client_wait_seconds_total": ("wait_time", 1e6), "sql_transactions_pooled_total": ("xact_count", 1),
    "server_in_transaction_seconds_total": ("xact_time", 1e6),
}  # fmt: skip
EXPORTER_PREPARED = {"client_parses_total": ("client_parse_count", 1), "server_parses_total": ("server_parse_count", 1), "binds_total": ("bind_count", 1)}
EXPORTER_POOLS = {
    "client_active_connections": "cl_active", "client_active_cancel_connections": "cl_active_cancel_req", "client_waiting_connections": "cl_waiting",
    "client_waiting_cancel_connections": "cl_waiting_cancel_req", "server_active_connections": "sv_active",
    "server_active_cancel_connections": "sv_active_cancel", "server_being_canceled_connections": "sv_being_canceled",
    "server_idle_connections": "sv_idle", "server_used_connections": "sv_used", "server_testing_connections": "sv_tested",
    "server_login_connections": "sv_login", "client_maxwait_seconds": "maxwait",
}  # fmt: skip
DATABASE_LABELS = {"name", "host", "port", "database", "force_user", "pool_mode"}


def test_the_names_of_pgbouncer_exporter(monitored):
    """metrics_names = pgbouncer: the exporter's names, types, labels and units; the values are the columns that the console shows."""
    pooler = monitored(admin_users="app", metrics_names="pgbouncer", databases={"lab": {"pool_mode": "session", "reserve_pool_size": 3}, "lab2": {"user": "app2", "max_db_connections": 9}})
    client = pooler.connect(user="scram_user", database="lab2")
    client.rows("select pg_sleep(0.01)")
    assert client.extended("select 1", name="s").codes == []
    admin = pooler.connect(database="pgbouncer")
    admin.rows("DISABLE lab")

    def shown(topic):
        answer = admin.query(f"SHOW {topic}").check()
        columns = next(m[1] for m in answer if m[0] == "T")
        return [dict(zip(columns, row)) for row in answer.rows]

    pools, totals = shown("POOLS"), shown("STATS_TOTALS")
    databases, lists = shown("DATABASES"), {row["list"]: row["items"] for row in shown("LISTS")}
    status, _, text = get(pooler, "/metrics")
    found, types = series(text), dict(re.findall(r"# TYPE (\w+) (\w+)", text))

    def labels_of(name):
        return {frozenset(re.findall(r'(\w+)="', k)) for k in found if re.split(r"[{ ]", k)[0] == name}

    expected = dict.fromkeys(("pgbouncer_version_info",), ("gauge", {"version"})) | {name: (kind, set()) for name, kind in EXPORTER_PROCESS.items()}
    expected |= {f"pgbouncer_databases_{name}": ("gauge", DATABASE_LABELS) for name in EXPORTER_DATABASES}
    expected |= {f"pgbouncer_stats_totals_{name}": ("counter", {"database"}) for name in EXPORTER_TOTALS | EXPORTER_PREPARED}
    expected |= {f"pgbouncer_stats_{name}": ("counter", {"database"}) for name in EXPORTER_TOTALS}
    expected |= {f"pgbouncer_pools_{name}": ("gauge", {"database", "user"}) for name in EXPORTER_POOLS}
    assert {name: (kind, labels_of(name)) for name, kind in types.items() if name.startswith("pgbouncer_")} == {name: (kind, {frozenset(labels)}) for name, (kind, labels) in expected.items()}

    for row in pools:
        for name, column in EXPORTER_POOLS.items():
            assert found[f'pgbouncer_pools_{name}{{database="{row["database"]}",user="{row["user"]}"}}'] == float(row[column])
    assert {row["database"] for row in pools} == {"lab2", "pgbouncer"}
    for row in totals:
        if row["database"] != "pgbouncer":  # the console counts the SHOWs themselves
            for name, (column, unit) in (EXPORTER_TOTALS | EXPORTER_PREPARED).items():
                assert found[f'pgbouncer_stats_totals_{name}{{database="{row["database"]}"}}'] == pytest.approx(float(row[column]) / unit)
    assert found['pgbouncer_stats_totals_server_parses_total{database="lab2"}'] == 1
    assert found['pgbouncer_stats_queries_duration_seconds_total{database="lab2"}'] >= 0.01
    for row in databases:
        labels = ",".join(f'{name}="{row[name] or ""}"' for name in ("name", "host", "port", "database", "force_user", "pool_mode"))
        for name in EXPORTER_DATABASES:
            assert found[f"pgbouncer_databases_{name}{{{labels}}}"] == float(row["reserve_pool_size" if name == "reserve_pool" else name])
    assert any(k.startswith("pgbouncer_databases_disabled{") and 'name="lab"' in k and v == 1 for k, v in found.items())
    for name in ("databases", "users", "pools", "used_clients", "login_clients", "used_servers"):
        assert found[f"pgbouncer_{name}"] == float(lists[name]), name
    version = admin.value("SHOW VERSION")
    assert found[f'pgbouncer_version_info{{version="{version}"}}'] == 1
    assert found["pgbouncer_config_max_client_connections"] == 1000

    pooler.reload(metrics_names="sluice")
    wait_until(lambda: not any(k.startswith("pgbouncer_") for k in metrics(pooler)), "the names to be gone")
    assert "sluice_info" in str(metrics(pooler).keys())


def test_alerts_and_dashboard_take_any_job():
    """The name of the job is whatever an operator calls it."""
    root = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
    for path in ("prometheus/sluice-rules.yml", "grafana/sluice.json"):
        with open(f"{root}/Config/{path}") as f:
            text = f.read()
        assert not re.search(r"""job\s*[=!]~?\s*\\?["'](?!\$job)""", text), path


def test_histograms_are_cumulative(monitored):
    pooler = monitored(default_pool_size=1)
    holder, waiter = pooler.connect(), pooler.connect()

    def buckets():
        assigned = [(float(re.search(r'le="([^"]+)"', k).group(1)), v) for k, v in metrics(pooler).items() if k.startswith("sluice_wait_seconds_bucket") and 'database="lab"' in k]
        counts = [count for _, count in sorted(assigned)]
        assert counts == sorted(counts) and max(assigned)[0] == float("inf")
        return dict(assigned)

    waiter.rows("select 1")
    holder.rows("begin")
    wait_until(lambda: value(pooler, "sluice_wait_seconds_count", database="lab") == 2, "two assignments")
    before = buckets()
    waiter.send(wire.query("select 1"))
    wait_until(lambda: value(pooler, "sluice_pool_clients", state="waiting") == 1, "the client to wait")
    wait_until(lambda: value(pooler, "sluice_pool_longest_wait_seconds") > 0.05, "the wait to grow")
    holder.rows("commit")
    waiter.read_until("Z").check()
    wait_until(lambda: value(pooler, "sluice_wait_seconds_count", database="lab") == 3, "three assignments")
    more = {bound: count - before[bound] for bound, count in buckets().items()}
    assert more[float("inf")] == 1
    assert all(n == 0 for bound, n in more.items() if bound < 0.04) and any(bound < 0.04 for bound in more), "it waited for more than 50 ms"
    assert value(pooler, "sluice_wait_seconds_sum") > 0.05


# Whoever asks for databases that exist through * only could make a monitoring system drown in series.
def test_the_number_of_series_is_bounded(monitored, postgres):
    pooler = monitored(databases={"*": {"dbname": "lab"}}, server_idle_timeout=1)
    for n in range(220):
        pooler.connect(database=f"db{n}").close()
    found = {m for k in metrics(pooler) for m in re.findall(r'database="([^"]+)"', k)}
    assert len(found) <= 201 and "(other)" in found
    assert value(pooler, "sluice_logins_total") == 220


def test_health(monitored, own_postgres):
    pooler = monitored(postgres=own_postgres, server_login_retry=1)
    assert get(pooler, "/healthz")[0] == 200
    assert get(pooler, "/readyz")[0] == 200, "nobody was there yet, and the server takes connections"
    client = pooler.connect()
    client.rows("select 1")
    assert get(pooler, "/readyz")[0] == 200
    own_postgres.stop()
    wait_until(lambda: get(pooler, "/readyz")[0] == 503, lambda: f"a red light: {get(pooler, '/readyz')}")
    assert "no server can be reached" in get(pooler, "/readyz")[2]
    assert get(pooler, "/healthz")[0] == 200, "the pooler itself is well"
    own_postgres.start()

    def green():
        try:
            pooler.connect().rows("select 1")
        except (wire.ServerError, wire.Closed, OSError):
            pass
        return get(pooler, "/readyz")[0] == 200

    wait_until(green, "a green light again")


def test_red_while_draining(monitored):
    pooler = monitored()
    client = pooler.connect()
    client.rows("select 1")
    pooler.signal(signal.SIGTERM)
    wait_until(lambda: get(pooler, "/readyz")[0] == 503, "a red light")
    assert "draining" in get(pooler, "/readyz")[2]
    assert get(pooler, "/healthz")[0] == 200
    assert value(pooler, "sluice_draining") == 1
    assert client.value("select 2") == "2"
    client.close()
    assert pooler.wait() == 0


def test_paths_and_methods(monitored):
    pooler = monitored()
    assert get(pooler, "/")[1]["Content-Type"].startswith("text/html")
    assert json.loads(get(pooler, "/status.json?x=1")[2])["ready"] is True
    assert get(pooler, "/nonsense")[0] == 404
    status, headers, _ = get(pooler, "/metrics", method="POST")
    assert status == 405 and headers["Allow"] == "GET, HEAD"
    status, headers, text = get(pooler, "/metrics", method="HEAD")
    assert status == 200 and text == "" and int(headers["Content-Length"]) > 1000


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\x03" * 100 + b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 100000,
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 1000000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100000 + b"\r\n",
        b"GET /" + b"a" * 1000000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX\r\n y\r\n\r\n",
        b"GET /%00%ff/../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500,
        b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
        os.urandom(5000),
    ],
    ids=range(16),
)
def test_garbage_is_refused(monitored, data):
    pooler = monitored()
    answer = exchange(pooler, data, shut=True)
    assert not answer or answer.startswith(b"HTTP/1.") and b" 200 " not in answer.split(b"\r\n")[0], answer[:100]
    assert get(pooler, "/healthz")[0] == 200
    pooler.connect().rows("select 1")


def test_a_thousand_scrapes_at_once(monitored):
    pooler = monitored(workers=2)
    client = pooler.connect()
    client.rows("select 1")
    assert raise_open_files(1200)
    scrapes = []
    for n in range(1000):
        # Threads that connect and then wait for their turn to ask would give up their places: those who ask come first.
        s = socket.create_connection(("127.0.0.1", pooler.metrics_port), DEADLINE)
        s.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        scrapes.append(s)
        if n % 10 == 0:
            assert client.value("select 2") == "2"
    for s in scrapes:
        with s:
            answer = b""
            while chunk := s.recv(65536):
                answer += chunk
        assert answer.startswith(b"HTTP/1.1 200") and b"sluice_queries_total" in answer, answer[:1000]
        assert client.value("select 3") == "3"
    wait_until(lambda: value(pooler, "process_open_fds") < 100, "the connections to be closed")


# A thousand sockets that never say what they want must neither use up the descriptors nor lock the scraper out.
def test_slow_clients_hold_nobody_up(monitored):
    pooler = monitored()
    slow = []
    try:
        for n in range(1000):
            s = socket.socket()
            s.settimeout(DEADLINE)
            s.connect(("127.0.0.1", pooler.metrics_port))
            s.send(b"GET /met" if n % 2 else b"")
            slow.append(s)
        assert pooler.connect().value("select 1") == "1"
        assert get(pooler, "/healthz")[0] == 200
        assert value(pooler, "process_open_fds") < 400
    finally:
        for s in slow:
            s.close()


@pytest.mark.parametrize("open_files", [256, 1024])
def test_a_flood_of_scrapers_never_takes_the_last_descriptors(make_pooler, open_files):
    """The limit was looked at once a turn, and a turn accepts all who wait: libdispatch ended the process when none was left, without
    a login. They wait in the backlog while the process stands still, so that one turn meets them all."""
    pooler = make_pooler(start=False, metrics_listen=f"127.0.0.1:{free_port()}")
    pooler.metrics_port = int(pooler.settings["metrics_listen"].split(":")[1])
    pooler.open_files = open_files
    pooler.start()
    wait_until(lambda: listening(pooler.metrics_port), "the HTTP port to be open")
    client = pooler.connect()
    for sends in (b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", b""):
        pooler.signal(signal.SIGSTOP)
        flood = []
        for _ in range(open_files + 200):
            s = socket.socket()
            s.settimeout(DEADLINE)
            s.connect(("127.0.0.1", pooler.metrics_port))
            s.send(sends)
            flood.append(s)
        pooler.signal(signal.SIGCONT)
        for _ in range(20):
            assert client.value("select 1") == "1" and pooler.connect().value("select 2") == "2"
            assert len(os.listdir(f"/proc/{pooler.pid}/fd")) < open_files - 8
        assert get(pooler, "/healthz")[0] == 200
        for s in flood:
            s.close()
    assert value(pooler, "process_open_fds") < open_files / 2


def test_scrapers_leave_the_last_descriptors_alone_while_clients_hold_theirs(make_pooler):
    """Only while descriptors are scarce the kernel is asked how many are left. Clients take all that are for them; what is left then is
    fewer than the HTTP connections that may be open at once."""
    open_files, reserve = 256, 8
    pooler = make_pooler(start=False, metrics_listen=f"127.0.0.1:{free_port()}", max_client_conn=1000, client_login_timeout=0)
    pooler.settings.update(tcp_defer_accept=0)
    pooler.metrics_port = int(pooler.settings["metrics_listen"].split(":")[1])
    pooler.open_files = open_files
    pooler.start()
    wait_until(lambda: listening(pooler.metrics_port), "the HTTP port to be open")
    client = pooler.connect()
    client.value("select 1")

    def highest():
        return max(int(name) for name in os.listdir(f"/proc/{pooler.pid}/fd"))

    held = [socket.create_connection(("127.0.0.1", pooler.port)) for _ in range(open_files)]
    wait_until(lambda: highest() >= open_files - 32, "the clients to have all that is for them")
    pooler.signal(signal.SIGSTOP)
    flood = [socket.create_connection(("127.0.0.1", pooler.metrics_port)) for _ in range(open_files)]
    pooler.signal(signal.SIGCONT)
    wait_until(lambda: highest() >= open_files - reserve - 1, "the scrapers to have all that is for them")
    for _ in range(20):
        assert client.value("select 1") == "1"
        # The workers and the HTTP server each look now and then whether there is one more, by taking it for a moment.
        assert highest() < open_files - reserve // 2
    assert get(pooler, "/healthz")[0] == 200
    for s in flood + held:
        s.close()
    wait_until(lambda: value(pooler, "process_open_fds") < open_files / 2, "all that were closed to be gone")
    assert pooler.connect().value("select 2") == "2"


def test_scrapers_wait_while_there_is_no_descriptor(make_pooler):
    """libevent tried again at once and for ever, with a line on stderr each time, until somebody noticed."""
    pooler = make_pooler(start=False, metrics_listen=f"127.0.0.1:{free_port()}")
    port = pooler.metrics_port = int(pooler.settings["metrics_listen"].split(":")[1])
    pooler.open_files = 300
    pooler.start()
    wait_until(lambda: listening(port), "the HTTP port to be open")

    def numbers():
        return {int(name) for name in os.listdir(f"/proc/{pooler.pid}/fd")}

    def limit(number):
        # a program, because the owner of the process may do this, and root not everywhere
        assert start(["prlimit", f"--pid={pooler.pid}", f"--nofile={number}:"]).wait(DEADLINE) == 0

    client = pooler.connect()
    client.value("select 1")
    before = len(numbers())
    assert get(pooler, "/healthz")[0] == 200  # what the first answer opens for good is open
    wait_until(lambda: len(numbers()) <= before + 1, "its connection to be closed")
    limit(min(set(range(300)) - numbers()))
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as waiting:
        waiting.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        for _ in range(200):
            assert client.value("select 1") == "1"
        limit(300)
        assert waiting.recv(100).startswith(b"HTTP/1.1 200")
    assert "accept" not in pooler.log()


def test_a_reader_that_never_reads(monitored):
    pooler = monitored()
    before = pooler.memory()
    readers = []
    for _ in range(100):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        s.connect(("127.0.0.1", pooler.metrics_port))
        s.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        readers.append(s)
    assert get(pooler, "/healthz")[0] == 200
    assert pooler.memory() - before < 20_000_000
    for s in readers:
        s.close()


@pytest.mark.parametrize("text, expected", [("9127", "has no port"), ("127.0.0.1:", "is not a port"), ("127.0.0.1:70000", "is not a port"), ("::1:80", "in brackets"), (":80", "has no address")])
def test_a_wrong_address_is_refused(make_pooler, text, expected):
    pooler = make_pooler(metrics_listen=text, start=False)
    pooler.launch()
    assert pooler.wait() == 1
    assert expected in pooler.log() and "metrics_listen" in pooler.log()


def test_an_address_in_use_is_refused(make_pooler):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        pooler = make_pooler(metrics_listen=f"127.0.0.1:{s.getsockname()[1]}", start=False)
        pooler.launch()
        assert pooler.wait() == 1
        assert "metrics_listen: cannot listen" in pooler.log()


def test_metrics_listen_follows_a_reload(monitored):
    """A scrape under way is not cut; an address that can't be had changes nothing."""
    pooler = monitored(admin_users="app")
    old, new = pooler.metrics_port, free_port()
    with socket.create_connection(("127.0.0.1", old), DEADLINE) as s:
        s.settimeout(DEADLINE)
        s.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n")
        # The server has it: it was accepted before a later one that was answered.
        assert get(pooler, "/healthz")[0] == 200
        pooler.reload(metrics_listen=f"127.0.0.1:{new}")
        wait_until(lambda: listening(new) and not listening(old), "the port to change")
        s.sendall(b"\r\n")
        answer = b""
        while chunk := s.recv(65536):
            answer += chunk
        assert answer.startswith(b"HTTP/1.1 200") and b"sluice_info" in answer
    pooler.metrics_port = new
    # From one address of the port to all of them.
    pooler.reload(metrics_listen=f"*:{new}")
    pooler.wait_log(rf"metrics on http://\*:{new}/")
    wait_until(lambda: get(pooler, "/healthz")[0] == 200, "an answer there")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        pooler.reload(metrics_listen=f"127.0.0.1:{taken.getsockname()[1]}")
        pooler.wait_log("metrics_listen: cannot listen on .*RELOAD failed".replace(".*RELOAD", "[^\\n]*\\n[^\\n]*RELOAD"))
        assert get(pooler, "/metrics")[0] == 200
        admin = pooler.connect(database="pgbouncer")
        error = admin.query(f"SET metrics_listen = '127.0.0.1:{taken.getsockname()[1]}'").error
        assert error.message == "SET failed" and "cannot listen" in error.fields["D"]
    pooler.reload(metrics_listen=None)
    wait_until(lambda: not listening(new), "the port to be closed")
    # Again, by the console; and RESET goes back to the file, which says nothing.
    assert admin.query(f"SET metrics_listen = '127.0.0.1:{old}'").check()
    pooler.metrics_port = old
    wait_until(lambda: listening(old), "the port to be open")
    assert get(pooler, "/readyz")[0] == 200
    admin.query("RESET metrics_listen").check()
    wait_until(lambda: not listening(old), "the port to be closed")
    assert admin.query("SET metrics_listen = 'nonsense'").error.message == "SET failed"


# Prometheus itself scrapes, with the files that are shipped, and its rules load and are evaluated.
def test_prometheus_scrapes_and_evaluates_the_rules(monitored, run_folder):
    root = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
    rules = f"{root}/Config/prometheus/sluice-rules.yml"
    check = subprocess.run([promtool(), "check", "rules", rules], capture_output=True, text=True)
    assert check.returncode == 0, check.stdout + check.stderr
    with open(f"{root}/Config/prometheus/prometheus.yml") as f:
        configuration = f.read()
    pooler = monitored()
    pooler.connect().rows("select 1")
    folder, port = run_folder.folder("prometheus"), free_port()
    assert "127.0.0.1:9127" in configuration and "scrape_interval: 15s" in configuration
    configuration = configuration.replace("127.0.0.1:9127", f"127.0.0.1:{pooler.metrics_port}").replace("15s", "1s").replace("sluice-rules.yml", rules)
    with open(f"{folder}/prometheus.yml", "w") as f:
        f.write(configuration)
    check = subprocess.run([promtool(), "check", "config", f"{folder}/prometheus.yml"], capture_output=True, text=True)
    assert check.returncode == 0, check.stdout + check.stderr
    give(f"{folder}/prometheus.yml")
    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}"]
    with open(f"{folder}/log", "w") as log:
        process = start(command, stdout=log, stderr=log)

    def ask(path):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{port}{path}", timeout=DEADLINE) as answer:
            return json.load(answer)["data"]

    # It listens before it can answer: until its storage is open, every question gets 503.
    def ready():
        try:
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://127.0.0.1:{port}/-/ready", timeout=DEADLINE).close()
            return True
        except OSError:
            assert process.poll() is None, open(f"{folder}/log").read()
            return False

    try:
        wait_until(ready, "Prometheus to be ready")
        wait_until(lambda: ask("/api/v1/query?query=up")["result"] and ask("/api/v1/query?query=up")["result"][0]["value"][1] == "1", lambda: f"a good scrape: {ask('/api/v1/targets')}")
        found = ask("/api/v1/query?query=sum(sluice_queries_total)")["result"]
        assert float(found[0]["value"][1]) >= 1

        def evaluated():
            groups = ask("/api/v1/rules")["groups"]
            return groups and all(rule["health"] == "ok" for group in groups for rule in group["rules"])

        wait_until(evaluated, lambda: f"the rules to be evaluated: {ask('/api/v1/rules')}")
    finally:
        process.terminate()
        process.wait(DEADLINE)


def test_alerts_fire_when_they_should():
    root = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
    check = subprocess.run([promtool(), "test", "rules", "sluice-rules.test.yml"], cwd=f"{root}/Config/prometheus", capture_output=True, text=True)
    assert check.returncode == 0, check.stdout + check.stderr


@pytest.mark.parametrize("workers", [1, 3])
def test_json_log_has_one_object_a_line(make_pooler, workers):
    pooler = make_pooler(log_format="json", workers=workers)
    pooler.connect().close()
    with pytest.raises(wire.ServerError):
        pooler.connect(user='no"body\\', password="x")
    with pytest.raises(wire.ServerError):
        pooler.connect(database="nosuch\nline")
    odd = pooler.raw()
    odd.send(b"\x00\x00\x00\x99" + os.urandom(300))
    odd.close()
    wait_until(lambda: pooler.log().count('"event":"close"') >= 4, pooler.log)
    lines = [json.loads(line) for line in open(pooler.log_path)]
    assert all({"time", "level", "pid", "message"} <= line.keys() for line in lines)
    closes = [line for line in lines if line.get("event") == "close"]
    assert all(line["reason"] and line["side"] in ("client", "server") and line["age_seconds"] >= 0 for line in closes)
    assert any(line["user"] == "app" and line["database"] == "lab" and line["reason"] == "client unexpected eof" for line in closes)


def test_log_format_changes_at_a_reload(make_pooler):
    pooler = make_pooler()
    pooler.reload(log_format="json")
    wait_until(lambda: pooler.connect().close() or '"message":' in pooler.log(), pooler.log)
    pooler.reload(log_format="text")
    before = len(pooler.log())
    pooler.connect().close()
    wait_until(lambda: "closing because: client unexpected eof" in pooler.log()[before:], pooler.log)
