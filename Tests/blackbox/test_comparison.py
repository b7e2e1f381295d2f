"""What README's table says of Sluice and of PgBouncer: each row is a test that expects the one or the other.

    pytest Tests/blackbox/test_comparison.py                                                 Sluice's column
    pytest Tests/blackbox/test_comparison.py --pooler PATH/pgbouncer --pooler-kind pgbouncer PgBouncer's
"""
import os
import re
import urllib.request

import wire
from processes import free_port, listening, unread, wait_until
from wire import Closed, Hang, ServerError, bind, execute, parse, query, sync

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


def row(name):
    """The test is that of this row of README's table."""
    with open(f"{ROOT}/README.md") as f:
        assert re.search(rf"(?m)^\| {re.escape(name)}", f.read()), f"README's table has no row {name!r}"


def test_startup_options_follow_the_client(make_pooler, kind):
    row("`options=-c search_path=...`")
    pooler = make_pooler(default_pool_size=1)
    try:
        c, other = pooler.connect(parameters={"options": "-c search_path=mine -c statement_timeout=7s"}), pooler.connect()
        values = []
        for _ in range(2):
            values.append((other.value("show statement_timeout"), c.value("show search_path"), c.value("show statement_timeout")))
        works = values == [("0", "mine", "7s")] * 2
    except ServerError:
        works = False
    assert works == kind.is_sluice


def test_deallocate_as_text(make_pooler, kind):
    row("`DEALLOCATE` as text")
    pooler = make_pooler(default_pool_size=1)
    c = pooler.connect()
    c.run(parse("s1", "select 'old'"), sync()).check()
    answer = c.query("DEALLOCATE s1")
    works = answer.tags == ["DEALLOCATE"]
    if works:
        works = c.run(parse("s1", "select 'new'"), bind("s1"), execute(), sync()).check().values == ["new"]
    assert works == kind.is_sluice


def test_half_a_message_keeps_no_server(make_pooler, kind):
    row("half a message of a frozen client")
    pooler = make_pooler(default_pool_size=1, query_wait_timeout=2)
    frozen, other = pooler.connect(), pooler.connect()
    frozen.send(query("select 1")[:7])
    wait_until(lambda: unread(pooler.port, frozen.socket.getsockname()[1]) == 0, "the pooler to have read it")
    try:
        works = other.value("select 2") == "2"
    except (ServerError, Closed, Hang):
        works = False
    assert works == kind.is_sluice


def test_a_client_that_leaves_inside_a_transaction(make_pooler, kind):
    row("a client that vanishes in a transaction")
    pooler = make_pooler(default_pool_size=1)
    c, other = pooler.connect(), pooler.connect()
    before = other.pid()
    c.rows("begin; select 1")
    c.close()
    assert (other.pid() == before) == kind.is_sluice


def test_a_statement_name_that_is_taken(make_pooler, kind):
    row("a prepared statement's name that is taken")
    pooler = make_pooler(default_pool_size=1)
    c = pooler.connect()
    c.run(parse("s1", "select 1"), sync()).check()
    try:
        works = c.run(parse("s1", "select 2"), sync()).codes == ["42P05"] and c.value("select 3") == "3"
    except (Closed, ServerError):
        works = False
    assert works == kind.is_sluice


def test_a_broken_file_at_a_reload(make_pooler, kind):
    row("a broken file at a reload")
    pooler = make_pooler(admin_users="app", query_timeout=77)
    with open(pooler.ini_path) as f:
        text = f.read()
    with open(pooler.ini_path, "w") as f:
        f.write(text.replace("query_timeout = 77", "query_timeout = 78") + "pool_modus = fast\n")
    admin = pooler.connect(database="pgbouncer")
    admin.query("reload")
    value = {r[0]: r[1] for r in admin.rows("show config")}["query_timeout"]
    assert (float(value) == 77) == kind.is_sluice


def test_threads(make_pooler, kind):
    row("cores used by one process")
    pooler = make_pooler(**({"workers": 3} if kind.is_sluice else {}))
    with pooler.connect() as c:
        c.value("select 1")
    names = []
    for task in os.listdir(f"/proc/{pooler.pid}/task"):
        with open(f"/proc/{pooler.pid}/task/{task}/comm") as f:
            names.append(f.read().strip())
    assert (len([n for n in names if "worker" in n]) == 3) == kind.is_sluice, names


def test_protocol_32(make_pooler, kind):
    row("protocol 3.2")
    pooler = make_pooler()
    c = pooler.connect(protocol=wire.PROTOCOL_3_2)
    assert c.value("select 1") == "1"
    assert (len(c.key[1] if isinstance(c.key[1], bytes) else b"") > 4) == kind.is_sluice


def test_why_clients_wait(make_pooler, kind):
    row("says why a client waits")
    pooler = make_pooler(default_pool_size=1, admin_users="app")
    holder, waiter, admin = pooler.connect(), pooler.connect(), pooler.connect(database="pgbouncer")
    holder.rows("begin")
    waiter.send(query("select 1"))
    wait_until(lambda: [r[3] for r in admin.rows("show pools") if r[0] == "lab"] == ["1"], "a client that waits")
    answer = admin.query("WHY POOL lab app")
    works = not answer.errors and any("idles in a transaction" in (v or "") for r in answer.rows for v in r)
    holder.rows("commit")
    waiter.read_until("Z")
    assert works == kind.is_sluice


def test_a_page_and_metrics(make_pooler, kind):
    row("a page and Prometheus' metrics")
    port = free_port()
    pooler = make_pooler(start=False, metrics_listen=f"127.0.0.1:{port}")
    if kind.is_sluice:
        pooler.start()
        wait_until(lambda: listening(port), "the HTTP port to be open")
        for path, text in (("/", b"<title>"), ("/metrics", b"sluice_")):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
                assert text in answer.read()
    else:
        pooler.launch()
        assert pooler.wait() != 0
        pooler.ended_on_purpose = True
