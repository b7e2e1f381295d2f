"""The PostgreSQL protocol, byte by byte: what a driver would hide, a test must see.

`Client` is a blocking raw connection. Messages that leave are built by the small functions at module level
(`parse`, `bind`, `sync`, ...) and joined into whatever bursts a test wants. Messages that arrive are tuples whose
first element is the message's letter: ('D', ('1', None)), ('C', 'SELECT 1'), ('Z', 'I'), ('E', {...}).
"""
import base64
import hashlib
import hmac
import os
import re
import socket
import struct

PROTOCOL_3_0 = 3 << 16
PROTOCOL_3_2 = 3 << 16 | 2
CANCEL = 80877102
SSL = 80877103
GSSENC = 80877104
HANG = float(os.environ.get("BLACKBOX_HANG", 60))  # seconds after which an answer counts as never coming; says nothing about speed


class Closed(Exception):
    """The other side ended the connection."""


class Hang(AssertionError):
    """Nothing arrived for HANG seconds."""


class ServerError(Exception):
    """An ErrorResponse where a test expected an answer."""

    def __init__(self, fields):
        super().__init__(f"{fields.get('S')} {fields.get('C')}: {fields.get('M')}")
        self.fields, self.severity, self.code, self.message = fields, fields.get("S"), fields.get("C"), fields.get("M")


# --- messages that leave ---------------------------------------------------------------------------------------


def message(kind, body=b""):
    return kind.encode() + struct.pack("!I", len(body) + 4) + body


def text(value):
    return (value if isinstance(value, bytes) else value.encode()) + b"\0"


def startup_packet(parameters, protocol=PROTOCOL_3_0):
    """`parameters`: a dict, or pairs where the order or a repetition matters."""
    pairs = parameters.items() if isinstance(parameters, dict) else parameters
    body = b"".join(text(k) + text(v) for k, v in pairs) + b"\0"
    return struct.pack("!II", len(body) + 8, protocol) + body


def request_packet(code, body=b""):
    return struct.pack("!II", len(body) + 8, code) + body


def query(sql):
    return message("Q", text(sql))


def parse(name, sql, types=()):
    return message("P", text(name) + text(sql) + struct.pack(f"!H{len(types)}I", len(types), *types))


def bind(name="", values=(), portal="", formats=(), result_formats=()):
    body = text(portal) + text(name) + struct.pack(f"!H{len(formats)}H", len(formats), *formats) + struct.pack("!H", len(values))
    for value in values:
        if value is None:
            body += b"\xff\xff\xff\xff"
        else:
            value = value if isinstance(value, bytes) else str(value).encode()
            body += struct.pack("!I", len(value)) + value
    return message("B", body + struct.pack(f"!H{len(result_formats)}H", len(result_formats), *result_formats))


def describe(name="", what="S"):
    return message("D", what.encode() + text(name))


def execute(portal="", limit=0):
    return message("E", text(portal) + struct.pack("!I", limit))


def close(name="", what="S"):
    return message("C", what.encode() + text(name))


def sync():
    return message("S")


def flush():
    return message("H")


def copy_data(data):
    return message("d", data)


def copy_done():
    return message("c")


def copy_fail(reason):
    return message("f", text(reason))


def terminate():
    return message("X")


def function_call(oid, *arguments):
    """All arguments and the result in binary."""
    body = struct.pack("!IHHH", oid, 1, 1, len(arguments))
    for argument in arguments:
        body += struct.pack("!I", len(argument)) + argument
    return message("F", body + struct.pack("!H", 1))


def ask(sql, values=(), name="", types=()):
    """Parse to Execute, without a Sync."""
    return parse(name, sql, types) + bind(name, values) + execute()


# --- messages that arrive --------------------------------------------------------------------------------------


def _text(data):
    return data.decode("utf-8", "surrogateescape")


def decode(kind, body):
    if kind in "EN":
        fields = {}
        for part in body.split(b"\0"):
            if part:
                fields[chr(part[0])] = _text(part[1:])
        return kind, fields
    if kind == "D":
        count, at, values = struct.unpack_from("!H", body)[0], 2, []
        for _ in range(count):
            size = struct.unpack_from("!i", body, at)[0]
            at += 4
            values.append(None if size < 0 else _text(body[at : at + size]))
            at += max(size, 0)
        return kind, tuple(values)
    if kind == "C":
        return kind, _text(body[:-1])
    if kind == "Z":
        return kind, chr(body[0])
    if kind == "T":
        count, at, names = struct.unpack_from("!H", body)[0], 2, []
        for _ in range(count):
            end = body.index(b"\0", at)
            names.append(_text(body[at:end]))
            at = end + 19
        return kind, tuple(names)
    if kind == "t":
        return kind, struct.unpack(f"!{struct.unpack_from('!H', body)[0]}I", body[2:])
    if kind == "S":
        name, value = body[:-1].split(b"\0")
        return kind, _text(name), _text(value)
    if kind == "K":
        return kind, struct.unpack_from("!I", body)[0], body[4:]
    if kind == "R":
        return kind, struct.unpack_from("!I", body)[0], body[4:]
    if kind == "A":
        channel, payload = body[4:-1].split(b"\0")
        return kind, struct.unpack_from("!I", body)[0], _text(channel), _text(payload)
    if kind == "v":
        return kind, struct.unpack_from("!I", body)[0], [_text(p) for p in body[8:-1].split(b"\0") if p]
    if kind == "V":
        size = struct.unpack_from("!i", body)[0]
        return kind, None if size < 0 else body[4:]
    if kind in "dGHW":
        return kind, body
    return (kind,)


class Reply(list):
    """Messages of one answer, with shortcuts."""

    @property
    def kinds(self):
        """The answer's shape, such as '12DCZ'; notices and parameter changes may come at any moment and are left out."""
        return "".join(m[0] for m in self if m[0] not in "NSA")

    @property
    def rows(self):
        return [m[1] for m in self if m[0] == "D"]

    @property
    def values(self):
        return [m[1][0] for m in self if m[0] == "D"]

    @property
    def tags(self):
        return [m[1] for m in self if m[0] == "C"]

    @property
    def errors(self):
        return [ServerError(m[1]) for m in self if m[0] == "E"]

    @property
    def error(self):
        errors = self.errors
        assert errors, f"an error was expected in {self!r}"
        return errors[0]

    @property
    def codes(self):
        return [e.code for e in self.errors]

    @property
    def notices(self):
        return [m[1] for m in self if m[0] == "N"]

    @property
    def parameters(self):
        return {m[1]: m[2] for m in self if m[0] == "S"}

    @property
    def status(self):
        return [m[1] for m in self if m[0] == "Z"][-1]

    def check(self):
        for error in self.errors:
            raise error
        return self


class Client:
    """One raw connection. `address` is (host, port) or the path of a Unix socket."""

    def __init__(self, address, user="app", password=None, database="app", parameters=None, protocol=PROTOCOL_3_0, login=True):
        self.address, self.user, self.password = address, user, password
        self.buffer, self.key, self.parameters, self.greeting = bytearray(), None, {}, Reply()
        self.socket = connect(address)
        if login:
            pairs = [("user", user)] + ([("database", database)] if database else [])
            pairs += list(parameters.items() if isinstance(parameters, dict) else parameters or ())
            try:
                self.send(startup_packet(pairs, protocol))
                self.greeting = self.login()
            except BaseException:
                self.close()
                raise

    # connection life

    def login(self):
        """Answers what is asked until ReadyForQuery; raises ServerError when refused."""
        seen, scram = Reply(), None
        while True:
            got = self.read()
            seen.append(got)
            if got[0] == "E":
                raise ServerError(got[1])
            if got[0] == "K":
                self.key = (got[1], got[2])
            if got[0] == "Z":
                self.parameters = seen.parameters
                return seen
            if got[0] == "R":
                if got[1] == 3:
                    self.send(message("p", text(self.password)))
                elif got[1] == 5:
                    self.send(message("p", text(md5_answer(self.user, self.password, got[2]))))
                elif got[1] == 10:
                    scram = Scram(self.password)
                    self.send(scram.first_message())
                elif got[1] == 11:
                    self.send(scram.final_message(got[2].decode()))
                elif got[1] == 12:
                    scram.verify(got[2].decode())

    def close(self):
        self.socket.close()

    def terminate(self):
        self.send(terminate())
        self.close()

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Ends with a TCP RST, as a crashed machine or an impatient proxy does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # sending and reading

    def send(self, *parts):
        try:
            self.socket.sendall(b"".join(parts))
        except (BrokenPipeError, ConnectionResetError) as e:
            raise Closed(str(e)) from e

    def _receive(self):
        try:
            part = self.socket.recv(262144)
        except TimeoutError as e:
            raise Hang(f"no answer within {HANG} s; unfinished input: {bytes(self.buffer[:60])!r}") from e
        except ConnectionResetError as e:
            raise Closed("connection reset") from e
        if not part:
            raise Closed("end of stream")
        self.buffer += part

    def read_byte(self):
        while not self.buffer:
            self._receive()
        byte = bytes(self.buffer[:1])
        del self.buffer[:1]
        return byte

    def read_raw(self):
        """(letter, body) of the next message."""
        while len(self.buffer) < 5:
            self._receive()
        kind, size = chr(self.buffer[0]), struct.unpack_from("!I", self.buffer, 1)[0]
        assert size >= 4, f"a length of {size} in message {kind!r}"
        while len(self.buffer) < size + 1:
            self._receive()
        body = bytes(self.buffer[5 : size + 1])
        del self.buffer[: size + 1]
        return kind, body

    def read(self):
        return decode(*self.read_raw())

    def read_until(self, *kinds):
        """Everything up to and including the first message of one of these letters."""
        seen = Reply()
        while not seen or seen[-1][0] not in kinds:
            try:
                seen.append(self.read())
            except Closed as e:
                raise Closed(f"{e} after {seen[-5:]!r}") from e
        return seen

    def read_to_end(self):
        """Everything until the other side closes."""
        seen = Reply()
        while True:
            try:
                seen.append(self.read())
            except Closed:
                return seen

    def drain(self):
        """Reads up to ReadyForQuery and keeps nothing: (bytes, data rows). For results that do not fit in memory."""
        total = rows = need = 0
        data = self.buffer
        while True:
            at = 0
            while len(data) - at >= 5:
                size = struct.unpack_from("!I", data, at + 1)[0] + 1
                kind = data[at]
                if kind in b"ZE" and len(data) - at < size:
                    break
                total += size
                rows += kind == ord("D")
                if kind == ord("E"):
                    raise ServerError(decode("E", bytes(data[at + 5 : at + size]))[1])
                if len(data) - at < size:
                    need = size - (len(data) - at)
                    at = len(data)
                    break
                at += size
                if kind == ord("Z"):
                    del data[:at]
                    return total, rows
            del data[:at]
            while need:
                before = len(data)
                self._receive()
                taken = min(need, len(data) - before)
                del data[:taken]
                need -= taken
            if len(data) < 5 or data[0] in b"ZE" and len(data) < struct.unpack_from("!I", data, 1)[0] + 1:
                self._receive()

    # questions

    def run(self, *parts, ready=1):
        """Sends one burst, reads until that many ReadyForQuery."""
        self.send(*parts)
        seen = Reply()
        for _ in range(ready):
            seen += self.read_until("Z")
        return seen

    def query(self, sql):
        return self.run(query(sql))

    def rows(self, sql):
        return self.query(sql).check().rows

    def value(self, sql):
        return self.rows(sql)[0][0]

    def pid(self):
        """The process id of the backend behind this moment's transaction."""
        return int(self.value("select pg_backend_pid()"))

    def extended(self, sql, values=(), name=""):
        return self.run(ask(sql, values, name), sync())

    def cancel(self):
        """Asks for this client's running query to be cancelled; returns when the request was taken."""
        cancel(self.address, self.key)


def connect(address):
    if isinstance(address, str):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(HANG)
        s.connect("\0" + address[1:] if address.startswith("@") else address)
    else:
        s = socket.create_connection(address, HANG)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.settimeout(HANG)
    return s


def cancel(address, key):
    with connect(address) as s:
        s.sendall(request_packet(CANCEL, struct.pack("!I", key[0]) + key[1]))
        try:
            while s.recv(100):
                pass
        except ConnectionResetError:
            pass


# --- passwords -------------------------------------------------------------------------------------------------


def md5_secret(user, password):
    return "md5" + hashlib.md5((password + user).encode()).hexdigest()


def md5_answer(user, password, salt):
    return "md5" + hashlib.md5(md5_secret(user, password)[3:].encode() + salt).hexdigest()


def scram_secret(password, iterations=4096, salt=None):
    salt = salt or os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
    b64 = lambda data: base64.b64encode(data).decode()
    return f"SCRAM-SHA-256${iterations}:{b64(salt)}${b64(stored)}:{b64(_hmac(salted, b'Server Key'))}"


def _hmac(key, data):
    return hmac.digest(key, data, "sha256")


class Scram:
    salted_passwords = {}  # so that a thousand logins do not measure Python's PBKDF2

    def __init__(self, password, nonce=None):
        self.password = password or ""
        self.nonce = nonce or base64.b64encode(os.urandom(18)).decode()
        self.bare = f"n=,r={self.nonce}"

    def first_message(self, mechanism="SCRAM-SHA-256", header="n,,"):
        self.binding = base64.b64encode(header.encode()).decode()
        first = (header + self.bare).encode()
        return message("p", text(mechanism) + struct.pack("!I", len(first)) + first)

    def final_message(self, server_first):
        fields = dict(re.match(r"(\w)=(.*)", part).groups() for part in server_first.split(","))
        assert fields["r"].startswith(self.nonce) and fields["r"] != self.nonce
        key = (self.password, fields["s"], int(fields["i"]))
        salted = self.salted_passwords.get(key)
        if salted is None:
            salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
            self.salted_passwords[key] = salted
        without_proof = f"c={self.binding},r={fields['r']}"
        auth_message = f"{self.bare},{server_first},{without_proof}".encode()
        client_key = _hmac(salted, b"Client Key")
        signature = _hmac(hashlib.sha256(client_key).digest(), auth_message)
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(client_key, signature))).decode()
        self.server_signature = base64.b64encode(_hmac(_hmac(salted, b"Server Key"), auth_message)).decode()
        return message("p", f"{without_proof},p={proof}".encode())

    def verify(self, server_final):
        assert server_final == "v=" + self.server_signature, "the server does not know the password"
