"""What a run needs around it: a PostgreSQL with twin databases, and for each lane a pooler of its own kind.

Twins are copies of one template, so their tables have the same OIDs, and what PostgreSQL says about one is what it says about the other.
"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "blackbox"))

import wire  # noqa: E402
from pooler import DISASTERS, Kind, Pooler  # noqa: E402
from postgres import Postgres  # noqa: E402
from processes import RunFolder, wait_until  # noqa: E402

import story_schema  # noqa: E402

USER = "trust_user"
SCHEMA = """
create table t(a int);
create table u(a int primary key);
create table k(a int check (a > 0));
create table m(a int not null, b text);
create table w(a int, b text);
create table r(a int primary key);
insert into r select generate_series(1, 5);
create table ch(a int references r(a) deferrable initially deferred);
create table trg(a int);
create table stm(a int);
create table dt(a int);
create table mine(id text, a text);
create view v as select a from t;
create function note(x text) returns text language plpgsql as $$ begin raise notice 'note %', x; return x; end $$;
create function row_trigger() returns trigger language plpgsql as $$ begin
  if new.a % 10 = 1 then raise notice 'row %', new.a; end if;
  if new.a % 10 = 2 then raise exception 'refused %', new.a; end if;
  return new; end $$;
create function statement_trigger() returns trigger language plpgsql as $$ begin raise notice 'statement'; return null; end $$;
create function deferred_trigger() returns trigger language plpgsql as $$ begin
  if new.a % 10 = 3 then raise exception 'deferred %', new.a; end if; return null; end $$;
create trigger a before insert on trg for each row execute function row_trigger();
create trigger a after insert on stm for each statement execute function statement_trigger();
create constraint trigger a after insert on dt deferrable initially deferred for each row execute function deferred_trigger();
grant all on all tables in schema public to public;
"""
# Everything that a pipeline can have left behind, by its range of numbers.
CONTENT = " union all ".join(
    f"select '{table}', a::text from {table} where abs(a::bigint) between {{low}} and {{low}} + 999"
    for table in ("t", "u", "k", "m", "w", "ch", "trg", "stm", "dt")
)
TABLES = ("t", "u", "k", "m", "w", "ch", "trg", "stm", "dt")


class Lane:
    """One kind of pooler with its pair of databases."""

    def __init__(self, name, mode="transaction", workers=1, servers=2, statements=200, bystanders=3, plays="pipelines"):
        self.name, self.mode, self.workers, self.servers = name, mode, workers, servers
        self.statements, self.bystanders, self.plays = statements, bystanders, plays
        self.reference, self.pooled = f"ref_{name}", f"via_{name}"


LANES = [
    Lane("tx1", servers=2),
    Lane("tx2", workers=2, servers=3, bystanders=4),
    Lane("session", mode="session", servers=2, bystanders=3),
    Lane("single", servers=1, statements=3, bystanders=2),
    Lane("st2", servers=2, bystanders=2, plays="stories"),
    Lane("st3", workers=2, servers=3, statements=5, bystanders=3, plays="stories"),
    Lane("st1", servers=1, statements=5, bystanders=2, plays="stories"),
    Lane("own", mode="session", servers=4, bystanders=2, plays="stories"),
]


class Environment:
    def __init__(self, lanes):
        self.run_folder = RunFolder()
        self.postgres = Postgres(self.run_folder)
        with open(f"{self.postgres.data}/postgresql.conf", "a") as f:
            f.write("autovacuum = off\nshared_buffers = 128MB\nlog_min_messages = log\nmax_connections = 100\n")
        self.postgres.start()
        self.postgres.sql("create database twin")
        with self.postgres.connect("twin") as c:
            c.query(SCHEMA).check()
            for role in story_schema.ROLES:
                c.query(f"create role {role}; grant {role} to {USER}").check()
            c.query(story_schema.schema(USER)).check()
            # What has a larger one is made by a story, and has another one in each database.
            self.first_new_oid = 1 + int(c.value("select max(oid) from (select oid from pg_class union all select oid from pg_type) x"))
        for lane in lanes:
            for name in (lane.reference, lane.pooled):
                self.postgres.sql(f"create database {name} template twin")

    def has_crashed(self, since):
        """Whether a backend has ended PostgreSQL since `since` crashes were counted; returns when it takes logins again."""
        end = time.monotonic() + 3
        while self.crashes() <= since:
            if time.monotonic() > end:
                return False
            time.sleep(0.05)

        def takes_logins():
            try:
                self.postgres.connect().close()
                return True
            except (OSError, wire.Closed, wire.ServerError):
                return False

        wait_until(takes_logins, "PostgreSQL to recover")
        return True

    def after_a_crash(self, recover):
        """Does `recover` until it succeeds: what the other lanes play may crash PostgreSQL again meanwhile."""

        def succeeds():
            try:
                recover()
                return True
            except (OSError, wire.Closed, wire.ServerError):
                return False

        wait_until(succeeds, "PostgreSQL to stay up")

    def crashes(self):
        return self.postgres.log().count("terminated by signal")

    def troubles(self):
        """What PostgreSQL's log says of its own end, or of one of its processes'."""
        words = ("terminated by signal", "Failed process was running", "PANIC", "shutdown request", "exited with exit code")
        return "\n".join(line for line in self.postgres.log().splitlines() if any(word in line for word in words))[-3000:]

    def close(self):
        self.postgres.stop()
        self.run_folder.close()


class PoolerTarget:
    """The pooler of a lane: a fresh process when the old one is dead or may be poisoned."""

    is_pooler = True

    def __init__(self, binary, environment, lane):
        self.environment, self.lane = environment, lane
        self.kind = Kind(binary, "pgbouncer" if "pgbouncer" in os.path.basename(binary) else "sluice", None)
        self.pooler = None
        self.start()

    def start(self):
        lane = self.lane
        settings = {"auth_type": "trust", "pool_mode": lane.mode, "default_pool_size": lane.servers, "log_connections": 0, "log_disconnections": 0}
        settings["max_prepared_statements"] = lane.statements
        if self.kind.is_sluice:
            settings["workers"] = lane.workers
        settings["admin_users"] = USER
        databases = {lane.pooled: {"dbname": lane.pooled, "user": USER}}
        self.pooler = Pooler(self.kind, self.environment.run_folder, self.environment.postgres, databases, users={USER: "x"}, **settings)

    @property
    def address(self):
        return self.pooler.address

    def alive(self):
        return self.pooler.alive()

    def stop(self):
        """What went wrong with the process, or nothing."""
        pooler, self.pooler = self.pooler, None
        try:
            if pooler:  # None: PostgreSQL has ended while it was being started anew
                pooler.stop()
        except AssertionError as e:
            return str(e)
        return None

    def restart(self):
        trouble = self.stop()
        # What it left behind in the database must not hold locks any more.
        busy = f"select 1 from pg_stat_activity where datname = '{self.lane.pooled}' and usename = '{USER}'"
        end = time.monotonic() + 5
        while self.environment.postgres.sql(busy) and time.monotonic() < end:
            time.sleep(0.01)
        self.environment.postgres.sql(busy.replace("select 1", "select pg_terminate_backend(pid)"))
        self.start()
        return trouble


class DirectTarget:
    """PostgreSQL itself in the pooler's place: there must be no difference at all."""

    is_pooler = False

    def __init__(self, environment, lane):
        self.environment, self.lane = environment, lane
        self.address = ("127.0.0.1", environment.postgres.port)

    def alive(self):
        return True

    def stop(self):
        return None

    def restart(self):
        busy = f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{self.lane.pooled}' and usename = '{USER}'"
        self.environment.postgres.sql(busy)
        return None
