"""What stories are about: tables of one name in several schemas, roles with schemas of their own, and what DDL changes.

All of it belongs to the clients' own user, so that they may change it. A story that has changed the catalogue is followed by REBUILD, which
goes through the pooler: what it has prepared until then is older.
"""

ROLES = ("ta", "tb", "lo")
TABLES = "public.zip, one.zip, two.zip, ta.zip, tb.zip, public.st"

REBUILD = """
drop table if exists public.zip, one.zip, two.zip, ta.zip, tb.zip, public.st, one.st, two.st, ta.st, tb.st, public.late, one.late, two.late, ta.late, tb.late cascade;
drop view if exists public.vst, one.vst, two.vst, ta.vst, tb.vst cascade;
drop function if exists public.kind(), one.kind(), two.kind(), ta.kind(), tb.kind(), public.kinds(), one.kinds(), two.kinds(), ta.kinds(), tb.kinds() cascade;
drop type if exists public.mood, one.mood, two.mood, ta.mood, tb.mood cascade;
create table public.zip(code varchar(5));
create table one.zip(code int);
create table two.zip(code text);
create table ta.zip(code int);
create table tb.zip(code text);
create table public.st(a int, b text);
create function public.kind() returns text language sql immutable as 'select ''public''::text';
create function one.kind() returns text language sql immutable as 'select ''one''::text';
create function ta.kind() returns int language sql immutable as 'select 1';
create function tb.kind() returns text language sql immutable as 'select ''tb''::text';
create type public.mood as enum ('ok', 'sad');
create type one.mood as enum ('sad', 'ok', 'odd');
grant all on public.zip, public.st, one.zip, two.zip, ta.zip, tb.zip to public;
revoke all on ta.zip from tb, lo;
"""


def schema(user):
    """To be run once, by a superuser, in the database that all others are copies of."""
    return (
        "".join(f"create schema {name} authorization {user}; grant usage, create on schema {name} to public;" for name in ("one", "two"))
        + "".join(f"create schema {name} authorization {user}; grant usage on schema {name} to {name};" for name in ("ta", "tb"))
        + f"create schema priv authorization {user}; grant all on schema public to public; set role {user};"
        + "create function priv.fn() returns text language sql immutable as 'select ''secret''::text';"
        + REBUILD
        + """reset role;
create function story_content() returns setof text language plpgsql as $$ declare t record; begin
  for t in select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = relnamespace
      where relkind = 'r' and nspname in ('public', 'one', 'two', 'ta', 'tb') and relname in ('zip', 'st', 'late') order by 1 loop
    return query execute format('select %L || x::text from %s x order by 1', t.name || ' ', t.name);
  end loop; end $$;"""
    )


CONTENT = "select * from story_content()"
CLEAN = ";".join(f"delete from {table}" for table in TABLES.split(", "))
