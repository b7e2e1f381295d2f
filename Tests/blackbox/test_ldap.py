"""auth_type = ldap and the ldap method of HBA rules, against a real directory server and one that hangs."""
import os
import shutil
import subprocess
import threading

import pytest

import wire
from directory import ADMIN, ADMIN_PASSWORD, PEOPLE, Directory, SilentServer
from postgres import password_of
from processes import give, wait_until

pytestmark = [
    pytest.mark.sluice_only("Debian's PgBouncer is built without LDAP"),
    pytest.mark.skipif(not os.path.exists("/usr/sbin/slapd"), reason="no slapd"),
]


@pytest.fixture(scope="module")
def certificate(run_folder):
    folder = run_folder.folder("ldap-tls")
    key, certificate = f"{folder}/key.pem", f"{folder}/certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "30", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    give(key)
    give(certificate)
    return certificate, key


@pytest.fixture(scope="module")
def directory(run_folder, certificate):
    server = Directory(run_folder, {"plain_user": password_of("plain_user"), "app": password_of("app"), "elsewhere": "pw"}, tls=certificate)
    yield server
    server.close()


@pytest.fixture
def silent():
    server = SilentServer()
    yield server
    server.close()


def simple(port, more=""):
    return f'ldapserver=127.0.0.1 ldapport={port} ldapprefix="uid=" ldapsuffix=",{PEOPLE}" {more}'


def search(port, more=""):
    return f'ldapserver=127.0.0.1 ldapport={port} ldapbasedn="{PEOPLE}" ldapbinddn="{ADMIN}" ldapbindpasswd={ADMIN_PASSWORD} {more}'


def refused(pooler, **how):
    with pytest.raises(wire.ServerError) as info:
        pooler.connect(**how)
    assert info.value.severity == "FATAL"
    return info.value


@pytest.mark.parametrize("options", [
    simple("PORT"),
    search("PORT"),
    search("PORT", "ldapsearchattribute=cn"),
    search("PORT", 'ldapsearchfilter="(|(mail=$username@example.net)(uid=nobody))"'),
    f'ldapurl="ldap://127.0.0.1:PORT/{PEOPLE}?uid?sub" ldapbinddn="{ADMIN}" ldapbindpasswd={ADMIN_PASSWORD}',
    f'ldapurl="ldap://127.0.0.1:PORT/dc=example,dc=net??sub?(uid=$username)" ldapbinddn="{ADMIN}" ldapbindpasswd={ADMIN_PASSWORD}',
    f'ldapserver="127.0.0.1" ldapport=PORT ldapscheme=ldap ldapprefix=uid= ldapsuffix=",{PEOPLE}"',
])  # fmt: skip
def test_passwords_are_judged_by_the_directory(make_pooler, directory, options):
    # the user list knows nobody: the typed password opens the server, too
    pooler = make_pooler(auth_type="ldap", auth_ldap_options=options.replace("PORT", str(directory.port)), users={})
    for user in ("app", "plain_user"):
        c = pooler.connect(user)
        assert c.rows("select current_user") == [(user,)]
        assert [m[1] for m in c.greeting if m[0] == "R"] == [3, 0]
    for how in ({"user": "app", "password": "wrong"}, {"user": "app2"}, {"user": "elsewhere)(uid=*", "password": "pw"}, {"user": "*", "password": "pw"}):
        assert "LDAP authentication failed" in refused(pooler, **how).message
    assert "empty password returned by client" in refused(pooler, user="app", password="").message


def test_the_typed_password_opens_the_server_whatever_the_list_says(make_pooler, directory):
    """The user list does not count for such a login, but servers were opened with what stood there."""
    pooler = make_pooler(auth_type="ldap", auth_ldap_options=simple(directory.port), users={"app": "outdated"})
    assert pooler.connect("app").value("select current_user") == "app"


@pytest.mark.parametrize("how", ["starttls", "ldaps"])
def test_tls_to_the_directory(make_pooler, directory, certificate, how, monkeypatch):
    options = simple(directory.port, "ldaptls=1") if how == "starttls" else simple(directory.tls_port, "ldapscheme=ldaps")
    monkeypatch.setenv("LDAPTLS_CACERT", certificate[0])
    pooler = make_pooler(auth_type="ldap", auth_ldap_options=options, users={})
    assert pooler.connect().value("select 1") == "1"
    assert "LDAP authentication failed" in refused(pooler, password="wrong").message


def test_an_unknown_authority_is_not_trusted(make_pooler, directory):
    pooler = make_pooler(auth_type="ldap", auth_ldap_options=simple(directory.port, "ldaptls=1"), users={})
    assert "LDAP authentication failed" in refused(pooler).message
    pooler.wait_log("StartTLS")


def test_options_of_an_hba_rule(make_pooler, directory, run_folder):
    rules = f"{run_folder.folder('hba')}/hba.conf"
    with open(rules, "w") as f:
        f.write(f"host all app all ldap {simple(directory.port)}\nhost all all all scram-sha-256\n")
    give(rules)
    pooler = make_pooler(auth_type="hba", auth_hba_file=rules)
    assert [m[1] for m in pooler.connect("app").greeting if m[0] == "R"] == [3, 0]
    assert [m[1] for m in pooler.connect("app2").greeting if m[0] == "R"] == [10, 11, 12, 0]
    assert "LDAP authentication failed" in refused(pooler, user="app", password="wrong").message


@pytest.mark.parametrize("options", [
    'ldapserver=127.0.0.1,ldapport=PORT,ldapprefix="uid=",ldapsuffix=",{PEOPLE}"',
    'ldapserver=127.0.0.1, ldapport=PORT , ldapprefix=uid=,"ldapsuffix=,{PEOPLE}"',
    'ldapserver=127.0.0.1 ldapport=PORT ldapbasedn={PEOPLE},ldapbinddn="{ADMIN}",ldapbindpasswd={ADMIN_PASSWORD}',
    'ldapserver=127.0.0.1 ldapport=PORT "ldapbasedn={PEOPLE}" ldapbinddn={ADMIN} ldapbindpasswd={ADMIN_PASSWORD}',
])
def test_options_with_commas(make_pooler, directory, run_folder, options):
    """Commas stand in names of entries; PostgreSQL takes them between options, too."""
    text = options.format(PEOPLE=PEOPLE, ADMIN=ADMIN, ADMIN_PASSWORD=ADMIN_PASSWORD).replace("PORT", str(directory.port))
    path = f"{run_folder.folder('hba')}/rules"
    with open(path, "w") as f:
        f.write(f"host all app all ldap {text}\n")
    give(path)
    pooler = make_pooler(auth_type="hba", auth_hba_file=path)
    assert pooler.connect().value("select 1") == "1"
    assert refused(pooler, password="wrong").message == "LDAP authentication failed"


def test_without_options(make_pooler):
    pooler = make_pooler(auth_type="ldap", users={})
    assert refused(pooler).message == "auth_ldap_options is null"


def test_wrong_options_are_refused_at_start(make_pooler):
    pooler = make_pooler(auth_type="ldap", auth_ldap_options="ldapserver=x nonsense=1 ldapprefix=y", start=False)
    assert pooler.launch().wait(wire.HANG) == 1
    pooler.process = None
    assert 'auth_ldap_options: unknown LDAP option "nonsense"' in pooler.stderr()


def test_nobody_at_home(make_pooler):
    from processes import free_port

    pooler = make_pooler(auth_type="ldap", auth_ldap_options=simple(free_port()), users={})
    assert "LDAP authentication failed" in refused(pooler).message
    pooler.wait_log("login failed: bind as .*Can't contact LDAP server")


def test_a_server_that_hangs_is_an_error_for_its_clients_alone(make_pooler, silent, run_folder):
    rules = f"{run_folder.folder('hba')}/hba.conf"
    with open(rules, "w") as f:
        f.write(f"host all app2 all ldap {simple(silent.port)}\nhost all all all scram-sha-256\n")
    give(rules)
    pooler = make_pooler(auth_type="hba", auth_hba_file=rules, client_login_timeout=2)
    old = pooler.connect()
    outcomes = []

    def login():
        try:
            pooler.connect("app2")
        except wire.ServerError as e:
            outcomes.append(e.message)

    threads = [threading.Thread(target=login) for _ in range(8)]
    [t.start() for t in threads]
    wait_until(lambda: silent.taken, "the directory to be asked")
    assert old.value("select 1") == "1"
    assert pooler.connect().value("select 2") == "2"
    [t.join() for t in threads]
    assert len(outcomes) == 8 and all("client_login_timeout" in o or "LDAP authentication failed" in o for o in outcomes)
    assert old.value("select 3") == "3"


def test_a_full_queue_refuses_instead_of_blocking(make_pooler, silent):
    pooler = make_pooler(auth_type="ldap", auth_ldap_options=simple(silent.port), users={}, client_login_timeout=60, databases={"lab": {}})
    waiting = []
    for _ in range(104):
        c = pooler.raw()
        c.send(wire.startup_packet({"user": "app", "database": "lab"}))
        assert c.read()[:2] == ("R", 3)
        c.send(wire.message("p", b"pw\0"))
        waiting.append(c)
    wait_until(lambda: len(silent.taken) >= 4, "all threads to be busy")
    e = refused(pooler)
    assert e.message == "too many logins at the same time: try again later"
    for c in waiting:
        c.close()
