"""sluicebench as its users call it: arguments in, text, files and exit status out. Shares PostgreSQL with the black-box suite."""
import os
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "Tests", "blackbox"))

from postgres import Postgres, password_of  # noqa: E402
from processes import DEADLINE, RunFolder  # noqa: E402


def pytest_addoption(parser):
    group = parser.getgroup("sluicebench")
    group.addoption("--sluicebench", default=os.path.join(ROOT, "Benchmarks/.build/debug/sluicebench"), help="the program under test")
    group.addoption("--sluice", default=os.path.join(ROOT, ".build/release/sluice"), help="the pooler for comparisons")


@pytest.fixture(scope="session")
def binary(pytestconfig):
    path = pytestconfig.getoption("--sluicebench")
    if not os.access(path, os.X_OK):
        raise pytest.UsageError(f"no program {path}: swift build --package-path Benchmarks")
    return os.path.abspath(path)


@pytest.fixture(scope="session")
def sluice(pytestconfig):
    path = pytestconfig.getoption("--sluice")
    if not os.access(path, os.X_OK):
        raise pytest.UsageError(f"no pooler at {path}: swift build -c release --product sluice")
    return os.path.abspath(path)


@pytest.fixture(scope="session")
def run_folder():
    folder = RunFolder()
    yield folder
    folder.close()


@pytest.fixture(scope="session")
def postgres(run_folder):
    server = Postgres(run_folder)
    with open(f"{server.data}/pg_hba.conf", "a") as file:
        file.write("host all all 127.0.0.1/32 scram-sha-256\n")  # tenants
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_postgres(run_folder):
    """A server that a test may stop."""
    server = Postgres(run_folder)
    server.start()
    yield server
    server.stop()


def url_of(server, user="app", password=None, database="app"):
    return f"postgres://{user}:{password or password_of(user)}@127.0.0.1:{server.port}/{database}?sslmode=disable"


class Program:
    """Starts sluicebench with a temporary folder of its own, and looks that nothing stays in it."""

    def __init__(self, binary, folder):
        self.binary, self.folder, self.running = binary, folder, []

    @property
    def environment(self):
        return dict(os.environ, TMPDIR=str(self.folder))

    def start(self, *arguments, columns=None, **more):
        """`columns`: what COLUMNS says, which stands for a terminal of that width."""
        environment = {name: value for name, value in self.environment.items() if name != "COLUMNS"}
        if columns:
            environment["COLUMNS"] = str(columns)
        process = subprocess.Popen(
            [self.binary, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **more
        )
        self.running.append(process)
        return process

    def __call__(self, *arguments, status=0, **more):
        """Runs it to the end; what it printed. Fails when the exit status is another one."""
        process = self.start(*arguments, **more)
        out, err = process.communicate(timeout=DEADLINE + 60)
        assert process.returncode == status, f"status {process.returncode} instead of {status}\n{out}\n{err}"
        return out if status == 0 else out + err

    def leftovers(self):
        return [name for name in os.listdir(self.folder)]

    def close(self):
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.fixture
def sluicebench(binary, run_folder):
    # Not pytest's tmp_path: nobody else may enter that, and the throwaway server runs as the user postgres.
    program = Program(binary, run_folder.folder("bench"))
    yield program
    program.close()
