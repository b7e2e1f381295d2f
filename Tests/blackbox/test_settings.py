"""Whose setting is it: a client gets the values that it brought or set itself, and else the server's own, as on a server of its own."""
import threading

import pytest

from processes import wait_until
from wire import Closed, ServerError, ask, bind, close, execute, parse, query, startup_packet, sync

pytestmark = pytest.mark.sluice_only("PgBouncer forces some of these values on servers, and loses others")


# --- what is the server's own ------------------------------------------------------------------------------------------------


def alter(postgres, sql):
    postgres.connect("postgres").rows(sql)
    postgres.connect("postgres").rows("select pg_reload_conf()")


def test_a_guard_of_the_server_ends_when_the_server_says_so(make_pooler, own_postgres):
    # Each client took the pool's first greeting as its wish: after a read-only time had ended, clients went on hearing 25006.
    pooler = make_pooler(own_postgres, default_pool_size=2)
    own_postgres.connect("lab").rows("create table w(i int); grant all on w to public")
    alter(own_postgres, "alter system set default_transaction_read_only = on")
    clients = [pooler.connect() for _ in range(3)]
    for c in clients:
        assert c.parameters["default_transaction_read_only"] == "on"
        assert c.query("insert into w values (1)").error.code == "25006"
    alter(own_postgres, "alter system reset default_transaction_read_only")
    for c in clients:
        # PostgreSQL looks at its configuration between two statements.
        wait_until(lambda: c.value("show default_transaction_read_only") == "off", "the server's value")
        c.query("insert into w values (1)").check()
    late = pooler.connect()
    assert late.parameters["default_transaction_read_only"] == "off"
    late.query("insert into w values (2)").check()


def test_a_guard_that_comes_while_clients_are_there_holds_for_all(make_pooler, own_postgres):
    # It had no effect on anybody: the old value was set again on each server.
    pooler = make_pooler(own_postgres, default_pool_size=2)
    own_postgres.connect("lab").rows("create table w(i int); grant all on w to public")
    early = [pooler.connect() for _ in range(3)]
    for c in early:
        c.query("insert into w values (1)").check()
    own_postgres.connect("postgres").rows("alter database lab set default_transaction_read_only = on")
    own_postgres.connect("postgres").rows("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'lab'")
    wait_until(lambda: not own_postgres.backends("lab"), "the servers to leave")
    told = {}
    for c in [*early, pooler.connect()]:
        reply = c.query("insert into w values (1)")
        told[c] = reply.parameters
        assert reply.error.code == "25006"
    for c in early:
        assert told[c]["default_transaction_read_only"] == "on", "it is told at its next transaction"


@pytest.mark.parametrize("name, value", [("TimeZone", "Asia/Tokyo"), ("DateStyle", "German, DMY"), ("IntervalStyle", "sql_standard")])
def test_a_value_of_the_database_reaches_clients_that_did_not_choose(make_pooler, own_postgres, name, value):
    pooler = make_pooler(own_postgres, default_pool_size=1)
    chosen, plain = pooler.connect(parameters={name: {"TimeZone": "UTC", "DateStyle": "ISO, YMD", "IntervalStyle": "iso_8601"}[name]}), pooler.connect()
    before = chosen.value(f"show {name}")
    plain.value("select 1")
    alter(own_postgres, f"alter system set {name} = '{value}'")
    wait_until(lambda: plain.value(f"show {name}") == value, "the new value")
    assert chosen.value(f"show {name}") == before
    wait_until(lambda: pooler.connect().parameters[name] == value, "new clients to hear of it")
    assert plain.value(f"show {name}") == value and chosen.value(f"show {name}") == before


def test_a_value_that_a_function_sets_is_its_callers(make_pooler, postgres):
    postgres.connect("lab").rows(
        "create or replace function zone(z text) returns text language plpgsql as $$ begin perform set_config('TimeZone', z, false); return z; end $$")
    pooler = make_pooler(default_pool_size=1)
    c, other = pooler.connect(), pooler.connect()
    usual = other.value("show timezone")
    assert c.query("select zone('Asia/Tokyo')").parameters == {"TimeZone": "Asia/Tokyo"}
    for _ in range(3):
        assert other.value("show timezone") == usual
        assert c.value("show timezone") == "Asia/Tokyo"
    assert pooler.connect().parameters["TimeZone"] == usual


@pytest.mark.parametrize("mode", ["transaction", "session"])
@pytest.mark.parametrize("extended", [False, True], ids=["simple", "extended"])
def test_a_value_that_a_function_sets_holds_for_the_next_query(make_pooler, mode, extended):
    """Django sets its time zone by set_config; a query right behind it found the server in the middle of being reset."""
    pooler = make_pooler(default_pool_size=1, pool_mode=mode)
    other = pooler.connect()
    other.rows("set timezone to 'Europe/Vienna'")
    if mode == "session":
        other.close()
    c = pooler.connect()
    for zone in ("Asia/Tokyo", "Europe/Vienna", "Asia/Tokyo"):
        sql = f"select set_config('TimeZone', '{zone}', false)"
        if extended:
            c.extended(sql).check()
        else:
            c.rows(sql)
        assert [c.value("show timezone") for _ in range(3)] == [zone] * 3
    if mode == "transaction":
        assert (other.value("show timezone"), c.value("show timezone")) == ("Europe/Vienna", "Asia/Tokyo")


def test_two_logins_wait_with_the_same_values(make_pooler):
    """The second one found a server that had just been set to them: nothing was to be tried, and it was never let in."""
    pooler = make_pooler(default_pool_size=1, admin_users="app")
    admin = pooler.connect(database="pgbouncer")
    holder = pooler.connect()
    holder.rows("begin")
    clients = []
    threads = [threading.Thread(target=lambda: clients.append(pooler.connect(parameters={"search_path": "mine"}))) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_until(lambda: [row[3] for row in admin.rows("show pools") if row[0] == "lab"] == ["3"], "three clients that wait")
    holder.rows("commit")
    for thread in threads:
        thread.join()
    assert [c.value("show search_path") for c in clients] == ["mine"] * 3


def test_nothing_is_said_before_the_login_has_ended(make_pooler):
    """What the server said while it was put right went to the client ahead of AuthenticationOk: libpq gives up then."""
    pooler = make_pooler(default_pool_size=1)
    pooler.connect().rows("set timezone to 'Asia/Tokyo'")
    c = pooler.connect(parameters={"search_path": "mine"})
    kinds = [message[0] for message in c.greeting]
    assert "S" not in kinds[: max(i for i, kind in enumerate(kinds) if kind == "R")]
    assert c.rows("select current_setting('TimeZone'), current_setting('search_path')") == [(c.parameters["TimeZone"], "mine")]


@pytest.mark.parametrize("mode", ["transaction", "session"])
@pytest.mark.parametrize("brought", [{}, {"TimeZone": "Asia/Tokyo"}], ids=["nothing brought", "brought"])
@pytest.mark.parametrize("change", [
    ["begin", "select set_config('timezone', 'Europe/Vienna', true)", "commit"],
    ["begin", "select set_config('timezone', 'Europe/Vienna', true)", "rollback"],
    ["select set_config('timezone', 'Europe/Vienna', false)"],
])
def test_set_config_holds_for_what_is_sent_at_once(make_pooler, postgres, change, brought, mode):
    # The pooler asks whose value it is by a RESET, and the client's next query went out behind that: it ran under the server's own value, and
    # where it began a transaction the value that was put back in it was gone with its end.
    pooler = make_pooler(default_pool_size=1, pool_mode=mode)
    behind = ["show timezone", "begin", "show timezone", "select 1/0", "rollback", "show timezone", "reset timezone", "show timezone"]
    for split in (True, False):
        direct, pooled = postgres.connect("lab", user="app", parameters=brought), pooler.connect(parameters=brought)
        for c in (direct, pooled):
            c.told = []
            for part in [[text] for text in change + behind] if split else [change, behind]:
                reply = c.run(*[query(text) for text in part], ready=len(part))
                c.told += [m for m in reply if m[0] in "DCZ"]
        assert pooled.told == direct.told
        pooled.close()


@pytest.mark.parametrize("when", ["at once", "inside a transaction", "in a transaction behind a SET"])
def test_what_a_client_sets_and_leaves_is_nobody_elses(make_pooler, when):
    # Reported when its client had gone, it was taken for the server's own value, and new clients were greeted with it.
    pooler = make_pooler(default_pool_size=1)
    other = pooler.connect()
    usual = other.value("show timezone")
    for _ in range(5):
        c = pooler.connect()
        if when == "at once":
            c.send(query("set timezone = 'Asia/Tokyo'") + query("select pg_sleep(0.05)"))
        elif when == "inside a transaction":
            c.send(query("begin") + query("set timezone = 'Asia/Tokyo'") + query("select pg_sleep(0.05)"))
        else:
            c.rows("set timezone = 'Asia/Tokyo'")
            c.rows("begin; set timezone = 'Asia/Kolkata'")
        c.reset()
        assert other.value("show timezone") == usual
        late = pooler.connect()
        assert late.parameters["TimeZone"] == usual and late.value("show timezone") == usual
        late.close()


def test_what_connect_query_sets_is_the_servers_own(make_pooler):
    # RESET would lead to the value of before.
    pooler = make_pooler(default_pool_size=1, databases={"lab": {"connect_query": "'set timezone = ''Asia/Tokyo'' '"}})
    for _ in range(3):
        assert pooler.connect().value("show timezone") == "Asia/Tokyo"
        assert pooler.connect(parameters={"TimeZone": "UTC"}).value("show timezone") == "UTC"
        c = pooler.connect()
        c.rows("set timezone = 'Europe/Vienna'")
        assert c.value("show timezone") == "Europe/Vienna"
        c.close()
    assert pooler.connect().parameters["TimeZone"] == "Asia/Tokyo"


def test_a_reset_of_the_session_pins_nothing(make_pooler, own_postgres):
    # What DISCARD ALL reported was taken for something that RESET does not lead to, and set for the next clients: it stayed when the server's
    # own value was another one.
    pooler = make_pooler(own_postgres, default_pool_size=1)
    c = pooler.connect()
    c.rows("set timezone = 'Asia/Tokyo'")
    c.rows("begin")
    c.close()
    plain = pooler.connect()
    plain.value("show timezone")
    assert pooler.connect(parameters={"TimeZone": "UTC"}).value("show timezone") == "UTC"
    plain.value("show timezone")
    alter(own_postgres, "alter system set timezone = 'Europe/Vienna'")
    wait_until(lambda: plain.value("show timezone") == "Europe/Vienna", "the server's own value")


# --- what a client brought ----------------------------------------------------------------------------------------------------

STYLES = ["ISO", "SQL, DMY", "German", "YMD", "Postgres, MDY", "iso, dmy", "DMY"]


def test_a_partial_datestyle_stands_on_the_servers_own(make_pooler, postgres):
    # It was merged with what the client before had brought: '02/01/2020' was another day.
    pooler = make_pooler(default_pool_size=1)
    for first in STYLES:
        for second in STYLES:
            a, b = pooler.connect(parameters={"DateStyle": first}), pooler.connect(parameters={"DateStyle": second})
            for client, style in ((a, first), (b, second), (a, first)):
                direct = postgres.connect("lab", user="app", parameters={"DateStyle": style})
                assert client.parameters["DateStyle"] == direct.parameters["DateStyle"]
                for sql in ("show datestyle", "select '02/01/2020'::date"):
                    replies = [c.query(sql) for c in (client, direct)]
                    assert replies[0].values == replies[1].values and replies[0].codes == replies[1].codes, (first, second, style)
                direct.close()
            a.close(), b.close()


SPELLINGS = [
    {"DateStyle": "iso"}, {"client_encoding": "euc-jp"}, {"client_encoding": "'utf-8'"}, {"application_name": "a" * 80}, {"TimeZone": "utc"},
    {"TimeZone": "europe/vienna"}, {"IntervalStyle": "ISO_8601"}, {"standard_conforming_strings": "1"}, {"default_transaction_read_only": "yes"},
    {"application_name": "café"}, {"DateStyle": ""}, {"TimeZone": "+3"},
]


@pytest.mark.parametrize("brought", SPELLINGS, ids=str)
def test_the_greeting_says_what_postgresql_would_say(make_pooler, postgres, brought):
    # ParameterStatus was an echo of the client's own spelling.
    pooler = make_pooler(default_pool_size=2)

    def greeting(connect):
        try:
            return {k: v for k, v in connect().parameters.items() if not k.startswith("pgbouncer.")}
        except ServerError as error:
            return error.severity, error.code, error.message

    direct = greeting(lambda: postgres.connect("lab", user="app", parameters=brought))
    for _ in range(3):
        assert greeting(lambda: pooler.connect(parameters=brought)) == direct


WRONG = [
    {"DateStyle": "nonsense"}, {"TimeZone": "Nowhere/Land"}, {"client_encoding": "klingon"}, {"statement_timeout": "rubbish"}, {"work_mem": "1"},
    {"log_statement": "none"}, {"default_transaction_isolation": "maybe"},
]


@pytest.mark.parametrize("brought", WRONG, ids=str)
def test_a_value_that_postgresql_refuses_is_refused_at_the_login(make_pooler, postgres, brought):
    # The client was let in, and told with its first query; the next client of that server was closed for it.
    pooler = make_pooler(default_pool_size=2)
    others = [pooler.connect() for _ in range(4)]
    for other in others:
        other.value("select 1")
    with pytest.raises(ServerError) as direct:
        postgres.connect("lab", user="app", parameters=brought)
    for _ in range(4):
        with pytest.raises(ServerError) as pooled:
            pooler.connect(parameters=brought)
        assert (pooled.value.severity, pooled.value.code, pooled.value.message) == ("FATAL", direct.value.code, direct.value.message)
        for other in others:
            assert other.value("select 'mine'") == "mine"


@pytest.mark.parametrize("mode", ["transaction", "session", "statement"])
def test_a_login_keeps_no_server_that_its_values_were_tried_on(make_pooler, mode):
    pooler = make_pooler(default_pool_size=1, pool_mode=mode)
    waiting = [pooler.connect(parameters={"TimeZone": zone, "work_mem": f"{n + 1}MB"}) for n, zone in enumerate(("Asia/Tokyo", "Europe/Vienna", "UTC"))]
    plain = pooler.connect()
    assert plain.value("show work_mem") == "4MB"
    plain.close()
    for n, c in enumerate(waiting):
        assert c.value("show work_mem") == f"{n + 1}MB"
        c.close()


def test_clients_with_the_same_new_values_log_in_at_once(make_pooler):
    # The second one found the server set already to what it brought, and was never greeted; the server was lost with it.
    pooler = make_pooler(default_pool_size=1, auth_type="trust")
    for turn in range(20):
        brought = {"user": "app", "database": "lab", "client_encoding": "LATIN1", "work_mem": f"{turn + 1}MB"}
        clients = [pooler.connect(login=False) for _ in range(3)]
        for c in clients:
            c.send(startup_packet(brought))
        for c in clients:
            c.login()
            assert c.value("show work_mem") == f"{turn + 1}MB"


def test_a_client_whose_values_were_undone_for_a_refused_one_keeps_them(make_pooler):
    pooler = make_pooler(default_pool_size=1)
    c = pooler.connect(parameters={"TimeZone": "Asia/Tokyo", "search_path": "mine"})
    for _ in range(3):
        assert c.rows("select current_setting('TimeZone'), current_setting('search_path')") == [("Asia/Tokyo", "mine")]
        with pytest.raises(ServerError):
            pooler.connect(parameters={"log_statement": "none"})


BROUGHT = {"DateStyle": "Postgres, MDY", "IntervalStyle": "iso_8601", "TimeZone": "Asia/Tokyo", "statement_timeout": "77s", "application_name": "me"}
NAMES = list(BROUGHT)
SHOW = "select " + ", ".join(f"current_setting('{name}')" for name in NAMES)
CHANGE = ["set datestyle to iso", "set intervalstyle to postgres", "set timezone to 'UTC'", "set statement_timeout to 0", "set application_name to ''"]
BACK = {
    "reset": ["reset datestyle", "RESET IntervalStyle ;", "reset time zone", "reset statement_timeout", "reset application_name"],
    "to default": [
        "set datestyle to default", "set session IntervalStyle = DEFAULT", "set timezone to default", "set statement_timeout = default", "set application_name to default"],
    "time zone default": ["reset datestyle", "reset intervalstyle", "set time zone default", "reset statement_timeout", "reset application_name"],
    "time zone local": ["reset datestyle", "reset intervalstyle", "set time zone local", "reset statement_timeout", "reset application_name"],
    "reset all": ["reset all"],
    "discard all": ["discard all"],
}


@pytest.mark.parametrize("mode", ["transaction", "session"])
@pytest.mark.parametrize("extended", [False, True], ids=["simple", "extended"])
@pytest.mark.parametrize("how", BACK)
def test_reset_goes_back_to_what_the_client_brought(make_pooler, postgres, how, extended, mode):
    # PostgreSQL tells nothing where the value is the server's own already: the client was left with that.
    pooler = make_pooler(default_pool_size=1, pool_mode=mode)
    direct, pooled = postgres.connect("lab", user="app", parameters=BROUGHT), pooler.connect(parameters=BROUGHT)
    for change in CHANGE[:3] if mode == "transaction" else CHANGE:
        for c in (direct, pooled):
            (c.extended(change) if extended else c.query(change)).check()
    assert pooled.rows(SHOW)[0][:3] == direct.rows(SHOW)[0][:3]
    for sql in BACK[how]:
        for c in (direct, pooled):
            (c.extended(sql) if extended else c.query(sql)).check()
        if mode == "transaction":
            continue
        assert pooled.rows(SHOW) == direct.rows(SHOW), sql
    assert pooled.rows(SHOW) == direct.rows(SHOW)


@pytest.mark.parametrize("back", ["reset datestyle", "reset all", "set datestyle to default"])
def test_reset_inside_a_transaction_is_seen_inside_it(make_pooler, postgres, back):
    pooler = make_pooler(default_pool_size=1)
    for end in ("commit", "rollback"):
        for burst in (False, True):
            steps = ["set datestyle to 'SQL, DMY'", "begin", back, "show datestyle", "select '02/01/2020'::date", end, "show datestyle"]
            seen = []
            for c in (postgres.connect("lab", user="app", parameters=BROUGHT), pooler.connect(parameters=BROUGHT)):
                if burst:
                    c.send(b"".join(query(step) for step in steps))
                    replies = [c.read_until("Z") for _ in steps]
                else:
                    replies = [c.query(step) for step in steps]
                seen.append([(r.rows, r.tags, r.status, [e.code for e in r.errors]) for r in replies])
                c.close()
            assert seen[1] == seen[0], (end, burst)


WITH_PATH = {**BROUGHT, "search_path": 'one, "$user", "a b"', "app.tenant": "t'1"}
TO_DEFAULT = [
    ["set datestyle to 'SQL, DMY'", "reset datestyle", "select '02/01/2020'::date::text, current_setting('datestyle')"],
    ["set session datestyle to 'SQL, DMY'", "set session datestyle = default", "show datestyle"],
    ["set timezone to 'UTC'", "set time zone local", "show timezone"],
    ["set timezone to 'UTC'", "reset time zone", "show timezone", "reset all"],
    ["begin", "set local datestyle to 'SQL, DMY'", "set local datestyle to default", "show datestyle", "commit", "show datestyle"],
    ["set datestyle to 'SQL, DMY'", "begin", "set local datestyle to default", "show datestyle", "commit", "show datestyle", "reset datestyle"],
    ["begin", "set local statement_timeout = 0", "set local statement_timeout = DEFAULT", "show statement_timeout", "rollback", "show statement_timeout"],
    ["begin", "set local search_path to two", "show search_path", "set local search_path to default", "show search_path", "commit"],
    ["begin", "set local app.tenant to 'other'", "set local app.tenant to default", "show app.tenant", "commit"],
    ["begin", "set client_encoding to latin1", "set names default", "show client_encoding", "set names latin1", "set names", "show client_encoding", "commit"],
    ["set datestyle to 'SQL, DMY'", "begin", "savepoint a", "reset datestyle", "show datestyle", "rollback to a", "show datestyle", "rollback", "reset datestyle"],
    ["begin", "set local search_path to 'public'", "reset statement_timeout", "show search_path", "reset search_path", "show search_path", "commit"],
    ["begin", "set statement_timeout = '5s'", "set work_mem to default", "show statement_timeout", "reset lock_timeout", "show statement_timeout", "rollback", "show statement_timeout"],
    ["reset nonsense", "select 1"],
    ["select 'ä'", "set datestyle to default", "reset timezone", "select nonsense", "select 1"],
    ["begin", "reset datestyle", "select 1/0", "reset datestyle", "rollback", "show datestyle"],
    ["set datestyle to 'SQL, DMY'", "reset all", "select '02/01/2020'::date::text, current_setting('datestyle')", "show timezone"],
    ["begin", "set search_path to two", "reset all", "show search_path", "show app.tenant", "show statement_timeout", "commit", "show search_path"],
    ["begin", "set timezone to 'UTC'", "savepoint a", "RESET ALL", "show timezone", "rollback to a", "show timezone", "reset all", "rollback", "select 1"],
    ["reset all", "reset all", "set lock_timeout to '1s'", "show lock_timeout", "reset all", "show lock_timeout", "select nonsense", "select 1"],
]


@pytest.mark.parametrize("steps", TO_DEFAULT, ids=lambda steps: "; ".join(steps))
@pytest.mark.parametrize("how", ["one text", "one batch", "named statements", "a message each"])
def test_what_leads_to_the_default_leads_to_what_the_client_brought_at_once(make_pooler, postgres, steps, how):
    # The pooler put the client's value back behind the query or batch: what stood in it behind the RESET ran under the server's own value.
    # SET LOCAL to DEFAULT was not known at all.
    pooler = make_pooler(default_pool_size=1)
    seen = []
    for c in (postgres.connect("lab", user="app", parameters=WITH_PATH), pooler.connect(parameters=WITH_PATH)):
        played = []
        for _ in range(2):
            if how == "one text":
                c.send(query("; ".join(steps)))
            elif how == "a message each":
                c.send(b"".join(query(step) for step in steps))
            else:
                names = [f"s{i}" if how == "named statements" else "" for i in range(len(steps))]
                c.send(b"".join(parse(n, s) + bind(n) + execute() + (close(n) if n else b"") for n, s in zip(names, steps)) + sync())
            for _ in range(len(steps) if how == "a message each" else 1):
                r = c.read_until("Z")
                played.append((r.rows, r.tags, r.status, [(e.code, e.message, e.fields.get("P")) for e in r.errors]))
            c.rows("rollback")
            played.append((c.rows(SHOW), {name: value for name, value in c.parameters.items() if not name.startswith("pgbouncer.")}))
        seen.append(played)
    assert seen[1] == seen[0]


@pytest.mark.parametrize("path", ["", '"$user"', "One,  two", '"O""ne", two', "nowhere"])
def test_a_search_path_that_set_writes_otherwise_leads_to_the_same_tables(make_pooler, postgres, path):
    # An empty one could not be written by SET: the transaction found the tables of the server's own.
    pooler = make_pooler(default_pool_size=1)
    steps = ["begin", "set local search_path to public", "set local search_path to default", "select current_schemas(false)", "commit", "show search_path"]
    seen = []
    for c in (postgres.connect("lab", user="app", parameters={"search_path": path}), pooler.connect(parameters={"search_path": path})):
        seen.append([(r.rows, r.tags, [e.code for e in r.errors]) for r in map(c.query, steps)])
    assert seen[1] == seen[0]


def test_set_local_leaves_nothing_behind(make_pooler, own_postgres):
    # The value that ROLLBACK or COMMIT put back was taken for one that the client had chosen.
    pooler = make_pooler(own_postgres, default_pool_size=1)
    c = pooler.connect()
    for end in ("commit", "rollback"):
        c.rows("begin; set local timezone = 'Asia/Tokyo'")
        assert c.value("show timezone") == "Asia/Tokyo"
        c.rows(end)
    alter(own_postgres, "alter system set timezone = 'Europe/Vienna'")
    wait_until(lambda: c.value("show timezone") == "Europe/Vienna", "the server's own value")


def test_bytes_of_a_value_are_those_of_the_startup_packet(make_pooler, postgres):
    # They went through the client's encoding, or that of the client before.
    with postgres.connect("lab") as admin:
        admin.rows('create schema if not exists "sch\u00e4ma"; create table if not exists "sch\u00e4ma".bytes_of(i int); truncate "sch\u00e4ma".bytes_of;'
                   'insert into "sch\u00e4ma".bytes_of values (7); grant usage on schema "sch\u00e4ma" to public; grant all on "sch\u00e4ma".bytes_of to public')
    pooler = make_pooler(default_pool_size=1)
    for encodings in (("LATIN1", "UTF8"), ("UTF8", "LATIN1"), ("SJIS", "LATIN1"), ("LATIN1", None)):
        for encoding in encodings:
            brought = {"search_path": "sch\u00e4ma"} | ({"client_encoding": encoding} if encoding else {})
            if encoding == "SJIS" and postgres.major >= 18:
                # it is reported there, which cannot be done in that encoding
                with pytest.raises(ServerError, match="22P05"):
                    postgres.connect("lab", user="app", parameters=brought)
                continue
            direct = postgres.connect("lab", user="app", parameters=brought)
            c = pooler.connect(parameters=brought)
            for _ in range(2):
                assert c.value("select i from bytes_of") == direct.value("select i from bytes_of") == "7"
                assert c.value("show client_encoding") == direct.value("show client_encoding")
            plain = pooler.connect(parameters={"client_encoding": "LATIN1"})
            assert plain.value("select current_setting('search_path')") == '"$user", public'
    with postgres.connect("lab") as admin:
        admin.rows('drop schema "sch\u00e4ma" cascade')


def test_a_role_that_a_client_brought_is_undone_before_all_else(make_pooler, postgres):
    # The next client's values were set under the last client's role, and refused.
    postgres.connect("postgres").rows("grant app2 to app; grant set on parameter log_statement to app")
    pooler = make_pooler(default_pool_size=1)
    a, b = pooler.connect(parameters={"options": "-c role=app2"}), pooler.connect(parameters={"options": "-c log_statement=ddl"})
    for _ in range(3):
        assert a.rows("select current_user, current_setting('log_statement')") == [("app2", "none")]
        assert b.rows("select current_user, current_setting('log_statement')") == [("app", "ddl")]
    a.close(), b.close()
    postgres.connect("postgres").rows("revoke app2 from app; revoke set on parameter log_statement from app")


def test_a_timeout_of_the_last_client_is_not_the_next_ones(make_pooler):
    # statement_timeout=1 cut the pooler's own SETs, and the next client was closed for it.
    pooler = make_pooler(default_pool_size=1)
    tight = pooler.connect(parameters={"statement_timeout": "1"})
    others = [pooler.connect(parameters={"TimeZone": zone}) for zone in ("Asia/Tokyo", "Europe/Vienna")]
    for turn in range(100):
        tight.query("select 1")
        for other, zone in zip(others, ("Asia/Tokyo", "Europe/Vienna")):
            assert other.rows("select current_setting('TimeZone'), current_setting('statement_timeout')") == [(zone, "0")]


def test_idle_session_timeout_is_about_its_own_client(make_pooler):
    # A server was set to it, and the next client was ended with 57P05.
    pooler = make_pooler(default_pool_size=1)
    other = pooler.connect()
    for value in ("300", "0.3s"):
        c = pooler.connect(parameters={"idle_session_timeout": value})
        assert c.value("select 'still here'") == "still here"
        assert other.value("show idle_session_timeout") == "0"
        end = c.read_to_end().error
        assert (end.severity, end.code, end.message) == ("FATAL", "57P05", "terminating connection due to idle-session timeout")
        assert other.value("select 'still here'") == "still here"
    with pytest.raises(ServerError) as e:
        pooler.connect(parameters={"idle_session_timeout": "soon"})
    assert e.value.code == "22023"


def test_a_value_that_one_server_does_not_take_any_more_is_set_on_another(make_pooler):
    # temp_buffers can't be changed where temporary tables have been used: the client was closed.
    pooler = make_pooler(default_pool_size=2)
    c = pooler.connect(parameters={"temp_buffers": "16MB"})
    assert c.value("show temp_buffers") == "16MB"
    for _ in range(2):
        users = [pooler.connect() for _ in range(2)]
        for user in users:
            user.rows("begin; create temp table if not exists used(i int); insert into used values (1)")
        for user in users:
            user.rows("commit")
            user.close()
        assert c.value("show temp_buffers") == "16MB"


# --- what a client leaves -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["close", "terminate", "reset", "half_close"])
def test_a_client_that_leaves_inside_a_transaction_leaves_no_session_behind(make_pooler, end):
    # One pg_dump gave the next clients search_path = '', and its statements' names.
    pooler = make_pooler(default_pool_size=1)
    for _ in range(3):
        c = pooler.connect()
        c.rows("select set_config('search_path', '', false); set row_security = off; prepare domains as select 1; select pg_advisory_lock(7)")
        c.rows("begin; set local work_mem = '1MB'")
        getattr(c, end)()
        other = pooler.connect()
        assert other.rows("select current_setting('search_path'), current_setting('row_security')") == [('"$user", public', "on")]
        assert other.query("prepare domains as select 2; deallocate domains").check().tags == ["PREPARE", "DEALLOCATE"]
        assert other.value("select count(*) from pg_locks where locktype = 'advisory'") == "0"
        assert other.extended("select 'own'", name="s").values == ["own"]
        other.close()


@pytest.mark.parametrize("mode", ["transaction", "session"])
@pytest.mark.parametrize("extended", [False, True], ids=["simple", "extended"])
@pytest.mark.parametrize("back", ["reset timezone", "set timezone to default", "reset all", "discard all"])
def test_a_reset_tells_what_the_client_brought(make_pooler, postgres, back, extended, mode):
    # The value that the client had set stayed the last one that it was told.
    pooler = make_pooler(default_pool_size=1, pool_mode=mode)
    brought = {"TimeZone": "Asia/Tokyo", "DateStyle": "German"}

    def told(client):
        client.query("set timezone = 'America/Lima'").check()
        burst = ask(back) + sync() if extended else query(back)
        return [m for m in client.run(burst) if m[0] in "CSZ"]

    direct = told(postgres.connect("lab", user="app", parameters=brought))
    assert ("S", "TimeZone", "Asia/Tokyo") in direct
    assert told(pooler.connect(parameters=brought)) == direct


def test_reset_all_passes_over_the_role(make_pooler, postgres):
    # The role that the client had brought was set again.
    postgres.sql("grant app2, scram_user to app")
    pooler = make_pooler(default_pool_size=1, pool_mode="session")
    for client in (pooler.connect(parameters={"role": "app2"}), postgres.connect("lab", user="app", parameters={"role": "app2"})):
        client.rows("set role scram_user")
        client.rows("reset all")
        assert client.value("select current_user") == "scram_user"
        client.rows("reset role")
        assert client.value("select current_user") == "app2"
        client.rows("discard all")
        assert client.value("select current_user") == "app2"
        client.close()
    postgres.sql("revoke app2, scram_user from app")


def test_a_reconnect_while_values_are_tried_forgets_no_login(make_pooler):
    # The greeting of the pool was gone when the trial ended, and the login waited for ever, with its server.
    pooler = make_pooler(default_pool_size=1, admin_users="app")
    admin = pooler.connect(database="pgbouncer")
    for turn in range(20):
        thread = threading.Thread(target=lambda: [admin.query("RECONNECT lab").check() for _ in range(3)])
        thread.start()
        with pooler.connect(parameters={"TimeZone": f"<x{turn:02}>3", "work_mem": f"{turn + 1}MB"}) as c:
            assert c.value("show work_mem") == f"{turn + 1}MB"
        thread.join()


def test_a_function_that_sets_what_the_client_brought_to_the_servers_own(make_pooler, postgres):
    # It was taken for a change of the server's own value, and undone behind the client's back.
    pooler = make_pooler(default_pool_size=1)
    brought = {"TimeZone": "Asia/Tokyo"}
    own = postgres.connect("lab", user="app").value("show timezone")
    for client in (pooler.connect(parameters=brought), postgres.connect("lab", user="app", parameters=brought)):
        assert client.query(f"select set_config('TimeZone', '{own}', false)").parameters == {"TimeZone": own}
        assert client.value("show timezone") == own
        assert client.query("set timezone = 'Asia/Tokyo'").parameters == {"TimeZone": "Asia/Tokyo"}
