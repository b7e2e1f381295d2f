"""auth_type = cert, and the cert method of HBA rules: the name in a verified certificate is the user, or a map says who may be whom."""
import pytest

import wire
from certificates import Authority
from processes import give
from tls import TLSClient, client_context

FORCED = {"lab": {"user": "trust_user"}, "lab2": {"user": "trust_user"}}

pytestmark = pytest.mark.sluice_only("PgBouncer does not tell why a certificate does not fit its user")


@pytest.fixture(scope="module")
def authority(run_folder):
    return Authority(run_folder.folder("certificates"))


@pytest.fixture(scope="module")
def own(authority):
    return authority.sign()


@pytest.fixture
def make_cert(make_pooler, run_folder, authority, own):
    def make(rules=None, maps=None, **settings):
        tls = {"client_tls_sslmode": "verify-full", "client_tls_cert_file": own.certificate, "client_tls_key_file": own.key, "client_tls_ca_file": authority.certificate}
        more = {"auth_type": "cert"}
        folder = run_folder.folder("hba")
        for name, text, setting in (("hba.conf", rules, "auth_hba_file"), ("ident.conf", maps, "auth_ident_file")):
            if text is not None:
                with open(f"{folder}/{name}", "w") as f:
                    f.write(text)
                give(f"{folder}/{name}")
                more = {**more, "auth_type": "hba", setting: f"{folder}/{name}"}
        return make_pooler(**{"databases": FORCED, **tls, **more, **settings})

    return make


def connect(pooler, certificate=None, user="app", database="lab", password="unused"):
    context = client_context(certificate=certificate)
    client = TLSClient(pooler.address, context=context, user=user, password=password, database=database)
    pooler.clients.append(client)
    return client


def refused(pooler, certificate=None, **more):
    with pytest.raises(wire.ServerError) as info:
        connect(pooler, certificate, **more)
    return info.value


def test_the_name_in_the_certificate_is_the_user(make_cert, authority):
    pooler = make_cert()
    c = connect(pooler, authority.sign("app", names=()))
    assert c.value("select current_user") == "trust_user"
    assert [m[1] for m in c.greeting if m[0] == "R"] == [0]
    connect(pooler, authority.sign("somebody", names=("DNS:app", "DNS:other")))
    assert refused(pooler, authority.sign("app2", names=())).message == "certificate authentication failed"
    pooler.wait_log('login failed: the certificate is for "app2"')
    # a certificate for somebody whom nobody knows
    assert '"trust" authentication failed' in refused(pooler, authority.sign("ghost", names=()), user="ghost").message


@pytest.mark.parametrize("name", ["ap*", "app app2", 'a"p', "äpp", "a" * 64])
def test_strange_names_are_just_names(make_cert, authority, name):
    pooler = make_cert(users={"app": "x", name: "x"})
    certificate = authority.sign(name, names=())
    assert connect(pooler, certificate, user=name).value("select 1") == "1"
    assert refused(pooler, certificate).message == "certificate authentication failed"


def test_rules_and_maps(make_cert, authority):
    rules = "hostssl lab all all cert map=people\nhostssl lab2 app all cert\nhostnossl all all all trust\nhostssl all all all scram-sha-256\n"
    maps = "people alice app\npeople alice app2\npeople root all\n"
    pooler = make_cert(rules, maps, client_tls_sslmode="verify-ca")
    alice = authority.sign("alice", names=())
    for user in ("app", "app2"):
        assert connect(pooler, alice, user=user).value("select 1") == "1"
    assert refused(pooler, alice, user="plain_user").message == "certificate authentication failed"
    pooler.wait_log("ident map: people does not have a match")
    assert connect(pooler, authority.sign("root", names=()), user="plain_user").value("select 1") == "1"
    assert refused(pooler, alice, database="lab2").message == "certificate authentication failed"
    c = connect(pooler, alice, user="app2", password="app2-pw", database="lab2")
    assert [m[1] for m in c.greeting if m[0] == "R"] == [10, 11, 12, 0]


def test_without_a_certificate(make_cert):
    pooler = make_cert("host all all all cert\n", client_tls_sslmode="require")
    assert refused(pooler).message == "certificate authentication failed"
    pooler.wait_log("login failed: the client has shown no certificate")


RULES = "hostssl all app all cert\nhostssl all app2 all cert map=people\nhostssl all trust_user all trust\nhostnossl all plain_user all scram-sha-256\nhost all all all scram-sha-256\n"


@pytest.mark.parametrize("mode", ["allow", "prefer", "require"])
def test_certificates_and_passwords_share_a_port(make_cert, authority, run_folder, mode):
    """A certificate is asked for where a rule may want one, and nobody has to show it for the other rules."""
    pooler = make_cert(RULES, "people alice app2\n", client_tls_sslmode=mode, databases={"lab": {"user": "app"}})
    alice = authority.sign("alice", names=())
    c = connect(pooler, authority.sign("app", names=()))
    assert c.value("select 1") == "1" and [m[1] for m in c.greeting if m[0] == "R"] == [0]
    assert connect(pooler, alice, user="app2").value("select 1") == "1"
    for certificate in (None, alice):
        c = connect(pooler, certificate, user="plain_user", password="plain_user-pw")
        assert [m[1] for m in c.greeting if m[0] == "R"] == [10, 11, 12, 0]
        assert connect(pooler, certificate, user="trust_user").value("select 1") == "1"
        assert refused(pooler, certificate).message == "certificate authentication failed"
    pooler.wait_log("login failed: the client has shown no certificate")
    if mode != "require":
        assert pooler.connect("plain_user").value("select 1") == "1"


def test_a_certificate_that_is_shown_must_be_good(make_cert, authority, run_folder):
    """As in PostgreSQL: one of another authority ends the handshake, whatever the rule would have been."""
    pooler = make_cert(RULES, "", client_tls_sslmode="require")
    stranger = Authority(run_folder.folder("certificates"), "Stranger")
    with pytest.raises((wire.Closed, OSError)):
        connect(pooler, stranger.sign("app", names=()), user="trust_user")
    pooler.wait_log("TLS handshake failed: certificate verify failed")
    with pytest.raises((wire.Closed, OSError)):
        connect(pooler, authority.sign("app", names=(), start="20200101000000Z", end="20200102000000Z"))
    pooler.wait_log("certificate has expired")


def test_a_reload_of_the_rules_begins_and_ends_to_ask_for_certificates(make_cert, authority):
    pooler = make_cert("hostssl all all all scram-sha-256\n", "", client_tls_sslmode="require")
    app = authority.sign("app", names=())
    assert [m[1] for m in connect(pooler, app, password="app-pw").greeting if m[0] == "R"] == [10, 11, 12, 0]
    with open(pooler.settings["auth_hba_file"], "w") as f:
        f.write(RULES)
    pooler.reload()
    assert [m[1] for m in connect(pooler, app).greeting if m[0] == "R"] == [0]
    with open(pooler.settings["auth_hba_file"], "w") as f:
        f.write("hostssl all app all scram-sha-256\n")
    pooler.reload()
    assert [m[1] for m in connect(pooler, app, password="app-pw").greeting if m[0] == "R"] == [10, 11, 12, 0]


def test_a_rule_that_no_certificate_can_fit_is_told(make_cert):
    pooler = make_cert("hostssl all app all cert\nhost all all all scram-sha-256\n", client_tls_sslmode="require", client_tls_ca_file=None)
    pooler.wait_log(":1: hba: nobody can show a certificate: cert needs client_tls_ca_file")
    assert refused(pooler).message == "certificate authentication failed"
    assert connect(pooler, user="app2", password="app2-pw").value("select 1") == "1"


def test_hostssl_and_hostnossl_look_at_the_encryption(make_cert, authority):
    pooler = make_cert("hostssl all app all trust\nhostnossl all app2 all trust\n", client_tls_sslmode="prefer", client_tls_ca_file=None)
    assert connect(pooler).value("select 1") == "1"
    assert refused(pooler, user="app2").message == "no authentication method is found"
    assert pooler.connect("app2").value("select 1") == "1"
    with pytest.raises(wire.ServerError) as info:
        pooler.connect("app")
    assert info.value.message == "no authentication method is found"


@pytest.mark.parametrize("settings", [{"client_tls_sslmode": "require"}, {"client_tls_ca_file": None}])
def test_cert_without_verification_is_refused_at_start(make_cert, settings):
    pooler = make_cert(start=False, **settings)
    assert pooler.launch().wait(wire.HANG) == 1
    pooler.process = None
    assert "auth_type" in pooler.stderr() or "client_tls_ca_file" in pooler.stderr()


def test_a_certificate_is_for_the_name_that_auth_query_returns(make_cert, authority, postgres):
    """Not for the one that the client has typed: somebody of the same authority, with a name like root@evil, would be root."""
    lookup = {"auth_user": "postgres", "auth_query": "select rolname, rolpassword from pg_authid where rolname = split_part($1, '@', 1)"}
    for rules in (None, "hostssl all all all cert\n"):
        pooler = make_cert(rules, users={"postgres": "x"}, databases={"lab": {"host": postgres.socket_dir, "user": "postgres"}}, **lookup)
        evil = authority.sign("app@evil", names=())
        assert refused(pooler, evil, user="app@evil").message == "certificate authentication failed"
        assert connect(pooler, authority.sign("app", names=()), user="app@home").value("select 1") == "1"
        assert refused(pooler, authority.sign("stranger", names=()), user="stranger").message == '"trust" authentication failed'
