"""Thousands of raw clients in one epoll loop: each asks for rows that carry its own name and checks every one.

A `Member` has one exchange under way at a time: a burst of bytes, and what its answer may hold. Whatever arrives that
it did not ask for is a `Problem`. Members may be told to vanish, to cancel, to fail, and to come back.
"""
import random
import select
import socket
import struct
import time

import wire
from wire import ask, bind, close, describe, execute, flush, parse, query, sync


class Problem(AssertionError):
    pass


class Exchange:
    """One burst and its answer: `rows` in order, `ready` ReadyForQuery messages, which errors may be among them."""

    def __init__(self, burst, rows, ready, errors=(), may_fail=()):
        self.burst, self.rows, self.ready, self.errors, self.may_fail = burst, rows, ready, list(errors), may_fail


class Member:
    def __init__(self, swarm, number):
        self.swarm, self.number, self.turn = swarm, number, 0
        self.random = random.Random(number)
        self.socket = self.exchange = self.key = None
        self.prepared, self.generation = set(), 0
        self.buffer, self.out = bytearray(), b""

    # life

    def connect(self):
        self.generation += 1
        self.prepared.clear()
        self.buffer.clear()
        self.exchange = self.key = None
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect_ex(self.swarm.address)
        self.swarm.register(self)
        self.out = wire.startup_packet({"user": self.swarm.user, "database": self.swarm.database, "application_name": f"member-{self.number}"})
        self.want_write()

    def vanish(self, rudely):
        self.swarm.unregister(self)
        if rudely:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
        self.socket = None

    # sending

    def send(self, data):
        self.out += data
        self.want_write()

    def want_write(self):
        try:
            sent = self.socket.send(self.out)
            self.out = self.out[sent:]
        except (BlockingIOError, OSError):
            pass  # not connected yet, or full: epoll tells; a dead socket is told by reading
        self.swarm.watch(self, bool(self.out))

    # receiving

    def readable(self):
        try:
            part = self.socket.recv(262144)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        if not part:
            return self.swarm.lost(self)
        self.buffer += part
        buffer, at = self.buffer, 0
        while len(buffer) - at >= 5:
            size = struct.unpack_from("!I", buffer, at + 1)[0] + 1
            if len(buffer) - at < size:
                break
            generation = self.generation
            self.message(chr(buffer[at]), bytes(buffer[at + 5 : at + size]))
            if self.socket is None or self.generation != generation:
                return
            at += size
        del buffer[:at]

    def message(self, kind, body):
        if self.exchange is None:  # logging in
            if kind == "K":
                self.key = (struct.unpack_from("!I", body)[0], body[4:])
            elif kind == "E":
                self.swarm.lost(self, wire.decode("E", body)[1])
            elif kind == "Z":
                if self.key is None:
                    raise Problem(f"{self.name}: ReadyForQuery that nobody asked for")
                self.swarm.logged_in(self)
            elif kind not in "RSNv":
                raise Problem(f"{self.name}: {kind} {body[:200]!r} outside any exchange")
            return
        x = self.exchange
        if kind == "D":
            row = wire.decode("D", body)[1]
            if not x.rows or x.rows[0] != row[0]:
                if x.may_fail and row[0] in x.rows:  # rows behind an error that was allowed to happen
                    while x.rows[0] != row[0]:
                        x.rows.pop(0)
                else:
                    raise Problem(f"{self.name} got {row[0]!r}, it asked for {x.rows[:3]!r}")
            x.rows.pop(0)
            self.swarm.rows += 1
        elif kind == "E":
            fields = wire.decode("E", body)[1]
            if fields["S"] == "FATAL":
                return self.swarm.lost(self, fields)
            if x.errors and x.errors[0] == fields["C"]:
                x.errors.pop(0)
            elif fields["C"] in x.may_fail:
                x.failed = True
            else:
                raise Problem(f"{self.name} got {fields}, it asked for rows {x.rows[:3]!r}")
        elif kind == "Z":
            x.ready -= 1
            if body != b"I" and x.ready == 0:
                raise Problem(f"{self.name}: left in status {body!r}")
            if x.ready == 0:
                if not getattr(x, "failed", False) and (x.rows or x.errors):
                    raise Problem(f"{self.name} never got {x.rows[:3]!r} {x.errors!r}")
                self.exchange = None
                self.turn += 1
                self.swarm.exchanges += 1
                self.swarm.finished(self)
        elif kind not in "123CTtnNSI":
            raise Problem(f"{self.name} got {kind} {body[:100]!r}")

    @property
    def name(self):
        return f"member {self.number} in turn {self.turn}"

    # what to ask

    def begin(self, exchange):
        self.exchange = exchange
        self.send(exchange.burst)

    def tag(self, more=""):
        return f"{self.number}/{self.turn}{more}"


def simple(m):
    return Exchange(query(f"select '{m.tag()}'"), [m.tag()], 1)


def several_rows(m):
    n = m.random.randrange(1, 30)
    return Exchange(query(f"select '{m.tag()}/' || i, repeat('{m.number} ', 50) from generate_series(1, {n}) i"), [m.tag(f"/{i}") for i in range(1, n + 1)], 1)


def extended(m):
    return Exchange(ask("select $1::text", [m.tag()]) + sync(), [m.tag()], 1)


def pipeline(m):
    n = m.random.randrange(2, 8)
    parts = [ask("select $1::text", [m.tag(f"/{i}")]) + m.random.choice([b"", flush(), sync()]) for i in range(n)]
    burst = b"".join(parts) + sync()
    return Exchange(burst, [m.tag(f"/{i}") for i in range(n)], 1 + sum(p.endswith(sync()) for p in parts))


def transaction(m):
    return Exchange(query("begin") + query(f"select '{m.tag('/a')}'") + query(f"select '{m.tag('/b')}'") + query("commit"), [m.tag("/a"), m.tag("/b")], 4)


def prepared(m):
    """The same names with different texts in every client; sometimes closed."""
    name = f"s{m.random.randrange(3)}"
    burst = b""
    if name not in m.prepared:
        burst = parse(name, f"select '{m.number}/' || $1::text /* {name} */")
        m.prepared.add(name)
    burst += bind(name, [str(m.turn)]) + describe("", "P") + execute()
    if m.random.random() < 0.2:
        burst += close(name)
        m.prepared.discard(name)
    return Exchange(burst + sync(), [m.tag()], 1)


def prepared_pipeline(m):
    burst = b""
    for name in ("s0", "s1", "s2"):
        if name not in m.prepared:
            burst += parse(name, f"select '{m.number}/' || $1::text /* {name} */")
            m.prepared.add(name)
        burst += bind(name, [f"{m.turn}/{name}"]) + execute()
    return Exchange(burst + sync(), [m.tag(f"/{n}") for n in ("s0", "s1", "s2")], 1)


def unnamed_across_sync(m):
    return Exchange(parse("", f"select '{m.number}/' || $1::text") + sync() + bind("", [str(m.turn)]) + execute() + sync(), [m.tag()], 2)


def error(m):
    return Exchange(query(f"select '{m.tag()}'") + query("select 1/0"), [m.tag()], 2, errors=["22012"])


def error_in_pipeline(m):
    return Exchange(ask("select $1::text", [m.tag()]) + ask("select 1/0") + ask("select 'skipped'") + sync(), [m.tag()], 1, errors=["22012"])


def cancelled(m):
    """Sleeps, and is perhaps cancelled by its own request: nobody else may ever get the 57014."""
    m.swarm.cancel_soon(m)
    return Exchange(query(f"select '{m.tag()}', pg_sleep(0.005)"), [m.tag()], 1, may_fail=("57014",))


class Swarm:
    """Runs `count` members for `turns` exchanges each. `chaos` is the chance that a member vanishes in mid-exchange."""

    def __init__(self, address, count, kinds, turns, user="app", database="lab", chaos=0.0, losses_allowed=False, seed=0):
        self.address, self.user, self.database = address, user, database
        self.kinds, self.turns, self.chaos, self.losses_allowed = kinds, turns, chaos, losses_allowed
        self.random = random.Random(seed)
        self.epoll = select.epoll()
        self.by_fd, self.watched = {}, {}
        self.rows = self.exchanges = self.lost_count = self.vanished = 0
        self.members = [Member(self, i) for i in range(count)]
        self.unfinished = set(self.members)
        self.to_connect, self.logging_in = list(self.members), 0
        self.vanishing, self.to_cancel = [], []
        self.on_progress = None

    def register(self, m):
        self.by_fd[m.socket.fileno()] = m
        self.watched[m.socket.fileno()] = select.EPOLLIN | select.EPOLLOUT
        self.epoll.register(m.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def unregister(self, m):
        self.epoll.unregister(m.socket.fileno())
        del self.by_fd[m.socket.fileno()], self.watched[m.socket.fileno()]

    def watch(self, m, writing):
        wanted = select.EPOLLIN | (select.EPOLLOUT if writing else 0)
        fd = m.socket.fileno()
        if self.watched[fd] != wanted:
            self.watched[fd] = wanted
            self.epoll.modify(fd, wanted)

    def logged_in(self, m):
        self.logging_in -= 1
        self.next(m)

    def finished(self, m):
        if self.on_progress:
            self.on_progress(self)
        self.next(m)

    def next(self, m):
        if m.turn >= self.turns:
            self.unfinished.discard(m)
            m.vanish(rudely=False)
            return
        m.begin(m.random.choice(self.kinds)(m))
        if self.chaos and m.random.random() < self.chaos:
            self.vanishing.append(m)

    def lost(self, m, fields=None):
        """The other side ended it."""
        if not self.losses_allowed:
            raise Problem(f"{m.name} lost its connection: {fields}")
        if m.exchange is None:
            self.logging_in -= 1
        self.lost_count += 1
        m.vanish(rudely=False)
        self.to_connect.append(m)

    def cancel_soon(self, m):
        self.to_cancel.append((m, m.key))

    def run(self):
        """Until everybody asked everything, or nothing moves for HANG seconds."""
        last = time.monotonic()
        try:
            while self.unfinished:
                while self.to_connect and self.logging_in < 100:
                    self.logging_in += 1
                    self.to_connect.pop().connect()
                events = self.epoll.poll(1)
                if events:
                    last = time.monotonic()
                elif time.monotonic() - last > wire.HANG:
                    stuck = [m for m in self.unfinished if m.socket]
                    raise Problem(f"nothing moves; {len(self.unfinished)} unfinished, such as {stuck[0].name if stuck else None} waiting for {stuck[0].exchange and stuck[0].exchange.rows[:3] if stuck else None}")
                for fd, event in events:
                    m = self.by_fd.get(fd)
                    if m is None:
                        continue
                    if event & select.EPOLLOUT and m.out is not None:
                        m.want_write()
                    if event & ~select.EPOLLOUT and m.socket is not None:
                        m.readable()
                for m in self.vanishing:
                    if m.socket is not None and m.exchange is not None:
                        m.vanish(rudely=self.random.random() < 0.5)
                        self.vanished += 1
                        m.turn += 1
                        self.to_connect.append(m)
                self.vanishing.clear()
                cancels, self.to_cancel = self.to_cancel, []
                for m, key in cancels:
                    if self.random.random() < 0.7:
                        wire.cancel(self.address, key)
        finally:
            for m in self.members:
                if m.socket:
                    m.socket.close()
            self.epoll.close()
        return self
