"""Hashing of passwords: it never stalls a query, and no server can make the pooler hash for ever."""
import base64
import socket
import struct
import threading

import pytest

import wire
from postgres import password_of
from processes import readable, wait_until
from wire import message

# two thousand million rounds take a quarter of an hour: nobody waits for the end of it
ENDLESS = "SCRAM-SHA-256$2000000000:" + base64.b64encode(b"salt").decode() + "$" + ":".join([base64.b64encode(bytes(32)).decode()] * 2)

pytestmark = pytest.mark.sluice_only("PgBouncer hashes passwords on its only thread")


def has_answer(client):
    return bool(client.buffer) or bool(readable([client.socket], 0))


class HostileServer:
    """Asks for SCRAM and sends what it likes as its first message (%r: the client's nonce); keeps what it is answered."""

    def __init__(self, first):
        self.first, self.answers = first, []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            try:
                s = self.socket.accept()[0]
            except OSError:
                return
            with s:
                try:
                    self._serve(s)
                except (OSError, EOFError):
                    pass

    def _serve(self, s):
        (length,) = struct.unpack("!I", self._read(s, 4))
        self._read(s, length - 4)
        s.sendall(message("R", struct.pack("!I", 10) + b"SCRAM-SHA-256\0\0"))
        body = self._message(s)
        nonce = body[body.index(b"r=") + 2 :]
        s.sendall(message("R", struct.pack("!I", 11) + self.first.replace(b"%r", nonce)))
        self.answers.append(self._message(s))

    def _message(self, s):
        _, length = struct.unpack("!cI", self._read(s, 5))
        return self._read(s, length - 4)

    @staticmethod
    def _read(s, count):
        data = b""
        while len(data) < count:
            piece = s.recv(count - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()


@pytest.fixture
def hostile():
    made = []

    def make(first):
        made.append(HostileServer(first))
        return made[-1]

    yield make
    for server in made:
        server.close()


def test_a_login_that_hashes_for_minutes_delays_nobody(make_pooler):
    pooler = make_pooler(auth_type="plain", workers=1, users={"slow": ENDLESS, "app": password_of("app")})
    fast = pooler.connect()
    slow = pooler.raw()
    slow.send(wire.startup_packet({"user": "slow", "database": "lab"}))
    assert slow.read()[:2] == ("R", 3)
    slow.send(message("p", b"anything\0"))
    # what it sends out of turn waits, and is bounded
    slow.send(wire.query("select 'too early'"))
    for n in range(50):
        assert fast.value(f"select {n}") == str(n)
    assert pooler.connect().value("select 'new'") == "new"
    assert not has_answer(slow)


def test_many_logins_at_once_of_a_user_with_a_plain_password(make_pooler):
    pooler = make_pooler(workers=1, scram_iterations=200_000)
    clients, challenges = [], []
    for _ in range(20):
        c = pooler.raw()
        c.send(wire.startup_packet({"user": "app", "database": "lab"}))
        assert c.read()[:2] == ("R", 10)
        data = wire.Scram(password_of("app")).first_message()
        c.send(data)
        clients.append(c)
    for c in clients:
        got = c.read()
        assert got[:2] == ("R", 11)
        challenges.append(got[2].split(b",", 1)[1])
    assert len(set(challenges)) == 1 and challenges[0].endswith(b"i=200000")


def test_a_server_that_asks_for_many_rounds_stalls_nobody(make_pooler, hostile):
    server = hostile(b"r=%rserver,s=" + base64.b64encode(b"salt") + b",i=1000000")
    pooler = make_pooler(workers=1, databases={"lab": {}, "slow": {"port": server.port}}, auth_type="trust")
    fast = pooler.connect()
    slow = pooler.raw()
    slow.send(wire.startup_packet({"user": "app", "database": "slow"}))
    for n in range(20):
        assert fast.value(f"select {n}") == str(n)
    wait_until(lambda: server.answers, "the proof")
    assert b",p=" in server.answers[0]
    assert fast.value("select 'after'") == "after"


@pytest.mark.parametrize(
    "first, reason",
    [
        (b"r=%rserver,s=c2FsdA==,i=1000001", "iteration count"),
        (b"r=%rserver,s=c2FsdA==,i=99999999999999999999", "iteration count"),
        (b"r=%rserver,s=c2FsdA==,i=0", "iteration count"),
        (b"r=%rserver,s=c2FsdA==,i=-1", "iteration count"),
        (b"r=%r" + b"x" * 3000 + b",s=c2FsdA==,i=1", "nonce"),
        (b"r=somebody-elses,s=c2FsdA==,i=1", "nonce"),
        (b"r=%r,s=c2FsdA==,i=1", "nonce"),
        (b"r=%rserver,s=c2FsdA==", "attribute"),
        (b"r=%rserver,s=,i=1", "attribute"),
        (b"", "malformed"),
        (b"m=x,r=%rserver,s=c2FsdA==,i=1", "extension"),
        (b"x" * 100_000, "too long"),
    ],
)
def test_a_hostile_server_fails_its_own_pool_alone(make_pooler, hostile, first, reason):
    server = hostile(first)
    pooler = make_pooler(databases={"lab": {}, "bad": {"port": server.port}}, auth_type="trust")
    fast = pooler.connect()
    with pytest.raises(wire.ServerError) as info:
        pooler.connect(database="bad")
    assert info.value.severity == "FATAL" and "server login failed" in info.value.message and reason in info.value.message
    assert not server.answers
    assert fast.value("select 1") == "1"


def test_a_password_of_65535_bytes(make_pooler):
    longest = "x" * 65_535
    users = {"long": longest, "app": password_of("app")}
    pooler = make_pooler(auth_type="plain", databases={"lab": {"user": "trust_user"}}, users=users)
    assert pooler.connect("long", longest).value("select 1") == "1"
    with pytest.raises(wire.ServerError) as info:
        pooler.connect("long", longest[:-1] + "y")
    assert "password authentication failed" in info.value.message
    with pytest.raises(wire.ServerError) as info:
        pooler.connect("long", longest + "x")
    assert info.value.message == "password too long"
