"""auth_type = hba: rules, user name maps, and the method `peer`, each seen from outside."""
import getpass
import os
import pwd
import shutil
import subprocess

import pytest

import wire
from postgres import password_of
from processes import UNPRIVILEGED, give, is_root, wait_until

FORCED = {"lab": {"user": "trust_user"}, "lab2": {"user": "trust_user"}}
#: the system user under whom the tests connect
ME = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def make_hba(make_pooler, run_folder):
    """make_hba(rules, maps, ...): a pooler with these rules; `.hba` and `.ident` are their files."""

    def make(rules, maps=None, **settings):
        folder = run_folder.folder("hba")
        paths = {"hba": f"{folder}/hba.conf", "ident": f"{folder}/ident.conf"}
        for path, text in ((paths["hba"], rules), (paths["ident"], maps)):
            if text is not None:
                with open(path, "w") as f:
                    f.write(text)
                give(path)
        more = {"auth_ident_file": paths["ident"]} if maps is not None else {}
        pooler = make_pooler(**{"databases": FORCED, "auth_type": "hba", "auth_hba_file": paths["hba"], **more, **settings})
        pooler.hba, pooler.ident = paths["hba"], paths["ident"]
        return pooler

    return make


def refused(pooler, **how):
    with pytest.raises(wire.ServerError) as info:
        pooler.connect(**how)
    assert info.value.severity == "FATAL"
    return info.value


def asked(client):
    return [m[1] for m in client.greeting if m[0] == "R"]


def test_the_first_match_wins(make_hba):
    rules = """
# comment
host  lab   app2  127.0.0.1/32  reject
host  lab   app   127.0.0.1/32  trust
host  lab2  app   127.0.0.0 255.0.0.0  password
host  all   md5_user,plain_user  0.0.0.0/0  md5
local all   all   scram-sha-256
"""
    pooler = make_hba(rules)
    assert refused(pooler, user="app2").message == "login rejected"
    assert asked(pooler.connect("app", "whatever")) == [0]
    assert asked(pooler.connect("app", database="lab2")) == [3, 0]
    assert asked(pooler.connect("md5_user")) == [5, 0]
    assert refused(pooler, user="scram_user").message == "no authentication method is found"
    assert asked(pooler.connect("scram_user", address=pooler.socket_path)) == [10, 11, 12, 0]
    assert "password authentication failed" in refused(pooler, user="app", password="wrong", database="lab2").message
    assert '"trust" authentication failed' not in pooler.log()


@pytest.mark.parametrize("rule, works", [
    ("host all all 127.0.0.1/32 trust", True), ("host all all ::1/128 trust", False), ("hostssl all all all trust", False),
    ("hostnossl all all all trust", True), ("local all all trust", False), ("host sameuser all all trust", False),
    ('host "all" all all trust', False), ("host all +admins all trust", False), ("host @FILE all all trust", True),
    ("host all @FILE all trust", False), ("host replication all all trust", False),
])  # fmt: skip
def test_what_rules_look_at(make_hba, run_folder, rule, works):
    names = f"{run_folder.folder('names')}/names"
    with open(names, "w") as f:
        f.write("lab # the database\nother\n")
    give(names)
    pooler = make_hba(rule.replace("FILE", names) + "\n")
    if works:
        assert pooler.connect("app", "").value("select 1") == "1"
    else:
        assert refused(pooler, user="app").message == "no authentication method is found"


def test_trust_still_needs_a_known_user(make_hba):
    assert '"trust" authentication failed' in refused(make_hba("host all all all trust"), user="nobody_knows").message


def test_broken_lines_are_skipped_and_told(make_hba):
    pooler = make_hba("host all all nonsense trust\nhost all +g all trust\nhost all app all scram-sha-256\n")
    assert asked(pooler.connect("app")) == [10, 11, 12, 0]
    pooler.wait_log(r"WARNING .*hba.conf:1: hba: .*nonsense.*the line is skipped")
    pooler.wait_log(r"WARNING .*hba.conf:2: hba: .*\+g.*the line is skipped")


def test_rules_are_read_again_at_reload(make_hba):
    pooler = make_hba("host all all all trust\n")
    pooler.connect("app", "")
    with open(pooler.hba, "w") as f:
        f.write("host all all all reject\n")
    assert asked(pooler.connect("app", "")) == [0]
    pooler.reload()
    assert wait_until(lambda: rejection(pooler), "the new rules") == "login rejected"


def rejection(pooler):
    """What app is told; None when it is let in."""
    try:
        pooler.connect("app", "").close()
    except wire.ServerError as error:
        return error.message


def test_a_file_that_is_gone_changes_nothing_at_a_reload(make_hba):
    pooler = make_hba("host all all all trust\n")
    os.unlink(pooler.hba)
    pooler.reload()
    pooler.wait_log("RELOAD failed|cannot be read")
    assert asked(pooler.connect("app", "")) == [0]


def test_peer(make_hba):
    pooler = make_hba("local all all peer\nhost all all all peer\n", users={ME: "", "app": password_of("app")})
    assert asked(pooler.connect(ME, "", address=pooler.socket_path)) == [0]
    assert "unix socket login rejected" in refused(pooler, user="app", address=pooler.socket_path).message
    assert "unix socket login rejected" in refused(pooler, user=ME).message


SLOW_SYSTEM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pwd.h>
#include <unistd.h>
int getpwuid_r(uid_t id, struct passwd *entry, char *text, size_t size, struct passwd **found) {
    while (access(GATE, F_OK) != 0) usleep(10000);
    int (*real)(uid_t, struct passwd *, char *, size_t, struct passwd **) = dlsym(RTLD_NEXT, "getpwuid_r");
    return real(id, entry, text, size, found);
}
"""


@pytest.mark.sluice_only("it asks the system on its only thread")
def test_a_slow_system_delays_no_query(make_hba, run_folder):
    """Who the kernel's number is may be known to a directory only, and that takes its time."""
    folder = run_folder.folder("slow")
    os.chmod(folder, 0o755)
    library, gate = f"{folder}/slow.so", f"{folder}/gate"
    compiler = shutil.which("cc") or shutil.which("clang") or pytest.skip("no C compiler")
    command = [compiler, "-shared", "-fPIC", f'-DGATE="{gate}"', "-x", "c", "-", "-o", library, "-ldl"]
    subprocess.run(command, input=SLOW_SYSTEM.encode(), check=True)
    pooler = make_hba("local all all peer\nhost all all all trust\n", users={ME: "", "app": ""}, workers=1, start=False)
    pooler.preloaded = library
    pooler.start()
    other = pooler.connect("app", "")
    peer = wire.connect(pooler.socket_path)
    peer.settimeout(wire.HANG)
    gone = wire.connect(pooler.socket_path)
    for s in (gone, peer):
        s.sendall(wire.startup_packet([("user", ME), ("database", "lab")]))
    gone.close()
    for _ in range(20):
        assert other.rows("select 1") == [("1",)]
    open(gate, "w").close()
    assert peer.recv(1) == b"R"
    peer.close()


def test_peer_with_a_map(make_hba):
    rules = "local lab all peer map=mine\nlocal lab2 all peer map=missing\n"
    pooler = make_hba(rules, f"mine {ME} app\nmine somebody all\nother {ME} app2\n")
    assert asked(pooler.connect("app", "", address=pooler.socket_path)) == [0]
    assert "unix socket login rejected" in refused(pooler, user="app2", address=pooler.socket_path).message
    pooler.wait_log("ident map: mine does not have a match")
    assert "unix socket login rejected" in refused(pooler, user="app", database="lab2", address=pooler.socket_path).message
    pooler.wait_log("ident map missing cannot be matched")


def test_a_map_for_everybody(make_hba):
    pooler = make_hba("local all all peer map=mine\n", f"mine {ME} all\n")
    assert asked(pooler.connect("app2", "", address=pooler.socket_path)) == [0]
    assert '"trust" authentication failed' in refused(pooler, user="nobody_knows", address=pooler.socket_path).message


def test_md5_rule_with_a_scram_secret_asks_for_scram(make_hba):
    pooler = make_hba("host all all all md5\n", users={"joe": wire.scram_secret("pw")})
    assert asked(pooler.connect("joe", "pw")) == [10, 11, 12, 0]


def test_hba_without_a_file_is_refused(make_pooler):
    pooler = make_pooler(auth_type="hba", start=False)
    assert pooler.launch().wait(wire.HANG) == 1
    pooler.process = None
    assert "auth_hba_file" in pooler.stderr()
