"""TLS with clients: modes, certificates, versions, what is refused, reloads, and what a handshake must not do to others."""
import os
import re
import socket
import ssl
import struct
import subprocess
import threading

import psycopg
import pytest

import wire
from certificates import Authority, replace
from processes import wait_until
from tls import PlusScram, TLSClient, client_context, psql
from wire import Closed, ServerError, query

PAST, LONG_AGO = "20200102000000Z", "20200101000000Z"


@pytest.fixture(scope="session")
def authority(run_folder):
    return Authority(run_folder.folder("certificates"))


@pytest.fixture(scope="session")
def certificate(authority):
    """The pooler's own, for localhost."""
    return authority.sign()


@pytest.fixture(scope="session")
def stranger(run_folder):
    """An authority that nobody here knows."""
    return Authority(run_folder.folder("certificates"), "Stranger")


@pytest.fixture
def tls_pooler(make_pooler, certificate):
    """tls_pooler(mode="require", ...): a pooler that speaks TLS with clients."""

    def make(mode="require", own=None, **settings):
        own = own or certificate
        return make_pooler(**{"client_tls_sslmode": mode, "client_tls_cert_file": own.certificate, "client_tls_key_file": own.key, **settings})

    return make


def connect(pooler, **more):
    client = TLSClient(pooler.address, **{"user": "app", "password": "app-pw", "database": "lab", **more})
    pooler.clients.append(client)
    return client


# --- modes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["allow", "prefer"])
def test_tls_is_taken_when_asked_for_and_not_required(tls_pooler, mode):
    pooler = tls_pooler(mode)
    assert connect(pooler).value("select 1") == "1"
    assert pooler.connect().value("select 2") == "2"


@pytest.mark.parametrize("mode", ["require"])
def test_a_login_without_tls_is_refused_where_it_is_required(tls_pooler, mode):
    pooler = tls_pooler(mode)
    with pytest.raises(ServerError) as refused:
        pooler.connect()
    assert (refused.value.severity, refused.value.code, refused.value.message) == ("FATAL", "08P01", "SSL required")
    assert connect(pooler).value("select 1") == "1"


def test_tls_is_off_by_default(make_pooler):
    client = make_pooler().raw()
    client.send(wire.request_packet(wire.SSL))
    assert client.read_byte() == b"N"


def test_gss_encryption_is_declined_and_tls_taken_after_it(tls_pooler):
    pooler = tls_pooler()
    client = pooler.raw()
    client.send(wire.request_packet(wire.GSSENC))
    assert client.read_byte() == b"N"
    client.send(wire.request_packet(wire.SSL))
    assert client.read_byte() == b"S"


def test_unix_sockets_need_no_tls(tls_pooler):
    pooler = tls_pooler("require")
    client = pooler.raw(pooler.socket_path)
    client.send(wire.request_packet(wire.SSL))
    assert client.read_byte() == b"N"
    assert pooler.connect(address=pooler.socket_path).value("select 1") == "1"


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_clients_must_show_a_certificate_where_it_is_verified(tls_pooler, authority, stranger, mode):
    pooler = tls_pooler(mode, client_tls_ca_file=authority.certificate)
    good = client_context(certificate=authority.sign("app", names=()))
    assert connect(pooler, context=good).value("select 1") == "1"
    for bad in (client_context(), client_context(certificate=stranger.sign("app", names=())),
                client_context(certificate=authority.sign("app", names=(), start=LONG_AGO, end=PAST))):
        with pytest.raises((ssl.SSLError, Closed)):
            connect(pooler, context=bad)
    pooler.wait_log("TLS handshake failed: .*peer did not return a certificate")
    pooler.wait_log("TLS handshake failed: certificate verify failed: unable to get local issuer certificate")
    pooler.wait_log("TLS handshake failed: certificate verify failed: certificate has expired")
    assert connect(pooler, context=good).value("select 1") == "1"


# --- real clients ----------------------------------------------------------------------------------------------


def test_psql_with_verify_full(tls_pooler, authority, stranger):
    pooler = tls_pooler()
    done = psql(pooler, "select 41 + 1", sslmode="verify-full", sslrootcert=authority.certificate)
    assert (done.stdout, done.returncode) == ("42\n", 0), done.stderr
    done = psql(pooler, sslmode="verify-full", sslrootcert=stranger.certificate)
    assert done.returncode == 2 and "certificate verify failed" in done.stderr
    done = psql(pooler, host="other.example", sslmode="verify-full", sslrootcert=authority.certificate)
    assert done.returncode == 2 and "does not match host name" in done.stderr


@pytest.mark.drivers
def test_psycopg_with_channel_binding(tls_pooler, authority):
    pooler = tls_pooler()
    with psycopg.connect(host="localhost", port=pooler.port, user="app", password="app-pw", dbname="lab", sslmode="verify-full",
                         sslrootcert=authority.certificate, channel_binding="require") as connection:
        assert connection.execute("select 1").fetchone() == (1,)
