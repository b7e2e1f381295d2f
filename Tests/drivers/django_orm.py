"""Django's ORM with psycopg 3: the settings of docs/using/django.md, migrations, transactions, server-side cursors."""
import os
import sys
import threading

import django
from django.conf import settings

from pages import block

CONNECTIONS = 6
ROUNDS = 25

variables = {}
exec(block("django.md", "python"), variables)
there = {"HOST": os.environ["PGHOST"], "PORT": os.environ["PGPORT"], "USER": os.environ["PGUSER"], "PASSWORD": os.environ["PGPASSWORD"]}
page = variables["DATABASES"]["default"] | there | {"NAME": os.environ["PGDATABASE"]}
settings.configure(
    DATABASES={
        "default": page,
        # beyond the page
        "prepared": page | {"OPTIONS": {"prepare_threshold": 0, "server_side_binding": True}},
        "cursors": page | {"DISABLE_SERVER_SIDE_CURSORS": False},
        "session": page | {"DISABLE_SERVER_SIDE_CURSORS": False, "NAME": os.environ["SESSION_DATABASE"]},
        "tokyo": page | {"TIME_ZONE": "Asia/Tokyo", "OPTIONS": {"options": "-c search_path=django_tenant,public"}},
        "pool": page | {"CONN_MAX_AGE": 0, "OPTIONS": {"pool": {"min_size": 1, "max_size": 4}}},
    },
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
    USE_TZ=True,
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()

import psycopg  # noqa: E402
from django.contrib.auth.models import Group, User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connections, transaction  # noqa: E402


def fail(message):
    print(f"FAILED {message}", file=sys.stderr, flush=True)
    os._exit(1)


def everywhere(name, work):
    """On six connections at once: Django has one for each thread and alias."""

    def guarded(who):
        try:
            work(who)
        except BaseException as e:
            fail(f"{name}, connection {who}: {type(e).__name__}: {e}")
        finally:
            connections.close_all()

    threads = [threading.Thread(target=guarded, args=(i,)) for i in range(1, CONNECTIONS + 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"ok {name}", flush=True)


def expect(got, wanted, what):
    if got != wanted:
        fail(f"{what}: expected {wanted!r}, got {got!r}")


print(f"Django {django.__version__}, psycopg {psycopg.__version__}", flush=True)
with connections["default"].cursor() as cursor:
    cursor.execute("drop schema public cascade; create schema public; drop schema if exists django_tenant cascade")
call_command("migrate", verbosity=0)
call_command("migrate", verbosity=0)
expect(User.objects.count(), 0, "users after a migration")
print("ok migrate", flush=True)


def orm(alias):
    def work(who):
        for n in range(ROUNDS):
            user = User.objects.db_manager(alias).create_user(f"{alias}-{who}-{n}", password="x")
            expect(User.objects.using(alias).get(pk=user.pk).username, f"{alias}-{who}-{n}", "get")
            group, _ = Group.objects.using(alias).get_or_create(name=f"{alias}-{who}")
            user.groups.add(group)
            expect(User.objects.using(alias).filter(groups=group).count(), n + 1, "count")
        expect(User.objects.using(alias).filter(username__startswith=f"{alias}-{who}-").count(), ROUNDS, "rows of a connection")

    return work


for alias in ("default", "prepared"):
    everywhere(f"ORM, {alias}", orm(alias))


def transactions(who):
    for n in range(ROUNDS):
        with transaction.atomic():
            user = User.objects.select_for_update().get(username=f"default-{who}-0")
            user.first_name = str(n)
            user.save()
            try:
                with transaction.atomic():
                    User.objects.create(username=f"default-{who}-0")
                fail("a second user of the same name")
            except django.db.IntegrityError:
                pass
            expect(User.objects.get(pk=user.pk).first_name, str(n), "after a savepoint")


everywhere("transactions and savepoints", transactions)


def iterators(alias, inside):
    def work(who):
        names = [f"default-{who}-{n}" for n in range(ROUNDS)]
        query = User.objects.using(alias).filter(username__in=names).order_by("pk")
        for _ in range(5):
            if inside:
                with transaction.atomic(using=alias):
                    got = [user.username for user in query.iterator(chunk_size=7)]
            else:
                got = [user.username for user in query.iterator(chunk_size=7)]
            expect(got, names, "an iterator")

    return work


everywhere("iterator() with the page's settings", iterators("default", False))
everywhere("iterator() with a server-side cursor in atomic()", iterators("cursors", True))
everywhere("iterator() with a server-side cursor in a session pool", iterators("session", False))
if os.environ["POOLER"]:
    # Django declares it WITH HOLD where there is no transaction, and fetches in others: that needs one server for all of them.
    troubles = []

    def held(who):
        try:
            for _ in range(20):
                list(User.objects.using("cursors").order_by("pk").iterator(chunk_size=7))
        except (django.db.Error, psycopg.Error) as e:
            troubles.append(str(e))

    everywhere("iterator() with a server-side cursor between transactions", held)
    if not troubles or "does not exist" not in troubles[0]:
        fail(f"the trap that the page tells of is none: {troubles[:1]}")


def own_values(who):
    for _ in range(ROUNDS):
        for alias, zone, path in (("default", "UTC", '"$user", public'), ("tokyo", "Asia/Tokyo", "django_tenant,public")):
            with connections[alias].cursor() as cursor:
                cursor.execute("select current_setting('TimeZone'), current_setting('search_path')")
                got = cursor.fetchone()
            expect((got[0], got[1].replace(" ", "")), (zone, path.replace(" ", "")), alias)


everywhere("TIME_ZONE and search_path follow the connection", own_values)
everywhere("Django's own pool", orm("pool"))
connections["pool"].close_pool()
