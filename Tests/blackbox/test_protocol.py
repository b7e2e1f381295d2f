"""Every message of the protocol passes as PostgreSQL means it, in any size, order and burst."""
import struct
import threading

import pytest

import wire
from wire import ask, bind, close, copy_data, copy_done, copy_fail, describe, execute, flush, function_call, parse, query, sync

MB = 1 << 20


# --- startup ---------------------------------------------------------------------------------------------------


def test_startup_3_0_greets_like_postgresql(target):
    c = target.connect()
    assert c.greeting[-1] == ("Z", "I")
    assert c.key[0] < 1 << 31 and len(c.key[1]) == 4
    for name in ("server_version", "client_encoding", "DateStyle", "TimeZone", "integer_datetimes", "standard_conforming_strings"):
        assert name in c.parameters, name
    assert c.parameters["server_version"] == c.value("show server_version")


@pytest.mark.poolers_only
@pytest.mark.parametrize("code", [wire.SSL, wire.GSSENC])
def test_encryption_requests_are_declined_and_the_login_goes_on(target, code):
    c = target.raw()
    c.send(wire.request_packet(code))
    answer = c.read_byte()
    if code == wire.SSL and answer == b"S":
        pytest.skip("this target offers TLS")
    assert answer == b"N"
    c.user, c.password = target.user, target.password
    c.send(wire.startup_packet({"user": target.user, "database": target.database}))
    c.login()
    assert c.value("select 1") == "1"


@pytest.mark.poolers_only
def test_gssenc_then_ssl_then_startup(target):
    # libpq with gssencmode=prefer asks for both in a row on one socket.
    c = target.raw()
    for code in (wire.GSSENC, wire.SSL):
        c.send(wire.request_packet(code))
        if c.read_byte() == b"S":
            pytest.skip("this target offers TLS")
    c.user, c.password = target.user, target.password
    c.send(wire.startup_packet({"user": target.user, "database": target.database}))
    c.login()
    assert c.value("select 1") == "1"


def test_startup_packet_byte_by_byte(target):
    c = target.raw()
    for byte in wire.startup_packet({"user": target.user, "database": target.database}):
        c.send(bytes([byte]))
    c.user, c.password = target.user, target.password
    c.login()
    for byte in query("select 'slow'"):
        c.send(bytes([byte]))
    assert c.read_until("Z").values == ["slow"]


def test_early_bytes_startup_and_query_in_one_burst(make_pooler):
    # Neon's serverless driver (pipelineConnect) sends startup, password and first query before any answer.
    pooler = make_pooler(auth_type="trust")
    c = pooler.raw()
    c.send(wire.startup_packet({"user": "app", "database": "lab"}), query("select 'early'"), ask("select 'bird'"), sync())
    c.login()
    assert c.read_until("Z").values == ["early"]
    assert c.read_until("Z").values == ["bird"]


def test_early_bytes_startup_password_and_query_in_one_burst(make_pooler):
    pooler = make_pooler(auth_type="plain")
    c = pooler.raw()
    c.password = "never used again"
    c.send(wire.startup_packet({"user": "app", "database": "lab"}), wire.message("p", b"app-pw\0"), query("select 'early'"))
    seen = c.read_until("Z")
    assert ("R", 3, b"") in seen and ("R", 0, b"") in seen
    assert c.read_until("Z").values == ["early"]


@pytest.mark.parametrize("order", [("client_encoding", "DateStyle", "TimeZone"), ("TimeZone", "client_encoding", "DateStyle")])
def test_startup_parameters_in_any_order_before_or_after_user(target, order):
    # lib/pq walks a Go map: its parameters, user among them, come in a different order every time.
    values = {"client_encoding": "UTF8", "DateStyle": "ISO, DMY", "TimeZone": "Asia/Tokyo"}
    c = target.raw()
    c.user, c.password = target.user, target.password
    pairs = [(k, values[k]) for k in order]
    c.send(wire.startup_packet([pairs[0], ("database", target.database), pairs[1], ("user", target.user), pairs[2]]))
    c.login()
    assert c.value("show timezone") == "Asia/Tokyo" and c.value("show datestyle") == "ISO, DMY"
    assert c.parameters["TimeZone"] == "Asia/Tokyo" and c.parameters["DateStyle"] == "ISO, DMY"


@pytest.mark.parametrize("spelling", ["'utf-8'", "utf8", "UTF-8", "UNICODE"])
def test_client_encoding_in_every_spelling_that_drivers_use(target, spelling):
    # asyncpg sends 'utf-8' with the quotes inside the value, cl-postgres sends UNICODE.
    c = target.connect(parameters={"client_encoding": spelling})
    assert c.value("show client_encoding") in ("UTF8", "UNICODE"), "PostgreSQL keeps this one spelling for an old JDBC"
    assert c.value("select 'ä'") == "ä"


def test_client_encoding_is_reported_as_the_server_spells_it(target):
    assert target.connect(parameters={"client_encoding": "utf8"}).parameters["client_encoding"] == "UTF8"


def test_database_defaults_to_the_user_name(make_pooler):
    pooler = make_pooler(databases={"app": {"dbname": "lab"}})
    assert pooler.connect(user="app", database=None).value("select current_database()") == "lab"


# --- simple queries --------------------------------------------------------------------------------------------


def test_simple_query_answers(target):
    c = target.connect()
    assert c.query("select 1 as a, null as b") == [("T", ("a", "b")), ("D", ("1", None)), ("C", "SELECT 1"), ("Z", "I")]
    assert c.query("").kinds == "IZ"
    assert c.query("   ;  ; ").kinds == "IZ"
    assert c.query("-- only a comment").kinds == "IZ"


def test_multi_statement_simple_query(target):
    c = target.connect()
    r = c.query("select 1; select 2, 3; create temp table if not exists t_multi(i int) on commit drop; select 4")
    assert r.rows == [("1",), ("2", "3"), ("4",)] and r.tags == ["SELECT 1", "SELECT 1", "CREATE TABLE", "SELECT 1"]
    assert r.kinds.count("Z") == 1


def test_multi_statement_stops_at_its_error(target):
    c = target.connect()
    r = c.query("select 1; select 1/0; select 3")
    assert r.values == ["1"] and r.codes == ["22012"] and r.status == "I"
    r = c.query("begin; select 1/0; commit")
    assert r.codes == ["22012"] and r.status == "E"
    assert c.query("select 1").codes == ["25P02"]
    assert c.query("commit").tags == ["ROLLBACK"]


def test_several_queries_in_one_burst_answer_in_order(target):
    c = target.connect()
    r = c.run(*[query(f"select {i}") for i in range(100)], ready=100)
    assert r.values == [str(i) for i in range(100)] and r.kinds == "TDCZ" * 100


def test_transaction_blocks_in_one_burst(target):
    c = target.connect()
    r = c.run(query("begin"), query("select 1"), query("commit"), query("begin"), query("select 2"), query("rollback"), ready=6)
    assert [m[1] for m in r if m[0] == "Z"] == ["T", "T", "I", "T", "T", "I"] and r.values == ["1", "2"]


def test_errors_keep_every_field(target):
    c = target.connect()
    e = c.query("select * from no_such_table").error
    assert e.code == "42P01" and e.severity == "ERROR" and e.fields["P"] == "15" and "parse_relation" in e.fields["F"]
    e = c.query("do $$begin raise exception 'boo' using errcode='XX123', detail='d', hint='h'; end$$").error
    assert (e.code, e.message, e.fields["D"], e.fields["H"]) == ("XX123", "boo", "d", "h")


def test_an_error_text_of_a_megabyte_arrives_whole(target):
    c = target.connect()
    e = c.query("do $$begin raise exception '%', repeat('e', 1000000); end$$").error
    assert e.message == "e" * 1000000


# --- extended queries ------------------------------------------------------------------------------------------


def test_extended_query_answers(target):
    c = target.connect()
    r = c.run(parse("", "select $1::int + 1 as n"), describe(), bind("", [41]), describe("", "P"), execute(), sync())
    assert r == [("1",), ("t", (23,)), ("T", ("n",)), ("2",), ("T", ("n",)), ("D", ("42",)), ("C", "SELECT 1"), ("Z", "I")]


def test_binary_parameters_and_results(target):
    c = target.connect()
    r = c.run(parse("", "select $1::int8"), bind("", [struct.pack("!q", -2)], formats=[1], result_formats=[1]), execute(), sync())
    assert r.rows[0][0].encode("utf-8", "surrogateescape") == struct.pack("!q", -2)


def test_null_empty_and_many_parameters(target):
    c = target.connect()
    assert c.extended("select $1::text is null, $2::text = ''", [None, ""]).rows == [("t", "t")]
    n = 3000
    r = c.extended("select " + " + ".join(f"${i + 1}::int" for i in range(n)), range(n))
    assert r.values == [str(sum(range(n)))]


def test_empty_extended_query(target):
    assert target.connect().run(parse("", ""), bind(), execute(), sync()).kinds == "12IZ"


def test_lone_sync_is_answered(target):
    # sqlx pings with nothing but a Sync.
    c = target.connect()
    for _ in range(3):
        assert c.run(sync()) == [("Z", "I")]
    assert c.run(sync(), sync(), sync(), ready=3).kinds == "ZZZ"
    assert c.value("select 1") == "1"


def test_lone_flush_harms_nothing(target):
    c = target.connect()
    c.send(flush())
    assert c.value("select 1") == "1"
    c.send(flush(), flush())
    assert c.run(sync()) == [("Z", "I")]
    assert c.value("select 2") == "2"


def test_lone_flush_does_not_keep_a_server(make_pooler):
    # A Flush has no answer, so nothing would ever give the server back.
    pooler = make_pooler(default_pool_size=1)
    idle, other = pooler.connect(), pooler.connect()
    idle.send(flush())
    idle.send(flush())
    assert other.value("select 'served'") == "served"
    assert idle.value("select 'me too'") == "me too"


@pytest.mark.parametrize("flushes", [False, True])
def test_pipeline_of_a_hundred(target, flushes):
    c = target.connect()
    r = c.run(*[ask(f"select {i}") + (flush() if flushes else b"") for i in range(100)], sync())
    assert r.values == [str(i) for i in range(100)] and r.kinds == "12DC" * 100 + "Z"


def test_pipeline_with_many_syncs(target):
    c = target.connect()
    r = c.run(*[ask(f"select {i}") + sync() for i in range(100)], ready=100)
    assert r.values == [str(i) for i in range(100)] and r.kinds == "12DCZ" * 100


def test_pipeline_larger_than_every_buffer(target):
    # 8 MB of queries with answers in a burst, read only afterwards by a second thread's pace: both sides back up.
    c = target.connect()
    n = 400
    burst = b"".join(ask(f"select {i}, '{'x' * 20000}'") + sync() for i in range(n))
    sender = threading.Thread(target=c.send, args=(burst,))
    sender.start()
    for i in range(n):
        assert c.read_until("Z").rows[0][0] == str(i)
    sender.join()


def test_flush_brings_answers_before_the_sync(target):
    # asyncpg, Postgrex and postgres.js: Parse Describe Flush, read, then Bind Execute Sync.
    c = target.connect()
    c.send(parse("", "select $1::int"), describe(), flush())
    assert c.read_until("T").kinds == "1tT"
    assert c.run(bind("", [5]), execute(), sync()).values == ["5"]


def test_execute_with_flush_shows_rows_before_the_sync(target):
    c = target.connect()
    c.send(ask("select 1"), flush())
    assert c.read_until("C").kinds == "12DC"
    c.send(ask("select 2"), flush())
    assert c.read_until("C").kinds == "12DC"
    assert c.run(sync()) == [("Z", "I")]


def test_an_error_in_a_pipeline_skips_to_its_sync(target):
    c = target.connect()
    r = c.run(ask("select 1"), ask("select 1/0"), ask("select 3"), sync(), ask("select 4"), sync(), ready=2)
    assert r.values == ["1", "4"] and r.codes == ["22012"] and r.kinds == "12DC1EZ12DCZ"


def test_an_error_shown_by_flush_then_sync(target):
    c = target.connect()
    c.send(ask("select 1/0"), flush())
    assert c.read_until("E").kinds == "1E"
    c.send(ask("select 'ignored'"), flush())
    assert c.run(sync()) == [("Z", "I")]
    assert c.value("select 'fine'") == "fine"


def test_transaction_control_in_a_pipeline(target):
    # pgjdbc puts BEGIN before the first statement in the same batch.
    c = target.connect()
    r = c.run(ask("begin"), ask("select 1"), sync())
    assert r.status == "T" and r.tags == ["BEGIN", "SELECT 1"]
    r = c.run(ask("select 2"), ask("commit"), sync())
    assert r.status == "I" and r.values == ["2"]


def test_portals_live_over_syncs_inside_a_transaction(target):
    # pgjdbc's fetch size: C_1 is executed 10 rows at a time over many Syncs.
    c = target.connect()
    c.rows("begin")
    got = c.run(parse("", "select i from generate_series(1, 95) i"), bind("", portal="C_1"), describe("C_1", "P"), execute("C_1", 10), sync()).values
    while True:
        r = c.run(execute("C_1", 10), sync())
        got += r.values
        if "s" not in r.kinds:
            break
    assert got == [str(i) for i in range(1, 96)]
    assert c.run(close("C_1", "P"), sync()).kinds == "3Z"
    assert c.query("commit").status == "I"


def test_a_portal_with_flush_only(target):
    # node-postgres' pg-cursor: Execute(n) and Flush, the portal stays open until Close and Sync.
    c = target.connect()
    c.send(parse("", "select i from generate_series(1, 6) i"), bind("", portal="p"), describe("p", "P"), flush())
    c.read_until("T")
    for start in (1, 3, 5):
        c.send(execute("p", 2), flush())
        assert c.read_until("s").values == [str(start), str(start + 1)]
    assert c.run(close("p", "P"), sync()).kinds == "3Z"


def test_simple_and_extended_in_one_burst(target):
    # Npgsql prepends its reset Query to the next use's Parse ... Sync; order must survive a change of server.
    c = target.connect()
    r = c.run(query("select 1"), ask("select 2"), sync(), query("begin"), ask("select 3"), sync(), query("commit"), ready=5)
    assert r.values == ["1", "2", "3"] and [m[1] for m in r if m[0] == "Z"] == ["I", "I", "T", "T", "I"]


def test_npgsql_reset_prepended_to_the_next_use(target):
    c = target.connect()
    for i in range(5):
        r = c.run(query("DISCARD ALL"), ask(f"select {i}"), sync(), ready=2)
        assert r.tags == ["DISCARD ALL", "SELECT 1"] and r.values == [str(i)]


@pytest.mark.since("1.21")
def test_npgsql_reset_that_keeps_its_statements(make_pooler):
    # With prepared statements it spares them: _p1 is used right behind the reset, in the same burst, on whatever server it gets.
    reset = "SET SESSION AUTHORIZATION DEFAULT;RESET ALL;CLOSE ALL;UNLISTEN *;SELECT pg_advisory_unlock_all();DISCARD SEQUENCES;DISCARD TEMP"
    pooler = make_pooler(default_pool_size=2)
    clients = [pooler.connect() for _ in range(4)]
    for i, c in enumerate(clients):
        c.run(parse("_p1", f"select {i}, $1::text"), sync()).check()
    for n in range(6):
        for i, c in enumerate(clients):
            r = c.run(query(reset), bind("_p1", [str(n)]), describe("", "P"), execute(), sync(), ready=2).check()
            assert r.rows[-1] == (str(i), str(n))


def test_implicit_transaction_of_a_pipeline_is_atomic(target):
    c = target.connect()
    c.rows("drop table if exists pipeline_atomic; create table pipeline_atomic(i int)")
    c.run(ask("insert into pipeline_atomic values (1)"), ask("select 1/0"), sync())
    assert c.value("select count(*) from pipeline_atomic") == "0"
    c.rows("drop table pipeline_atomic")


# --- COPY ------------------------------------------------------------------------------------------------------


@pytest.fixture
def copy_table(target):
    c = target.connect()
    c.rows("drop table if exists copy_here; create table copy_here(i int, t text)")
    yield c
    c.close()
    with target.connect() as c:
        c.rows("drop table if exists copy_here")


def test_copy_in_simple(copy_table):
    c = copy_table
    c.send(query("copy copy_here from stdin"))
    assert c.read()[0] == "G"
    assert c.run(*[copy_data(f"{i}\tx{i}\n".encode()) for i in range(1000)], copy_done()).tags == ["COPY 1000"]
    assert c.value("select sum(i) from copy_here") == "499500"


def test_copy_in_simple_in_one_burst(copy_table):
    c = copy_table
    r = c.run(query("copy copy_here from stdin"), copy_data(b"1\ta\n2\tb\n"), copy_done())
    assert r.kinds == "GCZ" and c.value("select count(*) from copy_here") == "2"


def test_copy_in_extended(copy_table):
    c = copy_table
    c.send(ask("copy copy_here from stdin"), flush())
    assert c.read_until("G").kinds == "12G"
    assert c.run(copy_data(b"1\ta\n"), copy_done(), sync()).tags == ["COPY 1"]
    # libpq sends the Sync before the data; the server ignores it and wants another after CopyDone
    c.send(ask("copy copy_here from stdin"), sync())
    assert c.read_until("G").kinds == "12G"
    assert c.run(copy_data(b"2\tb\n"), copy_done(), sync()).tags == ["COPY 1"]
    assert c.value("select count(*) from copy_here") == "2"
    assert c.run(sync()) == [("Z", "I")]


def test_copy_fail_simple(copy_table):
    c = copy_table
    c.send(query("copy copy_here from stdin"))
    c.read_until("G")
    r = c.run(copy_data(b"1\ta\n"), copy_fail("changed my mind"))
    assert r.codes == ["57014"] and "changed my mind" in r.error.message and r.status == "I"
    assert c.value("select count(*) from copy_here") == "0"


def test_copy_fail_extended(copy_table):
    c = copy_table
    c.send(ask("copy copy_here from stdin"), sync())
    c.read_until("G")
    r = c.run(copy_data(b"1\ta\n"), copy_fail("no"), sync())
    assert r.codes == ["57014"] and r.kinds == "EZ"
    assert c.value("select count(*) from copy_here") == "0"
    assert c.run(sync()) == [("Z", "I")]


def test_copy_in_that_the_server_refuses_while_data_keeps_coming(copy_table, target):
    # PgBouncer before 1.26 lost its pool to COPY messages that came after the error.
    c = copy_table
    c.send(query("copy copy_here from stdin"))
    c.read_until("G")
    c.send(copy_data(b"not a number\tx\n"))
    c.send(*[copy_data(b"1\ta\n") for _ in range(10000)])
    c.send(copy_done())
    assert c.read_until("Z").codes == ["22P02"]
    c.send(copy_data(b"very late\n"), copy_done(), copy_fail("later still"))
    assert c.value("select 'fine'") == "fine"
    for _ in range(30):
        assert target.connect().value("select 1") == "1"


def test_copy_refused_in_extended_mode_with_late_data(copy_table):
    c = copy_table
    c.send(ask("copy copy_here from stdin"), flush())
    c.read_until("G")
    c.send(copy_data(b"bad\tx\n"), flush())
    c.read_until("E")
    r = c.run(*[copy_data(b"1\ta\n") for _ in range(100)], copy_done(), sync())
    assert r == [("Z", "I")]
    assert c.value("select count(*) from copy_here") == "0"


@pytest.fixture
def copy_pooler(make_pooler):
    """One server and an empty table: whatever a COPY leaves undone meets the next client."""
    pooler = make_pooler(default_pool_size=1, idle_transaction_timeout=1, **({"client_message_timeout": 1} if make_pooler.kind.is_sluice else {}))
    pooler.connect().rows("drop table if exists copied; create table copied(i int)")
    yield pooler
    for c in pooler.clients:
        c.close()
    pooler.connect().query("drop table copied")


COPY_COPIED = {"simple": query("copy copied from stdin"), "extended": ask("copy copied from stdin") + sync()}


@pytest.mark.parametrize("rest", ["sent", "never sent"])
def test_a_copy_that_fails_while_half_a_message_is_sent_disturbs_nobody(copy_pooler, rest):
    # The server went to the next client although it was still waiting for the rest of the row: it took that client's
    # query for it, and the client waited for ever.
    c, other = copy_pooler.connect(), copy_pooler.connect()
    c.send(query("copy copied from stdin"))
    c.read_until("G")
    row = copy_data(b"1\n" * 500)
    c.send(copy_data(b"bad\n"), row[:100])
    r = c.read_until("Z")
    assert r.codes == ["22P02"] and r.status == "I"
    other.send(query("select 'served'"))
    if rest == "sent":
        c.send(row[100:], copy_done(), query("select 'mine'"))
        assert c.read_until("Z").values == ["mine"]
    assert other.read_until("Z").values == ["served"]
    assert other.value("select count(*) from copied") == "0"


@pytest.mark.parametrize("rest", ["sent", "never sent"])
def test_an_extended_copy_that_fails_while_half_a_message_is_sent_disturbs_nobody(copy_pooler, rest):
    c, other = copy_pooler.connect(), copy_pooler.connect()
    c.send(ask("copy copied from stdin"), sync())
    c.read_until("G")
    row = copy_data(b"1\n" * 500)
    c.send(copy_data(b"bad\n"), row[:100])
    assert c.read_until("E").codes == ["22P02"]
    other.send(query("select 'served'"))
    if rest == "sent":
        c.send(row[100:], copy_done(), sync())
        assert c.read_until("Z") == [("Z", "I")]
        assert c.value("select 'mine'") == "mine"
    assert other.read_until("Z").values == ["served"]
    assert other.value("select count(*) from copied") == "0"


@pytest.mark.parametrize("bursts", [1, 2, 3])
def test_psqls_copy_that_fails_outside_a_transaction_gives_the_server_back(copy_pooler, bursts):
    # \copy through the extended protocol: the Sync ahead of the data is ignored, or (with a failure) perhaps not.
    # Whoever counts it waits for a ReadyForQuery that never comes, until idle_transaction_timeout ends the client.
    c, other, clock = copy_pooler.connect(), copy_pooler.connect(), copy_pooler.connect(database="lab2")
    start = parse("", "copy copied from stdin") + bind() + describe("", "P") + execute() + sync()
    data, end = copy_data(b"1\n") + copy_data(b"bad\n"), copy_done() + sync()
    for _ in range(3):
        c.send(start)
        assert c.read_until("G").kinds == "12nG"
        if bursts == 1:
            c.send(data + end)
        elif bursts == 2:
            c.send(data)
            c.send(end)
        else:
            c.send(data)
            assert c.read_until("E").codes == ["22P02"]
            c.send(end)
        r = c.read_until("Z")
        assert r.kinds == ("Z" if bursts == 3 else "EZ") and r.status == "I"
        assert other.value("select count(*) from copied") == "0", "the next client gets the only server"
    clock.rows("begin")
    assert "idle transaction timeout" in clock.read_to_end().error.message
    assert c.value("select 'never in a transaction'") == "never in a transaction"
    c.send(start)
    c.read_until("G")
    assert c.run(copy_data(b"1\n"), copy_done(), sync()).tags == ["COPY 1"]
    assert other.value("select count(*) from copied") == "1"


def test_two_copies_in_one_pipeline(copy_table):
    # the second COPY stood behind the first one's CopyDone, and was taken for messages that a COPY ignores
    c = copy_table
    for turn in range(1, 4):
        r = c.run(ask("copy copy_here from stdin"), copy_data(b"1\ta\n2\tb\n"), copy_done(), ask("copy copy_here from stdin"), copy_data(b"3\tc\n"), copy_done(), sync())
        assert r.kinds == "12GC12GCZ" and r.tags == ["COPY 2", "COPY 1"] and r.status == "I"
        assert c.value("select count(*) from copy_here") == str(3 * turn)


@pytest.mark.parametrize("fails", ["first", "second"])
def test_two_copies_in_one_pipeline_of_which_one_fails(copy_table, target, fails):
    c, other = copy_table, target.connect()
    good, bad = [ask("copy copy_here from stdin") + copy_data(row) + copy_done() for row in (b"1\ta\n", b"bad\tb\n")]
    for _ in range(3):
        r = c.run(bad + good if fails == "first" else good + bad, sync())
        assert r.codes == ["22P02"] and r.kinds.endswith("EZ") and r.status == "I"
        assert other.value("select count(*) from copy_here") == "0", "one Sync, one transaction"
        assert c.value("select 'in step'") == "in step"


@pytest.mark.since("1.21")
def test_a_copy_that_swallows_a_sync_before_named_statements(copy_table, target):
    # PostgreSQL keeps the COPY's CommandComplete back until a Sync or Flush: who waits for it before he sends on the rest
    # of the client's burst, waits for ever.
    c, other = copy_table, target.connect()
    for turn in range(1, 4):
        c.send(parse(f"n{turn}", "select 'n'"), ask("copy copy_here from stdin"), sync())
        c.read_until("G")
        r = c.run(copy_data(b"1\ta\n"), copy_done(), parse(f"m{turn}", "select 'm'"), bind(f"n{turn}"), execute(), bind(f"m{turn}"), execute(), sync())
        assert r.kinds == "C12DC2DCZ" and r.values == ["n", "m"]
        assert other.value("select count(*) from copy_here") == str(turn)
        assert c.run(bind(f"n{turn}"), execute(), close(f"m{turn}"), sync()).kinds == "2DC3Z"


@pytest.mark.since("1.21")
def test_a_copy_that_swallows_a_sync_and_fails_before_named_statements(copy_table, target):
    c, other = copy_table, target.connect()
    c.run(parse("old", "select 'old'"), sync()).check()
    c.send(parse("n", "select 'n'"), ask("copy copy_here from stdin"), sync())
    c.read_until("G")
    r = c.run(copy_data(b"bad\tx\n"), copy_done(), bind("old"), execute(), sync())
    assert r.codes == ["22P02"] and r.kinds == "EZ"
    assert c.run(bind("old"), execute(), sync()).values == ["old"]
    assert other.value("select count(*) from copy_here") == "0"


@pytest.mark.since("1.21")
@pytest.mark.parametrize("behind", [query("discard all"), query("select 1"), query("deallocate all"), query("deallocate s")], ids=["discard all", "select", "deallocate all", "deallocate"])
def test_a_query_behind_a_failed_parse_without_sync_is_skipped(target, behind):
    # no ReadyForQuery may come before the client's Sync, and then exactly one
    c = target.connect()
    for name in ("", "bad"):
        c.run(parse("s", "select 's'"), sync()).check()
        c.send(parse(name, "selec"), behind)
        assert c.read_until("E").codes == ["42601"]
        c.send(flush(), behind)
        assert c.run(sync()) == [("Z", "I")]
        assert c.value("select 'in step'") == "in step"
        assert c.run(bind("s"), execute(), close("s"), sync()).values == ["s"], "nothing was discarded"
        assert c.run(parse(name, "selec"), behind, sync(), query("select 'after'"), ready=2).kinds == "EZTDCZ"


def test_copy_in_a_transaction(copy_table):
    c = copy_table
    c.rows("begin")
    c.run(query("copy copy_here from stdin"), copy_data(b"1\ta\n"), copy_done())
    assert c.value("select count(*) from copy_here") == "1"
    c.rows("rollback")
    assert c.value("select count(*) from copy_here") == "0"


def test_two_copies_in_one_query(copy_table):
    c = copy_table
    c.send(query("copy copy_here from stdin; copy copy_here from stdin; select 'after'"))
    c.read_until("G")
    c.send(copy_data(b"1\ta\n"), copy_done())
    c.read_until("G")
    r = c.run(copy_data(b"2\tb\n3\tc\n"), copy_done())
    assert r.tags == ["COPY 2", "SELECT 1"] and r.values == ["after"]


def test_a_pipeline_with_a_copy_in_its_middle(copy_table):
    c = copy_table
    c.send(ask("select 1"), ask("copy copy_here from stdin"), flush())
    c.read_until("G")
    r = c.run(copy_data(b"7\tx\n"), copy_done(), ask("select 2"), sync())
    assert r.tags == ["COPY 1", "SELECT 1"] and r.values == ["2"]


@pytest.mark.parametrize("extended", [False, True])
def test_copy_out(target, extended):
    c = target.connect()
    sql = "copy (select i, 'x' || i from generate_series(1, 1000) i) to stdout"
    r = c.extended(sql) if extended else c.query(sql)
    assert r.kinds == ("12" if extended else "") + "H" + "d" * 1000 + "cCZ"
    assert [m[1] for m in r if m[0] == "d"] == [f"{i}\tx{i}\n".encode() for i in range(1, 1001)]


def test_copy_out_that_fails_midway(target):
    c = target.connect()
    r = c.query("copy (select 1 / (500 - i) from generate_series(1, 1000) i) to stdout")
    assert r.kinds.endswith("dEZ") and r.codes == ["22012"]
    assert c.value("select 1") == "1"


def test_a_copy_row_of_20_mb(copy_table):
    c = copy_table
    c.send(query("copy copy_here from stdin"))
    c.read_until("G")
    assert c.run(copy_data(b"1\t" + b"y" * (20 * MB) + b"\n"), copy_done()).tags == ["COPY 1"]
    assert c.value("select length(t) from copy_here") == str(20 * MB)


# --- FunctionCall, NOTICE, NOTIFY, ParameterStatus ---------------------------------------------------------------


def test_function_call_large_objects(target):
    # libpq's large object interface still speaks FunctionCall.
    c = target.connect()
    oid_of = dict(c.rows("select proname, oid from pg_proc where pronamespace = 'pg_catalog'::regnamespace and proname in ('lo_creat', 'lo_open', 'lowrite', 'loread', 'lo_lseek', 'lo_close', 'lo_unlink')"))
    oid_of = {k: int(v) for k, v in oid_of.items()}
    number = lambda n: struct.pack("!i", n)

    def call(name, *arguments):
        r = c.run(function_call(oid_of[name], *arguments)).check()
        assert r.kinds == "VZ"
        return [m for m in r if m[0] == "V"][0][1]

    c.rows("begin")
    loid = call("lo_creat", number(-1))
    fd = call("lo_open", loid, number(0x20000 | 0x40000))
    data = bytes(range(256)) * 2000
    assert call("lowrite", fd, data) == number(len(data))
    call("lo_lseek", fd, number(0), number(0))
    assert call("loread", fd, number(len(data))) == data
    call("lo_close", fd)
    call("lo_unlink", loid)
    assert c.query("commit").tags == ["COMMIT"]


def test_a_function_call_outside_a_transaction_gives_the_server_back(make_pooler):
    pooler = make_pooler(default_pool_size=1)
    a, b = pooler.connect(), pooler.connect()
    oid = int(a.value("select 'pg_backend_pid'::regproc::oid::int"))
    assert a.run(function_call(oid)).kinds == "VZ"
    assert b.value("select 1") == "1"
    assert a.run(function_call(4294967295)).codes == ["42883"]
    assert b.value("select 1") == "1"


def test_notices_come_in_their_place(target):
    c = target.connect()
    r = c.query("do $$begin raise notice 'one'; raise warning 'two'; end$$")
    assert [n["M"] for n in r.notices] == ["one", "two"] and [n["S"] for n in r.notices] == ["NOTICE", "WARNING"]
    r = c.run(ask("do $$begin raise notice 'three'; end$$"), ask("select 1"), sync())
    assert "".join(m[0] for m in r) == "12NC12DCZ"


def test_ten_thousand_notices_before_the_answer(target):
    c = target.connect()
    r = c.query("do $$begin for i in 1..10000 loop raise notice '% %', i, repeat('n', 100); end loop; end$$")
    assert len(r.notices) == 10000 and r.tags == ["DO"]


def test_notify_reaches_the_listener_of_a_session(make_pooler):
    pooler = make_pooler(pool_mode="session")
    listener, speaker = pooler.connect(), pooler.connect()
    listener.rows("listen chat")
    speaker.rows("notify chat, 'hello'")
    speaker.rows("notify chat, 'again'")
    # the server sends them on its own, outside any query
    got = []
    r = listener.query("select 1")
    got += [m for m in r if m[0] == "A"]
    while len(got) < 2:
        got.append(listener.read())
    assert [(m[2], m[3]) for m in got] == [("chat", "hello"), ("chat", "again")]


def test_notifications_reach_their_session_only(make_pooler, postgres):
    pooler = make_pooler(databases={"lab": {}, "lab2": {"dbname": "lab", "pool_mode": "session"}}, default_pool_size=1)
    listener = pooler.connect(database="lab2")
    listener.rows("listen chat")
    zones = ["Asia/Tokyo", "Europe/Vienna", "UTC"]
    others = [(pooler.connect(parameters={"TimeZone": z}), z) for z in zones]
    for turn in range(10):
        for c, zone in others:  # the pooler's own SETs are under way all the time
            r = c.query(f"notify chat, '{zone} {turn}'") if turn % 2 else c.extended(f"notify chat, '{zone} {turn}'")
            assert r.tags == ["NOTIFY"] and not [m for m in r if m[0] == "A"]
            r = c.query("show timezone")
            assert r.values == [zone] and not [m for m in r if m[0] == "A"]
    got = []
    while len(got) < 30:
        got += [m[3] for m in [listener.read()] if m[0] == "A"]
    assert got == [f"{zone} {turn}" for turn in range(10) for zone in zones]


def notified_while_linked(make_pooler, postgres, when):
    """LISTEN in transaction mode: the server keeps listening when its client is long gone. Returns what another client got."""
    pooler = make_pooler(databases={"lab": {}}, default_pool_size=1)
    a, b = pooler.connect(), pooler.connect(parameters={"TimeZone": "Asia/Tokyo"})
    assert b.value("show timezone") == "Asia/Tokyo"
    a.rows("listen chat")
    answers = wire.Reply()
    with postgres.connect("lab") as speaker:
        for turn in range(5):
            with postgres.paused(a.pid()) as backend:
                if when == "before the SET":
                    speaker.rows(f"notify chat, '{turn}'")
                if when == "between two queries":
                    a.send(query("select 'a'"), query("select 'a again'"))
                b.send(query("show timezone"), ask("select 'b'") + sync())
                backend.wait_unread()
                if when != "before the SET":
                    speaker.rows(f"notify chat, '{turn}'")
            r = wire.Reply(b.read_until("Z") + b.read_until("Z"))
            assert r.values == ["Asia/Tokyo", "b"] and r.kinds == "TDCZ12DCZ"
            answers += r
            if when == "between two queries":
                assert a.read_until("Z").values == ["a"] and a.read_until("Z").values == ["a again"]
            assert a.value("select 'in step'") == "in step"
    return answers


@pytest.mark.parametrize("when", ["before the SET", "with the answer to the SET", "between two queries"])
def test_a_notification_for_somebody_who_left_breaks_nothing(make_pooler, postgres, when):
    notified_while_linked(make_pooler, postgres, when)


@pytest.mark.parametrize("when", ["before the SET", "with the answer to the SET"])
def test_a_notification_that_comes_with_the_answer_to_the_poolers_set_is_nobody_elses(make_pooler, postgres, when):
    assert not [m for m in notified_while_linked(make_pooler, postgres, when) if m[0] == "A"], "somebody else's notification"


def test_notify_inside_ones_own_transaction_comes_before_ready(target):
    c = target.connect()
    r = c.query("listen mine; notify mine, 'self'; unlisten mine")
    assert r.tags == ["LISTEN", "NOTIFY", "UNLISTEN"]
    c.rows("begin; listen mine")
    r = c.query("notify mine, 'self'; commit")
    assert [m[2:] for m in r if m[0] == "A"] == [("mine", "self")]
    c.rows("unlisten *")


def test_parameter_status_is_passed_on_when_it_changes(target):
    c = target.connect()
    r = c.query("set application_name = 'changed'")
    assert r.parameters == {"application_name": "changed"}
    before = c.parameters["TimeZone"]
    assert c.query("begin; set local timezone = 'Asia/Tokyo'").parameters == {"TimeZone": "Asia/Tokyo"}
    assert c.query("rollback").parameters == {"TimeZone": before}, "the rollback takes it back, and says so"


# --- size ------------------------------------------------------------------------------------------------------


def memory_of(target):
    if not target.pooler:
        pytest.skip("the target's process is not ours")
    return target.pooler.memory()


def test_200_mb_of_rows_stream_through_bounded_memory(target):
    c = target.connect()
    c.value("select 1")
    before = memory_of(target)
    peak, done = [before], threading.Event()
    watcher = threading.Thread(target=lambda: [peak.append(memory_of(target)) for _ in iter(lambda: done.wait(0.02), True)])
    watcher.start()
    try:
        c.send(query("select i, repeat('x', 1000) from generate_series(1, 200000) i"))
        total, rows = c.drain()
    finally:
        done.set()
        watcher.join()
    assert rows == 200000 and total > 200 * 1000 * 1000
    assert max(peak) - before < 16 * MB, f"{(max(peak) - before) / MB:.1f} MB more"


def test_a_row_of_200_mb_streams_through_bounded_memory(target):
    c = target.connect()
    c.value("select 1")
    before = memory_of(target)
    peak, done = [before], threading.Event()
    watcher = threading.Thread(target=lambda: [peak.append(memory_of(target)) for _ in iter(lambda: done.wait(0.02), True)])
    watcher.start()
    try:
        c.send(query("select repeat('x', 200000000)"))
        total, rows = c.drain()
    finally:
        done.set()
        watcher.join()
    assert rows == 1 and total > 200 * 1000 * 1000
    assert max(peak) - before < 16 * MB, f"{(max(peak) - before) / MB:.1f} MB more"


@pytest.mark.parametrize("how", ["simple", "extended", "named"])
def test_a_parameter_of_20_mb_streams_through(target, how):
    if how == "named" and target.pooler and not target.pooler.kind.since("1.21"):
        pytest.skip("no prepared statements")
    c = target.connect()
    before = memory_of(target) if target.pooler else 0
    big = "z" * (20 * MB)
    if how == "simple":
        r = c.query(f"select length('{big}')")
    elif how == "extended":
        r = c.extended("select length($1::text)", [big])
    else:
        c.run(parse("big", "select length($1::text)"), sync()).check()
        r = c.run(bind("big", [big]), execute(), sync())
    assert r.values == [str(20 * MB)]
    if target.pooler:
        assert memory_of(target) - before < 16 * MB


def test_a_statement_text_of_5_mb(target):
    c = target.connect()
    comment = "/*" + "c" * (5 * MB) + "*/"
    assert c.extended(f"select 'big' {comment}").values == ["big"]
    if not target.pooler or target.pooler.kind.since("1.21"):
        c.run(parse("bigtext", f"select 'named' {comment}"), sync()).check()
        assert c.run(bind("bigtext"), execute(), sync()).values == ["named"]
        assert c.run(close("bigtext"), sync()).kinds == "3Z"


def test_many_sizes_around_buffer_borders(target):
    # off-by-one faults of framers live where a message ends with the buffer
    c = target.connect()
    for border in (4096, 8192, 16384, 65536):
        for delta in range(-24, 25, 3):
            n = border + delta
            assert c.query(f"select length('{'b' * n}'), repeat('a', {n})").rows == [(str(n), "a" * n)]
            assert c.extended("select $1::text", ["p" * n]).values == ["p" * n]


def test_hundreds_of_tiny_messages_split_at_every_byte(target):
    c = target.connect()
    burst = b"".join(ask(f"select {i}") for i in range(20)) + sync()
    for cut in range(1, len(burst), 7):
        c.send(burst[:cut])
        c.send(burst[cut:])
        assert c.read_until("Z").values == [str(i) for i in range(20)]
