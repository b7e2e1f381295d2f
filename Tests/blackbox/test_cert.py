"""auth_type = cert, and the cert method of HBA rules: the name in a verified certificate is the user, or a map says who may be whom."""
import pytest

import wire
from certificates import Authority
from processes import give
from tls import TLSClient, client_context

FORCED = {"lab": {"user": "trust_user"}, "lab2": {"user": "trust_user"}}

pytestmark = pytest.mark.sluice_only("maps and names of certificates, told with a reason")


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
