#!/usr/bin/env python3
"""Runs the drivers of other languages through a pooler in transaction mode, with neighbours that take the servers away.

    Tests/drivers/run.py                                     all of them through .build/release/sluice
    Tests/drivers/run.py lib-pq jdbc                             some of them
    Tests/drivers/run.py --pooler /usr/sbin/pgbouncer --pooler-kind pgbouncer
    Tests/drivers/run.py --direct                            plain PostgreSQL: every program must pass there
    Tests/drivers/run.py --url postgres://app:pw@host:6543/db

The throwaway PostgreSQL and the pooler come from the harness in Tests/blackbox. The pooler has three servers for the
pool; a program opens six connections, and pgbench plays the neighbours: one with unnamed statements, one with the same
statement names as everybody, one with transactions. A program finds its server in PGHOST, PGPORT, PGUSER, PGPASSWORD
and PGDATABASE, what kind of pooler it is, if any, in POOLER, and in SESSION_DATABASE the name under which the same
database has a session pool. It prints `ok CASE` for each case, and ends with a
message and a non-zero status at the first wrong row.

django, activerecord and spring read their settings from the pages in docs/using.

Not here, because Debian 12 does not carry them: Npgsql (.NET), sqlx (Rust), Postgrex (Elixir), postgres.js, Prisma, Drizzle, pgx
version 5, GORM version 2.
"""
import argparse
import os
import shutil
import subprocess
import sys
import time
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.append(os.path.join(ROOT, "Tests/blackbox"))

from pooler import Kind, Pooler  # noqa: E402
from postgres import Postgres, newest_bin, password_of  # noqa: E402
from processes import RunFolder  # noqa: E402

BUILD = os.path.join(ROOT, ".build-drivers")
PYTHON = os.path.join(BUILD, "python/bin/python")
SPRING = ":".join(
    f"/usr/share/java/{name}.jar" for name in (
        "postgresql", "HikariCP", "spring3-jdbc", "spring3-transaction", "spring3-core", "spring3-beans", "commons-logging", "slf4j-api", "slf4j-nop"))
NODE_PATHS = "/usr/share/nodejs:" + os.path.join(BUILD, "node/usr/share/nodejs")


def c(source, *libraries, compiler="cc"):
    """How a C or C++ program is compiled, and what is run then."""
    binary = os.path.join(BUILD, source.split(".")[0])
    return [[compiler, "-O1", "-g", "-Wall", "-I/usr/include/postgresql", os.path.join(HERE, source), "-o", binary, *libraries]], [binary]


def script(interpreter, source, *arguments):
    return [], [interpreter, *arguments, os.path.join(HERE, source)]


def go(source):
    binary = os.path.join(BUILD, source.split(".")[0])
    return [["go", "build", "-o", binary, os.path.join(HERE, source)]], [binary]


def rust(folder):
    """With Debian's crates, and nothing from elsewhere."""
    target = os.path.join(BUILD, folder)
    command = ["cargo", "build", "--quiet", "--offline", "--manifest-path", os.path.join(HERE, folder, "Cargo.toml"), "--target-dir", target]
    for line in ('source.crates-io.replace-with="debian"', 'source.debian.directory="/usr/share/cargo/registry"'):
        command += ["--config", line]
    return [command], [os.path.join(target, f"debug/{folder}_through_a_pooler")]


# name: (how to compile, what to run)
DRIVERS = {
    "libpq": c("libpq.c", "-lpq"),
    "libpqxx": c("libpqxx.cpp", "-std=c++17", "-lpqxx", "-lpq", compiler="c++"),
    "psqlodbc": c("psqlodbc.c", "-lodbc"),
    "pdo": script("php", "pdo.php"),
    "dbdpg": script("/usr/bin/perl", "dbdpg.pl"),
    "rubypg": script("/usr/bin/ruby", "rubypg.rb"),
    "tdbc": script("tclsh", "tdbc.tcl"),
    "lib-pq": go("lib_pq.go"),
    "pgx": go("pgx.go"),
    "gorm": go("gorm.go"),
    "node-postgres": script("node", "node_postgres.js"),
    "jdbc": script("java", "Jdbc.java", "-cp", "/usr/share/java/postgresql.jar"),
    "tokio-postgres": rust("tokio_postgres"),
    "spring": script("java", "SpringHikari.java", "-cp", SPRING),
    "activerecord": script("/usr/bin/ruby", "activerecord.rb"),
    "django": script(PYTHON, "django_orm.py"),
}

NEIGHBOURS = {
    "extended": "select -1, 'neighbour', :client_id;\n",
    "prepared": "select -2, 'neighbour', :client_id;\n",
    "simple": "begin;\nselect -3, 'neighbour', :client_id;\nselect -4;\nend;\n",
}


class Neighbours:
    """pgbench in three protocols, slow enough to leave the processor to the programs."""

    def __init__(self, folder, environment):
        self.processes = []
        for mode, text in NEIGHBOURS.items():
            path = f"{folder}/{mode}.sql"
            with open(path, "w") as f:
                f.write(text)
            self.log = f"{folder}/neighbours.log"
            command = [f"{newest_bin()}/pgbench", "-n", "-c", "2", "-R", "250", "-T", "3600", "-M", mode, "-f", path]
            with open(self.log, "a") as log:
                self.processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL))

    def trouble(self):
        """What went wrong for them: their connections must live as long as the program's."""
        if all(p.poll() is None for p in self.processes):
            return None
        with open(self.log, errors="replace") as f:
            return "a neighbour lost its connection:\n" + f.read()[-1000:]

    def stop(self):
        for p in self.processes:
            p.terminate()
            p.wait()


def environment_of(url, pooler, session):
    parts = urllib.parse.urlsplit(url)
    variables = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    variables.update(
        PGHOST=parts.hostname,
        PGPORT=str(parts.port or 5432),
        PGUSER=urllib.parse.unquote(parts.username or ""),
        PGPASSWORD=urllib.parse.unquote(parts.password or ""),
        PGDATABASE=parts.path.lstrip("/"),
        SESSION_DATABASE=session or parts.path.lstrip("/"),
        PAGES=os.path.join(ROOT, "docs/using"),
        NODE_PATH=NODE_PATHS,
        POOLER=pooler or "",
        GO111MODULE="off",
        GOPATH="/usr/share/gocode",
        GOCACHE=os.path.join(BUILD, "go-cache"),
        GOFLAGS="",
    )
    return variables


def run(name, environment, folder, timeout):
    """None, or what went wrong."""
    compile_commands, command = DRIVERS[name]
    for step in compile_commands:
        if not shutil.which(step[0]):
            return f"no {step[0]} here: scripts/install.sh drivers"
        built = subprocess.run(step, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if built.returncode:
            return "does not compile:\n" + built.stdout[-3000:]
    if not shutil.which(command[0]):
        return f"no {command[0]} here: scripts/install.sh drivers"
    neighbours = Neighbours(folder, environment)
    try:
        # Its own session, so that a hang takes all its children with it.
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            return f"hangs: not finished after {timeout} s"
        finally:
            try:
                os.killpg(process.pid, 9)
            except ProcessLookupError:
                pass
            process.wait()
        if status:
            return f"ended with status {status}"
        return neighbours.trouble()
    finally:
        neighbours.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="DRIVER", help=", ".join(DRIVERS))
    parser.add_argument("--pooler", default=os.path.join(ROOT, ".build/release/sluice"))
    parser.add_argument("--pooler-kind", choices=["sluice", "pgbouncer"], default="sluice")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one more line of the pooler's ini file")
    parser.add_argument("--direct", action="store_true", help="plain PostgreSQL, no pooler")
    parser.add_argument("--url", help="a running server or pooler; its database must let the user create tables")
    parser.add_argument("--timeout", type=int, default=180, help="seconds for one driver")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in DRIVERS]
    if unknown:
        parser.error(f"no driver {', '.join(unknown)}; there are {', '.join(DRIVERS)}")
    os.makedirs(BUILD, exist_ok=True)
    if not (options.direct or options.url) and not os.access(options.pooler, os.X_OK):
        parser.error(f"no pooler at {options.pooler}: build it, or name one with --pooler PATH")

    results = {}
    folder = RunFolder()
    postgres = None
    try:
        if not options.url:
            postgres = Postgres(folder)
            postgres.start()
        for name in options.names or DRIVERS:
            print(f"== {name}", flush=True)
            started, pooler = time.monotonic(), None
            if options.url:
                url = options.url
            elif options.direct:
                url = f"postgres://app:{password_of('app')}@127.0.0.1:{postgres.port}/app"
            else:
                # A pooler for each, so that one driver's trouble is not the next one's.
                more = {"max_prepared_statements": 200} if options.pooler_kind == "sluice" else {}
                more["ignore_startup_parameters"] = "extra_float_digits"
                more["default_pool_size"] = 3
                more.update(line.split("=", 1) for line in options.set)
                kind = Kind(options.pooler, options.pooler_kind, options.workers)
                session = {"dbname": "app", "pool_mode": "session", "pool_size": 20}
                pooler = Pooler(kind, folder, postgres, databases={"app": {}, "app_session": session}, **more)
                url = pooler.url(database="app")
            problem = None
            try:
                problem = run(name, environment_of(url, pooler and options.pooler_kind, pooler and "app_session"), folder.folder("driver"), options.timeout)
            finally:
                if pooler:
                    log = pooler.log()
                    try:
                        pooler.stop()
                    except AssertionError as e:
                        problem = f"{problem or ''}\n{e}".strip()
                    if problem:
                        problem += "\nThe pooler's log ends:\n" + log[-1500:]
            if problem:
                print(f"{name}: {problem}", flush=True)
            results[name] = (problem, time.monotonic() - started)
    finally:
        if postgres:
            postgres.stop()
        folder.close()

    print()
    for name, (problem, seconds) in results.items():
        print(f"{'FAILED' if problem else 'ok    '} {seconds:4.0f}s  {name}")
    sys.exit(1 if any(problem for problem, _ in results.values()) else 0)


if __name__ == "__main__":
    main()
