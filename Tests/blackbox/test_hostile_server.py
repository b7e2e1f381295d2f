"""What a broken or hostile server sends harms nobody but the client that wanted it."""
import base64
import hashlib
import hmac
import socket
import struct
import threading

import pytest

import wire
from postgres import password_of
from processes import free_port
from wire import message

pytestmark = [pytest.mark.poolers_only, pytest.mark.sluice_only("what a server that breaks the protocol costs whom, in Sluice's words")]


class FakeServer:
    """Listens like PostgreSQL and answers each connection with `talk(socket)`, after the startup packet."""

    def __init__(self, talk):
        self.port, self.talk, self.connections = free_port(), talk, []
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(16)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(s)
            threading.Thread(target=self._one, args=(s,), daemon=True).start()

    def _one(self, s):
        # who has connected may leave at any moment, and before it has sent a byte
        try:
            self.answer_one(s)
        except (OSError, struct.error):
            pass

    def answer_one(self, s):
        length = struct.unpack("!I", s.recv(4, socket.MSG_WAITALL))[0]
        s.recv(length - 4, socket.MSG_WAITALL)
        self.talk(s)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for s in self.connections:
            s.close()
        self.thread.join(10)


@pytest.fixture
def behind(make_pooler):
    """behind(talk) is a pooler: database fake is served by `talk`, database lab by PostgreSQL."""
    servers = []

    def make(talk, **more):
        server = FakeServer(talk)
        servers.append(server)
        pooler = make_pooler(databases={"lab": {}, "fake": {"host": "127.0.0.1", "port": server.port}}, **dict({"server_login_retry": 3600, "client_login_timeout": 10}, **more))
        return pooler

    yield make
    for server in servers:
        server.close()


def refused(pooler):
    """What the client of the fake database hears; the other database's client must not notice."""
    bystander = pooler.connect()
    bystander.rows("begin")
    with pytest.raises(wire.ServerError) as caught:
        pooler.connect(database="fake")
    assert bystander.rows("select 1") == [("1",)] and pooler.alive()
    return caught.value


def auth(code, body=b""):
    return message("R", struct.pack("!I", code) + body)


OK = auth(0)
READY = message("Z", b"I")


def scram_first(s, iterations=b"4096", nonce=None, salt=b"c2FsdHNhbHQ="):
    """Asks for SCRAM and sends a challenge; returns what the exchange needs."""
    s.sendall(auth(10, b"SCRAM-SHA-256\0\0"))
    head = s.recv(5, socket.MSG_WAITALL)
    first = s.recv(struct.unpack("!I", head[1:])[0] - 4, socket.MSG_WAITALL)
    bare = first.split(b"\0", 1)[1][4:].split(b",", 2)[2]
    client_nonce = bare.split(b"r=")[1]
    challenge = b"r=" + (client_nonce + b"server" if nonce is None else client_nonce + nonce) + b",s=" + salt + b",i=" + iterations
    s.sendall(auth(11, challenge))
    head = s.recv(5, socket.MSG_WAITALL)
    final = s.recv(struct.unpack("!I", head[1:])[0] - 4, socket.MSG_WAITALL) if len(head) == 5 else b""
    return bare, challenge, final


def hold(s):
    while s.recv(4096):
        pass


CHALLENGES = {
    "a million and one rounds": {"iterations": b"1000001"},
    "two billion rounds": {"iterations": b"2147483647"},
    "more rounds than a number holds": {"iterations": b"99999999999999999999"},
    "no rounds": {"iterations": b"0"},
    "a negative number of rounds": {"iterations": b"-1"},
    "a nonce of 100 kB": {"nonce": b"n" * 100_000},
    "a nonce of 900 kB": {"nonce": b"n" * 900_000},
    "a nonce with a comma": {"nonce": b"a,b"},
    "an empty salt": {"salt": b""},
    "a salt that is no base64": {"salt": b"###"},
    "a salt of 500 kB": {"salt": base64.b64encode(b"s" * 500_000)},
}


@pytest.mark.parametrize("name", CHALLENGES)
def test_scram_challenges(behind, name):
    def talk(s):
        scram_first(s, **CHALLENGES[name])
        hold(s)

    pooler = behind(talk)
    assert "server login failed" in refused(pooler).message
    pooler.wait_log("closing because: login failed")


def test_another_nonce(behind):
    def talk(s):
        s.sendall(auth(10, b"SCRAM-SHA-256\0\0"))
        s.recv(4096)
        s.sendall(auth(11, b"r=somebodyelses,s=c2FsdA==,i=4096"))
        hold(s)

    assert "server login failed" in refused(behind(talk)).message


def test_a_wrong_signature(behind):
    """Whoever can't prove that it knows the secret is not the server that the client means."""

    def talk(s):
        scram_first(s)
        s.sendall(auth(12, b"v=" + base64.b64encode(b"x" * 32)) + OK + READY)
        hold(s)

    assert refused(behind(talk)).message == "server login failed: invalid server signature"


def test_no_signature_at_all(behind):
    def talk(s):
        scram_first(s)
        s.sendall(OK + READY)
        hold(s)

    assert "server login failed" in refused(behind(talk)).message


def test_a_right_signature_is_let_in(behind):
    """That the refusals above are about what they say."""

    def talk(s):
        bare, challenge, final = scram_first(s)
        salted = hashlib.pbkdf2_hmac("sha256", password_of("app").encode(), b"saltsalt", 4096)
        server_key = hmac.digest(salted, b"Server Key", "sha256")
        messages = b",".join([bare, challenge, final.rsplit(b",p=", 1)[0]])
        s.sendall(auth(12, b"v=" + base64.b64encode(hmac.digest(server_key, messages, "sha256"))))
        s.sendall(OK + message("S", b"server_version\0" + b"15.0\0") + message("K", struct.pack("!II", 1, 2)) + READY)
        hold(s)

    pooler = behind(talk)
    assert pooler.connect(database="fake").parameters["server_version"] == "15.0"


def test_no_mechanism_that_anybody_knows(behind):
    def talk(s):
        s.sendall(auth(10, b"GS2-KRB5\0\0"))
        hold(s)

    assert refused(behind(talk)).message == "server login failed: none of the server's SASL authentication mechanisms are supported"


GREETINGS = {
    "an error without a SQLSTATE": message("E", b"SFATAL\0Mgo away\0\0"),
    "an error without a message": message("E", b"SFATAL\0C28000\0\0"),
    "an error without anything": message("E", b"\0"),
    "an error without its end": message("E", b"SFATAL\0Mgo"),
    "an error with an empty body": message("E"),
    "an error of 500 kB": message("E", b"SFATAL\0C28000\0M" + b"x" * 500_000 + b"\0\0"),
    "an unknown way to log in": auth(99),
    "half a request": message("R", b"\0\0"),
    "a request without a body": message("R"),
    "ready before the login": READY,
    "a row before the login": message("D", b"\0\0"),
    "a length of three": b"R\0\0\0\3",
    "a length above 2^31": b"R\x80\0\0\0",
    "a length of 2 GB": b"R\x7f\xff\xff\xff",
    "HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "zeros": b"\0" * 1000,
    "two thousand parameters": OK + message("S", b"a\0b\0") * 2000 + READY,
    "a parameter without a value": OK + message("S", b"a\0") + READY,
    "the old error format": b"Eno such database\0",
}


@pytest.mark.parametrize("name", GREETINGS)
def test_answers_to_the_startup_packet(behind, name):
    def talk(s):
        s.sendall(GREETINGS[name])
        hold(s)

    pooler = behind(talk, server_connect_timeout=2, client_login_timeout=4)
    error = refused(pooler)
    assert error.severity == "FATAL" and error.code and error.message
    if name == "an error without a SQLSTATE":
        assert (error.code, error.message) == ("08P01", "go away")


def test_a_login_in_single_bytes(behind):
    """Messages come in as many pieces as the network likes."""

    def talk(s):
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in OK + message("S", b"server_version\0" + b"15.0\0") + message("K", struct.pack("!II", 1, 2)) + message("N", b"SNOTICE\0Mhello\0\0") + READY:
            s.sendall(bytes([byte]))
        hold(s)

    assert behind(talk).connect(database="fake").parameters["server_version"] == "15.0"


ANSWERS = {
    "an error without a SQLSTATE": (message("E", b"SERROR\0Mno code\0\0") + READY, False),
    "an error without anything": (message("E", b"\0") + READY, False),
    "a length above 2^31": (b"D\x80\0\0\0", True),
    "a length of three": (b"D\0\0\0\3", True),
    "a message nobody knows": (message("\x02"), True),
    "ready with a status of its own": (message("Z", b"X"), True),
    "ready without a status": (message("Z"), True),
    "a second greeting": (OK, True),
    "parse complete for a query": (message("1"), True),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_to_a_query(behind, name):
    answer, ends = ANSWERS[name]

    def talk(s):
        s.sendall(OK + message("K", struct.pack("!II", 1, 2)) + READY)
        while True:
            head = s.recv(5, socket.MSG_WAITALL)
            if len(head) < 5:
                return
            s.recv(struct.unpack("!I", head[1:])[0] - 4, socket.MSG_WAITALL)
            s.sendall(answer)

    pooler = behind(talk)
    bystander = pooler.connect()
    bystander.rows("begin")
    client = pooler.connect(database="fake")
    client.send(wire.query("select 1"))
    if ends:
        error = client.read_to_end().errors[-1]
        assert error.severity == "FATAL" and error.code == "08006"
    else:
        assert client.read_until("Z").errors
    assert bystander.rows("select 1") == [("1",)] and pooler.alive()


def questions(s):
    """The messages of whoever is connected, (type, body)."""
    while True:
        head = s.recv(5, socket.MSG_WAITALL)
        if len(head) < 5:
            return
        yield head[:1], s.recv(struct.unpack("!I", head[1:])[0] - 4, socket.MSG_WAITALL)


ONE_ROW = message("T", struct.pack("!H", 1) + b"x\0" + bytes(18)) + message("D", struct.pack("!HI", 1, 1) + b"1") + message("C", b"SELECT 1\0")


def test_an_idle_server_with_half_a_notice_keeps_nobody_from_a_new_one(behind):
    # it can't change workers, and the one that wanted it asked for it again and again
    notice = message("N", b"SNOTICE\0C00000\0Mthe rest is late\0\0")

    def talk(s):
        s.sendall(OK + message("K", struct.pack("!II", 1, 2)) + READY)
        late = b""
        for kind, _ in questions(s):
            if kind == b"Q":
                s.sendall(late + ONE_ROW + READY + notice[:20])
                late = notice[20:]

    pooler = behind(talk, workers=4, default_pool_size=8)
    clients = [pooler.connect(database="fake") for _ in range(8)]
    for c in clients:
        assert c.value("select 1") == "1"


def served(s, number, query, late=b""):
    """Answers each query with the connection's number and `late` behind it, once."""
    s.sendall(OK + message("K", struct.pack("!II", 1, 2)) + READY)
    for kind, body in questions(s):
        if kind == b"Q":
            status = b"T" if body == b"begin\0" else b"I"
            behind, late = (late, b"") if body == query + b"\0" else (b"", late)
            row = message("D", struct.pack("!HI", 1, 1) + b"%d" % number)
            s.sendall(ONE_ROW[:ONE_ROW.index(b"D")] + row + message("C", b"SELECT 1\0") + message("Z", status) + behind)


@pytest.mark.parametrize("severity", ["WARNING", "ERROR", "FATAL"])
@pytest.mark.parametrize("mode", ["transaction", "session"])
@pytest.mark.parametrize("block", [False, True])
def test_an_error_that_nobody_is_owed_closes_its_server(behind, severity, mode, block):
    # it was passed to whoever had the server, or forgotten, and all later answers of that server were those to the question before
    numbers = iter(range(1, 10))
    error = message("E", f"S{severity}\0V{severity}\0C08P01\0Minvalid message length\0\0".encode())

    def talk(s):
        number = next(numbers)
        served(s, number, b"begin" if block else b"select 1", error if number == 1 else b"")

    pooler = behind(talk, workers=1, default_pool_size=1, pool_mode=mode)
    c = pooler.connect(database="fake")
    c.send(wire.query("begin" if block else "select 1"))
    seen = [c.read() for _ in range(4)]
    assert [m[0] for m in seen] == list("TDCZ"), seen
    if block or mode == "session":
        ends = c.read_to_end().errors
        assert [(e.severity, e.code) for e in ends] == [("FATAL", "08P01" if severity == "FATAL" else "08006")], ends
    pooler.wait_log("closing because: " + ("invalid message length" if severity == "FATAL" else "protocol violation"))
    c.close()
    for _ in range(2):
        with pooler.connect(database="fake") as other:
            assert other.value("select 2") == "2"


@pytest.mark.parametrize("readies", [0, 1, 2])
@pytest.mark.parametrize("leaves", [False, True])
def test_how_many_syncs_a_failed_copy_has_not_read_is_asked(behind, readies, leaves):
    # the Syncs behind a COPY that fails are answered where the COPY did not read them, and the error does not tell
    error = message("E", b"SERROR\0VERROR\0C22P04\0Mno\0\0")
    asked = []

    def talk(s):
        s.sendall(OK + message("K", struct.pack("!II", 1, 2)) + READY)
        syncs, state = 0, "idle"
        for kind, body in questions(s):
            asked.append(kind + body[:9])
            if state == "idle":
                if kind == b"H":
                    s.sendall(message("1") + message("2") + message("G", b"\0\0\0"))
                    state = "copy"
                elif kind == b"S":
                    s.sendall(READY)
                elif kind == b"Q":
                    s.sendall(ONE_ROW + READY)
            elif state == "copy":
                if kind == b"S":
                    syncs += 1
                if syncs == 2:
                    # It failed before the Syncs that are now answered, and the others it has read.
                    s.sendall(error + READY * readies)
                    state = "failed" if readies else "skipping"
            elif kind == b"S":
                s.sendall(READY)
                state = "failed"
            elif kind == b"C" and state == "failed":
                s.sendall(message("3"))
            elif kind == b"Q" and state == "failed":
                s.sendall(ONE_ROW + READY)

    pooler = behind(talk, workers=1, default_pool_size=1)
    c = pooler.connect(database="fake")
    c.send(
        wire.parse("", "copy t from stdin"), wire.bind(), wire.execute(), wire.copy_data(b"bad\n"), wire.sync(), wire.sync(),
        wire.query("select 5"), wire.sync(),
    )
    if leaves:
        c.close()
    else:
        # What comes behind a Sync that the COPY has read is skipped up to the next one.
        expected = "12GE" + ("Z" * readies + "TDCZZ" if readies else "Z")
        seen = [c.read()[0] for _ in expected]
        assert "".join(seen) == expected
    other = pooler.connect(database="fake")
    assert other.query("select 1").tags == ["SELECT 1"]
    assert other.query("select 2").tags == ["SELECT 1"]
    assert b"CPSLUICE_" in b"".join(asked), asked
