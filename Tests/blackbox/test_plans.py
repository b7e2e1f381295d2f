"""Whose plan is it? A Parse of a text that the server knows already may be answered with what another client's Parse gave, but only where
this client's own would have given the same.

Each test plays its clients to the pooler, and to servers of their own: both must answer the same.
"""
import random
import time

import pytest

from wire import ask, bind, close, describe, execute, parse, query, sync

pytestmark = pytest.mark.sluice_only("PgBouncer gives a client the plan of whoever prepared the text first")


@pytest.fixture
def pooler(make_pooler):
    return make_pooler(default_pool_size=1, query_wait_timeout=20)


@pytest.fixture
def schemas(postgres):
    admin = postgres.connect("lab")
    admin.rows(
        "drop schema if exists one, two cascade; create schema one; create schema two; grant usage on schema one, two to public;"
        "create table one.zip(code int); create table two.zip(code text); grant all on one.zip, two.zip to public"
    )
    yield
    admin.rows("drop schema one, two cascade")


class Play:
    """The same steps to clients of a pooler and to clients with a server each, which are told apart by a word."""

    def __init__(self, pooler, postgres, database="lab", **parameters):
        self.pooled, self.direct = {}, {}
        for who, wanted in parameters.items():
            self.pooled[who] = pooler.connect(database=database, parameters=wanted)
            self.direct[who] = postgres.connect(database, user="app", parameters=wanted)

    def __call__(self, who, *parts):
        """Sends one burst and compares everything up to the last ReadyForQuery that is due; what the pooler answered."""
        ready = sum(part.count(sync()) if not part.startswith(b"Q") else 1 for part in parts)
        direct = seen(self.direct[who].run(*parts, ready=ready))
        pooled = seen(self.pooled[who].run(*parts, ready=ready))
        assert pooled == direct, f"{who}: {parts}"
        return pooled


def seen(reply):
    """What must be equal: of errors and notices the code and the text."""
    return [(m[0], m[1]["C"], m[1]["M"]) if m[0] in "EN" else m for m in reply if m[0] != "S"]


def use(name, *values):
    return bind(name, values) + execute() + sync()


def rows(reply):
    return [m[1] for m in reply if m[0] == "D"]


# --- settings that the analysis looks at ---------------------------------------------------------------------------------------------

SETTINGS = {
    "DateStyle": ("SQL, DMY", "SQL, MDY", "select extract(month from '01/02/2020'::date)"),
    "TimeZone": ("UTC", "Asia/Tokyo", "select extract(epoch from '2020-01-01 00:00'::timestamptz)"),
    "standard_conforming_strings": ("on", "off", r"select length('a\nb')"),
    "IntervalStyle": ("postgres", "sql_standard", "select extract(epoch from '-1 2:03:04'::interval)"),
    "bytea_output": ("hex", "escape", r"select E'\\x41ff'::bytea::text"),
    "extra_float_digits": ("1", "-10", "select (1.0/3)::float8::text"),
    "array_nulls": ("on", "off", "select array_position('{a,null}'::text[], 'null')"),
    "transform_null_equals": ("on", "off", "select count(*) from (values (null::int)) as v(i) where i = null"),
    "timezone_abbreviations": ("Default", "India", "select extract(epoch from '2020-01-01 00:00 IST'::timestamptz)"),
    "xmloption": ("content", "document", "select xml_is_well_formed('<a/><b/>')"),
    "backslash_quote": ("on", "off", r"select E'a\'b'"),
    "lc_monetary": ("C", "C.UTF-8", "select '1.23'::money::text"),
    "quote_all_identifiers": ("on", "off", "select pg_get_expr(adbin, adrelid) is null from pg_attrdef where false"),
}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", ["", "n"])
def test_clients_whose_settings_differ_where_the_parser_looks(pooler, postgres, setting, name):
    # The second client got the constants of the first one's settings.
    one, other, text = SETTINGS[setting]
    play = Play(pooler, postgres, a={setting: one}, b={setting: other}, c={setting: one})
    for who in ("a", "b", "c", "a", "b"):
        play(who, close(name) + parse(name, text) + describe(name) + bind(name) + execute() + sync())


def test_a_name_is_the_same_name_in_another_encoding(pooler, postgres):
    # It was known by its bytes: what had been given under one client_encoding was not found under another, and other names were.
    play = Play(pooler, postgres, a={"client_encoding": "UTF8"})
    utf8, latin1 = "\u00e4".encode(), "\u00e4".encode("latin1")
    play("a", parse(utf8, "select 'its name is one letter'"), parse("plain", "select 'ascii'"), sync())
    for _ in range(2):
        play("a", query("set client_encoding to latin1"))
        assert rows(play("a", use(latin1)))
        play("a", use(utf8))  # two letters now
        play("a", use("plain"))
        play("a", describe(latin1), sync())
        play("a", query("set client_encoding to win1252"))
        play("a", use(utf8))
        play("a", query("set client_encoding to utf8"))
        assert rows(play("a", use(utf8)))
        play("a", parse(utf8, "select 'again'"), sync())
    play("a", query("set client_encoding to latin1"), close(latin1), sync())
    play("a", query("set client_encoding to utf8"), use(utf8))
    play("a", parse(utf8, "select 'anew'"), use(utf8))
    play("a", query("deallocate all"), use(utf8))


@pytest.mark.parametrize("how", ["a query", "among others", "a portal"])
@pytest.mark.parametrize("encoding", ["utf8", "latin1", "win1252", "euc_jp"])
def test_a_name_in_sql_is_spelt_in_the_clients_encoding(pooler, postgres, how, encoding):
    # What was no UTF-8 was taken for no name: DEALLOCATE answered 26000, and the name stayed.
    spelling = {"euc_jp": "euc_jp", "win1252": "cp1252"}.get(encoding, encoding)
    word = "\u65e5\u672c" if encoding == "euc_jp" else "\u00e4"
    play = Play(pooler, postgres, a={"client_encoding": "UTF8"})
    for quote in ("", '"'):
        # Between UTF8 and LATIN1 names are converted.
        for change in (True, False) if encoding in ("utf8", "latin1") else (False,):
            if not change:
                play("a", query(f"set client_encoding to {encoding}"))
            play("a", parse(word.encode(spelling if not change else "utf8"), "select 1") + parse("b", "select 2") + sync())
            if change:
                play("a", query(f"set client_encoding to {encoding}"))
            name = word.encode(spelling)
            text = b"deallocate " + quote.encode() + name + quote.encode()
            if how == "a query":
                play("a", query(text))
            elif how == "among others":
                play("a", query(b"select 1; " + text + b"; select 2"))
            else:
                play("a", parse("d", text) + use("d") + close("d") + sync())
            play("a", use(name))
            if change:
                play("a", query("set client_encoding to utf8"))
                name = word.encode()
            play("a", use(name))
            play("a", use("b"))
            play("a", query("set client_encoding to utf8"))
            play("a", query("deallocate all"))


def test_clients_whose_encodings_differ(pooler, postgres):
    # length('é') in UTF8 and, of the same bytes, in LATIN1: 1 and 2.
    play = Play(pooler, postgres, a={"client_encoding": "UTF8"}, b={"client_encoding": "LATIN1"})
    for who in ("a", "b", "a"):
        play(who, close("n") + parse("n", "select length('é')") + use("n"))


@pytest.mark.parametrize("setting", ["DateStyle", "TimeZone", "bytea_output", "standard_conforming_strings"])
@pytest.mark.parametrize("how", ["simple", "extended", "set_config", "mixed"])
def test_set_local_is_part_of_what_a_parse_means(pooler, postgres, setting, how):
    one, other, text = SETTINGS[setting]
    play = Play(pooler, postgres, a={}, b={})

    def begin(who, value):
        change = f"set local {setting} to '{value}'" if how != "set_config" else f"select set_config('{setting}', '{value}', true)"
        if how == "extended":
            play(who, ask("begin") + ask(change) + sync())
        elif how == "mixed":
            play(who, query(f"begin; {change}; select 1"))
        else:
            play(who, query("begin"), query(change))

    for value in (one, other, one):
        for who in ("a", "b"):
            begin(who, value)
            play(who, close("n") + parse("n", text) + use("n"))
            play(who, query("commit"))
            play(who, use("n"))
            play(who, close("n") + parse("n", text) + use("n"))


@pytest.mark.parametrize("end", ["commit", "rollback"])
@pytest.mark.parametrize("text", ["set local search_path = two", "select set_config('search_path', 'two', true)", "do $$begin perform set_config('search_path', 'two', true); end$$"])
def test_two_tenants_with_a_table_of_the_same_name(pooler, postgres, schemas, text, end):
    # The second tenant's '007' was stored as '7', without an error.
    play = Play(pooler, postgres, a={}, b={})
    for turn in range(3):
        play("a", query("begin"), query("set local search_path = one"))
        play("a", close("n") + parse("n", "insert into zip values ($1)") + describe("n") + use("n", "7"))
        play("a", query(end))
        play("b", query("begin"), query(text))
        play("b", close("n") + parse("n", "insert into zip values ($1)") + describe("n") + use("n", "007"))
        play("b", parse("", "select code from zip limit 1") + use("") + close("m") + parse("m", "select code from zip limit 1") + describe("m") + use("m"))
        play("b", query(end))
        # Nothing of it stays.
        play("b", parse("", "select code from zip") + sync())


def test_tenants_by_startup_parameter(pooler, postgres, schemas):
    play = Play(pooler, postgres, a={"search_path": "one"}, b={"search_path": "two"})
    for turn in range(3):
        for who in ("a", "b"):
            play(who, close("n") + parse("n", "insert into zip values ($1)") + describe("n") + use("n", "007"))
            play(who, use("n", "008"))
    assert {r[0] for r in postgres.connect("lab").rows("select code from two.zip")} >= {"007", "008"}


def test_a_savepoint_takes_settings_back(pooler, postgres, schemas):
    play = Play(pooler, postgres, a={}, b={})
    insert = close("n") + parse("n", "insert into zip values ($1)") + describe("n") + use("n", "07")
    for who in ("a", "b"):
        play(who, query("begin"), query("set local search_path = one"), query("savepoint s"), query("set local search_path = two"))
        play(who, insert)
        play(who, query("rollback to savepoint s"))
        play(who, insert)
        play(who, query("release savepoint s"))
        play(who, query("commit"))


def test_set_and_parse_in_one_burst(pooler, postgres, schemas):
    play = Play(pooler, postgres, a={}, b={})
    insert = close("n") + parse("n", "insert into zip values ($1)") + describe("n") + bind("n", ["07"]) + execute()
    for turn in range(3):
        for who, path in (("a", "one"), ("b", "two")):
            play(who, ask("begin") + ask(f"set local search_path = {path}") + insert + ask("commit") + sync())
            play(who, ask("begin") + ask("set local search_path = nowhere") + ask("rollback") + ask(f"set local search_path = {path}") + insert + sync())
            # One that fails was not set.
            play(who, query("begin"), query(f"set local search_path = {path}"), query("commit"), query("set datestyle = 'nonsense'"), parse("", "select '01/02/2020'::date::text") + use(""))


def test_the_role_decides_whose_table_it_is(pooler, postgres):
    # `"$user"` is the current role's schema, and a function that is folded at plan time is the role's to call.
    admin = postgres.connect("lab")
    admin.rows(
        "drop schema if exists ta, tb, priv cascade; drop role if exists ta; drop role if exists tb; drop role if exists lo;"
        "create role ta; create role tb; create role lo; grant ta, tb, lo to app; create schema ta authorization ta; create schema tb authorization tb;"
        "create table ta.zip(code int); create table tb.zip(code text); alter table ta.zip owner to ta; alter table tb.zip owner to tb;"
        "create schema priv; grant usage on schema priv to app; create function priv.fn() returns text immutable language sql as $$ select 'secret' $$"
    )
    try:
        play = Play(pooler, postgres, a={}, b={})
        insert = close("n") + parse("n", "insert into zip values ($1) returning code") + describe("n") + use("n", "007")
        for turn in range(2):
            for who, role in (("a", "ta"), ("b", "tb"), ("b", "ta"), ("a", "tb")):
                play(who, query("begin"), query(f"set local role {role}"))
                play(who, insert)
                play(who, query("commit"))
        read = close("p") + parse("p", "select priv.fn()") + use("p")
        play("a", read)
        play("b", query("begin"), query("set local role lo"))
        assert ("E", "42501") == play("b", read)[1][:2]
        play("b", query("rollback"))
    finally:
        admin.rows("drop schema ta, tb, priv cascade; drop owned by ta, tb, lo; drop role ta, tb, lo")


@pytest.mark.parametrize("word", ["now", "today", "tomorrow", "yesterday", "allballs"])
def test_a_literal_that_is_fixed_at_its_parse(pooler, postgres, word):
    # 'now' was the time of the first client's Parse for everybody.
    a, b = pooler.connect(), pooler.connect()
    text = f"select '{word}'::timestamptz::text, now() < '{word}'::timestamptz + interval '0.2 s'" if word != "allballs" else "select 'allballs'::time::text"
    for c in (a, b):
        c.run(parse("n", text) + sync()).check()
    pids = postgres.connect("lab").rows("select count(*) from pg_stat_activity where datname = 'lab' and usename = 'app'")
    assert pids == [("1",)]
    held = [row for row in a.rows("select name from pg_prepared_statements where statement like '%" + word + "%' and statement not like '%pg_prepared%'")]
    assert len(held) == 2, held


# --- parsed later, on another server ---------------------------------------------------------------------------------------------------


def test_a_plan_that_is_parsed_later_is_parsed_under_its_own_settings(make_pooler, postgres):
    # 31 for 1: the text was parsed under the SET LOCAL of the Bind's transaction, and stayed so for everybody on that server.
    pooler = make_pooler(default_pool_size=2)
    text = "select '01/02/2020'::date - '2020-01-01'::date"
    for name in ("n", ""):
        a, b, holder = pooler.connect(), pooler.connect(), pooler.connect()
        pid = a.pid()
        a.run(parse(name, text) + use(name)).check()
        holder.rows("begin")
        while holder.pid() != pid:
            holder.rows("commit")
            holder.close()
            holder = pooler.connect()
            holder.rows("begin")
        a.rows("begin")
        assert a.pid() != pid
        a.rows("set local datestyle = 'SQL, DMY'")
        if name == "":
            a.run(parse("", text) + sync())
            a.rows("commit")
            continue
        assert a.run(use(name)).values == ["1"]
        assert a.value("show datestyle") == "SQL, DMY"
        a.rows("commit")
        assert b.run(parse("m", text) + use("m")).values == ["1"]
        holder.rows("commit")


@pytest.mark.parametrize("setting", ["TimeZone", "standard_conforming_strings", "bytea_output", "search_path"])
def test_settings_are_put_back_behind_a_parse(make_pooler, postgres, schemas, setting):
    pooler = make_pooler(default_pool_size=2)
    texts = {k: (v[1], v[2]) for k, v in SETTINGS.items()} | {"search_path": ("two", "select 1")}
    value, text = texts[setting]
    a, holder = pooler.connect(), pooler.connect()
    direct = postgres.connect("lab", user="app")
    pid = a.pid()
    a.run(parse("n", text) + use("n")).check()
    expected = direct.run(parse("n", text) + use("n")).values
    holder.rows("begin")
    while holder.pid() != pid:
        holder.rows("commit")
        holder.close()
        holder = pooler.connect()
        holder.rows("begin")
    for start in ("begin", f"begin; do 'begin end'"):
        a.query(start)
        assert a.pid() != pid
        a.rows(f"set local {setting} = '{value}'")
        assert a.run(use("n")).values == expected
        assert a.value(f"show {setting}") == value
        a.run(close("n") + parse("n", text) + sync()).check()
        a.rows("rollback")
        a.run(close("n") + parse("n", text) + use("n")).check()
    # Outside a transaction block: until the Sync, and no longer.
    before = a.value(f"show {setting}")
    assert a.run(use("n")).values == expected
    assert a.value(f"show {setting}") == before


@pytest.mark.parametrize("change", ["set local quote_all_identifiers = on", "prepare q as select 42; execute q; deallocate q"])
@pytest.mark.parametrize("is_described", [False, True])
@pytest.mark.parametrize("name", ["n", ""])
def test_the_error_of_a_plan_is_told_where_postgresql_tells_it(make_pooler, postgres, change, is_described, name):
    # Where the statement was planned ahead of the message that needed it, the Bind was answered by a bare ReadyForQuery, and a Describe had an
    # error that is the Bind's.
    pooler = make_pooler(default_pool_size=2)
    play = Play(pooler, postgres, a={})
    pid = play.pooled["a"].pid()
    play.direct["a"].pid()
    for steps in ([use(name)], [describe(name) + sync(), use(name)], [describe(name) + use(name)]):
        play("a", close(name) + parse(name, "select 1/0") + (describe(name) if is_described else b"") + sync())
        holder = elsewhere(pooler, play.pooled["a"], pid)
        play("a", parse("other", "begin") + use("other"))
        play("a", parse("set", change.split(";")[0]) + use("set"))
        if ";" in change:
            play("a", close("set") + parse("set", "execute q") + use("set"))
            play("a", close("set") + parse("set", "deallocate q") + use("set"))
        for step in steps:
            play("a", step)
        play("a", query("select 2"))
        play("a", query("rollback"))
        play("a", close("other") + close("set") + sync())
        holder.rows("commit")


def test_a_taken_name_whose_text_does_not_parse_any_more(pooler, postgres):
    admin = postgres.connect("lab")
    play = Play(pooler, postgres, a={})
    for text in ("select * from gone", "select 1"):
        admin.rows("drop table if exists gone; create table gone(i int); grant all on gone to public")
        play("a", parse("n", "select * from gone") + sync())
        admin.rows("drop table gone")
        play("a", parse("n", text) + sync())
        play("a", query("begin"))
        play("a", query("select 1/0"))
        play("a", parse("n", text) + sync())
        play("a", parse("n", "rollback") + sync())
        play("a", query("rollback"))
        play("a", close("n") + sync())


# --- names that a block drops -----------------------------------------------------------------------------------------------------------

BLOCKS = {
    "one": "begin execute 'deallocate n'; end",
    "all": "begin EXECUTE 'DEALLOCATE ALL'; end",
    "another": "begin begin execute 'deallocate nobody'; exception when others then null; end; end",
    "by its own name": "declare x text; begin for x in select name from pg_prepared_statements where name = 'm' loop execute format('deallocate %I', x); end loop; end",
    "and fails": "begin execute 'deallocate n'; perform 1/0; end",
    "none": "begin if false then execute 'deallocate n'; end if; end",
    "wide": "begin execute 'deallocate \u00e4'; end",
}


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("how", ["a query", "a batch", "in a transaction", "a portal in a transaction"])
def test_a_name_that_a_block_drops_is_gone(pooler, postgres, block, how):
    # The server knew the name as the pooler's own: the block heard 26000, or dropped what others use, and the name stayed.
    play = Play(pooler, postgres, a={}, b={})
    text = f"do $${BLOCKS[block]}$$"
    names = ["n", "m", "\u00e4"]
    play("b", parse("theirs", "select 'shared'") + sync())
    play("a", b"".join(parse(name, f"select '{name}'") for name in names) + parse("own", "select 'shared'") + sync())
    play("a", b"".join(bind(name) + execute() for name in [*names, "own"]) + sync())
    if "transaction" in how:
        play("a", query("begin"))
    if how in ("a query", "in a transaction"):
        play("a", query(text))
    else:
        play("a", parse("", text) + bind("") + execute() + sync())
    if block == "and fails" and how != "a query":
        play("a", query("rollback"))
        return  # the server could not be asked
    for name in [*names, "own"]:
        if "transaction" in how:
            play("a", query("savepoint s"))
        play("a", use(name))
        if "transaction" in how:
            play("a", query("rollback to s"))
    if "transaction" in how:
        play("a", query("commit"))
    play("a", parse("n", "select 'again'") + use("n"))
    play("b", use("theirs"))
    play("a", query("deallocate all"))


def test_what_a_function_drops_heals_for_all_at_once(pooler, postgres):
    # Each statement of each client was answered with 26000 once.
    postgres.connect("lab").rows("create or replace function da() returns void language plpgsql as $$ begin execute 'deallocate all'; end $$")
    try:
        a, b = pooler.connect(), pooler.connect()
        for i in range(3):
            b.run(parse(f"s{i}", f"select {i}") + use(f"s{i}")).check()
        a.rows("select da()")
        assert b.run(use("s0")).error.code == "26000"
        assert [b.run(use(f"s{i}")).check().values for i in range(3)] == [["0"], ["1"], ["2"]]
    finally:
        postgres.connect("lab").rows("drop function da()")


# --- temporary objects -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("create", ["create temp table t(i text) on commit drop", "select ''::text as i into temp t limit 0", "create table pg_temp.t(i text)"])
def test_a_temporary_table_hides_a_permanent_one(pooler, postgres, create):
    # Reads and updates went to the permanent table; and the other way round a fresh client's '007' was stored as 7.
    postgres.connect("lab").rows("drop table if exists t; create table t(i int); insert into t values (401); grant all on t to public")
    try:
        play = Play(pooler, postgres, a={}, b={})
        steps = [close("n") + parse("n", text) + describe("n") + use("n", *values) for text, values in (
            ("insert into t values ($1)", ["007"]), ("select i from t order by i", []), ("update t set i = i where i = $1", ["007"]))]
        for how in ("simple", "extended"):
            for who in ("a", "b"):
                play(who, steps[1])
                play(who, query("begin"))
                play(who, query(create) if how == "simple" else ask(create) + sync())
                for step in steps:
                    play(who, step)
                play(who, query("drop table t"), query("commit"))
                play(who, steps[1])
                play(who, query("begin"))
                for step in steps:
                    play(who, step)
                play(who, query("rollback"))
    finally:
        postgres.connect("lab").rows("drop table t")


# --- the catalogue changes -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def zed(postgres):
    def anew():
        postgres.connect("lab").rows("drop table if exists z; create table z(i int); alter table z owner to app; grant all on schema public to public")

    anew()
    yield anew
    postgres.connect("lab").rows("drop table if exists z")


BURSTS = {
    "batch": lambda ddl, then: ask(ddl) + then + sync(),
    "batch with a name": lambda ddl, then: ask(ddl, name="ddl") + then + sync(),
    "query ahead": lambda ddl, then: query(ddl) + then + sync(),
    "a Sync between": lambda ddl, then: ask(ddl) + sync() + then + sync(),
    "in a transaction": lambda ddl, then: ask("begin") + ask(ddl) + then + ask("commit") + sync(),
}


@pytest.mark.parametrize("burst", BURSTS)
@pytest.mark.parametrize("ddl", ["alter table z alter code type text", "do 'begin alter table z alter code type text; end'"])
def test_ddl_and_parse_in_one_burst(pooler, postgres, zed, burst, ddl):
    # The Parse was answered with the plan of before, and '007' stored as '7'.
    ready = {"query ahead": 2, "a Sync between": 2}.get(burst, 1)
    insert, read = "insert into z(code) values ($1)", "select code from z"
    told = []
    for connect in (lambda: postgres.connect("lab", user="app"), pooler.connect):
        zed()
        a, b = connect(), connect()
        a.rows("alter table z rename i to code")
        a.run(parse("n", insert) + parse("r", read) + sync()).check()
        a.run(close("n") + close("r") + sync())
        got = [seen(b.run(BURSTS[burst](ddl, parse("n", insert) + describe("n") + bind("n", ["007"]) + execute()), ready=ready))]
        got.append(seen(b.run(parse("r", read) + describe("r") + use("r"))))
        got.append(seen(a.run(parse("n", insert) + describe("n") + use("n", "008") + parse("r", read) + use("r"), ready=2)))
        told.append(got)
        a.close(), b.close()
    assert told[1] == told[0]
    assert ("D", ("007",)) in told[1][1]


@pytest.mark.parametrize("burst", BURSTS)
def test_a_drop_and_a_parse_of_what_it_drops(pooler, postgres, zed, burst):
    # The DROP was committed where PostgreSQL answers 42P01 and rolls back.
    ready = {"query ahead": 2, "a Sync between": 2}.get(burst, 1)
    told = []
    for connect in (lambda: postgres.connect("lab", user="app"), pooler.connect):
        zed()
        a, b = connect(), connect()
        a.run(parse("n", "select * from z") + sync()).check()
        got = [seen(b.run(BURSTS[burst]("drop table z", parse("n", "select * from z")), ready=ready))]
        b.query("rollback")
        got.append(b.value("select to_regclass('z')"))
        told.append(got)
        a.close(), b.close()
    assert told[1] == told[0]


@pytest.mark.parametrize("end", ["rollback", "commit", "rollback to savepoint s"])
def test_ddl_that_is_rolled_back_or_committed_later(pooler, postgres, zed, end):
    told = []
    for connect in (lambda: postgres.connect("lab", user="app"), pooler.connect):
        zed()
        a, b = connect(), connect()
        insert = "insert into z values ($1) returning i"
        got = []
        b.rows("begin")
        b.rows("savepoint s")
        b.rows("alter table z alter i type text")
        got.append(seen(b.run(parse("n", insert) + describe("n") + use("n", "007"))))
        b.rows(end)
        b.query("commit")
        got.append(seen(b.run(parse("m", insert) + describe("m") + use("m", "007"))))
        got.append(seen(a.run(parse("n", insert) + describe("n") + use("n", "007"))))
        told.append(got)
        a.close(), b.close()
    assert told[1] == told[0]


AGAIN = {
    "past the pooler": ["drop type mood; create type mood as enum ('a')"],
    "in a block": ["do $$ begin drop type mood; create type mood as enum ('a'); end $$"],
    "taken back": ["begin", "drop type mood", "create type mood as enum ('b', 'a')", "parse", "rollback"],
}


@pytest.mark.parametrize("how", AGAIN)
def test_a_type_that_was_dropped_and_made_again(pooler, postgres, how):
    # XX000 "cache lookup failed for type", for that text and every client on that server, for ever.
    admin = postgres.connect("lab")
    admin.rows("drop type if exists mood; create type mood as enum ('a'); alter type mood owner to app; grant create on schema public to app")
    try:
        a, b = pooler.connect(), pooler.connect()
        for c in (a, b):
            c.run(parse("n", "select $1::mood") + use("n", "a")).check()
        for step in AGAIN[how]:
            if step == "parse":
                a.run(parse("new", "select $1::mood") + use("new", "b")).check()
            else:
                (admin if how == "past the pooler" else a).rows(step)
        for c in (a, b):
            c.rows("deallocate all")
            c.run(parse("n", "select $1::mood") + use("n", "a"))  # may meet the old plan once, which past the pooler nobody could see
            c.rows("deallocate all")
            assert c.run(parse("n", "select $1::mood") + use("n", "a")).check().values == ["a"]
            assert c.run(use("n", "a")).check().values == ["a"]
    finally:
        admin.rows("drop type mood; revoke create on schema public from app")


# --- what a client was told of a statement -------------------------------------------------------------------------------------------------


def elsewhere(pooler, client, pid):
    """Someone who is in a transaction on the server with this pid, one of two, so that `client` gets the other one."""
    first = pooler.connect()
    first.rows("begin")
    if first.pid() == pid:
        return first
    second = pooler.connect()
    second.rows("begin")
    first.rows("commit")
    first.close()
    return second


class Told:
    """A client that has prepared statements on one of two servers, a table that changes past the pooler, and the other server."""

    def __init__(self, make_pooler, postgres, sql="create table st(a int); insert into st values (1)", **settings):
        self.admin = postgres.connect("lab")
        self.admin.rows(f"drop table if exists st; {sql}; grant all on st to public")
        self.pooler = make_pooler(default_pool_size=2, **settings)
        self.client = self.pooler.connect()
        self.holder = None

    def move(self, client=None):
        """From now on the client is on the other server."""
        client = client or self.client
        before = client.pid()
        if self.holder:
            self.holder.rows("commit")
            self.holder.close()
        self.holder = elsewhere(self.pooler, client, before)
        assert client.pid() != before


CHANGED = ("0A000", "cached plan must not change result type")


def error_of(reply):
    """SQLSTATE and text of the only error."""
    (error,) = reply.errors
    return error.code, error.message


@pytest.fixture
def told(make_pooler, postgres):
    made = []

    def make(*args, **settings):
        made.append(Told(make_pooler, postgres, *args, **settings))
        return made[-1]

    yield make
    postgres.connect("lab").rows("drop table if exists st")


@pytest.mark.parametrize("name", ["n", "", "n" * 80])
@pytest.mark.parametrize("how", ["statement", "portal"])
def test_columns_that_change_past_the_pooler_are_not_those_that_the_client_was_told(told, postgres, name, how):
    # asyncpg decodes by the first description: it read the real 1.0 as 1065353216, without an error.
    if (name, how) == ("", "portal"):
        pytest.skip("who describes portals of the unnamed statement describes each")
    t = told()
    c, direct = t.client, postgres.connect("lab", user="app")
    for who in (c, direct):
        who.run(parse(name, "select a from st") + sync()).check()
        if how == "statement":
            who.run(describe(name) + sync()).check()
        else:
            who.run(bind(name) + describe("", "P") + execute() + sync()).check()
    c.run(bind(name) + execute() + sync()).check()
    t.admin.rows("alter table st alter a type real")
    if name:
        t.move()
    else:
        # the client's own unnamed statement stays where it is until it is used
        t.holder = t.pooler.connect()
        t.holder.rows("begin")
    burst = bind(name, result_formats=[1]) + execute() + bind(name) + execute() + sync()
    got, expected = c.run(burst), direct.run(burst)
    assert error_of(expected) == CHANGED
    assert error_of(got) == CHANGED and got.kinds == expected.kinds
    fields = got.error.fields
    assert (fields["R"], fields["F"], fields["S"]) == ("RevalidateCachedQuery", "plancache.c", "ERROR")
    # The driver prepares anew.
    assert c.run(close(name) + parse(name, "select a from st") + describe(name) + bind(name) + execute() + sync()).check().values == ["1"]


def test_nothing_is_done_by_a_statement_whose_columns_have_changed(told):
    t = told("create table st(a int); insert into st values (1)")
    c = t.client
    c.run(parse("n", "update st set a = a + 1 returning a") + describe("n") + sync()).check()
    t.admin.rows("alter table st alter a type bigint")
    t.move()
    assert error_of(c.run(bind("n") + execute() + sync())) == CHANGED
    assert c.value("select a from st") == "1"
    # It behaves as with PostgreSQL: it fails the transaction that it is in.
    t.move()
    c.run(close("n") + parse("n", "update st set a = a + 1 returning a") + describe("n") + sync()).check()
    t.admin.rows("alter table st alter a type numeric")
    c.rows("commit")
    t.move()
    c.rows("begin")
    r = c.run(bind("n") + execute() + sync())
    assert error_of(r) == CHANGED and r.status == "E"
    c.rows("rollback")
    assert c.value("select a from st") == "1"


def test_parameters_that_change_past_the_pooler(told):
    # A binary int4 was stored as four bytes of text.
    t = told("create table st(a int)")
    c = t.client
    insert = bind("n", [b"\0\0\0\7"], formats=[1]) + execute() + sync()
    assert c.run(parse("n", "insert into st values ($1)") + describe("n") + sync()).check()
    t.admin.rows("alter table st alter a type text")
    t.move()
    assert error_of(c.run(insert)) == CHANGED
    assert t.admin.rows("select * from st") == []


def test_two_names_for_one_text_are_told_apart(told):
    # The error for n renewed m, too: m then sent a real's bytes as int.
    t = told()
    c = t.client
    for name in ("n", "m"):
        c.run(parse(name, "select a from st") + describe(name) + sync()).check()
    use = lambda name: c.run(bind(name, result_formats=[1]) + execute() + sync())
    use("n").check(), use("m").check()
    t.admin.rows("alter table st alter a type real")
    assert error_of(use("n")) == CHANGED
    c.run(close("n") + parse("n", "select a from st") + describe("n") + sync()).check()
    use("n").check()
    assert error_of(use("m")) == CHANGED
    use("n").check()
    c.run(close("m") + parse("m", "select a from st") + describe("m") + sync()).check()
    use("m").check(), use("n").check()


def test_a_statement_that_was_never_described_is_not_described(told):
    t = told()
    c = t.client
    c.run(parse("n", "select a from st") + use("n")).check()
    t.admin.rows("alter table st alter a type real")
    t.move()
    assert c.run(use("n")).check().values == ["1"]


@pytest.mark.parametrize("other", ["prepares", "was there before"])
def test_another_clients_plan_is_not_what_this_one_was_told(told, other):
    # The server has a plan of the text, but not that of which the client was told.
    t = told()
    c, o = t.client, t.pooler.connect()
    c.run(parse("n", "select a from st") + describe("n") + use("n")).check()
    if other == "was there before":
        t.move(o)
        o.run(parse("n", "select a from st") + use("n")).check()
    t.admin.rows("alter table st alter a type real")
    if other == "prepares":
        t.move(o)
        o.rows("do 'begin end'")  # what is parsed now is parsed afresh
        o.run(parse("n", "select a from st") + use("n")).check()
    t.holder.rows("commit")
    pid = o.pid()
    if c.pid() != pid:
        t.move(c)
    assert error_of(c.run(bind("n", result_formats=[1]) + execute() + sync())) == CHANGED
    assert o.run(use("n")).check().values == ["1"]


def test_cursors_are_described_by_the_server_each_time(pooler, postgres):
    # The columns of the first cursor were told to all, and drivers decoded wrong.
    play = Play(pooler, postgres, a={}, b={})
    fetch = lambda name: parse(name, "fetch 1 from c") + describe(name) + bind(name, result_formats=[1]) + describe("", "P") + execute() + sync()
    for turn in range(2):
        for who, text in (("a", "select 1"), ("b", "select 'two'::text as t, 2"), ("a", "select now() is null"), ("b", "select 1")):
            play(who, query("begin"), query(f"declare c cursor for {text}"))
            play(who, close("n") + fetch("n"))
            play(who, fetch(""))
            play(who, query("commit"))


def test_a_pipeline_waits_for_what_its_statement_is_on_this_server(told):
    # Everything in one burst: what stands ahead is done, the rest is skipped.
    t = told("create table st(a int); insert into st values (1)")
    c = t.client
    c.run(parse("n", "select a from st") + describe("n") + parse("w", "insert into st values (2)") + sync()).check()
    t.move()
    burst = bind("w") + execute() + bind("n") + execute() + bind("w") + execute() + sync() + bind("w") + execute() + sync()
    assert c.run(burst, ready=2).check().tags == ["INSERT 0 1", "SELECT 2", "INSERT 0 1", "INSERT 0 1"]
    t.admin.rows("alter table st alter a type real")
    t.move()
    c.rows("deallocate w")
    c.run(parse("w", "insert into st values (2)") + sync()).check()
    r = c.run(burst, ready=2)
    assert error_of(r) == CHANGED and r.tags == ["INSERT 0 1", "INSERT 0 1"]
    assert c.value("select count(*) from st") == "5"


# --- a plan that is older than the client's own Parse ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["describe", "bind", "bind and describe", "one burst"])
@pytest.mark.parametrize("change", [
    "alter table st add b int", "alter table st alter a type real", "alter table st drop a cascade; alter table st add a text default '1'",
    "drop table st; create table st(a int); insert into st values (1); grant all on st to public"])
def test_a_fresh_client_hears_nothing_of_a_plan_that_went_stale_before_it_came(told, postgres, what, change):
    # 0A000 or XX000 for a plan that this client had never seen.
    t = told()
    text = "select *, a is null from st"
    t.client.run(parse("n", text) + describe("n") + use("n")).check()
    t.move()
    t.client.run(parse("m", text) + describe("m") + use("m")).check()
    t.admin.rows(change)
    fresh = [parse("n", text) + sync()]
    fresh += {
        "describe": [describe("n") + sync(), use("n")], "bind": [use("n")], "bind and describe": [bind("n") + describe("", "P") + execute() + sync()],
        "one burst": [parse("m", text) + describe("m") + bind("m") + execute() + sync()]}[what]
    for turn in range(2):
        direct, c = postgres.connect("lab", user="app"), t.pooler.connect()
        for part in fresh:
            assert [m for m in seen(c.run(part))] == seen(direct.run(part)), (turn, part)
        if turn == 0:
            t.holder.rows("commit")
            t.holder = elsewhere(t.pooler, c, c.pid())


def test_a_function_that_was_made_anew_past_the_pooler(told):
    t = told()
    t.admin.rows("create or replace function fresh(int) returns int language sql as 'select 1'")
    try:
        text = "select fresh($1)"
        t.client.run(parse("n", text) + use("n", "1")).check()
        t.admin.rows("drop function fresh(int); create function fresh(text) returns text language sql as $$ select 'two' $$")
        c = t.pooler.connect()
        assert c.run(parse("n", text) + use("n", "x")).values == ["two"]
        assert c.run(use("n", "x")).values == ["two"]
    finally:
        t.admin.rows("drop function if exists fresh(int); drop function if exists fresh(text)")


def test_only_the_first_message_of_a_batch_outside_a_transaction_is_repeated(told):
    t = told()
    text = "select a from st"
    t.client.run(parse("n", text) + describe("n") + use("n")).check()
    t.admin.rows("alter table st alter a type real")
    c = t.pooler.connect()
    c.rows("begin")
    c.run(parse("n", text) + sync()).check()
    r = c.run(use("n"))
    assert error_of(r) == CHANGED and r.status == "E"
    c.rows("rollback")
    assert c.run(use("n")).check().values == ["1"]


def test_an_error_that_a_fresh_plan_gives_too_is_told(told):
    t = told()
    text = "select a from st"
    t.client.run(parse("n", text) + use("n")).check()
    c = t.pooler.connect()
    c.run(parse("n", text) + sync()).check()
    t.admin.rows("revoke all on st from public, app")
    for _ in range(3):
        r = c.run(use("n"))
        assert r.codes == ["42501"] and r.kinds in ("EZ", "2EZ"), r
    t.admin.rows("grant all on st to public")
    assert c.run(use("n")).check().values == ["1"]
    assert t.client.run(use("n")).check().values == ["1"]


def test_what_a_client_sends_behind_a_batch_that_is_repeated_comes_behind_it(told):
    t = told("create table st(a int)")
    text = "insert into st select 1 returning *"
    t.client.run(parse("n", text) + describe("n") + use("n")).check()
    t.admin.rows("alter table st add b int default 7")
    c = t.pooler.connect()
    r = c.run(parse("n", text) + sync() + use("n") + use("n") + query("select count(*) from st"), ready=4).check()
    assert [m[1] for m in r if m[0] == "D"] == [("1", "7"), ("1", "7"), ("3",)]
    # Whoever leaves behind it has it done all the same.
    t.admin.rows("alter table st add c int default 8")
    c = t.pooler.connect()
    c.send(parse("n", text) + sync() + use("n") + b"X\0\0\0\4")
    c.read_to_end()
    assert t.admin.value("select count(*) from st") == "4"


@pytest.mark.parametrize("age", [0, 1])
def test_statement_max_age(make_pooler, postgres, age):
    # A column goes from int to text past the pooler: who comes afterwards stored '007' as '7'.
    admin = postgres.connect("lab")
    admin.rows("drop table if exists aged; create table aged(code int); grant all on aged to public")
    try:
        pooler = make_pooler(default_pool_size=1, statement_max_age=age)
        text = "insert into aged values ($1)"
        first = pooler.connect()
        first.run(parse("n", text) + use("n", "1")).check()
        admin.rows("alter table aged alter code type text")
        stored = None
        for _ in range(100):
            c = pooler.connect()
            c.run(parse("n", text) + use("n", "007")).check()
            c.terminate()
            stored = admin.value("select max(code) from aged where code like '0%'")
            if stored or age == 0 and _ > 30:
                break
            time.sleep(0.1)
        assert stored == ("007" if age else None)
        # It is one statement still.
        assert first.value("select count(*) from pg_prepared_statements where statement = 'insert into aged values ($1)'") == "1"
        first.run(use("n", "008")).check()
    finally:
        admin.rows("drop table aged")


def test_statements_of_clients_that_come_at_different_times_are_shared(make_pooler, postgres):
    # Neither age nor DDL keeps clients from sharing one statement on a server, nor do they parse it in turns.
    pooler = make_pooler(default_pool_size=1, statement_max_age=1, admin_users="app")
    clients = []
    for turn in range(4):
        c = pooler.connect()
        c.run(parse("n", "select 'one for all'") + describe("n") + use("n")).check()
        clients.append(c)
        c.rows("do 'begin end'") if turn % 2 else time.sleep(1.2)
    held = "select count(*) from pg_prepared_statements where statement = 'select ''one for all'''"
    assert clients[0].value(held) == "1"
    console = pooler.connect(database="pgbouncer")

    def parses():
        reply = console.query("show stats").check()
        (columns,) = [m[1] for m in reply if m[0] == "T"]
        return [dict(zip(columns, row))["total_server_parse_count"] for row in reply.rows if row[0] == "lab"]

    before = parses()
    for _ in range(5):
        for c in clients:
            assert c.run(use("n")).values == ["one for all"]
    assert parses() == before and before


# --- failed transactions -------------------------------------------------------------------------------------------------------------------

FAILED_TEXTS = {
    "insert": "insert into st values ($1)", "two": "insert into st values ($1), ($2)", "select": "select a from st where a = $1", "none": "delete from st where a = 3",
    "returning": "delete from st where a = $1 returning a", "rollback": "rollback", "commit": "commit", "set": "set local work_mem = '1MB'", "empty": "",
    "quoted": "update st set a = $1 where '$2' <> '' /* $3 */ and a <> $1", "ddl": "create table st2(a int)", "begin": "begin",
}
FAILED_STEPS = {
    "describe": lambda n: describe(n) + sync(),
    "describe and more": lambda n: describe(n) + bind(n, ["1"]) + execute() + sync(),
    "bind none": lambda n: bind(n) + execute() + sync(),
    "bind one": lambda n: bind(n, ["1"]) + describe("", "P") + execute() + sync(),
    "bind two": lambda n: bind(n, ["1", "2"]) + execute() + sync(),
    "bind formats": lambda n: bind(n, ["1"], formats=[0, 0]) + execute() + sync(),
    "bind result formats": lambda n: bind(n, ["1"], result_formats=[0, 0, 0]) + execute() + sync(),
    "parse taken": lambda n: parse(n, "select 1") + sync(),
    "parse taken, rollback": lambda n: parse(n, "rollback") + sync(),
    "parse taken, empty": lambda n: parse(n, "") + sync(),
    "parse taken, nonsense": lambda n: parse(n, "nonsense") + sync(),
    "parse taken, two commands": lambda n: parse(n, "select 1; select 2") + sync(),
    "parse taken, same text": lambda n: parse(n, FAILED_TEXTS["insert"]) + sync(),
    "parse, two commands": lambda n: parse("new", "select 1; select 2") + sync(),
    "parse, rollback and more": lambda n: parse("new", "rollback; rollback") + sync(),
    "parse, nonsense": lambda n: parse("new", "nonsense") + sync(),
    "parse, known": lambda n: parse("new", FAILED_TEXTS["insert"]) + describe("new") + sync(),
    "parse, empty": lambda n: parse("new", "") + describe("new") + bind("new") + execute() + sync(),
    "close": lambda n: close(n) + describe(n) + sync(),
}


@pytest.mark.parametrize("is_described", [True, False])
@pytest.mark.parametrize("name", ["n", ""])
def test_a_failed_transaction_on_a_server_that_lacks_the_statement(told, postgres, name, is_described):
    # 25P02 where PostgreSQL describes the statement, or refuses the message for its own fault.
    t = told("create table st(a int)")
    c, direct = t.client, postgres.connect("lab", user="app")
    different = []
    for what in FAILED_TEXTS:
        for number, (how, step) in enumerate(FAILED_STEPS.items()):
            if name == "" and "taken" in how:
                continue
            # A text of its own, so that no server has it.
            text = f"{FAILED_TEXTS[what]} /* {number} */" if FAILED_TEXTS[what] else f"-- {number}"
            pid = c.pid()
            begin = parse("b", "begin") + parse("zero", "select 1/0")
            for who in (c, direct):
                who.run(begin + sync() + close(name) + parse(name, text) + (describe(name) if is_described else b"") + sync(), ready=2).check()
            if t.holder:
                t.holder.rows("commit")
                t.holder.close()
            t.holder = elsewhere(t.pooler, c, pid)
            for who in (c, direct):
                assert who.run(use("b") + use("zero"), ready=2).status == "E"
            got, expected = seen(c.run(step(name))), seen(direct.run(step(name)))
            # Of a statement that nobody has described the types of the parameters are not known.
            is_unknown = not is_described and "$" in text and what != "select" and expected[0][0] == "t" and got[0][:2] == ("E", "25P02")
            if got != expected and not is_unknown:
                different.append((what, how, got, expected))
            for who in (c, direct):
                who.query("rollback")
                who.query("deallocate all")
    assert not different, "\n".join(map(str, different))


def test_types_that_the_parse_gives_are_described_in_a_failed_transaction(told, postgres):
    t = told("create table st(a int)")
    c, direct = t.client, postgres.connect("lab", user="app")
    for who in (c, direct):
        who.run(parse("n", "insert into st values ($1)", types=[20]) + parse("b", "begin") + parse("zero", "select 1/0") + sync()).check()
    t.move()
    for who in (c, direct):
        who.run(use("b") + use("zero"), ready=2)
    assert seen(c.run(describe("n") + sync())) == seen(direct.run(describe("n") + sync())) == [("t", (20,)), ("n",), ("Z", "E")]


@pytest.mark.parametrize("is_described", [True, False])
def test_a_bind_with_too_many_formats_is_told_so_after_ddl(told, is_described):
    t = told()
    c = t.client
    c.run(parse("n", "select a from st") + (describe("n") if is_described else b"") + use("n")).check()
    t.pooler.connect().rows("do 'begin end'")
    for _ in range(2):
        assert c.run(bind("n", result_formats=[0, 0]) + execute() + sync()).codes == ["08P01"]
        t.move()


def test_a_notice_of_a_parse_is_given_to_each_client(pooler, postgres):
    # NOTICE 42622 came to the first one only.
    play = Play(pooler, postgres, a={}, b={})
    for text in (f"select 1 as {'x' * 70}", f'select 1 as "{"long name " * 8}"'):
        for who in ("a", "b", "a"):
            told = play(who, close("n") + parse("n", text) + sync())
            assert [m[:2] for m in told if m[0] == "N"] == [("N", "42622")]
            play(who, use("n"))


# --- the pooler's own names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [lambda t: query(t), lambda t: ask(t) + sync(), lambda t: query(f"select 1; {t}"), lambda t: query(f"/* c */ {t}")])
def test_a_statement_of_the_poolers_can_not_be_replaced(pooler, postgres, wrap):
    # `deallocate "SLUICE_1"`, `prepare "SLUICE_1" as select 'evil'`: the next client read the attacker's rows.
    v, e = pooler.connect(), pooler.connect()
    v.run(parse("n", "select 'mine'") + use("n")).check()
    names = [row[0] for row in e.rows("select name from pg_prepared_statements where statement = 'select ''mine'''")]
    assert len(names) == 1
    refused = 0
    for text in (f'deallocate "{names[0]}"', f'deallocate prepare "{names[0]}"', f'prepare "{names[0]}" as select \'evil\'', f'execute "{names[0]}"'):
        refused += bool(e.run(wrap(text)).errors)
        assert v.run(use("n")).check().values == ["mine"]
    assert refused == 4 or wrap("x").startswith(query("select 1; x"))
    assert e.value("select 5") == "5"


def test_a_name_that_a_function_has_dropped_is_given_to_no_other_text(pooler, postgres):
    postgres.connect("lab").rows("create or replace function da() returns void language plpgsql as $$begin execute 'deallocate all'; end$$")
    v, e = pooler.connect(), pooler.connect()
    for turn in range(3):
        v.run(parse(f"n{turn}", f"select 'mine {turn}'") + use(f"n{turn}")).check()
        e.rows("select da()")
        e.run(parse(f"x{turn}", f"select 'evil {turn}'") + sync()).check()
        got = v.run(use(f"n{turn}"))
        assert got.values == [f"mine {turn}"] or got.codes == ["26000"]
        assert v.run(use(f"n{turn}")).values == [f"mine {turn}"]


# --- statement_sharing -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sharing", ["auto", "off"])
def test_statement_sharing(make_pooler, sharing):
    pooler = make_pooler(default_pool_size=1, statement_sharing=sharing)
    a, b = pooler.connect(), pooler.connect()
    for c in (a, b):
        c.run(parse("n", "select 'shared?'") + use("n")).check()
        assert c.run(parse("", "select 'unnamed'") + use("")).values == ["unnamed"]
    count = "select count(*) from pg_prepared_statements where statement = 'select ''shared?'''"
    assert a.value(count) == ("1" if sharing == "auto" else "2")
    # What one has closed is nobody's, and the other one keeps its own.
    a.run(close("n") + sync()).check()
    assert b.run(use("n")).values == ["shared?"] and a.value(count) == "1"


# --- random walks ----------------------------------------------------------------------------------------------------------------------

WALK_TEXTS = [
    ("insert into zip values ($1) returning code", ["07"]), ("select code from zip order by 1 limit 1", []), ("select current_user", []),
    ("select extract(month from '01/02/2020'::date)", []), ("select '2020-01-01 00:00'::timestamptz", []), (r"select length('a\nb')", []),
    ("select $1 || 'x'", ["y"]),
]
# Not search_path: PostgreSQL analyses a text again where that has changed, so that what it means depends on when each server has done so.
WALK_CHANGES = [
    "set local datestyle = 'SQL, DMY'", "set local datestyle = 'SQL, MDY'", "set local timezone = 'Asia/Tokyo'", "set timezone = 'UTC'",
    "set local standard_conforming_strings = off", "select set_config('timezone', 'Asia/Tokyo', true)", "set local role walker", "savepoint s",
    "select 1/0", "set datestyle = 'nonsense'", "set datestyle = iso, mdy", "set transaction read write", "set statement_timeout = 0",
    "set local bytea_output = escape",
]


@pytest.mark.parametrize("seed", range(6))
def test_settings_and_statements_at_random(make_pooler, postgres, schemas, seed):
    # Transactions of three clients on two servers that change hands, with evictions; all of them are rolled back.
    admin, r = postgres.connect("lab"), random.Random(seed)
    admin.query("create role walker")
    admin.rows("grant walker to app; grant usage on schema one, two to walker; grant all on all tables in schema one, two to walker")
    pooler = make_pooler(default_pool_size=2, max_prepared_statements=r.choice([3, 200]))
    starts = [{}, {"search_path": "one"}, {"search_path": "two", "DateStyle": "SQL, DMY"}]
    pairs = [(pooler.connect(parameters=s), postgres.connect("lab", user="app", parameters=s)) for s in starts]
    values_of = [{}, {}, {}]

    def statement(who):
        name = r.choice(["", "m", "n"])
        if r.random() < 0.6 or name not in values_of[who]:
            text, values = r.choice(WALK_TEXTS)
            values_of[who][name] = values
            return close(name) + parse(name, text) + (describe(name) if r.random() < 0.5 else b"") + bind(name, values) + execute() + sync()
        return bind(name, values_of[who][name]) + execute() + sync()

    def comparable(got, like):
        """Notices of a Parse that the pooler does not send are missing, and of errors in a failed transaction it is not known which is due."""
        got = [m for m in got if m[0] != "N"]
        return [b if a[0] == b[0] == "E" and ("25P02" in a or "08P01" in b) else a for a, b in zip(got, like)] + got[len(like):]

    for step in range(40):
        who = r.randrange(3)
        holder = pooler.connect() if r.random() < 0.5 else None
        if holder:
            holder.rows("begin")
        steps = [query("begin")]
        for _ in range(r.randrange(1, 7)):
            change = r.choice(WALK_CHANGES)
            steps.append(statement(who) if r.random() < 0.55 else query(change) if r.random() < 0.6 else ask(change) + sync())
        steps.append(query("rollback"))
        for part in [steps] if r.random() < 0.3 else [[s] for s in steps]:
            pooled, direct = pairs[who]
            expected = [m for m in seen(direct.run(*part, ready=len(part))) if m[0] != "N"]
            assert comparable(seen(pooled.run(*part, ready=len(part))), expected) == expected, (step, who, part)
        if holder:
            holder.rows("rollback")
            holder.close()
    admin.rows("drop owned by walker; drop role walker")
