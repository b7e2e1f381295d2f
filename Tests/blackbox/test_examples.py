"""What README and the pages tell people to type is typed here. What is not has its reason in NOT_RUN, and a new line without either fails.

Names of the examples (db1, /etc/sluice, port 6543) are put in place by `Place.words`. Examples of files: DocumentsTests; those of drivers are
read by the programs of Tests/drivers.
"""
import glob
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import urllib.request

import pytest

import wire
from postgres import Postgres
from processes import DEADLINE, free_port, give, listening, start, wait_until
from terminal import CLEAN, Screen

pytestmark = pytest.mark.sluice_only("types what the pages of this tree say")

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
PAGES = ["README.md", "CONTRIBUTING.md", "SECURITY.md", *sorted(os.path.relpath(path, ROOT) for path in glob.glob(f"{ROOT}/docs/**/*.md", recursive=True))]

# A pattern of lines, and why they are not run. The start of a line is enough.
NOT_RUN = {
    r"make test$": "this is it",
    r"make (bench|bench-all|bench-micro)\b": "takes minutes; Tests/bench runs what it is made of",
    r"make (test-blackbox|test-versions|test-drivers|test-tsan|fuzz|differential|test-deb)\b": "tests of their own, which take minutes",
    r"make lint$": "a step of `make test`",
    r"make simulate\b": "takes minutes; a step of `make test` plays for one",
    r"make mutants\b": "takes hours",
    r"make deb && sudo apt install": "needs root and installs; `make test-deb` does it in a Debian of its own",
    r"swift (build|test)\b": "builds; a step of `make test`",
    r"scripts/(venv\.sh|pictures\.py)": "makes environments and pictures; venv.sh is a step of `make test`",
    r"\.venv-tests/bin/pytest ": "these tests",
    r"Benchmarks/instructions\.py": "a step of `make test`",
    r"(\S*/)?sluicebench (compare|verdict|run)\b": "takes minutes; Tests/bench runs these commands with short windows",
    r"systemctl ": "needs systemd; test_rolling does the same with processes",
}

# Blocks of other languages: what takes them, or why nothing does.
OTHER = {
    ("README.md", ""): "the user list of the file above, with which `sluice sluice.ini` is run here",
    ("docs/simulator.md", "text"): "what a fault looks like that it has found",
    ("docs/operating/passwords.md", "hcl"): "for Vault's agent, which is not here; what it writes is what password_file reads",
    ("docs/using/django.md", "python"): "Tests/drivers/django_orm.py",
    ("docs/using/rails.md", "yaml"): "Tests/drivers/activerecord.rb",
    ("docs/using/spring.md", "properties"): "Tests/drivers/SpringHikari.java",
    ("docs/using/go.md", "go"): "test_documents.py, against the lines of Tests/drivers/gorm.go; pgx 5: its URL, here",
    ("docs/using/drizzle.md", "ts"): "its URLs, here; the page says what of Drizzle was tried",
    ("docs/using/prisma.md", "prisma"): "names the variables that are tried here",
    ("docs/using/prisma.md", "ts"): "names the variables that are tried here",
    ("docs/using/dotnet.md", "json"): "its connection string, here",
}


def read(path):
    with open(f"{ROOT}/{path}") as f:
        return f.read()


class Block:
    """A block of code of a page."""

    def __init__(self, page, line, language, text):
        self.page, self.line, self.language, self.text = page, line, language, text

    def __str__(self):
        return f"{self.page}:{self.line}"

    @property
    def commands(self):
        """Its lines, a here-document with the line that begins it, without comments."""
        found, lines = [], iter(self.text.splitlines())
        for line in lines:
            line = re.sub(r"(^|\s+)#( .*|)$", "", line)
            if end := re.search(r"<<'?(\w+)'?", line):
                for more in lines:
                    line += "\n" + more
                    if more == end.group(1):
                        break
                line += "\n"
            if line.strip():
                found.append(line)
        return found


def blocks():
    for page in PAGES:
        text = read(page)
        for match in re.finditer(r"(?ms)^```(\w*)\n(.*?)^```$", text):
            yield Block(page, text.count("\n", 0, match.start()) + 1, match.group(1), match.group(2))


BLOCKS = list(blocks())
SHELL = [block for block in BLOCKS if block.language == "sh"]


def reason(command):
    return next((text for pattern, text in NOT_RUN.items() if re.match(pattern, command)), None)


# --- the lists -----------------------------------------------------------------------------------------------------------------


def test_every_block_says_what_it_is():
    """Code stands in fences with a language, so that nothing is overlooked here."""
    for page in PAGES:
        prose = re.sub(r"(?ms)^```\w*\n.*?^```$", "", read(page))
        assert "```" not in prose, f"{page}: a block with no end"
        assert not re.search(r"(?m)\A {4}|\n\n {4}\S", prose), f"{page}: an indented block: expected ```sh, ```ini, ..."


def test_other_languages_have_an_entry():
    there = {(block.page, block.language) for block in BLOCKS if block.language not in ("sh", "ini")}
    assert there == set(OTHER)
    for (page, language), taken in OTHER.items():
        if taken.startswith("Tests/drivers/"):
            assert re.search(rf"{os.path.basename(page)}\b", read(taken)) and language in read(taken), f"{taken} does not read {page}"


def test_no_entry_is_left_over():
    commands = [command for block in SHELL for command in block.commands]
    for pattern in NOT_RUN:
        assert any(re.match(pattern, command) for command in commands), f"no page says {pattern}"


def test_what_is_not_run_names_what_there_is():
    """Targets, programs and options."""
    targets = set(re.findall(r"(?m)^([a-z-]+):", read("Makefile")))
    options = set(re.findall(r"\\-\\-(?:\w|\\-)+", read("docs/man/sluicebench.1")))
    for block in SHELL:
        for command in filter(reason, block.commands):
            words = shlex.split(command.splitlines()[0])
            if words[0] == "make":
                assert words[1] in targets, f"{block}: {command}"
            elif words[0] == "sluicebench" or words[0].endswith("/sluicebench"):
                for option in (word.split("=")[0] for word in words if word.startswith("--")):
                    assert option.replace("-", "\\-") in options, f"{block}: {command}: no option {option}"
            elif words[0].startswith(("scripts/", "Benchmarks/")):
                assert os.access(f"{ROOT}/{words[0]}", os.X_OK), f"{block}: {command}"


# --- where they are run ----------------------------------------------------------------------------------------------------------


class Place:
    """A folder that stands for the reader's machine: its PostgreSQL is db1, its /etc/sluice has a file, and its PATH has the programs."""

    def __init__(self, kind, run_folder, postgres):
        self.kind, self.postgres, self.folder = kind, postgres, run_folder.folder("examples")
        self.port, self.page_port, self.processes = free_port(), free_port(), []
        for name in ("bin", "etc/sluice", "etc/pgbouncer", "run/secrets", "run/sluice", "completions/zsh", "completions/bash", ".config/fish/completions", ".build", "Benchmarks/.build"):
            os.makedirs(f"{self.folder}/{name}")
            give(f"{self.folder}/{name}")
        programs = os.path.dirname(kind.path)
        for name in ("sluice", "sluicectl"):
            os.symlink(f"{programs}/{name}", f"{self.folder}/bin/{name}")
        os.symlink(programs, f"{self.folder}/.build/release")
        self.bench = next((path for build in ("release", "debug") if os.access(path := f"{ROOT}/Benchmarks/.build/{build}/sluicebench", os.X_OK)), None)
        if self.bench:
            os.symlink(self.bench, f"{self.folder}/bin/sluicebench")
        self.program("docker", f'#!/bin/bash\nset -e\nfor word; do case $last in -e) export "$word" ;; esac; last=$word; done\nexec {ROOT}/Config/docker/entrypoint.sh\n')
        for name in ("app", "password"):
            self.write(f"run/secrets/{name}", "password\n", 0o600)

    def write(self, name, text, mode=0o644):
        path = f"{self.folder}/{name}"
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)
        give(path)
        return path

    def program(self, name, text):
        """A program of that name, in place of one that is not here."""
        self.write(f"bin/{name}", text, 0o755)

    @property
    def environment(self):
        return CLEAN | {"PATH": f"{self.folder}/bin:{os.environ['PATH']}", "HOME": self.folder, "PGPASSWORD": "app", "PGCONNECT_TIMEOUT": str(int(DEADLINE))}

    def words(self, text, port=None, page=None):
        """With what is here in place of the names that the examples have."""
        port, page = port or self.port, page or self.page_port
        server = f"127.0.0.1:{self.postgres.port}"
        for old, new in (
            ("user:password@host:5432/database", f"user:password@{server}/database"),
            ("@db1:5432", f"@{server}"), ("@db1/", f"@{server}/"), ("host=127.0.0.1 port=5432", f"host=127.0.0.1 port={self.postgres.port}"),
            ("DB_HOST=db1", f"DB_PORT={self.postgres.port} -e DB_HOST=127.0.0.1"), ("host=127.0.0.1 dbname", f"host=127.0.0.1 port={self.postgres.port} dbname"),
            ("127.0.0.1:6543", f"127.0.0.1:{port}"), ("-p 6543 ", f"-p {port} "), ("PORT=6544", f"PORT={port}"), ("listen_port = 6543", f"listen_port = {port}"),
            ("127.0.0.1:9127", f"127.0.0.1:{page}"), ("127.0.0.1:9128", f"127.0.0.1:{page}"),
            ("/etc/sluice", f"{self.folder}/etc/sluice"), ("/etc/pgbouncer/", f"{self.folder}/etc/pgbouncer/"), ("/run/secrets/", f"{self.folder}/run/secrets/"),
            ("/var/log/postgresql/", f"{self.folder}/"), ("/etc/bash_completion.d/", f"{self.folder}/completions/bash/"),
            ("/usr/local/share/zsh/site-functions/", f"{self.folder}/completions/zsh/"),
        ):
            text = text.replace(old, new)
        return text

    def run(self, command, status=0):
        done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=DEADLINE, stdin=subprocess.DEVNULL)
        assert done.returncode == status, f"{command}: status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def serve(self, command, port, more=None):
        """Starts a line of a page as the unprivileged user, and waits until it listens; what it wrote."""
        log = self.write(f"log{len(self.processes)}", "")
        with open(log, "a") as f:
            process = start(["bash", "-c", f"cd {self.folder} && exec {command}"], env=self.environment | (more or {}), stdout=f, stderr=f)
        process.said = lambda: open(log).read()
        self.processes.append(process)
        wait_until(lambda: listening(port) or process.poll() is not None, lambda: f"{command} to listen:\n{process.said()}")
        assert process.poll() is None, f"{command}: status {process.returncode}\n{process.said()}"
        return process

    def stop(self, process):
        self.processes.remove(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 0, process.said()

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGQUIT)
                process.wait(DEADLINE)


@pytest.fixture(scope="module")
def place(kind, run_folder, postgres_template):
    """The machine of the examples, with a PostgreSQL that has their databases and users."""
    postgres = Postgres(run_folder, postgres_template)
    with open(f"{postgres.data}/pg_hba.conf", "a") as f:
        f.write("host all all 127.0.0.1/32 scram-sha-256\n")
    postgres.start()
    postgres.sql("alter role app password 'password'")
    for user, password in (("user", "password"), ("joe", "a password, or its SCRAM secret as PostgreSQL stores it"), ("shop", "shop")):
        postgres.sql(f"""create role "{user}" login password '{password}'""")
    for database in ("database", "shop"):
        postgres.sql(f"create database {database}")
    it = Place(kind, run_folder, postgres)
    yield it
    it.close()
    postgres.stop()


@pytest.fixture(scope="module")
def service(place):
    """A pooler with /etc/sluice/sluice.ini, as the pages have it: port 6543, page on 9127, an administrator."""
    place.write("etc/sluice/userlist.txt", '"admin" "app"\n"app" "app"\n')
    place.write("etc/sluice/sluice.ini", place.words("""[databases]
app = host=127.0.0.1 dbname=app user=app password=password
app_session = host=127.0.0.1 dbname=app user=app password=password pool_mode=session pool_size=5
[sluice]
listen_addr = 127.0.0.1
listen_port = 6543
unix_socket_dir = /etc/sluice
auth_type = scram-sha-256
auth_file = /etc/sluice/userlist.txt
admin_users = admin
pool_mode = transaction
metrics_listen = 127.0.0.1:9127
"""))
    process = place.serve(f"sluice {place.folder}/etc/sluice/sluice.ini", place.port)
    client(place.port).value("select 1")
    return process


@pytest.fixture(scope="module")
def tree(place, run_folder):
    """As much of the source as `make run` needs, with programs that are built, and a compiler that has nothing to do."""
    folder = run_folder.folder("tree")
    for name in ("Makefile", "scripts"):
        os.symlink(f"{ROOT}/{name}", f"{folder}/{name}")
    os.makedirs(f"{folder}/.build/release")
    for name in ("sluice", "sluicectl"):
        shutil.copy(f"{os.path.dirname(place.kind.path)}/{name}", f"{folder}/.build/release/{name}")  # a commit may be written into them
    place.program("swift", "#!/bin/sh\nexit 0\n")
    return folder


class MakeRun:
    """`make run`, until it is told to end."""

    def __init__(self, place, tree, run_folder, line):
        self.place, self.port, self.page = place, free_port(), free_port()
        self.temporary = run_folder.folder("temporary")
        command = place.words(line, self.port)
        if "PORT=" not in line:
            command = f"PORT={self.port} {command}"
        self.log_path = place.write(f"make-run-{self.port}", "")
        with open(self.log_path, "a") as log:
            self.process = subprocess.Popen(
                ["bash", "-c", f"exec env PAGE_PORT={self.page} {command}"], cwd=tree, env=place.environment | {"TMPDIR": self.temporary}, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True)
        wait_until(lambda: "Ctrl-C ends it" in self.log() or self.process.poll() is not None, self.log)
        assert self.process.poll() is None, self.log()

    def log(self):
        with open(self.log_path) as f:
            return f.read()

    def stop(self):
        """Ctrl-C. Nothing stays: no process, no folder."""
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(DEADLINE)
        wait_until(lambda: not listening(self.port) and not listening(self.page), "the ports to be free")
        assert os.listdir(self.temporary) == []
        assert not [path for path in glob.glob("/proc/[0-9]*/cmdline") if self.temporary.encode() in contents(path)]


def contents(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError:
        return b""


@pytest.fixture
def make_run(place, tree, run_folder):
    made = []

    def begin(line):
        made.append(MakeRun(place, tree, run_folder, line))
        return made[-1]

    yield begin
    for one in made:
        if one.process.poll() is None:
            one.stop()


def client(port, user="app", password="app", database="app"):
    return wire.Client(("127.0.0.1", port), user=user, password=password, database=database)


# --- README's first steps ----------------------------------------------------------------------------------------------------------


def lines_of(page, pattern):
    return [command for block in SHELL if block.page == page for command in block.commands if re.match(pattern, command)]


FIRST_STEPS = r"make run\b|psql postgres://|\.build/release/sluicectl .* top"


def test_readme_s_first_steps(place, make_run, tmp_path):
    """`make run`, and what is done in another terminal while it runs."""
    steps = lines_of("README.md", FIRST_STEPS)
    assert len(steps) == 4 and steps[0] == "make run"
    run = make_run(steps[0])
    said = run.log()
    assert f"DATABASE_URL=postgres://app:app@127.0.0.1:{run.port}/app" in said and f"http://127.0.0.1:{run.page}/ " in said
    shown = {}
    for step in steps[1:]:
        line = place.words(step, run.port, run.page)
        if line.endswith(" top"):
            folder = tmp_path / "screen"
            folder.mkdir()
            screen = Screen(folder, f"cd {place.folder} && {line}")
            try:
                screen.wait("q quit", "app")
                screen.keys("q")
                screen.ended(0)
            finally:
                screen.close()
        else:
            shown[step] = place.run(line)
            # it tells people the same
            assert line.rsplit(" -c ", 1)[0].replace("psql ", "") in said
    assert [("now" in text or "database" in text) for text in shown.values()] == [True, True]
    address = re.search(r"own page is on <(http://127\.0\.0\.1:9127/)>", read("README.md")).group(1)
    with urllib.request.urlopen(place.words(address, page=run.page), timeout=DEADLINE) as answer:
        assert b"<html" in answer.read()
    run.stop()


def test_make_run_in_front_of_a_server(place, make_run):
    (line,) = lines_of("README.md", r"DATABASE_URL=.* make run$")
    run = make_run(line)
    assert client(run.port, "user", "password", "database").value("select current_user") == "user"
    # the password is the caller's, and stays off the screen
    assert f"postgres://user@127.0.0.1:{run.port}/database" in run.log() and "user:password" not in run.log()
    run.stop()


def test_make_run_on_a_port_that_is_taken(place, tree, service):
    done = subprocess.run(["make", "run", f"PORT={place.port}"], cwd=tree, env=place.environment, capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode != 0 and f"port {place.port} is taken by another program; stop it, or choose another one: make run PORT=6544" in done.stderr


# --- all the others ----------------------------------------------------------------------------------------------------------------


def a_daemon(place, command, block):
    """A line that starts a pooler: it serves, and ends."""
    port, (user, password, database) = free_port(), who(command)
    line = place.words(command, port)
    if "--database-url" in command:
        line += f" --listen-port {port} --unix-socket-dir off"
    more = {}
    if command.startswith("docker"):
        more = {"LISTEN_PORT": str(port), "LISTEN_ADDR": "127.0.0.1", "UNIX_SOCKET_DIR": place.folder}
        assert "-p 6543:6543" in command
    if command.endswith(" sluice.ini"):
        # the two blocks above the line
        ini, users = [other for other in BLOCKS if other.page == block.page and other.line < block.line][-2:]
        assert (ini.language, users.language) == ("ini", "")
        place.write("sluice.ini", place.words(ini.text, port) + f"unix_socket_dir = {place.folder}\n")
        place.write("userlist.txt", users.text)
    if "password-command" in command:
        place.program("aws", '#!/bin/sh\ntest "$1 $2" = "rds generate-db-auth-token" && echo password\n')
        assert " 'aws rds generate-db-auth-token ...'" in command
    process = place.serve(line, port, more)
    assert client(port, user, password, database).value("select current_user") == user
    place.stop(process)


def who(command):
    """User, password and database of a client of that pooler."""
    if found := re.search(r"://(\w+):([\w-]+)@\w+(?::\d+)?/(\w+)", command):
        return found.groups()
    if "DB_USER=app" in command:
        return "app", "password", "app"
    return "joe", "a password, or its SCRAM secret as PostgreSQL stores it", "shop"


def in_the_background(place, command, block):
    """As a service did until then: a file of PgBouncer's, with its log and its pidfile."""
    port = free_port()
    place.write("etc/pgbouncer/userlist.txt", '"app" "password"\n')
    place.write("etc/pgbouncer/pgbouncer.ini", place.words(f"""[databases]
app = host=127.0.0.1 dbname=app
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir = {place.folder}
auth_type = scram-sha-256
auth_file = /etc/pgbouncer/userlist.txt
logfile = /var/log/postgresql/pgbouncer.log
pidfile = {place.folder}/pgbouncer.pid
suspend_timeout = 10
"""))
    line = place.words(command)
    if not re.search(r" -d ", line):
        return place.run(line)
    with open(f"{place.folder}/background", "w") as log:
        assert start(["bash", "-c", f"cd {place.folder} && {line}"], env=place.environment, stdout=log, stderr=log).wait(DEADLINE) == 0
    wait_until(lambda: listening(port), "it to listen")
    path = f"{place.folder}/pgbouncer.pid"
    pid = int(wait_until(lambda: os.path.exists(path) and open(path).read(), "the pidfile"))
    try:
        assert client(port, password="password").value("select 1") == "1"
    finally:
        os.kill(pid, signal.SIGINT)
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "it to end")


def warnings(place, command, block):
    assert "suspend_timeout" in place.run(place.words(command))


def at_the_service(place, command, block):
    return place.run(place.words(command))


def pause(place, command, block):
    assert place.run(place.words(command)) == "PAUSE\n"
    assert place.run(place.words(command).replace(" pause ", " resume ")) == "RESUME\n"


def watch(place, command, block):
    process = subprocess.Popen(["bash", "-c", "exec " + place.words(command)], cwd=place.folder, env=place.environment, stdout=subprocess.PIPE, text=True)
    assert "database" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=DEADLINE)
    assert process.returncode == 130


def completions(place, command, block):
    line = place.words(command)
    place.run(line)
    with open(line.split("> ")[1].replace("~", place.folder)) as f:
        assert "sluicectl" in f.read()


def generate(place, command, block):
    folder = f"{place.folder}/etc/sluice-{free_port()}"
    os.mkdir(folder)
    place.run(re.sub(r"--output \S+", f"--output {folder}", place.words(command)))
    assert sorted(os.listdir(folder)) == ["sluice.ini", "userlist.txt"]
    place.run(f"sluice --check {folder}/sluice.ini")


def doctor(place, command, block):
    """With the file of the same page."""
    ini = next(other for other in BLOCKS if other.page == block.page and other.language == "ini" and "auth_file" in other.text)
    place.write("sluice.ini", place.words(ini.text))
    place.write("userlist.txt", '"app" "password"\n')
    assert "0 errors" in place.run(place.words(command))


def urls_of_variables(place, command, block):
    """Prisma takes its own parameters out of the URL."""
    name, url = re.fullmatch(r'(\w+)="(.*)"', command).groups()
    assert place.run(f'{place.words(command)}; psql "${{{name}%%\\?*}}" -Atc "select current_user"') == "app\n"


def the_harness(place, command, block):
    if not place.bench:
        pytest.skip("sluicebench is not built: swift build --package-path Benchmarks")
    place.run(command)
    if "> own.json" in command:
        with open(f"{place.folder}/own.json") as f:
            assert json.load(f)["name"] == "chaos"


def a_file(place, command, block):
    assert place.run(command) == ""
    assert os.path.getsize(f"{place.folder}/{re.match('cat > ([^ ]+)', command).group(1)}") > 100


# The first pattern that matches says how a line is run.
WAYS = {
    r"(\.build/release/)?sluice (--database-url .*|sluice\.ini)$|docker run ": a_daemon,
    r"sluice (--check|-d) /etc/pgbouncer/pgbouncer\.ini": in_the_background,
    r"grep WARNING ": warnings,
    r"psql -h |curl -fs |sluicectl -c \S+ (pools$|clients|stats)": at_the_service,
    r"sluicectl -c \S+ pools --watch": watch,
    r"sluicectl -c \S+ pause app": pause,
    r"sluicectl --generate-completion-script": completions,
    r"sluicectl generate ": generate,
    r"sluicectl doctor ": doctor,
    r"(DATABASE|DIRECT)_URL=\"": urls_of_variables,
    r"sluicebench scenarios|alias sluicebench=": the_harness,
    r"cat > \S+ <<": a_file,
}


def way(command):
    return next((how for pattern, how in WAYS.items() if re.match(pattern, command)), None)


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_what_pages_say(place, service, block):
    for command in block.commands:
        if reason(command) or (block.page == "README.md" and re.match(FIRST_STEPS + r"|DATABASE_URL=", command)):
            continue
        how = way(command)
        assert how, f"{block}: {command}: expected a way to run it in WAYS, or a reason in NOT_RUN"
        how(place, command, block)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language in ("ts", "go")], ids=str)
def test_urls_of_programs(place, service, block):
    for url in re.findall(r"postgres(?:ql)?://[^'\"]+", block.text):
        # what drivers take for themselves
        url = re.sub(r"[?&](pool_max_conns)=[^&]*", "", place.words(url))
        assert place.run(f"psql '{url}' -Atc 'select current_user'") == "app\n"


def test_the_connection_string_of_npgsql(place, service):
    (block,) = (block for block in BLOCKS if block.language == "json")
    words = dict(part.split("=") for part in json.loads(block.text)["ConnectionStrings"]["App"].split(";"))
    assert words["Host"] == "127.0.0.1" and words["Port"] == "6543"
    assert client(place.port, words["Username"], words["Password"], words["Database"]).value("select 1") == "1"


# What stands for the clouds' tools: each looks at what it is asked, and prints the password.
TOOLS = {
    "aws": '[ "$1 $2 $3 $5 $7" = "rds generate-db-auth-token --hostname --port --username" ] && [ "$4" = "$PGHOST" ] && [ "$6" = "$PGPORT" ] && [ "$8" = "$PGUSER" ] && echo password',
    "gcloud": '[ "$*" = "auth print-access-token" ] && echo password',
    "curl": '[ "$1 $2 $3" = "-fsS -H Metadata-Flavor: Google" ] && echo \'{"access_token":"password","expires_in":3599}\'',
    "az": '[ "$1 $2 $3 $4" = "account get-access-token --resource-type oss-rdbms" ] && echo password',
    "vault": '[ "$*" = "read -field=password database/static-creds/app" ] && echo password',
    "token": '[ "$1" = --for ] && [ "$2" = "$PGUSER" ] && echo password',
}
PASSWORDS = [block for block in BLOCKS if block.page == "docs/operating/passwords.md" and block.language == "ini"]
ENTRIES = [line for block in PASSWORDS for line in re.findall(r"(?m)^\S+ = host=.*$", block.text)]
ENTRIES += [f"app = host=db1 user=app {command}" for command in re.findall(r"`(password_command='vault [^`]*')`", read("docs/operating/passwords.md"))]


@pytest.mark.parametrize("entry", ENTRIES)
def test_passwords_of_the_clouds(place, entry):
    """Each entry of the page gets a server, with its command as it stands there."""
    port = free_port()
    for name, text in TOOLS.items():
        place.program(name, f"#!/bin/sh\n{text}\n")
    user = (re.search(r"user=('[^']*'|\S+)", entry) or [None, "app"])[1].strip("'")
    place.postgres.sql(f"""do $$ begin if not exists (select from pg_roles where rolname = '{user}') then create role "{user}" login; end if; end $$""")
    place.postgres.sql(f"""alter role "{user}" password 'password'""")
    here = re.sub(r"host=\S+", f"host=127.0.0.1 port={place.postgres.port} dbname=app", entry).replace("/usr/local/bin/token", f"{place.folder}/bin/token")
    name = place.write("passwords.ini", place.words(f"""[databases]
{here}
[sluice]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {place.folder}/users-of-passwords
server_tls_sslmode = disable
"""))
    place.write("users-of-passwords", f'"{user}" ""\n')
    try:
        process = place.serve(f"sluice {name}", port)
        database = entry.split(" ")[0].replace("*", "app")
        assert client(port, user, "", database).value("select current_user") == user
        place.stop(process)
    finally:
        for name in TOOLS:
            os.unlink(f"{place.folder}/bin/{name}")
