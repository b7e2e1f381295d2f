"""Prepared statements in transaction mode: every statement is its client's own, on whichever server it runs.

The tests that use only `target` also pass on a bare PostgreSQL: what they expect is PostgreSQL's own behaviour.
"""
import random

import pytest

import wire
from wire import ask, bind, close, describe, execute, flush, parse, query, sync

pytestmark = pytest.mark.since("1.21")


@pytest.fixture
def one_server(make_pooler):
    """Everybody shares one backend, so that whatever leaks is seen at once."""
    return make_pooler(default_pool_size=1)


@pytest.fixture
def table(target):
    with target.connect() as c:
        c.rows("drop table if exists prepared_here; create table prepared_here(i int); insert into prepared_here values (1)")
    yield "prepared_here"
    with target.connect() as c:
        c.rows("drop table if exists prepared_here")


def use(client, name, *values):
    return client.run(bind(name, values), execute(), sync())


# --- the unnamed statement ---------------------------------------------------------------------------------------

unnamed = pytest.mark.sluice_only("PgBouncer runs another client's unnamed statement")


@unnamed
def test_the_unnamed_statement_across_a_sync_is_never_another_clients(one_server):
    # lib/pq, pg8000, sqlx and pgx: Parse Describe Sync, then Bind Execute Sync. Behind PgBouncer 1372 of 1500
    # queries of lib/pq returned another client's rows without any error.
    a, b = one_server.connect(), one_server.connect()
    for i in range(20):
        assert a.run(parse("", f"select 'a{i}'"), describe(), sync()).kinds == "1tTZ"
        assert b.run(parse("", f"select 'b{i}'"), describe(), sync()).kinds == "1tTZ"
        assert use(a, "").values == [f"a{i}"]
        assert use(b, "").values == [f"b{i}"]
        assert use(a, "").values == [f"a{i}"]


@unnamed
def test_the_unnamed_statement_moves_to_another_server(target):
    c = target.connect()
    pid = c.pid()
    c.run(parse("", "select $1::int + 1, pg_backend_pid()"), sync()).check()
    target.hold(pid)
    r = use(c, "", 41)
    assert r.kinds == "2DCZ" and r.rows[0][0] == "42"
    assert target.direct or r.rows[0][1] != str(pid)


@unnamed
def test_describe_of_the_unnamed_statement_on_another_server(target):
    c = target.connect()
    pid = c.pid()
    c.run(parse("", "select 1 as only_mine"), sync()).check()
    target.hold(pid)
    assert c.run(describe(), sync()) == [("t", ()), ("T", ("only_mine",)), ("Z", "I")]


@unnamed
def test_the_unnamed_statement_keeps_its_parameter_types(target):
    c = target.connect()
    pid = c.pid()
    c.run(parse("", "select pg_typeof($1)", [23]), sync()).check()
    target.hold(pid)
    assert use(c, "", 1).values == ["integer"]


@unnamed
def test_pg8000_three_rounds_with_flush_before_each_sync(one_server):
    clients = [one_server.connect() for _ in range(5)]
    for turn in range(5):
        for i, c in enumerate(clients):
            assert c.run(parse("", f"select '{i}/{turn}/' || $1"), flush(), sync()).kinds == "1Z"
        for c in clients:
            assert c.run(describe(), flush(), sync()).kinds == "tTZ"
        for i, c in enumerate(clients):
            assert c.run(bind("", ["x"]), execute(), flush(), sync()).values == [f"{i}/{turn}/x"]


@unnamed
def test_unnamed_statements_of_many_clients_in_random_order(make_pooler):
    pooler = make_pooler(default_pool_size=3)
    clients = [pooler.connect() for _ in range(20)]
    order = random.Random(7)
    for turn in range(10):
        for i in order.sample(range(20), 20):
            assert clients[i].run(parse("", f"select {turn * 100 + i}"), sync()).kinds == "1Z"
        for i in order.sample(range(20), 20):
            assert use(clients[i], "").values == [str(turn * 100 + i)]


@unnamed
def test_the_unnamed_statement_survives_other_peoples_simple_queries(one_server):
    # a simple Query drops the unnamed statement of its server
    a, b = one_server.connect(), one_server.connect()
    a.run(parse("", "select 'still mine'"), sync()).check()
    b.value("select 1")
    b.query("discard all")
    assert use(a, "").values == ["still mine"]


@unnamed
def test_the_unnamed_statement_survives_other_peoples_failed_parse(one_server):
    a, b = one_server.connect(), one_server.connect()
    a.run(parse("", "select 'still mine'"), sync()).check()
    assert b.run(parse("", "selec"), sync()).codes == ["42601"]
    assert use(a, "").values == ["still mine"]


def test_a_failed_unnamed_parse_leaves_no_statement(target):
    c = target.connect()
    c.run(parse("", "select 'old'"), sync()).check()
    assert c.run(parse("", "selec"), sync()).codes == ["42601"]
    assert use(c, "").codes == ["26000"]
    assert c.value("select 1") == "1"


def test_an_unnamed_statement_that_was_closed_is_gone(target):
    c = target.connect()
    c.run(parse("", "select 1"), sync()).check()
    assert c.run(close(""), sync()).kinds == "3Z"
    assert use(c, "").codes == ["26000"]


def test_bind_of_a_never_parsed_unnamed_statement(target):
    others = target.connect()
    others.run(parse("", "select 'secret of another client'"), sync())
    r = use(target.connect(), "")
    assert r.codes == ["26000"] and not r.rows


# --- named statements on many servers ------------------------------------------------------------------------------


def test_a_named_statement_moves_to_another_server(target):
    c = target.connect()
    pid = c.pid()
    assert c.run(parse("s", "select $1::int + 1, pg_backend_pid()"), sync()).kinds == "1Z"
    target.hold(pid)
    r = use(c, "s", 41)
    assert r.kinds == "2DCZ" and r.rows[0][0] == "42"
    assert target.direct or r.rows[0][1] != str(pid)


def test_describe_alone_on_a_new_server(target):
    # Supavisor #1174: a standalone Describe met a server that had never seen the Parse.
    c = target.connect()
    pid = c.pid()
    c.run(parse("s", "select $1::int as n"), sync()).check()
    target.hold(pid)
    assert c.run(describe("s"), sync()) == [("t", (23,)), ("T", ("n",)), ("Z", "I")]
    assert c.run(describe("s"), flush(), bind("s", [1]), execute(), sync()).kinds == "tT2DCZ"


def test_parse_describe_flush_then_bind(target):
    c = target.connect()
    c.send(parse("__asyncpg_stmt_1__", "select $1::int as n"), describe("__asyncpg_stmt_1__"), flush())
    assert c.read_until("T").kinds == "1tT"
    assert use(c, "__asyncpg_stmt_1__", 3).values == ["3"]
    pid = c.pid()
    target.hold(pid)
    assert use(c, "__asyncpg_stmt_1__", 4).values == ["4"]


def test_same_names_with_different_texts_on_20_clients(make_pooler):
    # cold starts all begin at s0
    pooler = make_pooler(default_pool_size=3)
    clients = [pooler.connect() for _ in range(20)]
    for i, c in enumerate(clients):
        for s in range(3):
            assert c.run(parse(f"s{s}", f"select '{i}-{s}-' || $1"), sync()).kinds == "1Z"
    order = random.Random(3)
    for turn in range(10):
        for i in order.sample(range(20), 20):
            s = order.randrange(3)
            assert use(clients[i], f"s{s}", turn).values == [f"{i}-{s}-{turn}"]


def test_same_text_under_different_names_and_types(one_server):
    a, b = one_server.connect(), one_server.connect()
    for c, kind_of, name in ((a, 23, "integer"), (b, 25, "text")):
        c.run(parse("x", "select pg_typeof($1)", [kind_of]), parse("y", "select pg_typeof($1)", [1700]), sync()).check()
        assert use(c, "x", 1).values == [name]
    for c, name in ((a, "integer"), (b, "text")):
        assert use(c, "x", 1).values == [name] and use(c, "y", 1).values == ["numeric"]


def test_a_second_client_prepares_the_same_text(one_server):
    for turn in range(3):
        c = one_server.connect()
        r = c.run(parse("p", "select 'shared' as col"), describe("p"), bind("p"), execute(), sync())
        assert r.kinds == "1tT2DCZ" and r.values == ["shared"]


@pytest.mark.parametrize("name", ["s", "x" * 63, "y" * 500, "with space", 'quo"te', "ünï", "PGBOUNCER_1", "sluice_1", "s;drop", "%s%n"])
def test_any_name(target, name):
    c = target.connect()
    pid = c.pid()
    assert c.run(parse(name, "select 'named'"), sync()).kinds == "1Z"
    target.hold(pid)
    assert use(c, name).values == ["named"]
    assert c.run(close(name), sync()).kinds == "3Z"
    assert use(c, name).codes == ["26000"]


def test_a_thousand_statements_of_one_client(target):
    c = target.connect()
    r = c.run(*[parse(f"s{i}", f"select {i}") for i in range(1000)], sync())
    assert r.kinds == "1" * 1000 + "Z"
    r = c.run(*[bind(f"s{i}") + execute() for i in reversed(range(1000))], sync())
    assert r.values == [str(i) for i in reversed(range(1000))]


def test_prepared_inside_a_rolled_back_transaction_it_stays(target):
    c = target.connect()
    c.rows("begin")
    c.run(parse("s", "select 'kept'"), sync()).check()
    c.rows("rollback")
    assert use(c, "s").values == ["kept"]


def test_bind_many_times_in_one_batch(target):
    c = target.connect()
    c.run(parse("s", "select $1::int"), sync()).check()
    r = c.run(*[bind("s", [i]) + execute() for i in range(200)], sync())
    assert r.values == [str(i) for i in range(200)] and r.kinds == "2DC" * 200 + "Z"


# --- order and bursts ------------------------------------------------------------------------------------------------


def test_begin_inside_an_extended_batch(target):
    c = target.connect()
    c.run(parse("b", "begin"), parse("s", "select $1::int"), parse("c", "commit"), sync()).check()
    pid = c.pid()
    target.hold(pid)
    r = c.run(bind("b"), execute(), bind("s", [1]), execute(), sync())
    assert r.tags == ["BEGIN", "SELECT 1"] and r.status == "T"
    r = c.run(bind("s", [2]), execute(), bind("c"), execute(), sync())
    assert r.tags == ["SELECT 1", "COMMIT"] and r.status == "I"


def test_named_savepoints_rollback_and_commit(table, target):
    # postgres.js prepares transaction control too; a 26000 for "commit" made it lose data silently (PR #1212)
    c = target.connect()
    c.run(parse("sp", "savepoint a"), parse("rb", "rollback to a"), parse("co", "commit"), sync()).check()
    for _ in range(3):
        target.hold(c.pid())
        c.rows("begin")
        assert use(c, "sp").tags == ["SAVEPOINT"]
        assert c.query("select 1/0").codes == ["22012"]
        assert use(c, "rb").tags == ["ROLLBACK"]
        c.rows(f"insert into {table} values (7)")
        assert use(c, "co").tags == ["COMMIT"]
    assert c.value(f"select count(*) from {table} where i = 7") == "3"


def test_a_named_rollback_in_a_failed_transaction_on_a_server_that_lacks_it(target):
    c = target.connect()
    c.run(parse("rb", "rollback"), sync()).check()
    target.hold(c.pid())
    c.query("begin; select 1/0")
    assert use(c, "rb").tags == ["ROLLBACK"]
    assert c.value("select 1") == "1"


def test_query_and_parse_to_sync_in_one_packet(target):
    c = target.connect()
    c.run(parse("s", "select 's'"), sync()).check()
    for _ in range(3):
        target.hold(c.pid())
        r = c.run(query("select 'q'"), parse("", "select 'u'"), bind(), execute(), sync(), bind("s"), execute(), sync(), ready=3)
        assert r.values == ["q", "u", "s"] and r.kinds == "TDCZ12DCZ2DCZ"


def test_close_sync_query_in_one_packet(target):
    # tokio-postgres batches Close Sync with the next BEGIN
    c = target.connect()
    c.run(parse("s0", "select 1"), sync()).check()
    r = c.run(close("s0"), sync(), query("begin"), ready=2)
    assert r.kinds == "3ZCZ" and r.status == "T"
    r = c.run(parse("s0", "select 2"), sync(), bind("s0"), execute(), sync(), query("commit"), ready=3)
    assert r.values == ["2"] and r.status == "I"


@pytest.mark.since("1.26")
def test_parse_and_close_mixed_without_sync_answer_in_order(target):
    c = target.connect()
    c.run(parse("old", "select 'old'"), sync()).check()
    c.send(parse("a", "select 'x'"), close("old"), parse("b", "select 'x'"), close("nothing"), close("a"), parse("a", "select 'y'"), flush())
    seen = wire.Reply(c.read() for _ in range(6))
    assert seen.kinds == "131331"
    r = c.run(bind("b"), execute(), bind("a"), execute(), close("b"), sync())
    assert r.kinds == "2DC2DC3Z" and r.values == ["x", "y"]


def test_parse_known_to_the_server_is_answered_in_its_place(one_server):
    a, b = one_server.connect(), one_server.connect()
    a.run(parse("s", "select 'known'"), sync()).check()
    r = b.run(ask("select 1"), parse("t", "select 'known'"), ask("select 2"), bind("t"), execute(), sync(), query("select 3"), ready=2)
    assert r.kinds == "12DC112DC2DCZTDCZ" and r.values == ["1", "2", "known", "3"]


@pytest.mark.parametrize("name", ["k", ""])
@pytest.mark.parametrize("portal", ["", "p"])
def test_a_portal_is_executed_behind_a_parse_known_to_the_server(one_server, portal, name):
    # the pooler's own answer to the Parse and the portal of before it in one batch
    a, b = one_server.connect(), one_server.connect()
    a.run(parse("k", "select 7"), bind("k"), execute(), sync()).check()
    for _ in range(3):
        r = b.run(parse("five", "select 5"), bind("five", portal=portal), parse(name, "select 7"), describe(portal, "P"), execute(portal), close("five"), close(name), sync())
        assert r.kinds == "121TDC33Z" and r.values == ["5"] and r.tags == ["SELECT 1"]
        r = b.run(parse("", "select 5"), bind("", portal=portal), parse("k", "select 7"), execute(portal), bind("k"), execute(), close("k"), sync())
        assert r.kinds == "121DC2DC3Z" and r.values == ["5", "7"]
    assert use(a, "k").values == ["7"]


def test_close_of_an_unknown_statement_succeeds(target):
    c = target.connect()
    assert c.run(close("never"), sync()).kinds == "3Z"
    c.send(close("never"), flush())
    assert c.read() == ("3",)
    assert c.run(sync()).kinds == "Z"


def test_a_name_is_free_again_after_close_in_the_same_burst(target):
    c = target.connect()
    c.run(parse("s", "select 'first'"), sync()).check()
    r = c.run(bind("s"), execute(), close("s"), parse("s", "select 'second'"), bind("s"), execute(), sync())
    assert r.kinds == "2DC312DCZ" and r.values == ["first", "second"]


# --- errors --------------------------------------------------------------------------------------------------------

postgresql_errors = pytest.mark.sluice_only("PgBouncer ends the connection")


@postgresql_errors
def test_a_duplicate_name_is_42p05_and_the_connection_lives(target):
    c = target.connect()
    c.run(parse("s", "select 'first'"), sync()).check()
    r = c.run(parse("s", "select 'second'"), bind("s"), execute(), sync())
    assert r.codes == ["42P05"] and r.kinds == "EZ" and r.error.severity == "ERROR"
    assert r.error.message == 'prepared statement "s" already exists'
    assert use(c, "s").values == ["first"]


@postgresql_errors
def test_a_duplicate_name_with_the_same_text_is_a_duplicate_too(target):
    c = target.connect()
    c.run(parse("s", "select 1"), sync()).check()
    assert c.run(parse("s", "select 1"), sync()).codes == ["42P05"]
    assert c.run(parse("t", "select 1"), parse("t", "select 1"), sync()).kinds == "1EZ"


@postgresql_errors
def test_a_duplicate_name_in_a_transaction_aborts_it(target):
    c = target.connect()
    c.run(parse("s", "select 1"), sync()).check()
    c.rows("begin")
    r = c.run(parse("s", "select 2"), sync())
    assert r.codes == ["42P05"] and r.status == "E"
    assert c.query("select 1").codes == ["25P02"]
    assert c.query("commit").tags == ["ROLLBACK"]
    assert use(c, "s").values == ["1"]


@postgresql_errors
@pytest.mark.parametrize("message", [bind("nope") + execute(), describe("nope")], ids=["Bind", "Describe"])
def test_an_unknown_name_is_26000_and_the_connection_lives(target, message):
    c = target.connect()
    r = c.run(message, ask("select 'skipped'"), sync(), query("select 'after'"), ready=2)
    assert r.codes == ["26000"] and r.kinds == "EZTDCZ" and r.values == ["after"]
    assert r.error.message == 'prepared statement "nope" does not exist' and r.error.severity == "ERROR"


@postgresql_errors
def test_an_unknown_name_in_a_transaction_aborts_it(target):
    c = target.connect()
    c.rows("begin")
    r = c.run(bind("nope"), execute(), sync())
    assert r.codes == ["26000"] and r.status == "E"
    assert c.query("commit").tags == ["ROLLBACK"]


@postgresql_errors
def test_an_unknown_name_midway_through_a_pipeline(target):
    c = target.connect()
    r = c.run(ask("select 1"), bind("nope"), execute(), ask("select 2"), sync(), ask("select 3"), sync(), ready=2)
    assert r.kinds == "12DCEZ12DCZ" and r.values == ["1", "3"]


@postgresql_errors
def test_26000_undoes_the_implicit_transaction_of_its_pipeline(table, target):
    c = target.connect()
    r = c.run(ask(f"insert into {table} values (5)"), bind("nope"), execute(), sync())
    assert r.codes == ["26000"]
    assert c.value(f"select count(*) from {table} where i = 5") == "0"


@postgresql_errors
def test_an_unknown_name_followed_by_flush_is_answered_at_once(target):
    c = target.connect()
    c.send(bind("nope"), flush())
    assert c.read_until("E").codes == ["26000"]
    assert c.run(sync()).kinds == "Z"


@postgresql_errors
def test_a_failed_parse_is_not_remembered(target):
    # Supavisor #1175 and PgBouncer: after a failed Parse the name was taken for ever.
    c = target.connect()
    assert c.run(parse("s", "selec"), describe("s"), sync()).codes == ["42601"]
    assert use(c, "s").codes == ["26000"]
    assert c.run(parse("s", "select 'now'"), sync()).kinds == "1Z"
    assert use(c, "s").values == ["now"]


@postgresql_errors
def test_a_parse_behind_an_error_is_not_remembered(target):
    c = target.connect()
    assert c.run(ask("select 1/0"), parse("s", "select 's'"), sync()).kinds == "1EZ"
    assert use(c, "s").codes == ["26000"]
    assert c.run(parse("s", "select 't'"), bind("s"), execute(), sync()).values == ["t"]


@postgresql_errors
def test_a_parse_in_a_failed_transaction_is_not_remembered(target):
    c = target.connect()
    c.query("begin; select 1/0")
    assert c.run(parse("s", "select 1"), sync()).codes == ["25P02"]
    c.rows("rollback")
    assert use(c, "s").codes == ["26000"]


@postgresql_errors
def test_a_close_behind_an_error_did_not_happen(target):
    c = target.connect()
    c.run(parse("s", "select 'alive'"), sync()).check()
    assert c.run(ask("select 1/0"), close("s"), sync()).kinds == "1EZ"
    assert use(c, "s").values == ["alive"]
    assert c.run(parse("s", "select 2"), sync()).codes == ["42P05"]


def test_an_error_in_bind_or_execute_keeps_the_statement(target):
    # node-postgres: an error in a named statement, then the same name again without Parse
    c = target.connect()
    assert c.run(parse("s", "select 1 / $1::int"), bind("s", [0]), execute(), sync()).codes == ["22012"]
    assert use(c, "s", 1).values == ["1"]
    assert use(c, "s", "pear").codes == ["22P02"]
    assert use(c, "s").codes == ["08P01"], "a parameter is missing"
    target.hold(c.pid())
    assert use(c, "s", 1).values == ["1"]


def test_a_statement_whose_table_is_gone_on_the_next_server(table, target):
    # the Parse that the pooler puts ahead fails: that is the answer to the client's Bind, and nothing is out of step
    c = target.connect()
    c.run(parse("s", f"select i from {table}"), sync()).check()
    pid = c.pid()
    c.rows(f"drop table {table}")
    target.hold(pid)
    r = use(c, "s")
    assert r.codes == ["42P01"] and r.kinds == "EZ"
    assert c.value("select 'in step'") == "in step"
    c.rows(f"create table {table}(i int); insert into {table} values (9)")
    assert use(c, "s").values == ["9"]


def test_ten_thousand_errors_leave_everything_in_step(target):
    c = target.connect()
    c.run(parse("s", "select 1 / $1::int"), sync()).check()
    for chunk in range(20):
        parts, expected = [], []
        for i in range(100):
            bad = (i * 7 + chunk) % 3 == 0
            parts.append(bind("s", [0 if bad else 1]) + execute() + sync())
            expected.append("EZ" if bad else "2DCZ")
        r = c.run(*parts, ready=100)
        assert r.kinds.replace("2E", "E") == "".join(expected)


# --- 0A000 -----------------------------------------------------------------------------------------------------------


def change(client, table):
    client.rows(f"alter table {table} add column c{random.randrange(10**9)} int default 5")


def test_a_stale_plan_heals_when_prepared_again_under_a_new_name(table, target):
    # ActiveRecord re-prepares under a new name without limit: 154,111 prepares in a minute behind PgBouncer.
    c, ddl = target.connect(), target.connect()
    c.run(parse("a1", f"select * from {table}"), bind("a1"), execute(), sync()).check()
    change(ddl, table)
    r = use(c, "a1")
    assert r.codes == ["0A000"] and r.status == "I"
    c.query("deallocate a1")
    r = c.run(parse("a2", f"select * from {table}"), describe("a2"), bind("a2"), execute(), sync())
    assert not r.errors and r.rows == [("1", "5")]


def test_a_stale_plan_heals_for_every_client_and_server(make_pooler):
    pooler = make_pooler(default_pool_size=3)
    clients = [pooler.connect() for _ in range(3)]
    clients[0].rows("drop table if exists stale; create table stale(a int); insert into stale values (1)")
    for c in clients:
        c.run(parse("s", "select * from stale"), sync()).check()
    for turn in range(3):
        for c in clients:  # three transactions at once: all three servers learn the statement
            c.rows("begin")
        for c in clients:
            use(c, "s").check()
        for c in clients:
            c.rows("commit")
        change(clients[0], "stale")
        for c in clients:
            for _ in range(4):  # at most one stale answer from each server, never an endless loop
                r = use(c, "s")
                if not r.errors:
                    break
                assert r.codes == ["0A000"]
            assert not r.errors and len(r.rows[0]) == turn + 2
    clients[0].rows("drop table stale")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("name", ["fresh", ""])
def test_a_fresh_parse_of_an_old_text_after_ddl_is_never_stale(make_pooler, name, workers):
    # the server knew the text from before the ALTER TABLE: a client that prepared it for the first time got 0A000
    pooler = make_pooler(default_pool_size=3, workers=workers)
    ddl = pooler.connect()
    ddl.rows("drop table if exists ddl_here; create table ddl_here(a int); insert into ddl_here values (1)")
    columns = ["a"]
    old = [pooler.connect() for _ in range(3)]
    for c in old:
        c.run(parse("old", "select * from ddl_here"), sync()).check()
    for turn in range(3):
        for c in old:
            c.rows("begin")
        assert len({c.pid() for c in old}) == 3
        for c in old:
            use(c, "old")  # every server has run it; right after DDL it may be told to prepare again
            c.rows("rollback")
        ddl.rows(f"alter table ddl_here add column c{turn} int default {turn}")
        columns.append(f"c{turn}")
        fresh = [pooler.connect() for _ in range(3)]
        for c in fresh:
            c.rows("begin")
        assert len({c.pid() for c in fresh}) == 3
        for c in fresh:
            r = c.run(parse(name, "select * from ddl_here"), describe(name), bind(name), execute(), sync())
            assert not r.errors and r.kinds == "1tT2DCZ", r
            assert r[2] == ("T", tuple(columns)) and len(r.rows[0]) == len(columns)
        for c in fresh:
            assert c.query("commit").tags == ["COMMIT"]
            c.terminate()
        for c in old:  # a client of before closes and prepares again, as drivers do
            c.run(close("old"), parse("old", "select * from ddl_here"), sync()).check()
            assert len(use(c, "old").check().rows[0]) == len(columns)
    ddl.rows("drop table ddl_here")


def test_a_stale_plan_in_a_transaction_heals_after_rollback(table, target):
    c, ddl = target.connect(), target.connect()
    c.run(parse("s", f"select * from {table}"), bind("s"), execute(), sync()).check()
    change(ddl, table)
    c.rows("begin")
    r = use(c, "s")
    assert r.codes == ["0A000"] and r.status == "E"
    assert c.query("rollback").tags == ["ROLLBACK"]
    c.run(close("s"), parse("s", f"select * from {table}"), sync()).check()
    assert use(c, "s").rows == [("1", "5")]


# --- SQL-level DEALLOCATE and DISCARD ----------------------------------------------------------------------------------

sql_deallocate = pytest.mark.sluice_only("PgBouncer's server knows only its own names")


@sql_deallocate
@pytest.mark.parametrize(
    "form, name",
    [
        ("DEALLOCATE s", "s"),
        ("deallocate s;", "s"),
        ("DEALLOCATE PREPARE s", "s"),
        ("  Deallocate\n\tprepare\ts ; ", "s"),
        ('DEALLOCATE "Pdo Stmt"', "Pdo Stmt"),
        ('DEALLOCATE "quo""te"', 'quo"te'),
        ("DEALLOCATE PDO_STMT_1", "pdo_stmt_1"),
        ('DEALLOCATE "pdo_stmt_00000001"', "pdo_stmt_00000001"),
        ('DEALLOCATE PREPARE "all"', "all"),
        ("deallocate _PLAN0x55aa;", "_plan0x55aa"),
    ],
)
def test_deallocate_in_sql_acts_on_the_clients_own_names(target, form, name):
    # PDO, DBD::Pg, ruby-pg, ActiveRecord, tdbc, libpqxx, psqlODBC, psqlpy: libpq before 17 cannot say Close.
    c = target.connect()
    c.run(parse(name, "select 'here'"), sync()).check()
    target.hold(c.pid())
    r = c.query(form)
    assert r.kinds == "CZ" and r.tags == ["DEALLOCATE"] and r.status == "I"
    assert use(c, name).codes == ["26000"]
    assert c.run(parse(name, "select 'again'"), bind(name), execute(), sync()).values == ["again"]


@sql_deallocate
def test_deallocate_in_the_extended_protocol(target):
    c = target.connect()
    c.run(parse("s", "select 1"), sync()).check()
    target.hold(c.pid())
    r = c.run(ask("deallocate s"), sync())
    assert r.kinds == "12CZ" and r.tags == ["DEALLOCATE"]
    assert use(c, "s").codes == ["26000"]


@sql_deallocate
def test_deallocate_folds_case_like_postgresql(target):
    c = target.connect()
    c.run(parse("MyName", "select 1"), sync()).check()
    assert c.query("deallocate MyName").codes == ["26000"]
    assert use(c, "MyName").values == ["1"]
    assert c.query('deallocate "MyName"').tags == ["DEALLOCATE"]


@sql_deallocate
def test_deallocate_of_an_unknown_name_is_the_servers_own_26000(target):
    c = target.connect()
    r = c.query("deallocate nobody_knows")
    assert r.codes == ["26000"] and r.error.message == 'prepared statement "nobody_knows" does not exist'
    assert c.value("select 1") == "1"
    c.rows("begin")
    assert c.query("deallocate nobody_knows").status == "E"
    assert c.query("commit").tags == ["ROLLBACK"]


@sql_deallocate
def test_deallocate_in_a_transaction_then_commit_keeps_the_rows(table, target):
    # tdbc: behind PgBouncer the 26000 aborts the transaction and its COMMIT silently becomes a rollback.
    c = target.connect()
    c.run(parse("statement1", f"insert into {table} values ($1::int)"), sync()).check()
    c.rows("begin")
    use(c, "statement1", 1001).check()
    r = c.query("DEALLOCATE statement1")
    assert r.tags == ["DEALLOCATE"] and r.status == "T"
    assert c.query("commit").tags == ["COMMIT"]
    assert c.value(f"select count(*) from {table} where i = 1001") == "1"


@sql_deallocate
def test_psqlodbc_deallocates_between_savepoint_and_release(target):
    c = target.connect()
    c.run(parse("_PLAN0x1", "select 1"), sync()).check()
    c.rows("begin")
    r = c.query('SAVEPOINT _per_query_svp_;DEALLOCATE "_PLAN0x1";RELEASE _per_query_svp_')
    assert r.tags == ["SAVEPOINT", "DEALLOCATE", "RELEASE"] and r.status == "T"
    assert c.run(parse("_PLAN0x1", "select 2"), bind("_PLAN0x1"), execute(), sync()).values == ["2"]
    assert c.query("commit").tags == ["COMMIT"]


@sql_deallocate
def test_deallocate_in_a_failed_transaction_is_refused_and_changes_nothing(target):
    # psqlODBC, DBD::Pg and PDO clean up inside a failed transaction
    c = target.connect()
    c.run(parse("s", "select 'kept'"), sync()).check()
    c.query("begin; select 1/0")
    r = c.query("deallocate s")
    assert r.codes == ["25P02"] and r.status == "E"
    assert c.query("rollback").status == "I"
    assert use(c, "s").values == ["kept"]


@sql_deallocate
def test_deallocate_and_next_use_in_one_burst(target):
    c = target.connect()
    c.run(parse("s", "select 'one'"), sync()).check()
    r = c.run(query("deallocate s"), parse("s", "select 'two'"), bind("s"), execute(), sync(), query("deallocate s"), bind("s"), execute(), sync(), ready=4)
    assert r.kinds == "CZ12DCZCZEZ" and r.values == ["two"] and r.codes == ["26000"]


@sql_deallocate
@pytest.mark.parametrize("flushed", [True, False], ids=["flushed", "in one burst"])
@pytest.mark.parametrize("how", ["DEALLOCATE n", "DEALLOCATE ALL", "DEALLOCATE PREPARE n;"])
def test_deallocate_commits_the_batch_before_it_as_any_query_does(one_server, how, flushed):
    # Answered by the pooler alone, the INSERT stayed open on the server: the next client's error rolled it back, and
    # without a Flush its answer never came.
    one_server.postgres.needs_queries_to_end_batches()
    c, other = one_server.connect(), one_server.connect()
    c.rows("drop table if exists batch; create table batch(i int)")
    for turn in range(1, 4):
        c.run(parse("n", "select 'n'"), sync()).check()
        if flushed:
            c.send(ask("insert into batch values (1)"), flush())
            assert c.read_until("C").tags == ["INSERT 0 1"]
            r = c.run(query(how))
            assert r.kinds == "CZ"
        else:
            r = c.run(ask("insert into batch values (1)"), query(how))
            assert r.kinds == "12CCZ"
        assert r.tags[-1] == ("DEALLOCATE ALL" if how.endswith(" ALL") else "DEALLOCATE") and r.status == "I"
        assert other.query("select 1/0").codes == ["22012"]
        assert other.value("select count(*) from batch") == str(turn)
        assert use(c, "n").codes == ["26000"]
    c.rows("drop table batch")


@sql_deallocate
def test_deallocate_behind_a_query_in_a_burst_takes_only_ones_own_name(make_pooler):
    # the server dropped the statement for everybody, and the pooler took it for known: 26000 for the others
    pooler = make_pooler(default_pool_size=3)
    a, others = pooler.connect(), [pooler.connect() for _ in range(3)]

    def everybody_on_every_server():
        for c in others:
            c.rows("begin")
        assert len({c.pid() for c in others}) == 3
        for c in others:
            assert use(c, "mine").values == ["7"]
        for c in others:
            assert c.query("commit").tags == ["COMMIT"]

    for c in others:
        c.run(parse("mine", "select 7"), sync()).check()
    everybody_on_every_server()
    for turn in range(4):
        a.run(parse("k", "select 7"), sync()).check()
        assert use(a, "k").values == ["7"]
        holders = others[: turn % 3]  # each time on another server
        for c in holders:
            c.rows("begin")
        r = a.run(query("select 1"), parse("", "DEALLOCATE k"), bind(), execute(), sync(), ready=2)
        assert r.kinds == "TDCZ12CZ" and r.tags == ["SELECT 1", "DEALLOCATE"]
        assert use(a, "k").codes == ["26000"]
        for c in holders:
            c.rows("commit")
        everybody_on_every_server()
        assert a.run(parse("k2", "select 7"), bind("k2"), execute(), close("k2"), sync()).values == ["7"]


def test_sql_prepare_and_execute_within_a_transaction(target):
    c = target.connect()
    c.rows("begin")
    c.rows("prepare qpsqlpstmt_1 as select $1::int + 1")
    assert c.rows("execute qpsqlpstmt_1(1)") == [("2",)]
    assert c.query("deallocate qpsqlpstmt_1").tags == ["DEALLOCATE"]
    assert c.query("commit").tags == ["COMMIT"]


@pytest.mark.parametrize("how", ["DEALLOCATE ALL", "deallocate prepare all;", "DISCARD ALL"])
def test_deallocate_all_of_one_client_leaves_everybody_elses(make_pooler, how):
    # Prisma sends it before each first statement (PgBouncer 1.21 broke on it).
    pooler = make_pooler(default_pool_size=2)
    clients = [pooler.connect() for _ in range(6)]
    for i, c in enumerate(clients):
        c.run(parse("s0", f"select 's0 of {i}'"), parse("same", "select 'same'"), sync()).check()
    for i, c in enumerate(clients):
        r = c.query(how)
        assert r.tags == ["DISCARD ALL" if "DISCARD" in how else "DEALLOCATE ALL"]
        for j, other in enumerate(clients):
            if j > i:
                assert use(other, "s0").values == [f"s0 of {j}"]
                assert use(other, "same").values == ["same"]
    if pooler.kind.is_sluice:
        for c in clients:
            assert use(c, "s0").codes == ["26000"]


def test_deallocate_all_in_a_transaction_then_prepare_again(target):
    c = target.connect()
    for _ in range(3):
        c.rows("begin")
        assert c.query("DEALLOCATE ALL").tags == ["DEALLOCATE ALL"]
        assert c.run(parse("s0", "select 's0'"), describe("s0"), sync()).kinds == "1tTZ"
        assert use(c, "s0").values == ["s0"]
        assert c.query("commit").tags == ["COMMIT"]
        target.hold(c.pid())


@postgresql_errors
def test_discard_all_and_prepare_in_one_burst(target):
    c = target.connect()
    c.run(parse("s", "select 'old'"), sync()).check()
    r = c.run(query("discard all"), parse("s", "select 'new'"), bind("s"), execute(), sync(), ready=2)
    assert r.kinds == "CZ12DCZ" and r.values == ["new"]
    assert c.run(query("deallocate all"), bind("s"), execute(), sync(), ready=2).codes == ["26000"]


@postgresql_errors
def test_discard_plans_and_reset_all_keep_the_statements(target):
    c = target.connect()
    c.run(parse("s", "select 'kept'"), sync()).check()
    c.query("select pg_advisory_unlock_all(); close all; unlisten *; reset all;").check()
    c.query("discard plans").check()
    assert use(c, "s").values == ["kept"]


# --- eviction --------------------------------------------------------------------------------------------------------


def test_eviction_never_shows(make_pooler):
    # postgres.js retries a commit that met 26000 on the aborted transaction: data lost without an error
    pooler = make_pooler(default_pool_size=1, max_prepared_statements=2)
    a, b = pooler.connect(), pooler.connect()
    for i in range(6):
        a.run(parse(f"s{i}", f"select 'a{i}'"), sync()).check()
        b.run(parse(f"s{i}", f"select 'b{i}'"), sync()).check()
    order = random.Random(5)
    for _ in range(60):
        i = order.randrange(6)
        assert use(a, f"s{i}").values == [f"a{i}"]
        assert use(b, f"s{i}").values == [f"b{i}"]
        assert a.run(describe(f"s{i}"), sync()).kinds == "tTZ"
    assert int(a.value("select count(*) from pg_prepared_statements")) <= 2


def test_eviction_within_one_pipeline(make_pooler):
    pooler = make_pooler(default_pool_size=1, max_prepared_statements=2)
    c = pooler.connect()
    r = c.run(*[parse(f"s{i}", f"select {i}") for i in range(8)], sync())
    assert r.kinds == "1" * 8 + "Z"
    r = c.run(*[bind(f"s{i % 8}") + execute() for i in range(32)], sync())
    assert r.kinds == "2DC" * 32 + "Z" and r.values == [str(i % 8) for i in range(32)]
    r = c.run(*[parse(f"t{i}", f"select 't{i}'") + bind(f"t{i}") + execute() + describe(f"s{i}") for i in range(8)], sync())
    assert r.kinds == "12DCtT" * 8 + "Z" and r.values == [f"t{i}" for i in range(8)]
    assert c.value("select 'in step'") == "in step"


def test_eviction_while_errors_skip_parts_of_the_pipeline(make_pooler):
    # the pooler's own Parse and Close messages are skipped by the server as well, and their answers never come
    pooler = make_pooler(default_pool_size=1, max_prepared_statements=2)
    c = pooler.connect()
    c.run(*[parse(f"s{i}", f"select {i}") for i in range(6)], sync()).check()
    for turn in range(12):
        parts = [bind(f"s{(turn + i) % 6}") + execute() for i in range(6)]
        parts.insert(turn % 6, ask("select 1/0"))
        r = c.run(*parts, sync(), query("select 'in step'"), ready=2)
        assert r.values == [str((turn + i) % 6) for i in range(turn % 6)] + ["in step"] and r.codes == ["22012"]
    for i in range(6):
        assert use(c, f"s{i}").values == [str(i)]


def test_a_portal_outlives_its_evicted_statement(make_pooler):
    pooler = make_pooler(default_pool_size=1, max_prepared_statements=2)
    c = pooler.connect()
    c.run(*[parse(f"s{i}", f"select '{i}.' || g from generate_series(1, 4) g") for i in range(5)], sync()).check()
    c.rows("begin")
    assert c.run(bind("s0", portal="p"), execute("p", 2), sync()).values == ["0.1", "0.2"]
    for i in range(1, 5):
        assert use(c, f"s{i}").values[0] == f"{i}.1"
    assert c.run(execute("p", 2), sync()).values == ["0.3", "0.4"]
    c.rows("commit")


def test_one_statement_allowed(make_pooler):
    pooler = make_pooler(default_pool_size=1, max_prepared_statements=1)
    c = pooler.connect()
    c.run(parse("a", "select 'a'"), parse("b", "select 'b'"), sync()).check()
    r = c.run(*[bind(n) + execute() for n in "abab"], sync())
    assert r.values == list("abab")


# --- other modes -------------------------------------------------------------------------------------------------------


def test_session_mode_leaves_statements_alone(make_pooler):
    pooler = make_pooler(pool_mode="session", default_pool_size=2)
    c = pooler.connect()
    c.run(parse("s", "select 'protocol'"), sync()).check()
    assert c.rows("execute s") == [("protocol",)], "the server knows the client's own name"
    c.rows("prepare q as select 'sql'")
    assert use(c, "q").values == ["sql"]
    assert c.query("deallocate s").tags == ["DEALLOCATE"]
    assert use(c, "s").codes == ["26000"]
    c.terminate()
    d = pooler.connect()
    assert d.value("select count(*) from pg_prepared_statements") == "0"


def test_tracking_turned_off(make_pooler):
    pooler = make_pooler(default_pool_size=1, max_prepared_statements=0)
    c = pooler.connect()
    c.rows("begin")
    c.run(parse("own_name", "select 1"), sync()).check()
    assert c.value("select name from pg_prepared_statements") == "own_name"
    c.rows("deallocate own_name; commit")


def test_statement_mode_with_named_statements(make_pooler):
    pooler = make_pooler(pool_mode="statement", default_pool_size=2)
    a, b = pooler.connect(), pooler.connect()
    for c, x in ((a, "a"), (b, "b")):
        c.run(parse("s", f"select '{x}'"), sync()).check()
    for _ in range(5):
        assert use(a, "s").values == ["a"] and use(b, "s").values == ["b"]
