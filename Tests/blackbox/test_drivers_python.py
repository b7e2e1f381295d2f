"""psql, pgbench and Python's drivers, used the way applications use them, all through one URL in transaction mode."""
import asyncio
import os
import shutil
import subprocess
import threading
import uuid

import pytest

from conftest import Target
from postgres import newest_bin
from processes import wait_until

pytestmark = pytest.mark.drivers
prepared_statements = pytest.mark.since("1.21")


def tool(name):
    path = f"{newest_bin()}/{name}"
    path = path if os.path.exists(path) else shutil.which(name)
    if not path:
        pytest.skip(f"no {name}")
    return path


def run(target, *command, **more):
    done = subprocess.run(command, env=dict(target.environment, **more.pop("env", {})), capture_output=True, text=True, timeout=170, **more)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def in_threads(count, work):
    problems = []

    def guarded(i):
        try:
            work(i)
        except BaseException as e:
            problems.append((i, repr(e)))

    threads = [threading.Thread(target=guarded, args=(i,)) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not problems, problems[:3]


# --- psql and pgbench -------------------------------------------------------------------------------------------------


def psql(target, *arguments, **more):
    return run(target, tool("psql"), "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", *arguments, **more)


def test_psql(target):
    assert psql(target, "-c", "select 6 * 7").strip() == "42"
    assert psql(target, "-c", "begin", "-c", "create temp table x(i int) on commit drop; insert into x values (1); select count(*) from x", "-c", "commit").strip() == "1"


def test_psql_meta_commands_and_copy(target, tmp_path):
    rows = tmp_path / "rows.txt"
    rows.write_text("".join(f"{i}\trow {i}\n" for i in range(5000)))
    script = f"""
        drop table if exists psql_copy;
        create table psql_copy(i int primary key, t text);
        \\copy psql_copy from '{rows}'
        select count(*), sum(i) from psql_copy;
        \\copy (select * from psql_copy order by i) to '{tmp_path}/back.txt'
        select i from psql_copy order by i limit 3 \\gx
        \\d psql_copy
        drop table psql_copy;
    """
    out = psql(target, "-f", "-", input=script)
    assert "5000|12497500" in out and "i|integer||not null|" in out
    assert (tmp_path / "back.txt").read_text() == rows.read_text()


def test_psql_single_transaction_and_a_failing_script(target):
    done = subprocess.run([tool("psql"), "-X", "-1", "-v", "ON_ERROR_STOP=1", "-f", "-"], input="create table psql_never(i int); select 1/0;", env=target.environment, capture_output=True, text=True)
    assert done.returncode == 3 and "division by zero" in done.stderr
    assert psql(target, "-c", "select to_regclass('psql_never') is null").strip() == "t"


def test_psql_with_pgoptions(target):
    if target.pooler and not target.pooler.kind.is_sluice:
        pytest.skip("sluice only: unsupported startup parameter")
    out = psql(target, "-c", "show statement_timeout", env={"PGOPTIONS": "-c statement_timeout=7s", "PGAPPNAME": "my app", "PGTZ": "Asia/Tokyo"})
    assert out.strip() == "7s"


def test_pg_dump_and_restore(make_pooler, tmp_path):
    # A dozen SETs, set_config('search_path', '', false), and it quits inside its transaction. On a pooler of its own:
    # the search_path of a restore stays on its server, in every pooler that does not track it.
    pooler = make_pooler()
    target = Target(pooler.url(), pooler)
    psql(target, "-c", "drop schema if exists dumped cascade; create schema dumped; create table dumped.t as select i, 'x' || i as t from generate_series(1, 1000) i")
    dump = run(target, tool("pg_dump"), "-n", "dumped")
    assert dump.count("\n") > 1000
    psql(target, "-c", "drop schema dumped cascade")
    psql(target, "-1", "-f", "-", input=dump)
    c = pooler.connect()
    assert c.value("select count(*) from dumped.t") == "1000"
    c.rows("drop schema dumped cascade")


@pytest.fixture(scope="module")
def pgbench_tables():
    return {}


def pgbench(target, pgbench_tables, *arguments):
    if not pgbench_tables:
        run(target, tool("pgbench"), "-i", "-s", "1", "-q")
        pgbench_tables["made"] = True
    out = run(target, tool("pgbench"), "-n", "-t", "40", *arguments)
    assert "number of failed transactions: 0" in out, out


@pytest.mark.parametrize("mode", ["simple", "extended", pytest.param("prepared", marks=prepared_statements)])
def test_pgbench_select(target, pgbench_tables, mode):
    pgbench(target, pgbench_tables, "-S", "-c", "50", "-M", mode)


@pytest.mark.parametrize("mode, clients", [("simple", 50), ("extended", 50), pytest.param("prepared", 15, marks=prepared_statements)])
def test_pgbench_tpcb(target, pgbench_tables, mode, clients):
    # prepared with more clients than servers deadlocks inside pgbench (clients.md 1.8)
    pgbench(target, pgbench_tables, "-c", str(clients), "-M", mode)
    with target.connect() as c:
        assert c.value("select (select sum(tbalance) from pgbench_tellers) = (select sum(abalance) from pgbench_accounts)") == "t"


@pytest.mark.parametrize("mode", ["simple", "extended"])
def test_pgbench_with_a_connection_per_transaction(target, pgbench_tables, mode):
    pgbench(target, pgbench_tables, "-S", "-C", "-c", "8", "-M", mode)


@prepared_statements
def test_pgbench_pipeline(target, pgbench_tables, tmp_path):
    script = tmp_path / "pipeline.sql"
    script.write_text("\\startpipeline\n" + "select 1;\nselect :client_id;\n" * 10 + "\\endpipeline\n")
    pgbench(target, pgbench_tables, "-f", str(script), "-c", "30", "-M", "prepared")
    pgbench(target, pgbench_tables, "-f", str(script), "-c", "30", "-M", "extended")


# --- psycopg 3 -----------------------------------------------------------------------------------------------------------


def psycopg_connect(target, **more):
    import psycopg

    return psycopg.connect(host=target.host, port=target.port, user=target.user, password=target.password, dbname=target.database, **more)


def test_psycopg(target):
    with psycopg_connect(target) as c:
        assert c.execute("select %s::int + 1", [41]).fetchone() == (42,)
        with c.transaction():
            c.execute("create temp table t3(i int) on commit drop")
            c.cursor().executemany("insert into t3 values (%s)", [(i,) for i in range(100)])
            assert c.execute("select sum(i) from t3").fetchone() == (4950,)
            with pytest.raises(Exception, match="division by zero"):
                with c.transaction():
                    c.execute("select 1/0")
            assert c.execute("select count(*) from t3").fetchone() == (100,)


@prepared_statements
def test_psycopg_prepared_statements_of_many_threads(target):
    def work(i):
        with psycopg_connect(target, autocommit=True, prepare_threshold=0) as c:
            for turn in range(60):
                assert c.execute(f"select %s::text || '/{turn % 7}'", [i]).fetchone() == (f"{i}/{turn % 7}",)

    in_threads(30, work)


@prepared_statements
def test_psycopg_evicts_and_deallocates_its_prepared_statements(target):
    with psycopg_connect(target, autocommit=True, prepare_threshold=0) as c:
        c.prepared_max = 3
        for turn in range(40):
            assert c.execute(f"select %s::int + {turn % 8}", [turn]).fetchone() == (turn + turn % 8,)
        c.execute("drop table if exists psycopg_ddl")
        c.execute("create table psycopg_ddl(i int)")
        c.execute("drop table psycopg_ddl")  # makes psycopg send DEALLOCATE ALL
        for turn in range(10):
            assert c.execute("select %s::int", [turn]).fetchone() == (turn,)


@pytest.mark.parametrize("threshold", [None, pytest.param(0, marks=prepared_statements)])
def test_psycopg_pipelines(target, threshold):
    with psycopg_connect(target, autocommit=True, prepare_threshold=threshold) as c:
        for _ in range(3):
            with c.pipeline() as p:
                cursors = [c.execute("select %s::int * 2", [i]) for i in range(200)]
                p.sync()
                assert [x.fetchone()[0] for x in cursors] == [i * 2 for i in range(200)]
        with pytest.raises(Exception, match="division by zero"):
            with c.pipeline():
                c.execute("select 1/0")
                c.execute("select 1")
        assert c.execute("select 'alive'").fetchone() == ("alive",)


def test_psycopg_server_side_cursors(target):
    with psycopg_connect(target) as c:
        with c.cursor("named") as cursor:
            cursor.itersize = 7
            cursor.execute("select i from generate_series(1, 100) i")
            assert [r[0] for r in cursor] == list(range(1, 101))


def test_psycopg_copy(target):
    with psycopg_connect(target) as c:
        c.execute("create temp table t_copy(i int, t text) on commit drop")
        with c.cursor().copy("copy t_copy from stdin") as copy:
            for i in range(10000):
                copy.write_row((i, f"row {i}"))
        with c.cursor().copy("copy (select i from t_copy order by i) to stdout") as copy:
            assert [int(r[0]) for r in copy.rows()] == list(range(10000))


def test_psycopg_cancel_and_timeout(target):
    import psycopg

    mark, looker = uuid.uuid4().hex, target.connect()
    seen = f"select count(*) from pg_stat_activity where state = 'active' and query like '%{mark}%' and pid <> pg_backend_pid()"
    with psycopg_connect(target, autocommit=True) as c:

        def cancel():  # one that overtakes its query hits nothing
            wait_until(lambda: looker.value(seen) == "1", "the query to run")
            c.cancel()

        thread = threading.Thread(target=cancel)
        thread.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            c.execute(f"select pg_sleep(600) /* {mark} */")
        thread.join()
        assert c.execute("select 1").fetchone() == (1,)


def test_psycopg_async(target):
    import psycopg

    async def work(i):
        async with await psycopg.AsyncConnection.connect(host=target.host, port=target.port, user=target.user, password=target.password, dbname=target.database, prepare_threshold=None) as c:
            for turn in range(20):
                cursor = await c.execute("select %s::int", [i * 100 + turn])
                assert await cursor.fetchone() == (i * 100 + turn,)
                await c.commit()

    async def everybody():
        await asyncio.gather(*[work(i) for i in range(40)])

    asyncio.run(everybody())


# --- psycopg2 -----------------------------------------------------------------------------------------------------------


def test_psycopg2(target):
    import psycopg2

    def work(i):
        c = psycopg2.connect(host=target.host, port=target.port, user=target.user, password=target.password, dbname=target.database)
        with c, c.cursor() as cursor:
            for turn in range(20):
                cursor.execute("select %s", (f"{i}/{turn}",))
                assert cursor.fetchone() == (f"{i}/{turn}",)
        with pytest.raises(psycopg2.errors.DivisionByZero), c, c.cursor() as cursor:
            cursor.execute("select 1/0")
        with c, c.cursor(name="server_side") as cursor:
            cursor.execute("select i from generate_series(1, 5000) i")
            assert sum(r[0] for r in cursor) == 12502500
        c.close()

    in_threads(30, work)


def test_psycopg2_large_objects_and_notices(target):
    import psycopg2

    c = psycopg2.connect(host=target.host, port=target.port, user=target.user, password=target.password, dbname=target.database)
    with c:
        lo = c.lobject(0, "wb")
        lo.write(b"large object " * 100000)
        oid = lo.oid
        lo.close()
    with c:
        lo = c.lobject(oid, "rb")
        assert lo.read() == b"large object " * 100000
        lo.unlink()
    with c, c.cursor() as cursor:
        cursor.execute("do $$begin raise notice 'heard'; end$$")
    assert "heard" in c.notices[-1]
    c.close()


def test_psycopg2_copy(target):
    import io

    import psycopg2

    c = psycopg2.connect(host=target.host, port=target.port, user=target.user, password=target.password, dbname=target.database)
    with c, c.cursor() as cursor:
        cursor.execute("create temp table t_copy2(i int) on commit drop")
        cursor.copy_expert("copy t_copy2 from stdin", io.StringIO("".join(f"{i}\n" for i in range(100000))))
        out = io.StringIO()
        cursor.copy_expert("copy t_copy2 to stdout", out)
        assert len(out.getvalue().split()) == 100000
    c.close()


# --- asyncpg -------------------------------------------------------------------------------------------------------------


def with_asyncpg(target, work, **more):
    import asyncpg

    async def main():
        c = await asyncpg.connect(host=target.host, port=target.port, user=target.user, password=target.password, database=target.database, ssl=False, **more)
        try:
            await work(c)
        finally:
            await c.close()

    asyncio.run(main())


@pytest.mark.parametrize("cache", [0, pytest.param(100, marks=prepared_statements)])
def test_asyncpg(target, cache):
    async def work(c):
        assert await c.fetchval("select $1::int + 1", 41) == 42
        async with c.transaction():
            await c.execute("create temp table ta(i int) on commit drop")
            await c.executemany("insert into ta values ($1)", [(i,) for i in range(1000)])
            assert await c.fetchval("select sum(i) from ta") == 499500
            assert [r["i"] async for r in c.cursor("select i from ta order by i", prefetch=37)] == list(range(1000))
        with pytest.raises(Exception, match="division by zero"):
            await c.fetchval("select 1/$1::int", 0)
        assert await c.fetchval("select array[1,2,3]") == [1, 2, 3]
        await c.reset()

    with_asyncpg(target, work, statement_cache_size=cache)


def test_asyncpg_with_a_url_full_of_leftovers(target):
    import asyncpg

    async def main():
        url = f"postgresql://{target.user}:{target.password}@{target.host}:{target.port}/{target.database}?pgbouncer=true&connection_limit=1&pool_timeout=5&schema=public"
        c = await asyncpg.connect(url, ssl=False)
        assert await c.fetchval("select 1") == 1
        await c.close()

    if target.direct:
        pytest.skip("PostgreSQL refuses it")
    asyncio.run(main())


@prepared_statements
def test_asyncpg_pool_with_copy_and_cancel(target):
    import asyncpg

    async def main():
        async with asyncpg.create_pool(host=target.host, port=target.port, user=target.user, password=target.password, database=target.database, ssl=False, min_size=1, max_size=30) as pool:

            async def work(i):
                for turn in range(10):
                    async with pool.acquire() as c:
                        assert await c.fetchval(f"select $1::text || '/{turn % 4}'", str(i)) == f"{i}/{turn % 4}"

            await asyncio.gather(*[work(i) for i in range(60)])
            async with pool.acquire() as c:
                with pytest.raises(asyncio.TimeoutError):
                    await c.execute("select pg_sleep(60)", timeout=1)  # long enough for the query to be there before its cancel
                assert await c.fetchval("select 1") == 1
                async with c.transaction():
                    await c.execute("create temp table tc(i int, t text) on commit drop")
                    await c.copy_records_to_table("tc", records=[(i, str(i)) for i in range(5000)])
                    assert await c.fetchval("select count(*) from tc") == 5000

    asyncio.run(main())


# --- pg8000 -------------------------------------------------------------------------------------------------------------


def test_pg8000_of_many_threads(target):
    import pg8000.native

    def work(i):
        c = pg8000.native.Connection(user=target.user, password=target.password, host=target.host, port=target.port, database=target.database)
        for turn in range(25):
            assert c.run("select cast(:who as text)", who=f"{i}/{turn}") == [[f"{i}/{turn}"]]
        c.run("start transaction")
        c.run("create temp table t8(i int) on commit drop")
        c.run("insert into t8 values (:i)", i=7)
        assert c.run("select i from t8") == [[7]]
        c.run("commit")
        statement = c.prepare("select cast(:n as int) * 2")
        for n in range(10):
            assert statement.run(n=n) == [[n * 2]]
        statement.close()
        c.close()

    in_threads(25, work)


def test_pg8000_dbapi(target):
    import pg8000.dbapi

    c = pg8000.dbapi.connect(user=target.user, password=target.password, host=target.host, port=target.port, database=target.database)
    cursor = c.cursor()
    cursor.execute("select %s", ("value",))
    assert cursor.fetchone() in (("value",), ["value"])
    with pytest.raises(pg8000.dbapi.DatabaseError):
        cursor.execute("select 1/0")
    c.rollback()
    cursor.execute("select 'alive'")
    assert cursor.fetchone()[0] == "alive"
    c.close()


# --- SQLAlchemy -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dialect",
    ["psycopg2", pytest.param("psycopg", marks=prepared_statements), "pg8000"],
)
@pytest.mark.parametrize("isolation", [None, "AUTOCOMMIT", "SERIALIZABLE"])
def test_sqlalchemy(target, dialect, isolation):
    import sqlalchemy as sa

    url = sa.URL.create(f"postgresql+{dialect}", target.user, target.password, target.host, target.port, target.database)
    engine = sa.create_engine(url, pool_size=3, **({"isolation_level": isolation} if isolation else {}))
    table = sa.Table(f"sa_{dialect}_{isolation}".lower(), sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String))
    table.drop(engine, checkfirst=True)
    table.create(engine)
    with engine.begin() as c:
        c.execute(table.insert(), [{"name": f"n{i}"} for i in range(200)])
    for _ in range(8):
        with engine.connect() as c:
            assert c.execute(sa.select(sa.func.count()).select_from(table)).scalar() == 200
            assert c.execute(sa.select(table.c.name).where(table.c.id == 5)).scalar() == "n4"
    with engine.connect() as c:
        with pytest.raises(sa.exc.DBAPIError):
            c.execute(sa.text("select 1/0"))
    with engine.connect() as c:
        assert c.execute(sa.text("select 'alive'")).scalar() == "alive"
    assert [column["name"] for column in sa.inspect(engine).get_columns(table.name)] == ["id", "name"]
    table.drop(engine)
    engine.dispose()


@prepared_statements
def test_sqlalchemy_asyncpg_with_its_pooler_recipe(target):
    import uuid

    import sqlalchemy as sa
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    async def main():
        url = sa.URL.create("postgresql+asyncpg", target.user, target.password, target.host, target.port, target.database)
        for recipe in ({}, {"poolclass": NullPool, "connect_args": {"prepared_statement_name_func": lambda: f"__asyncpg_{uuid.uuid4()}__"}}):
            engine = create_async_engine(url, **recipe)

            async def work(i):
                for turn in range(5):
                    async with engine.begin() as c:
                        assert (await c.execute(sa.text("select cast(:v as text)"), {"v": f"{i}/{turn}"})).scalar() == f"{i}/{turn}"

            await asyncio.gather(*[work(i) for i in range(10)])
            await engine.dispose()

    asyncio.run(main())
