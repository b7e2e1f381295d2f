"""What `make install` and `make deb` bring, as far as it needs no package: `make test-deb` tests that one in a Debian of its own."""
import os
import re
import shutil
import subprocess

import pytest

from processes import DEADLINE

pytestmark = pytest.mark.sluice_only("looks at files of this tree")

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


def read(path):
    with open(f"{ROOT}/{path}") as f:
        return f.read()


def test_the_manual_pages_are_up_to_date(kind):
    """They come from the programs' own help and from docs/configuration.md; `make docs` writes them."""
    done = subprocess.run([f"{ROOT}/scripts/man.py", "--check", os.path.dirname(kind.path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # the harness is built by itself, and not for this test
    bench = f"{ROOT}/Benchmarks/.build/release/sluicebench"
    if os.access(bench, os.X_OK):
        done = subprocess.run([f"{ROOT}/scripts/man.py", "--check", os.path.dirname(kind.path), bench], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", ["sluice.1", "sluicectl.1", "sluicebench.1", "sluice.ini.5"])
def test_a_manual_page_is_one(page):
    text = read(f"docs/man/{page}")
    for section in ("NAME", "SYNOPSIS" if page.endswith(".1") else "EXAMPLE", "DESCRIPTION", "SEE ALSO"):
        assert f"\n.SH {section}\n" in text, section
    shown = subprocess.run(["man", "--warnings", "-l", f"{ROOT}/docs/man/{page}"], capture_output=True, text=True, env=os.environ | {"MANWIDTH": "80", "LC_ALL": "C.UTF-8"})
    assert shown.returncode == 0 and not shown.stderr, shown.stderr
    assert "`" not in shown.stdout and "**" not in shown.stdout


def test_every_setting_and_flag_is_in_the_manual(kind):
    page = read("docs/man/sluice.ini.5")
    for name in re.findall(r"(?m)^;(\w+) =", read("Config/sluice.ini").split("[sluice]")[1]):
        assert f"\\fB{name}\\fR" in page, name
    assert "\\fB%expand_environment\\fR" in page
    for flag in re.findall(r"(?m)^  (?:-\w, )?--([a-z-]+)", subprocess.run([kind.path, "--help"], capture_output=True, text=True).stdout):
        assert "\\-\\-" + flag.replace("-", "\\-") in read("docs/man/sluice.1"), flag


@pytest.mark.parametrize("revision", ["0123456789ab", "0123456789ab+", "fedcba987654"])
def test_the_commit_is_written_into_the_program(kind, tmp_path, revision):
    program = tmp_path / "sluice"
    shutil.copy(kind.path, program)
    before = os.stat(program)
    environment = os.environ | {"SLUICE_REVISION": revision}
    for _ in range(2):
        done = subprocess.run([f"{ROOT}/scripts/stamp.sh", str(program)], capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        version = subprocess.run([str(program), "--version"], capture_output=True, text=True).stdout.splitlines()
        assert re.fullmatch(rf"Sluice \d+\.\d+\.\d+ \(commit {re.escape(revision)}\)", version[-1])
    after = os.stat(program)
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)
    for wrong in ("v1.2", "0" * 29):
        done = subprocess.run([f"{ROOT}/scripts/stamp.sh", str(program)], capture_output=True, text=True, env=os.environ | {"SLUICE_REVISION": wrong})
        assert done.returncode == 1 and "expected at most 28 hexadecimal digits" in done.stderr


def test_an_instance_is_the_service_with_another_file():
    service, instance = read("Config/systemd/sluice.service"), read("Config/systemd/sluice@.service")
    body = service[service.index("[Unit]") :]
    for old, new in (
        ("connection pooler for PostgreSQL\n", "connection pooler for PostgreSQL (%i)\n"), ("/etc/sluice/sluice.ini", "/etc/sluice/%i.ini"),
        ("RuntimeDirectory=sluice\n", "RuntimeDirectory=sluice-%i\n"), ("= /run/sluice\n", "= /run/sluice-%i\n"),
    ):
        assert body.count(old) == 1
        body = body.replace(old, new)
    assert instance[instance.index("[Unit]") :] == body


def test_logrotate_takes_its_file(tmp_path):
    text = read("Config/logrotate/sluice").replace("su sluice sluice", "su root root").replace("/var/log/sluice", str(tmp_path))
    (tmp_path / "sluice").write_text(text)
    (tmp_path / "sluice").chmod(0o644)
    (tmp_path / "sluice.log").write_text("a line\n")
    done = subprocess.run(["logrotate", "--debug", "--state", str(tmp_path / "state"), str(tmp_path / "sluice")], capture_output=True, text=True)
    assert done.returncode == 0 and "error" not in done.stderr and str(tmp_path / "sluice.log") in done.stderr, done.stderr


@pytest.fixture
def importer(kind, tmp_path):
    """importer(ini, users) makes PgBouncer's files and imports them; returns the outcome and the folder."""
    source, target = tmp_path / "pgbouncer", tmp_path / "sluice"
    source.mkdir()
    target.mkdir()

    def run(ini, users='"joe" "secret"\n'):
        (source / "pgbouncer.ini").write_text(ini.replace("SOURCE", str(source)))
        (source / "userlist.txt").write_text(users)
        environment = os.environ | {"PATH": f"{os.path.dirname(kind.path)}:{os.environ['PATH']}"}
        done = subprocess.run([f"{ROOT}/Config/debian/import-pgbouncer", str(source / "pgbouncer.ini"), str(target)], capture_output=True, text=True, env=environment, timeout=DEADLINE)
        return done, target

    return run


@pytest.mark.skipif(os.geteuid() != 0, reason="makes /run/sluice for a moment, as the package does")
class TestImport:
    def test_what_is_taken(self, importer):
        done, target = importer(
            "[databases]\nuser = host=h\nlogfile = host=h\n[pgbouncer]\nlisten_addr = 127.0.0.1\nuser = postgres\nlogfile = /var/log/x.log\n"
            "pidfile = /run/x.pid\nunix_socket_dir = /var/run/postgresql\nauth_file = SOURCE/userlist.txt\nserver_tls_sslmode = disable\npkt_buf = 2048\n")
        assert done.returncode == 0, done.stderr
        text = (target / "sluice.ini").read_text()
        assert "\nuser = host=h\nlogfile = host=h\n" in text and "\n; user = postgres\n" in text and "\n; logfile = /var/log/x.log\n" in text
        assert "\n; unix_socket_dir = /var/run/postgresql\nunix_socket_dir = /run/sluice\n" in text
        assert f"auth_file = {target}/userlist.txt\n" in text and (target / "userlist.txt").read_text() == '"joe" "secret"\n'
        again, _ = importer("[pgbouncer]\n")
        assert again.returncode == 2 and "exists: move it away" in again.stderr

    def test_what_is_not_taken_leaves_nothing(self, importer):
        done, target = importer("[pgbouncer]\nlisten_addr = 127.0.0.1\nauth_file = SOURCE/userlist.txt\npool_modus = fast\n")
        assert done.returncode == 1 and "so nothing was imported" in done.stderr
        assert re.search(r'pgbouncer\.ini:\d+: unknown setting "pool_modus" .*did you mean "pool_mode"', done.stderr), done.stderr
        assert list(target.iterdir()) == []

    def test_nothing_to_import(self, tmp_path):
        done = subprocess.run([f"{ROOT}/Config/debian/import-pgbouncer", str(tmp_path / "none.ini"), str(tmp_path)], capture_output=True, text=True)
        assert done.returncode == 2 and "cannot be read: expected PgBouncer's configuration file" in done.stderr


def test_install_says_what_is_missing(tmp_path):
    """Without programs nothing is installed, not even half of it."""
    for folder in ("scripts", "docs", "Config"):
        shutil.copytree(f"{ROOT}/{folder}", tmp_path / "tree" / folder)
    for prefix, said in (("/usr/local", "run `make static` first"), ("local", "expected a path from the root")):
        done = subprocess.run([str(tmp_path / "tree/scripts/make-install.sh"), str(tmp_path / "root"), prefix], capture_output=True, text=True)
        assert done.returncode == 1 and said in done.stderr, done.stderr
    assert not (tmp_path / "root").exists()


@pytest.fixture
def built(kind, tmp_path):
    """The tree after `make static`, as far as `make install` looks at it. Installing is what is tested, so no program is linked for it."""
    tree = tmp_path / "tree"
    for folder in ("scripts", "docs", "Config"):
        shutil.copytree(f"{ROOT}/{folder}", tree / folder)
    for page in ("README.md", "CHANGELOG.md"):
        shutil.copy(f"{ROOT}/{page}", tree)
    for folder, programs in ((".build-static", ("sluice", "sluicectl")), (".build-static-bench", ("sluicebench",))):
        (tree / folder / "release").mkdir(parents=True)
        for name in programs:
            # the harness is built by itself, and not for this test
            shutil.copy(f"{os.path.dirname(kind.path)}/{name.replace('bench', 'ctl')}", tree / folder / "release" / name)
    return tree


@pytest.mark.parametrize("destination, prefix, zsh", [("", "/opt/sluice", "site-functions"), ("/staging", "/usr/local", "site-functions"), ("/staging", "/usr", "vendor-completions")])
def test_what_is_installed(built, tmp_path, destination, prefix, zsh):
    root = tmp_path / "root"
    # PREFIX below a folder of the test's: where nothing is staged, the prefix itself is there
    destdir, prefix = (f"{root}{destination}", prefix) if destination else ("", f"{root}{prefix}")
    done = subprocess.run([str(built / "scripts/make-install.sh"), destdir, prefix], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    top = destdir + prefix
    found = {os.path.relpath(os.path.join(folder, name), top): os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names}
    assert not any(path.startswith("..") for path in found), "something lies outside of the prefix"
    for path in (
        "bin/sluice", "bin/sluicectl", "bin/sluicebench", "share/man/man1/sluice.1", "share/man/man1/sluicectl.1", "share/man/man1/sluicebench.1",
        "share/man/man5/sluice.ini.5", "share/bash-completion/completions/sluicectl", f"share/zsh/{zsh}/_sluicectl",
        "share/fish/vendor_completions.d/sluicectl.fish", "lib/systemd/system/sluice.service", "lib/systemd/system/sluice@.service",
        "share/doc/sluice/README.md", "share/doc/sluice/docs/operating.md", "share/doc/sluice/examples/sluice.ini", "share/sluice/import-pgbouncer",
    ):
        assert path in found, path
        assert (os.stat(found[path]).st_mode & 0o777) == (0o755 if path.startswith("bin/") or path.endswith("import-pgbouncer") else 0o644), path
    for unit in ("sluice.service", "sluice@.service"):
        with open(found[f"lib/systemd/system/{unit}"]) as f:
            assert f"\nExecStart={prefix}/bin/sluice " in f.read()
    for name in ("sluice", "sluicectl"):
        answer = subprocess.run([found[f"bin/{name}"], "--version"], capture_output=True, text=True)
        assert answer.returncode == 0 and version() in answer.stdout
    # pages that lie in the documentation's folder lead to each other
    for path, place in found.items():
        if path.startswith("share/doc/sluice/docs/using/"):
            for target in re.findall(r"\]\(([^)#:\s]+\.md)[^)]*\)", read_from(place)):
                assert os.path.exists(os.path.join(os.path.dirname(place), target)), f"{path}: {target}"


def read_from(path):
    with open(path) as f:
        return f.read()


def version():
    return re.search(r'static let number = "([\d.]+)"', read("Sources/Configuration/Version.swift")).group(1)


def test_the_version_stands_in_one_place(kind):
    """Everything else takes it from there: programs, manual pages, the package."""
    number = version()
    assert subprocess.run([kind.path, "--version"], capture_output=True, text=True).stdout.splitlines()[-1].startswith(f"Sluice {number}")
    headings = re.findall(r"(?m)^## \[(.*?)\]", read("CHANGELOG.md"))
    assert headings[:2] == ["Unreleased", number] and re.search(rf"(?m)^\| in transaction mode \| Sluice {re.escape(number)} \|", read("README.md"))
    for page in ("sluice.1", "sluicectl.1", "sluicebench.1", "sluice.ini.5"):
        assert f'"Sluice {number}"' in read(f"docs/man/{page}")
    told = subprocess.run(["git", "grep", "-l", "-F", f'"{number}"', "--", "Sources", "scripts", "Config", "Makefile", "Package.swift"], cwd=ROOT, capture_output=True, text=True)
    if told.returncode in (0, 1):
        assert set(told.stdout.split()) == {"Sources/Configuration/Version.swift", "Config/prometheus/sluice-rules.test.yml"}


def test_the_changelog_keeps_its_form():
    """Keep a Changelog: versions, newest first, with sections of known names."""
    text = read("CHANGELOG.md")
    versions = [tuple(map(int, name.split("."))) for name in re.findall(r"(?m)^## \[(\d+\.\d+\.\d+)\]", text)]
    assert len(versions) >= 2 and versions == sorted(versions, reverse=True)
    assert set(re.findall(r"(?m)^### (.*)", text)) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_licence_is_apache_s():
    text = read("LICENSE")
    for line in ("Apache License", "Version 2.0, January 2004", "http://www.apache.org/licenses/", "END OF TERMS AND CONDITIONS"):
        assert line in text
    assert re.search(r"Copyright 20\d\d The Sluice authors", text)
    common = "/usr/share/common-licenses/Apache-2.0"
    if os.path.exists(common):  # Debian's copy, up to the name of the owner

        def words(text):
            return text.split("END OF TERMS AND CONDITIONS")[0].split()

        assert words(text) == words(read_from(common))
    assert "Files: *\nCopyright: 2026 The Sluice authors\nLicense: Apache-2.0\n" in read("Config/debian/copyright")


def test_make_test_lints():
    assert re.search(r"(?m)^step \"lint\" make -s lint", read("scripts/test.sh"))
    makefile = read("Makefile")
    assert "swift format lint --strict" in makefile and "shellcheck $(SHELL_SCRIPTS)" in makefile
    # every script is looked at: by its place in the list, or by a pattern of it
    listed = subprocess.run(["make", "-s", "--eval", "scripts-that-are-linted: ; @echo $(SHELL_SCRIPTS)", "scripts-that-are-linted"], cwd=ROOT, capture_output=True, text=True)
    tracked = subprocess.run(["git", "grep", "-lE", r"^#!/(bin/sh|usr/bin/env bash|bin/bash)"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode == 0:
        scripts = {path for path in tracked.stdout.split() if not path.endswith((".py", ".md", ".swift"))}
        assert scripts <= set(listed.stdout.split()), scripts - set(listed.stdout.split())


def test_the_package_names_who_may_be_asked():
    """The address is one of those that are reserved for examples, until somebody gives the package theirs."""
    assert re.search(r"(?m)^maintainer=\$\{DEB_MAINTAINER:-The Sluice authors <\w+@example\.(org|com|net)>\}$", read("scripts/deb.sh"))
