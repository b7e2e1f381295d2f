"""WHY: which limit binds, who holds the servers, what would help; and the same words in the NOTICE and the error of those who wait."""
import pytest

import wire
from processes import wait_until
from test_console import console, one, table

pytestmark = pytest.mark.sluice_only("PgBouncer has no WHY")


def items(client, command):
    return {r["item"]: r["value"] for r in table(client, command) if r["item"] != "holder"}


@pytest.mark.parametrize("workers", [1, 4])
def test_why_names_the_holder_and_the_limit(make_pooler, workers):
    pooler = make_pooler(workers=workers, admin_users="app", default_pool_size=1, query_wait_notify=1)
    admin, holder = console(pooler), pooler.connect(parameters={"application_name": "hoarder"})
    for _ in range(12):
        holder.rows("select 1")
    holder.rows("begin")
    holder.extended("select $1::int + 41", ["1"], name="stmt")
    waiters = [pooler.connect(parameters={"application_name": f"w{i}"}) for i in range(3)]
    for i, waiter in enumerate(waiters):
        waiter.send(wire.query(f"select {i}"))
        wait_until(lambda: one(admin, "SHOW POOLS WHERE database = lab")["cl_waiting"] == str(i + 1), "the client to wait")
    pool = items(admin, "WHY POOL lab app")
    assert pool["limit"] == "pool_size" and pool["waiting"] == "3" and "The one server of pool lab/app is taken" in pool["reason"]
    assert "hoarder" in pool["advice"] and "idle_transaction_timeout" in pool["advice"]
    row = one(admin, "WHY POOL lab app WHERE item = holder")
    me = one(admin, "SHOW CLIENTS WHERE application_name = hoarder")
    assert (row["client"], row["application_name"], row["state"], row["statement"]) == (me["id"], "hoarder", "idle in transaction", "select $1::int + 41")
    assert int(row["age_us"]) > 0 and int(row["transaction_us"]) > 0
    for i in range(3):
        client = one(admin, f"SHOW CLIENTS WHERE application_name = w{i}")
        why = items(admin, f"WHY CLIENT {client['id']}")
        assert why["place"] == f"{i + 1} of 3" and why["limit"] == "pool_size" and "expected_wait" in why
    assert "does not wait" in items(admin, f"WHY CLIENT {me['id']}")["reason"]
    # the NOTICE says the same, without the statement
    notice = waiters[1].read_until("N")[-1][1]
    assert notice["M"] == "No server connection available in postgres backend, client being queued"
    assert "The one server of pool lab/app is taken (pool_size)" in notice["D"] and "idle_transaction_timeout" in notice["H"]
    assert "41" not in notice["D"] + notice["H"]
    holder.rows("commit")
    for i, waiter in enumerate(waiters):
        assert waiter.read_until("Z").values == [str(i)]


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("limit", ["max_db_connections", "max_user_connections"])
def test_why_names_holders_in_other_pools(make_pooler, workers, limit):
    """The limit of a database or a user may be used up by another pool; WHY said so, and nobody was named."""
    pooler = make_pooler(workers=workers, admin_users="app", query_wait_notify=1, **{limit: 1})
    by_user = limit == "max_user_connections"
    waiter = pooler.connect()
    waiter.rows("select 0")
    holder = pooler.connect(parameters={"application_name": "hoarder"}, **({"database": "lab2"} if by_user else {"user": "app2"}))
    holder.rows("begin")
    holder.rows("select 'mine'")
    waiter.send(wire.query("select 1"))
    admin = console(pooler)
    wait_until(lambda: one(admin, "SHOW POOLS WHERE database = lab AND user = app")["cl_waiting"] == "1", "the client to wait")
    why = items(admin, "WHY POOL lab app")
    assert why["limit"] == limit and "in other pools 1 is idle in a transaction" in why["reason"] and "hoarder" in why["advice"]
    row = one(admin, "WHY POOL lab app WHERE item = holder")
    assert (row["database"], row["user"]) == (("lab2", "app") if by_user else ("lab", "app2"))
    assert (row["application_name"], row["state"], row["statement"]) == ("hoarder", "idle in transaction", "select 'mine'")
    notice = waiter.read_until("N")[-1][1]
    assert "in other pools 1 is idle in a transaction" in notice["D"] and "hoarder" in notice["H"]
    holder.rows("commit")
    assert waiter.read_until("Z").values == ["1"]


def test_statements_are_for_admins_only(make_pooler):
    """As in pg_stat_activity: what others ask may hold what nobody else may see."""
    pooler = make_pooler(admin_users="app", stats_users="app2", default_pool_size=1)
    holder = pooler.connect()
    holder.rows("begin")
    holder.rows("select 'secret'")
    waiter = pooler.connect()
    waiter.send(wire.query("select 1"))
    admin, looker = console(pooler), console(pooler, user="app2")
    wait_until(lambda: one(admin, "SHOW POOLS WHERE database = lab")["cl_waiting"] == "1", "the client to wait")
    me = one(admin, "SHOW SERVERS WHERE database = lab")["link"]
    for command in ("WHY POOL lab app", f"WHY CLIENT {me}"):
        assert one(admin, f"{command} WHERE item = holder")["statement"] == "select 'secret'"
        assert one(looker, f"{command} WHERE item = holder")["statement"] == "<insufficient privilege>"
        assert table(looker, f"{command} WHERE statement = \"select 'secret'\"") == []
        assert table(looker, f"{command} ORDER BY statement")
    holder.rows("commit")
    waiter.read_until("Z")


def test_no_wait_is_foretold_in_session_mode(make_pooler):
    pooler = make_pooler(admin_users="app", pool_mode="session", default_pool_size=1)
    holder, waiter, admin = pooler.connect(), pooler.connect(), console(pooler)
    holder.rows("select 1")
    waiter.send(wire.query("select 2"))
    wait_until(lambda: one(admin, "SHOW POOLS WHERE database = lab")["cl_waiting"] == "1", "the client to wait")
    why = items(admin, "WHY POOL lab app")
    assert why["expected_wait"] == "not known: in session mode a client keeps its server until it leaves"
    assert "is idle in a session" in why["reason"]
    holder.close()
    assert waiter.read_until("Z").values == ["2"]


@pytest.mark.parametrize("workers", [1, 2])
def test_query_wait_timeout_says_why(make_pooler, workers):
    pooler = make_pooler(workers=workers, admin_users="app", default_pool_size=5, max_db_connections=1, query_wait_timeout=1, query_wait_notify=0)
    holder, waiter = pooler.connect(), pooler.connect()
    holder.rows("begin")
    waiter.send(wire.query("select 1"))
    error = waiter.read_to_end().error
    assert (error.severity, error.code, error.message) == ("FATAL", "08P01", "query_wait_timeout")
    assert "max_db_connections" in error.fields["D"] and "1 is idle in a transaction" in error.fields["D"] and "H" in error.fields


def test_why_of_a_paused_pool_and_a_dead_server(make_pooler, own_postgres):
    pooler = make_pooler(postgres=own_postgres, admin_users="app", workers=2, server_login_retry=1)
    admin, client = console(pooler), pooler.connect()
    client.rows("select 1")
    admin.query("PAUSE lab").check()
    client.send(wire.query("select 2"))
    wait_until(lambda: one(admin, "SHOW POOLS WHERE database = lab")["cl_waiting"] == "1", "the client to wait")
    assert items(admin, "WHY POOL lab app")["limit"] == "PAUSE" and "RESUME lab" in items(admin, "WHY POOL lab app")["advice"]
    admin.query("RESUME lab").check()
    assert client.read_until("Z").values == ["2"]
