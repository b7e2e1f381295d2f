"""Each input here once got another answer through the pooler than from PostgreSQL, or gave other clients wrong rows.

The same bytes go to PostgreSQL directly and through a pooler with one server. Somebody else uses that server afterwards and checks each row.
"""
import time

import pytest

from processes import anonymous_memory
from wire import Closed, ask, bind, close, copy_data, copy_done, copy_fail, describe, execute, flush, message, parse, query, sync, terminate

pytestmark = pytest.mark.sluice_only("PgBouncer gives other clients wrong rows in some of these, and closes the client in others")

COPY = ask("copy copied from stdin")
BAD = copy_data(b"bad\n")


@pytest.fixture
def tables(postgres):
    postgres.connect("lab").rows(
        "drop view if exists seen; drop table if exists copied, kept; create table copied(i int); create table kept(i int);"
        "create view seen as select * from copied; grant all on copied, kept, seen to public"
    )
    yield
    postgres.connect("lab").rows("drop view seen; drop table copied, kept")


@pytest.fixture
def pooler(make_pooler, tables):
    return make_pooler(default_pool_size=1, query_wait_timeout=20)


class Transcript:
    """What one connection answered, in the order in which it came: letters, and of the rest what must be equal."""

    def __init__(self, client):
        self.client, self.seen, self.closed = client, [], False

    def send(self, *parts):
        try:
            self.client.send(*parts)
        except OSError:
            pass

    def until(self, ready):
        """Reads `ready` more ReadyForQuery, or to the end of the stream."""
        while ready and not self.closed:
            try:
                got = self.client.read()
            except (Closed, OSError):
                self.closed = True
                return self
            if got[0] == "E" or got[0] == "N":
                self.seen.append((got[0], got[1]["S"], got[1]["C"], got[1]["M"]))
            elif got[0] != "S":
                self.seen.append(got)
            ready -= got[0] == "Z"
        return self


def play(client, steps):
    """Steps: bytes to send, or the number of ReadyForQuery to wait for."""
    t = Transcript(client)
    for step in steps:
        if isinstance(step, int):
            t.until(step)
        else:
            t.send(step)
    return t


def both(pooler, postgres, *steps):
    """Plays the steps to PostgreSQL and through the pooler: both must answer the same."""
    direct = play(postgres.connect("lab", user="app"), steps)
    pooled = play(pooler.connect(), steps)
    assert pooled.seen == direct.seen and pooled.closed == direct.closed
    others_are_served(pooler)


def others_are_served(pooler, count=3):
    others = [pooler.connect() for _ in range(count)]
    for turn in range(3):
        for i, other in enumerate(others):
            assert other.value(f"select 'row {turn}.{i}'") == f"row {turn}.{i}"
            reply = other.extended("select $1::text", [f"own {turn}.{i}"], name=f"s{turn}")
            assert reply.values == [f"own {turn}.{i}"], reply
    for other in others:
        other.close()


# --- whose answer it is ----------------------------------------------------------------------------------------------

# With the Sync behind the failed COPY the server runs what follows, or has ignored the Sync and skips it: only it knows.
ATTACKS = {
    "sync, query": BAD + sync() + query("select 5"),
    "fail, sync, query": copy_fail("no") + sync() + query("select 5"),
    "several syncs": BAD + sync() * 5 + query("select 5"),
    "sync, done, query": BAD + sync() + copy_done() + query("select 5"),
    "good, sync, done, query": copy_data(b"1\n") + sync() + copy_done() + sync() + query("select 5"),
    "sync, bad, sync, query": sync() + BAD + sync() + query("select 5"),
    "sync, slow query": BAD + sync() + query("select 5 from pg_sleep(0.05)"),
    "sync, batch": BAD + sync() + ask("select 5") + sync(),
    "sync, query, query": BAD + sync() + query("select 5") + query("select 6"),
    "query inside": copy_data(b"1\n") + query("select 5"),
}


@pytest.mark.parametrize("end", ["close", "half-close", "reset", "terminate"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_what_stands_behind_a_failed_copy_reaches_nobody_else(pooler, attack, end):
    # The ledger dropped what stood behind a doubtful Sync as skipped; the server ran it, and its rows went to whoever came next.
    for start in (COPY, query("copy copied from stdin"), COPY + sync()):
        c = pooler.connect()
        c.send(start + ATTACKS[attack])
        {"close": c.close, "half-close": c.half_close, "reset": c.reset, "terminate": c.terminate}[end]()
        others_are_served(pooler, 2)
        c.close()


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_failed_copy_with_a_sync_behind_it_answers_as_postgresql(pooler, postgres, attack):
    # Whoever has to be skipped is skipped, and whoever has to be answered is answered, in order.
    ends = sync() + query("select 'end'") + terminate()
    direct = play(postgres.connect("lab", user="app"), [COPY + ATTACKS[attack] + ends, 99])
    pooled = play(pooler.connect(), [COPY + ATTACKS[attack] + ends, 99])
    assert pooled.seen == direct.seen
    others_are_served(pooler)


@pytest.mark.parametrize("attack", ["sync, query", "sync, done, query", "good, sync, done, query", "sync, bad, sync, query", "query inside"])
def test_a_failed_copy_in_two_parts_cut_at_every_byte(pooler, postgres, attack):
    # What the pooler knows when it judges a message depends on where the stream was cut; what is answered must not.
    stream = COPY + ATTACKS[attack] + sync() + query("select 'end'") + terminate()
    direct = play(postgres.connect("lab", user="app"), [stream, 99])
    for cut in range(1, len(stream)):
        c = pooler.connect()
        c.send(stream[:cut])
        time.sleep(0.001 * (cut % 3))
        assert play(c, [stream[cut:], 99]).seen == direct.seen, cut
        c.close()
    others_are_served(pooler)


@pytest.mark.parametrize("end", ["close", "half-close", "reset"])
@pytest.mark.parametrize("attack", ["sync, query", "good, sync, done, query", "query inside"])
def test_a_client_that_leaves_in_or_behind_a_failed_copy_at_any_byte(pooler, attack, end):
    # Wherever it is cut off, its server either answers the next one or is closed.
    stream = COPY + ATTACKS[attack] + sync()
    with pooler.connect() as other:
        for cut in range(1, len(stream)):
            c = pooler.connect()
            c.send(stream[:cut])
            {"close": c.close, "half-close": c.half_close, "reset": c.reset}[end]()
            assert other.value(f"select 'row {cut}'") == f"row {cut}"
            assert other.extended("select $1::text", [f"own {cut}"]).values == [f"own {cut}"]
            c.close()
    others_are_served(pooler)


def test_a_copy_that_is_refused_after_its_beginning_reads_no_sync(pooler, postgres):
    # COPY to a view without a trigger fails behind CopyInResponse, before anything is read: all Syncs are answered.
    for start in (ask("copy seen from stdin") + sync(), ask("copy seen from stdin") + sync() * 3 + query("select 5")):
        both(pooler, postgres, start, start.count(sync()), query("select 'end'"), 1)


def test_a_batch_with_copyfail_and_discard_all_does_not_hang(pooler, postgres):
    # P(copy) B E S f Q(DISCARD ALL) S: the query is skipped up to the last Sync, and takes no unnamed statement away.
    both(pooler, postgres, parse("", "select 'kept'") + sync(), 1)
    both(pooler, postgres, COPY + sync() + copy_fail("no") + query("discard all") + sync(), 1, query("select 'end'"), 1)


# A client that ends while a COPY reads hears why, and what became of the COPY before.
ENDS = {
    "a COPY": query("copy copied from stdin"), "a COPY with data": query("copy copied from stdin") + copy_data(b"1\n"),
    "a COPY that fails": query("copy copied from stdin") + BAD, "a COPY in a batch": COPY, "one that fails": COPY + BAD,
    "one that fails ahead of a Sync": COPY + BAD + sync(), "a COPY in a transaction": query("begin") + query("copy copied from stdin") + BAD,
    "a COPY behind others": ask("select 'a'") + query("select 'b'; copy copied from stdin"),
    "a COPY that ends": query("copy copied from stdin") + copy_data(b"1\n") + copy_done(),
}


@pytest.mark.parametrize("pause", [0, 0.1])
@pytest.mark.parametrize("end", ["half-close", "terminate"])
@pytest.mark.parametrize("which", ENDS)
def test_a_client_that_ends_inside_a_copy_hears_what_postgresql_says(pooler, postgres, which, end, pause):
    # The connection was closed without the COPY's error, or the words about the end.
    def played(client):
        client.send(ENDS[which])
        time.sleep(pause)
        client.half_close() if end == "half-close" else client.send(terminate())
        return play(client, [99])

    direct, pooled = played(postgres.connect("lab", user="app")), played(pooler.connect())
    assert pooled.seen == direct.seen and pooled.closed == direct.closed
    others_are_served(pooler)
    assert postgres.connect("lab").value("select count(*) from copied") == ("2" if which == "a COPY that ends" else "0")


# --- lengths ---------------------------------------------------------------------------------------------------------

SURPLUS = {
    "sync": message("S", b"1234"), "flush": message("H", b"12"), "copy done": message("c", b"x"), "terminate": message("X", b"x"),
    "execute": message("E", b"\0" + b"\0\0\0\0" + b"more"), "describe": message("D", b"P\0more"), "close": message("C", b"P\0more"),
}


@pytest.mark.parametrize("place", ["alone", "behind a query", "in a copy", "in an extended copy", "behind data that is refused"])
@pytest.mark.parametrize("which", SURPLUS)
def test_surplus_bytes_in_a_small_message_never_reach_a_server(pooler, which, place):
    # PostgreSQL skips to the next Sync over some of these, and takes others inside a COPY: whose answers then came was a guess.
    c = pooler.connect()
    c.send({
        "alone": b"", "behind a query": query("select 1"), "in a copy": query("copy copied from stdin") + copy_data(b"1\n"),
        "in an extended copy": COPY + copy_data(b"1\n"), "behind data that is refused": query("copy copied from stdin") + BAD,
    }[place] + SURPLUS[which] + query("select 2"))
    last = c.read_to_end().errors[-1]
    assert (last.severity, last.code) == ("FATAL", "08P01") and "invalid message format" in last.message
    others_are_served(pooler)


@pytest.mark.parametrize("which", "EDCSHcf")
def test_a_small_message_of_more_than_10000_bytes_ends_its_client(pooler, which):
    # PostgreSQL reads no such message; it closes the connection. One that lay whole in the buffer was sent on.
    c = pooler.connect()
    c.send(query("select 1") + message(which, b"P" + b"x" * 10_000 + b"\0") + query("select 2"))
    last = c.read_to_end().errors[-1]
    assert (last.severity, last.code) == ("FATAL", "08P01")
    others_are_served(pooler)


BROKEN = {
    "describe of no kind": describe("", "x"), "close of no kind": close("a", "\0"), "parse without an end": message("P", b"a\0select 1"),
    "parse without a name": message("P", b""), "parse with half a count": message("P", b"\0select 1\0\0"),
    "parse with more types than bytes": message("P", b"\0select 1\0\0\x02\0\0\0\x17"), "parse with more": parse("", "select 1") [:1] + b"\0\0\0\x13" + b"\0select 1\0\0\0more"[:15],
    "bind without an end": message("B", b""), "bind without counts": message("B", b"\0\0"), "bind with more": message("B", b"\0\0\0\0\0\0\0\0more"),
    "a name that is not UTF-8": parse("n\xff".encode("latin-1"), "select 1"), "bind of such a name": bind(b"\xc3"), "describe of such a name": describe("")[:0] + message("D", b"S\xe4\0"),
    "function call of nothing": message("F", b""), "execute that ends early": message("E", b"\0\0"), "describe of nothing": message("D", b""),
}


@pytest.mark.parametrize("place", ["first", "behind others"])
@pytest.mark.parametrize("which", BROKEN)
def test_a_broken_message_is_an_error_and_the_connection_lives(pooler, postgres, which, place):
    # They were FATAL. PostgreSQL reads all of such a message, says ERROR 08P01 (or 22021), and skips to the next Sync.
    ahead = ask("select 'first'") if place == "behind others" else parse("", "select 'own'")
    waits = 2 if which == "function call of nothing" else 1
    both(pooler, postgres, ahead + BROKEN[which] + sync(), waits, bind() + execute() + sync(), 1, query("select 'end'"), 1)


@pytest.mark.parametrize("before", ["", "batch", "answer", "copy", "transaction"])
def test_the_first_byte_of_a_message_that_does_not_exist_ends_its_client(pooler, before):
    # It waited for the rest of the header, for ever, and kept its server.
    ahead = {"": b"", "batch": parse("a", "select 1") + bind("a"), "answer": query("select 1"), "copy": query("copy copied from stdin"), "transaction": query("begin")}
    # PostgreSQL looks at the byte alone, whatever length stands behind it.
    for start in (b"\0", b"b\0\0", b"b\0\0\x0b\xb8more", b"\x80\xff\xff\xff\xff"):
        c = pooler.connect()
        c.send(ahead[before] + start)
        end = c.read_to_end().errors[-1]
        assert (end.severity, end.code) == ("FATAL", "08P01")
    others_are_served(pooler)


# --- statements ------------------------------------------------------------------------------------------------------

def test_a_refused_parse_of_anothers_text_leaves_its_server_usable(pooler):
    # 42P05 for everybody: the 26000 for the unnamed statement made the pooler forget the named one with the same text.
    a, m = pooler.connect(), pooler.connect()
    assert a.extended("select 'T'", name="t").values == ["T"]
    m.query("begin")
    m.query("select 1/0")
    m.run(parse("", "select 'T'"), sync(), ready=1)
    assert m.run(bind(), execute(), sync()).codes == ["26000"]
    m.query("rollback")
    for _ in range(3):
        assert a.run(bind("t"), execute(), sync()).values == ["T"]
        assert pooler.connect().extended("select 'T'", name="other").values == ["T"]


# pg_sleep(0.3) as a function call, which no other message has to wait for.
SLEEP = message("F", b"\0\0\x0a\x42" + b"\0\0" + b"\0\x01" + b"\0\0\0\x030.3" + b"\0\0")
NAMED = parse("a", "select 'a'") + parse("b", "select 'b'") + sync()
USED = bind("a") + execute() + sync() + bind("b") + execute() + sync()

PIPELINES = {
    "a statement whose Parse was refused": [
        query("begin") + query("select 1/0"), 2, parse("", "select 't1'") + sync() + parse("n", "select 2") + parse("", "select 't2'") + sync(), 2,
        query("rollback"), 1, bind() + execute() + sync(), 1],
    "a statement whose Parse was skipped": [
        execute("nix") + parse("", "insert into kept values(1)") + sync() + execute("nix") + query("select 1") + sync() + bind() + execute() + sync(), 3,
        query("select count(*) from kept"), 1],
    "an older statement behind skipped ones": [
        parse("", "select 'old'") + sync() + execute("nix") + parse("", "select 'skipped'") + sync() + execute("nix") + query("select 7") + sync()
        + bind() + execute() + sync(), 4],
    "deallocate all that is skipped": [
        parse("", "select 'kept'") + parse("a", "select 'a'") + sync(), 1, execute("nix") + query("deallocate all") + sync(), 1,
        bind() + execute() + bind("a") + execute() + sync(), 1],
    "discard all that is skipped": [
        parse("", "select 'kept'") + sync(), 1, execute("nix") + query("discard all") + sync() + bind() + execute() + sync(), 2],
    "a name dropped and given again in one batch": [
        parse("a", "select 1") + parse("", "deallocate a") + bind() + execute() + parse("a", "select 2") + sync(), 1, bind("a") + execute() + sync(), 1],
    "the same with a name of before": [
        parse("a", "select 1") + sync(), 1, parse("", "deallocate a") + bind() + execute() + parse("a", "select 2") + bind("a") + execute() + sync(), 1,
        bind("a") + execute() + sync(), 1],
    "the same in a query behind an open batch": [
        parse("a", "select 1") + query("deallocate a") + parse("a", "select 2") + bind("a") + execute() + sync(), 2],
    "deallocate all in the extended protocol": [
        parse("a", "select 1") + ask("deallocate all") + parse("a", "select 2") + bind("a") + execute() + sync(), 1, bind("a") + execute() + sync(), 1],
    "discard all in the extended protocol": [
        parse("a", "select 1") + sync(), 1, ask("discard all") + parse("a", "select 2") + bind("a") + execute() + sync(), 1, bind("a") + execute() + sync(), 1],
    "a DEALLOCATE prepared before its name": [
        parse("r", "deallocate p") + parse("p", "select 42") + bind("p") + execute() + bind("r") + execute() + sync(), 1, bind("p") + sync(), 1],
    "a DEALLOCATE bound to portals of two names": [
        parse("r", "deallocate p") + parse("p", "select 1") + bind("r", portal="x") + bind("p", portal="y") + execute("y") + execute("x") + sync(), 1,
        bind("p") + sync(), 1],
    "a DEALLOCATE that fails": [parse("r", "deallocate nothing") + bind("r") + execute() + sync(), 1, query("deallocate nothing"), 1],
    "psqlODBC's DEALLOCATE outside a transaction": [
        parse("s", "select 1") + sync() + query("savepoint v;deallocate s;release v"), 2, bind("s") + execute() + sync(), 1],
    "the same behind a pipeline": [
        parse("s", "select 1") + sync() + query("begin") + query("savepoint v;deallocate s;release v") + query("commit") + bind("s") + sync(), 5],
    "DEALLOCATE in a failed transaction": [
        parse("s", "select 1") + sync() + query("begin") + query("select 1/0") + query("deallocate s") + query("deallocate all") + query("rollback"), 6,
        bind("s") + execute() + sync(), 1],
    "errors name what the client named": [parse("my", "select $1::int") + bind("my") + execute() + sync(), 1],
    "errors behind DISCARD ALL, too": [
        parse("my", "select 1") + sync(), 1, query("discard all") + bind("my") + execute() + sync(), 2],
    "errors behind a query that drops everything": [
        parse("my", "select 1") + sync(), 1, query("select 1; deallocate all") + bind("my") + execute() + parse("my", "select 2") + sync(), 2,
        bind("my") + execute() + sync(), 1],
    "a name given twice": [
        parse("s", "select 1") + sync() + parse("s", "select 2") + bind("s") + execute() + sync() + parse("s", "broken") + sync(), 3,
        bind("s") + execute() + sync(), 1],
    "a name given twice in one batch": [parse("s", "select 1") + parse("s", "select 2") + bind("s") + execute() + sync(), 1, bind("s") + execute() + sync(), 1],
    "names of more than 63 bytes": [
        parse("n" * 63 + "a", "select 1") + bind("n" * 63 + "b") + execute() + sync(), 1, parse("n" * 63, "select 2") + sync(), 1,
        bind("n" * 70, ["surplus"]) + sync(), 1, close("n" * 64) + parse("n" * 65, "select 3") + bind("n" * 63) + execute() + sync(), 1],
    "an error about a DEALLOCATE of a long name": [
        parse("n" * 65, "deallocate all") + bind("n" * 65, ["surplus"]) + sync(), 1],
    "DEALLOCATE and empty statements": [
        parse("a", "select 1") + query('deallocate "a";;') + query(" deallocate all ; ; ") + bind("a") + execute() + sync(), 3],
    "a NOTICE behind replies of the pooler's own": [
        parse("p", "select 1") + close("absent") + query("do $$ begin raise notice 'hello'; end $$") + sync(), 2],
    "the first snapshot is the Parse's": [
        parse("p", "select 1") + sync(), 1, close("p") + sync(), 1, parse("p", "select 1") + query("begin isolation level serializable") + query("rollback"), 2],
    "the same with another Parse behind it": [
        parse("p", "select 1") + sync() + close("p") + sync(), 2,
        parse("p", "select 1") + parse("", "begin isolation level serializable") + bind() + execute() + sync(), 1, query("rollback"), 1],
    "the snapshot of a transaction that DISCARD ALL ends": [
        parse("p", "select 1") + parse("d", "discard all") + close("p") + sync(), 1,
        parse("p", "select 1") + bind("d") + execute() + parse("t", "set transaction isolation level serializable") + bind("t") + execute() + sync(), 1],
    "the snapshot of a transaction that COMMIT ends": [
        parse("p", "select 1") + parse("c", "commit") + close("p") + sync(), 1,
        parse("p", "select 1") + bind("c") + execute() + parse("t", "set transaction isolation level serializable") + bind("t") + execute() + sync(), 1],
    "the same in a transaction": [
        parse("p", "select 1") + sync() + close("p") + sync(), 2, query("begin") + parse("p", "select 1") + sync(), 2,
        query("set transaction isolation level serializable") + query("rollback"), 2],
    "a query inside a COPY": [query("copy copied from stdin") + copy_data(b"1\n") + query("deallocate all"), 99],
    "a Close inside a COPY": [query("copy copied from stdin") + copy_data(b"1\n") + close("zz") + copy_data(b"2\n") + copy_done(), 99],
    "a Parse of a known text inside a COPY": [
        parse("a", "select 1") + sync(), 1, COPY + copy_data(b"1\n") + parse("b", "select 1") + sync(), 99],
    "a Close of a known name inside a COPY": [
        parse("a", "select 1") + sync(), 1, query("copy copied from stdin") + close("a") + copy_done(), 99],
    "messages behind a COPY that fails": [query("copy copied from stdin") + BAD + copy_done() + query("select 1"), 2],
    "messages behind a COPY that fails at its end": [
        query("alter table copied add constraint positive check (i > 0)"), 1, COPY + sync() + copy_data(b"-1\n") + copy_done() + sync(), 1,
        COPY + copy_data(b"-1\n") + sync() + copy_done() + ask("select 'skipped'") + sync(), 1,
        query("copy copied from stdin") + copy_data(b"1\n") + sync() + copy_done() + query("select 'behind'"), 2,
        query("alter table copied drop constraint positive"), 1],
    "two COPYs in one query": [
        query("copy copied from stdin; copy copied from stdin; select 9") + copy_data(b"1\n") + copy_done() + copy_data(b"2\n") + copy_done()
        + query("select count(*) from copied"), 2, query("truncate copied"), 1],
    # A name that the client has closed, or given again, is still what the error of an earlier message is about.
    "an error about a name that is closed behind it": [
        parse("c", "select $1::text") + sync(), 1, bind("c") + sync() + close("c") + parse("c", "select 1") + sync(), 2, bind("c") + execute() + sync(), 1],
    "the same with names of other clients' texts": [
        parse("c", "select $1::text") + parse("d", "select $1::text") + sync(), 1,
        bind("d") + sync() + bind("c") + sync() + close("d") + sync() + close("c") + sync(), 4],
    # DEALLOCATE among other statements of a query looked for its name on the server, which knows the client's names by others.
    "DEALLOCATE ahead of another statement": [NAMED, 1, query("deallocate a; select 5"), 1, USED, 2],
    "DEALLOCATE inside a transaction block of one query": [NAMED, 1, query('begin;deallocate "a";commit') + USED, 3],
    "DEALLOCATE of a name in Unicode escapes": [NAMED, 1, query('deallocate U&"\\0061"') + query("select 1;deallocate u&\"!+000062\" uescape '!'"), 2, USED, 2],
    "DEALLOCATE behind words that look like it": [
        NAMED, 1, query("select ';deallocate b;', $$;deallocate b;$$, e'\\';deallocate b;' /*;deallocate b;*/ --;deallocate b;\n; deallocate a"), 1, USED, 2],
    "DEALLOCATE of two names": [NAMED, 1, query(";;deallocate b;;deallocate prepare A;"), 1, USED, 2],
    "DEALLOCATE of a name twice": [NAMED, 1, query("deallocate a; deallocate a"), 1, USED, 2],
    "DEALLOCATE of a name that is not there": [NAMED, 1, query("deallocate a; deallocate nix; deallocate b"), 1, USED, 2],
    "DEALLOCATE ahead of an error": [NAMED, 1, query("deallocate a; select 1/0; deallocate b"), 1, USED, 2],
    "DEALLOCATE behind an error": [NAMED, 1, query("select 1/0; deallocate a"), 1, USED, 2],
    "DEALLOCATE ahead of text that can't be parsed": [NAMED, 1, query("deallocate a; selectt 1"), 1, USED, 2],
    "DEALLOCATE whose query fails at its commit": [
        query("alter table kept add unique (i) deferrable initially deferred"), 1, NAMED, 1, query("insert into kept values (1), (1); deallocate a"), 1, USED, 2,
        query("alter table kept drop constraint kept_i_key"), 1],
    "DEALLOCATE behind ROLLBACK of a failed transaction": [
        NAMED, 1, query("begin") + query("select 1/0") + query("rollback; deallocate a") + USED, 5],
    "DEALLOCATE among others in a failed transaction": [
        NAMED, 1, query("begin") + query("select 1/0") + query("deallocate a; select 1") + query("rollback") + USED, 6],
    "DEALLOCATE among others behind an open batch": [
        NAMED, 1, ask("insert into kept values (7)") + query("deallocate a; select 1/0") + USED + query("select count(*) from kept"), 4],
    "DEALLOCATE behind COPY in one query": [
        NAMED, 1, query("copy copied from stdin; deallocate a") + copy_data(b"1\n") + copy_done() + USED, 3, query("truncate copied"), 1],
    "DEALLOCATE behind a COPY that fails in one query": [NAMED, 1, query("copy copied from stdin; deallocate a") + BAD + copy_done() + USED, 3],
    "DEALLOCATE and its name given again in one burst": [
        NAMED, 1, query("select 1; deallocate a") + parse("a", "select 'new'") + sync() + USED, 4],
    "DEALLOCATE among others ahead of the first snapshot": [
        NAMED, 1, query("begin isolation level serializable; deallocate a; set transaction isolation level repeatable read; rollback") + USED
        + query("rollback"), 4],
    # What was skipped before it took away what was known of it, and a later Bind had it parsed again.
    "a refused Parse behind a skipped query": [
        execute("nix") + query("select 1") + sync() + SLEEP + parse("", "select nocolumn") + sync() + bind() + execute() + sync(), 4],
    "a Parse behind a skipped query": [
        execute("nix") + query("select 1") + sync() + SLEEP + parse("", "select 'own'") + sync() + bind() + execute() + sync(), 4],
    "a portal that is a DEALLOCATE ends with its transaction": [
        parse("a", "select 1") + parse("", "deallocate a") + bind() + parse("b", "select 2") + sync() + execute() + sync() + bind("a") + sync(), 3],
    "a portal that is a DEALLOCATE is replaced by a query": [
        parse("a", "select 1") + parse("", "deallocate a") + bind() + query("begin") + execute() + sync() + query("rollback") + bind("a") + sync(), 4],
    "a query that is passed on in pieces, with names": [
        NAMED, 1, query("select length('" + "z" * 300_000 + "'); select 2") + USED, 3],
    "DEALLOCATE of a name that the server knows otherwise": [
        parse("SLUICE_1", "select 1") + parse("SLUICE_2", "select 2") + sync(), 1, query("deallocate \"SLUICE_2\""), 1,
        bind("SLUICE_1") + execute() + sync() + bind("SLUICE_2") + execute() + sync(), 2],
    "COPY data where no COPY is": [copy_data(b"1\n") + copy_done() + copy_fail("x") + query("select 1") + copy_done() + query("select 2"), 2],
}


@pytest.mark.parametrize("behind", ["bind", "describe", "parse", "unnamed bind"])
def test_a_message_inside_a_copy_is_named_by_its_own_type(make_pooler, postgres, tables, behind):
    # A server that lacked the statement, or was full, was sent a Parse or Close of the pooler's own first, and the error was about that.
    pooler = make_pooler(default_pool_size=1, max_prepared_statements=1)
    steps = [
        parse("a", "select 'a'") + sync() + parse("b", "select 'b'") + sync() + parse("", "select 'c'") + sync() + query("select 'd'"), 4,
        query("copy copied from stdin") + {"bind": bind("a"), "describe": describe("a"), "parse": parse("e", "select 'e'"), "unnamed bind": bind()}[behind]
        + sync(), 99]
    both(pooler, postgres, *steps)


# PostgreSQL sends the tag of a query's last statement behind the commit: where that fails, what the statement did is done, and nobody hears.
UNSEEN = {
    "behind an insert": query("insert into unseen values (1), (1); deallocate all"),
    "behind a COPY": query("copy unseen from stdin; deallocate all") + copy_data(b"1\n1\n") + copy_done(),
    "behind an open batch": ask("insert into unseen values (1), (1)") + query("deallocate all"),
    "by name": parse("n", "select 'n'") + sync() + ask("insert into unseen values (1), (1)") + query("deallocate n"),
    "ahead of an error": query("deallocate all; select nocolumn"),
}


@pytest.mark.parametrize("which", UNSEEN)
def test_a_deallocate_of_which_no_tag_tells_loses_nobody_elses_statement(pooler, postgres, which):
    # the server had lost all of its statements, and each of the others heard once that its own does not exist
    if which in ("behind an open batch", "by name"):
        postgres.needs_queries_to_end_batches()
    postgres.connect("lab").rows("drop table if exists unseen; create table unseen(i int unique deferrable initially deferred); grant all on unseen to public")
    others = [pooler.connect() for _ in range(3)]
    for i, other in enumerate(others):
        assert other.extended("select $1::int", [str(i)], name="own").values == [str(i)]
    c = pooler.connect()
    for turn in range(2):
        assert c.run(UNSEEN[which] + query("select 'end'"), ready=UNSEEN[which].count(sync()) + 2).codes in (["23505"], ["42703"])
        for i, other in enumerate(others):
            assert other.run(bind("own", [str(i)]), execute(), sync()).check().values == [str(i)]
        assert others[0].extended(f"select {turn}", name=f"more {turn}").values == [str(turn)]
    others_are_served(pooler)
    postgres.connect("lab").rows("drop table unseen")


@pytest.mark.parametrize("text", ["select 1/0; deallocate a", "deallocate a; select 1", "select 1; deallocate a; selectt", "copy nix from stdin; deallocate a"])
def test_what_helps_a_deallocate_among_others_is_gone_afterwards(pooler, text):
    # The server is given the client's name for a moment: the next client must be able to give it in SQL, and no other one may use it.
    c, other = pooler.connect(), pooler.connect()
    assert c.extended("select 'own'", name="a").values == ["own"]
    assert other.query("prepare a as select 'theirs'").check().tags == ["PREPARE"]
    for turn in range(3):
        c.query(text)
        c.extended("select 'own'", name=f"a{turn}")
        assert other.query("select count(*) from pg_prepared_statements where name in ('a', 'b') and statement = ''").check().values == ["0"]
    other.query("deallocate all").check()
    c.run(parse("b", "select 'b'"), sync()).check()
    c.query("select 1/0; deallocate b")
    assert other.query("prepare b as select 'theirs'").check().tags == ["PREPARE"]
    assert other.query("execute b").check().values == ["theirs"]
    others_are_served(pooler)


@pytest.mark.parametrize("way", ["query", "among others", "extended"])
def test_a_deallocate_of_the_poolers_own_name_harms_nobody(pooler, way):
    # whoever looked into pg_prepared_statements could make the others hear that their statements do not exist
    other, c = pooler.connect(), pooler.connect()
    assert other.extended("select $1::int", ["7"], name="own").values == ["7"]
    for name in c.query("select name from pg_prepared_statements").check().values:
        sql = f'deallocate "{name}"' + ("; select 1" if way == "among others" else "")
        assert c.run(ask(sql) + sync() if way == "extended" else query(sql)).codes == ["42939"]
        assert other.run(bind("own", ["8"]), execute(), sync()).check().values == ["8"]
    others_are_served(pooler)


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_is_answered_as_by_postgresql(pooler, postgres, name):
    both(pooler, postgres, *PIPELINES[name])
    # And once more on a server that has seen all of it.
    others_are_served(pooler)


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_in_pieces_is_answered_as_by_postgresql(pooler, postgres, name):
    # The same, a message at a time: what is known when a message is judged depends on how the bytes arrive.
    pieces = []
    for step in PIPELINES[name]:
        pieces += [step] if isinstance(step, int) else split(step)
    both(pooler, postgres, *pieces)


def split(data):
    parts, at = [], 0
    while at < len(data):
        length = 1 + int.from_bytes(data[at + 1 : at + 5], "big")
        parts.append(data[at : at + length])
        at += length
    return parts


# --- bounds ----------------------------------------------------------------------------------------------------------

def test_endless_closes_during_a_slow_query_cost_no_memory(pooler):
    # The pooler answers a Close of an unknown name itself, when its turn comes. Behind a slow query these answers piled up without bound.
    c = pooler.connect()
    c.value("select 1")
    before = anonymous_memory(pooler.pid)
    c.send(query("select pg_sleep(2)"))
    c.socket.setblocking(False)
    burst, sent = close("unknown") * 5000, 0
    try:
        for _ in range(400):
            sent += c.socket.send(burst)
    except BlockingIOError:
        pass
    assert anonymous_memory(pooler.pid) - before < 8 << 20
    c.close()
    others_are_served(pooler)


@pytest.mark.parametrize("which", ["deallocates behind a sleep", "syncs inside a copy", "parses behind a sleep"])
def test_what_is_outstanding_makes_no_message_dearer(pooler, which):
    # Each of them took the worker for 24 s and more: a copy of the client's table for each DEALLOCATE, a walk through the ledger for each
    # Sync or Parse. The processor time that the pooler takes is counted, and with a hundred times more of them still is small.
    c = pooler.connect()
    if which == "deallocates behind a sleep":
        for start in range(0, 20_000, 1000):
            c.run(*[parse(f"n{i}", "select 1") for i in range(start, start + 1000)], sync())
        c.send(query("select pg_sleep(0.2)") + b"".join(query(f"deallocate n{i}") for i in range(2000)))
        expected = 2001
    elif which == "syncs inside a copy":
        c.send(COPY + sync() * 200_000 + copy_fail("no") + sync())
        expected = 1
    else:
        c.run(parse("known", "select 1"), sync())
        c.send(ask("select pg_sleep(0.2)") + b"".join(parse(f"p{i}", "select 1") for i in range(100_000)) + sync())
        expected = 1
    other = pooler.connect(database="lab2")
    for _ in range(20):
        assert other.value("select 'other'") == "other"
    for _ in range(expected):
        c.read_until("Z")
    assert c.value("select 'end'") == "end"
    c.close()
    assert processor_seconds(pooler.pid) < 10


def processor_seconds(pid):
    import os

    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
