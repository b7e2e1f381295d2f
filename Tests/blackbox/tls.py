"""The raw protocol client of wire.py behind TLS, and contexts for it."""
import base64
import hashlib
import socket
import ssl
import struct
import subprocess

import wire


def client_context(authority=None, certificate=None, check_hostname=False, alpn=None, maximum=None, ciphers=None):
    """How a client looks at the pooler: without an authority it believes anything."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = bool(check_hostname)
    context.verify_mode = ssl.CERT_REQUIRED if authority else ssl.CERT_NONE
    if authority:
        context.load_verify_locations(authority.certificate)
    if certificate:
        context.load_cert_chain(certificate.certificate, certificate.key)
    if alpn:
        context.set_alpn_protocols([alpn])
    if maximum:
        context.maximum_version = maximum
    if ciphers:
        context.set_ciphers(ciphers)
    return context


class TLSClient(wire.Client):
    """`direct`: begins with the handshake instead of an SSLRequest. `session`: an earlier TLS session to take up again."""

    def __init__(self, address, context=None, direct=False, server_hostname="localhost", session=None, **more):
        self.context = context or client_context(alpn="postgresql" if direct else None)
        self.direct, self.server_hostname, self.session = direct, server_hostname, session
        login = more.pop("login", True)
        super().__init__(address, login=False, **{k: v for k, v in more.items() if k in ("user", "password", "database")})
        try:
            self.encrypt()
            if login:
                pairs = [("user", self.user), ("database", more.get("database", "app"))] + list(more.get("parameters", {}).items())
                self.send(wire.startup_packet(pairs))
                self.greeting = self.login()
        except BaseException:
            self.close()
            raise

    def encrypt(self):
        if not self.direct:
            self.socket.sendall(wire.request_packet(wire.SSL))
            answer = self.socket.recv(100)
            assert answer == b"S", f"answer to SSLRequest: {answer!r}"
        # an end without close_notify is an error, as it is to libpq from 17 on
        self.socket = self.context.wrap_socket(self.socket, server_hostname=self.server_hostname, session=self.session, suppress_ragged_eofs=False)

    def send(self, *parts):
        try:
            super().send(*parts)
        except ssl.SSLError as e:
            raise wire.Closed(str(e)) from e

    def _receive(self):
        try:
            super()._receive()
        except ssl.SSLError as e:
            raise wire.Closed(str(e)) from e


def end_of(client):
    """How the other side ends the connection: "end of stream" is the polite way, anything else a cut line."""
    while True:
        try:
            client.read_raw()
        except wire.Closed as e:
            return str(e)


class PlusScram(wire.Scram):
    """SCRAM-SHA-256-PLUS, honest unless told otherwise."""

    def __init__(self, password, certificate_der, header="p=tls-server-end-point,,", data=None):
        super().__init__(password)
        self.header, self.data = header, hashlib.sha256(certificate_der).digest() if data is None else data

    def first_message(self, mechanism="SCRAM-SHA-256-PLUS", header=None):
        header = self.header if header is None else header
        built = super().first_message(mechanism, header)
        if header.startswith("p"):
            self.binding = base64.b64encode(header.encode() + self.data).decode()
        return built


def psql(pooler, sql="select 1", environment=None, **options):
    """Runs psql with a connection string of `options`; returns the finished process."""
    options = {"host": "localhost", "hostaddr": "127.0.0.1", "port": pooler.port, "user": "app", "dbname": "lab", **options}
    conninfo = " ".join(f"{k}='{v}'" for k, v in options.items() if v is not None)
    return subprocess.run(["psql", "-XAtqc", sql, conninfo], capture_output=True, text=True, timeout=wire.HANG,
                          env={"PATH": "/usr/bin:/bin", "PGPASSWORD": "app-pw", "HOME": "/nonexistent", **(environment or {})})
