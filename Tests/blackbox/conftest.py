"""Options and fixtures of the black-box suite; README.md beside this file tells how to use them."""
import os
import shutil
import subprocess
import urllib.parse

import pytest

import differences
import wire
from pooler import Kind, Pooler
from postgres import Postgres, password_of
from processes import RunFolder, is_root, wait_until

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


def pytest_addoption(parser):
    group = parser.getgroup("sluice")
    group.addoption("--pooler", default=os.path.join(ROOT, ".build/release/sluice"), help="the binary under test")
    group.addoption("--pooler-kind", choices=["sluice", "pgbouncer", "postgresql"], help="what that binary is (its --version tells); postgresql: no pooler at all, to check the tests themselves")
    group.addoption("--workers", type=int, help="adds `workers = N` to every ini file (sluice)")
    group.addoption("--target-url", help="run only the tests that need nothing but a URL, against this running pooler")


def pytest_configure(config):
    if not config.getoption("--pooler-kind"):
        config.option.pooler_kind = kind_of(config.getoption("--pooler")) if not config.getoption("--target-url") else "sluice"


def kind_of(path):
    """Which pooler a binary is, by what it says of itself; Sluice calls itself a PgBouncer, too."""
    if not os.access(path, os.X_OK):
        return "sluice"  # make_kind says what is wrong
    answer = subprocess.run([path, "--version"], capture_output=True, text=True).stdout
    return "pgbouncer" if "PgBouncer" in answer and "Sluice" not in answer else "sluice"


def pytest_collection_modifyitems(config, items):
    direct = config.getoption("--pooler-kind") == "postgresql"
    url = config.getoption("--target-url") or direct
    kind = None if url else config.stash.setdefault(KIND, make_kind(config))
    for item in items:
        if "make_pooler" in item.fixturenames:
            item.add_marker("needs_config")
        if "postgres" in item.fixturenames or "own_postgres" in item.fixturenames:
            item.add_marker("needs_postgres")
        if direct and item.get_closest_marker("poolers_only"):
            item.add_marker(pytest.mark.skip(reason="about poolers"))
        if url and (item.get_closest_marker("needs_config") or item.get_closest_marker("needs_postgres")):
            item.add_marker(pytest.mark.skip(reason="needs more than a URL"))
        if item.get_closest_marker("needs_root") and not is_root():
            item.add_marker(pytest.mark.skip(reason="needs root"))
        only = item.get_closest_marker("sluice_only")
        if only and config.getoption("--pooler-kind") == "pgbouncer":
            item.add_marker(pytest.mark.skip(reason="sluice only: " + (only.args[0] if only.args else "better than PgBouncer")))
        for since in item.iter_markers("since"):
            if kind and not kind.since(since.args[0]):
                item.add_marker(pytest.mark.skip(reason=f"PgBouncer {since.args[0]} or later"))
        if config.getoption("--pooler-kind") == "pgbouncer" and (difference := differences.known(f"{item.path.name}::{item.name}")):
            item.stash[DIFFERS] = difference
            if not difference.runs:
                item.add_marker(pytest.mark.skip(reason=f"known to differ: {difference.subject}"))


KIND = pytest.StashKey()
DIFFERS = pytest.StashKey()  # why the test is known to fail with this pooler


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A test that is known to fail has to. Unlike with pytest's own `xfail`, nothing but the test itself counts: a fixture that does not
    work says nothing about the pooler."""
    report = yield
    difference = item.stash.get(DIFFERS, None)
    if difference and call.when == "call" and report.failed:
        report.outcome, report.wasxfail = "skipped", difference.subject
    elif difference and call.when == "call" and report.passed and not difference.sometimes:
        report.outcome = "failed"
        report.longrepr = f"[XPASS(strict)] known to differ: {difference.subject}. It passes, so differences.py is wrong about it."
    return report


def make_kind(config):
    path, name = config.getoption("--pooler"), config.getoption("--pooler-kind")
    if not os.access(path, os.X_OK):
        raise pytest.UsageError(f"no pooler at {path}: build it (swift build -c release) or name one with --pooler PATH")
    return Kind(path, name, config.getoption("--workers"))


@pytest.fixture(scope="session")
def kind(pytestconfig):
    return pytestconfig.stash[KIND]


@pytest.fixture(scope="session")
def run_folder():
    folder = RunFolder()
    yield folder
    folder.close()


@pytest.fixture(scope="session")
def postgres_template(run_folder):
    return Postgres(run_folder).data


@pytest.fixture(scope="session")
def postgres(run_folder, postgres_template):
    """The PostgreSQL of this run. Nobody may stop or crash it: see own_postgres."""
    server = Postgres(run_folder, postgres_template)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_postgres(run_folder, postgres_template):
    """A PostgreSQL that a test may stop, restart and kill."""
    server = Postgres(run_folder, postgres_template)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(server.folder, ignore_errors=True)  # a run has dozens of them: gigabytes, that nobody wants to delete at the end


class PoolerFactory:
    def __init__(self, kind, run_folder, postgres, differs=False):
        self.kind, self.run_folder, self.postgres, self.differs, self.made = kind, run_folder, postgres, differs, []

    def __call__(self, postgres=None, **more):
        pooler = Pooler(self.kind, self.run_folder, postgres or self.postgres, start=False, **{k: v for k, v in more.items() if k != "start"})
        self.made.append(pooler)
        if more.get("start", True):
            try:
                pooler.start()
            except AssertionError:
                unknown = pooler.unknown_setting()
                if unknown and not self.kind.is_sluice:
                    pooler.ended_on_purpose = True
                    pytest.skip(f"PgBouncer has no setting {unknown}")
                raise
        return pooler

    def close(self):
        problems = []
        for pooler in reversed(self.made):
            try:
                pooler.stop()
            except AssertionError as e:
                problems.append(str(e))
        assert self.differs or not problems, "\n".join(problems)


@pytest.fixture
def make_pooler(request, kind, run_folder, postgres):
    """make_pooler(default_pool_size=2, ...) starts a pooler of this test's own in front of databases lab and lab2."""
    for database in ("lab", "lab2"):
        # a killed pooler's query may sleep on: nobody tells PostgreSQL
        postgres.sql(f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{database}'")
        wait_until(lambda: not postgres.backends(database), f"the last test's servers to leave {database}")
    factory = PoolerFactory(kind, run_folder, postgres, differs=DIFFERS in request.node.stash)
    yield factory
    factory.close()


class Target:
    """A running pooler in transaction mode of which only the URL is known."""

    def __init__(self, url, pooler=None, direct=False):
        self.url, self.pooler, self.direct = url, pooler, direct  # direct: no pooler in between
        parts = urllib.parse.urlsplit(url)
        self.host, self.port = parts.hostname, parts.port or 5432
        self.user, self.password = urllib.parse.unquote(parts.username or "postgres"), urllib.parse.unquote(parts.password or "")
        self.database = parts.path.lstrip("/") or self.user
        self.clients = []

    @property
    def address(self):
        return (self.host, self.port)

    @property
    def environment(self):
        """For libpq tools."""
        return dict(os.environ, PGHOST=self.host, PGPORT=str(self.port), PGUSER=self.user, PGPASSWORD=self.password, PGDATABASE=self.database, PGSSLMODE="prefer")

    def connect(self, **more):
        client = wire.Client(self.address, user=self.user, password=self.password, database=self.database, **more)
        self.clients.append(client)
        return client

    def raw(self):
        client = wire.Client(self.address, login=False)
        self.clients.append(client)
        return client

    def hold(self, pid):
        """Keeps one backend busy in a transaction of somebody else's, so that its last user must get another one."""
        if self.direct:
            return None
        for _ in range(40):
            holder = self.connect()
            holder.rows("begin")
            if holder.pid() == pid:
                return holder
        raise AssertionError(f"could not get hold of backend {pid}")

    def close(self):
        for client in self.clients:
            client.close()
        self.clients.clear()


@pytest.fixture(scope="session")
def shared_pooler(request, kind, run_folder, postgres):
    pooler = Pooler(kind, run_folder, postgres, databases={"app": {}}, default_pool_size=20, max_client_conn=1000)
    yield pooler
    pooler.stop()


@pytest.fixture
def target(request, pytestconfig):
    """The shared pooler (transaction mode, 20 servers), or whatever --target-url names."""
    url = pytestconfig.getoption("--target-url")
    pooler = None
    if not url and pytestconfig.getoption("--pooler-kind") == "postgresql":
        url = f"postgresql://app:{password_of('app')}@127.0.0.1:{request.getfixturevalue('postgres').port}/app"
    if not url:
        pooler = request.getfixturevalue("shared_pooler")
        assert pooler.alive(), f"the shared pooler ended with status {pooler.process.poll()}:\n{pooler.log()[-3000:]}"
        url = pooler.url(database="app")
    it = Target(url, pooler, direct=pytestconfig.getoption("--pooler-kind") == "postgresql")
    yield it
    it.close()
    if pooler:
        assert pooler.alive(), f"the shared pooler ended with status {pooler.process.poll()} during this test:\n{pooler.log()[-3000:]}"
