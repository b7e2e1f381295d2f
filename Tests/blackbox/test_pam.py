"""auth_type = pam: a PAM service of the test's own. Needs root, because services live in /etc/pam.d."""
import fcntl
import os
import subprocess

import pytest

import wire
from postgres import password_of
from processes import give

SERVICE = "/etc/pam.d/pgbouncer"
MODULE = "/usr/lib/x86_64-linux-gnu/security/pam_pwdfile.so"

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.sluice_only("PgBouncer's queue of PAM logins blocks the process"),
]


@pytest.fixture
def alone():
    """The service file is the machine's: one test at a time, in whatever run of this suite."""
    with open("/tmp/sluice-blackbox-pam.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(SERVICE):
            pytest.skip(f"{SERVICE} is there already, and not ours")
        yield


@pytest.fixture
def service(run_folder, alone):
    """Writes the service file, and takes it away."""
    folder = run_folder.folder("pam")
    passwords = f"{folder}/passwords"
    with open(passwords, "w") as f:
        for user in ("app", "plain_user"):
            crypted = subprocess.run(["openssl", "passwd", "-6", password_of(user)], capture_output=True, text=True, check=True).stdout.strip()
            f.write(f"{user}:{crypted}\n")
    give(passwords)

    def write(*lines):
        with open(SERVICE, "w") as f:
            f.write("\n".join(lines) + "\n")

    write(f"auth required pam_pwdfile.so nodelay pwdfile={passwords}", "account required pam_permit.so")
    try:
        yield write
    finally:
        os.unlink(SERVICE)


def refused(pooler, **how):
    with pytest.raises(wire.ServerError) as info:
        pooler.connect(**how)
    assert info.value.severity == "FATAL"
    return info.value


@pytest.mark.skipif(not os.path.exists(MODULE), reason="no pam_pwdfile")
def test_passwords_are_judged_by_pam(make_pooler, service):
    pooler = make_pooler(auth_type="pam", users={})
    for user in ("app", "plain_user"):
        c = pooler.connect(user)
        assert c.rows("select current_user") == [(user,)]
        assert [m[1] for m in c.greeting if m[0] == "R"] == [3, 0]
    assert "PAM authentication failed" in refused(pooler, password="wrong").message
    assert "PAM authentication failed" in refused(pooler, user="app2").message
    assert "empty password returned by client" in refused(pooler, password="").message
    assert pooler.connect().value("select 1") == "1"


def test_the_account_counts_too(make_pooler, service):
    service("auth required pam_permit.so", "account required pam_deny.so")
    pooler = make_pooler(auth_type="pam", users={})
    assert "PAM authentication failed" in refused(pooler).message


def test_a_slow_module_delays_no_query(make_pooler, service, run_folder):
    folder = run_folder.folder("pam-slow")
    os.mkfifo(f"{folder}/gate")
    os.chmod(f"{folder}/gate", 0o666)
    with open(f"{folder}/wait", "w") as f:
        f.write(f"#!/bin/sh\nread line < {folder}/gate\n")
    os.chmod(f"{folder}/wait", 0o755)
    give(f"{folder}/wait")
    service("auth [success=1 default=ignore] pam_succeed_if.so quiet user = app", f"auth required pam_exec.so {folder}/wait", "auth required pam_permit.so", "account required pam_permit.so")
    pooler = make_pooler(auth_type="pam", users={})
    old = pooler.connect("app")
    slow = pooler.raw()
    slow.send(wire.startup_packet({"user": "app2", "database": "lab"}))
    assert slow.read()[:2] == ("R", 3)
    slow.send(wire.message("p", password_of("app2").encode() + b"\0"))
    for n in range(20):
        assert old.value(f"select {n}") == str(n)
    # a client that speaks while it is being judged is heard afterwards
    slow.send(wire.query("select 'later'"))
    with open(f"{folder}/gate", "w") as gate:
        gate.write("go\n")
    while True:
        got = slow.read()
        assert got[0] != "E", got
        if got[0] == "D":
            assert got[1] == ("later",)
            break


def test_no_such_service_lets_nobody_in(make_pooler, alone):
    pooler = make_pooler(auth_type="pam", users={})
    assert "PAM authentication failed" in refused(pooler).message
