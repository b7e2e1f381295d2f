"""Other clients of the same pool. Each asks for rows that carry its own mark, all the time, and looks at every message it gets."""
import random
import select
import socket
import struct
import time

import wire
from environment import USER
from grammar import LONG, SHARED_TEXTS
from pipeline import show_received
from wire import bind, close, copy_data, copy_done, describe, execute, flush, parse, query, sync

SILENCE = 12  # seconds without an answer


class Problem:
    def __init__(self, text, expected, got, detail=""):
        self.text, self.expected, self.got, self.detail = text, expected, got, detail

    @property
    def kind(self):
        first = next((show_received(g) for e, g in zip(self.expected, self.got) if not matches(e, g)), "nothing")
        return f"bystander: {self.text} ({' '.join(first.split(' ')[:3])[:40]})"

    def __str__(self):
        return "\n".join(
            [f"  {self.text} {self.detail}"]
            + ["  a bystander expected: " + "  ".join(_show_expected(e) for e in self.expected)]
            + ["  it got:               " + "  ".join(show_received(f) for f in self.got)]
        )


def _show_expected(expected):
    return f"{expected[0]} {expected[1]!r}" if expected[1] is not None else expected[0]


def row(*values):
    return ("D", struct.pack("!H", len(values)) + b"".join(struct.pack("!I", len(v)) + v for v in (str(v).encode() for v in values)))


def tag(text):
    return ("C", text.encode() + b"\0")


def ready(status="I"):
    return ("Z", status.encode())


def some(letter):
    return (letter, None)


def matches(expected, frame):
    if chr(frame[0]) != expected[0]:
        return False
    if expected[0] == "E":
        return expected[1] is None or b"C" + expected[1] + b"\0" in frame
    return expected[1] is None or frame[5:] == expected[1]


class Bystander:
    def __init__(self, group, number):
        self.group, self.number, self.random = group, number, group.random
        self.client = self.socket = None
        self.serial = 0

    def fileno(self):
        return self.socket.fileno()

    def connect(self):
        self.client = wire.Client(self.group.target.address, user=USER, password="x", database=self.group.lane.pooled)
        self.socket = self.client.socket
        self.socket.setblocking(False)
        self.buffer, self.got, self.expected = bytearray(), [], []
        self.prepared, self.in_transaction = {}, False
        self.next_at = time.monotonic()
        self.left = self.random.randint(3, 20) if self.group.lane.mode == "session" else self.random.randint(20, 400)

    def disconnect(self):
        if self.client:
            self.client.close()
        self.client = None

    # questions: (bytes, what must come)

    def token(self):
        self.serial += 1
        return f"by:{self.number}.{self.serial}.{self.random.randrange(1 << 30)}"

    def ask(self):
        dice, token = self.random.random(), self.token()
        status = ready("T" if self.in_transaction else "I")
        if self.in_transaction:
            if dice < 0.4:
                self.in_transaction = False
                return query("commit"), [tag("COMMIT"), ready()]
        elif dice < 0.06:
            self.in_transaction = True
            return query("begin"), [tag("BEGIN"), ready("T")]
        elif dice < 0.10:
            return query(f"select 1/0, '{token}'"), [some("E") if False else ("E", b"22012"), ready()]
        elif dice < 0.14:
            return query(f"copy mine from stdin") + copy_data(f"{self.number}\t{token}\n".encode()) + copy_done(), [some("G"), tag("COPY 1"), ready()]
        elif dice < 0.17:
            return query(f"begin;select '{token}';commit"), [tag("BEGIN"), some("T"), row(token), tag("SELECT 1"), tag("COMMIT"), ready()]
        dice = self.random.random()
        if dice < 0.30:
            return query(f"select '{token}'"), [some("T"), row(token), tag("SELECT 1"), status]
        if dice < 0.40:
            return query(f"copy (select '{token}') to stdout"), [some("H"), ("d", token.encode() + b"\n"), some("c"), tag("COPY 1"), status]
        if dice < 0.55:
            burst = parse("", f"select '{token}', $1::text") + bind("", [token]) + describe("", "P") + execute() + sync()
            return burst, [some("1"), some("2"), some("T"), row(token, token), tag("SELECT 1"), status]
        name = self.random.choice(["a", "b", "c", "r", "s", LONG, f"by{self.number}"])
        if name not in self.prepared:
            sql = self.random.choice(SHARED_TEXTS) if self.random.random() < 0.7 else f"select '{token}'"
            self.prepared[name] = sql
            return parse(name, sql) + describe(name) + sync(), [some("1"), some("t"), some("T"), status]
        if self.random.random() < 0.08:
            del self.prepared[name]
            return close(name) + sync(), [some("3"), status]
        sql = self.prepared[name]
        values = [token] if "$1" in sql else []
        result = {
            "select 42": [row("42"), tag("SELECT 1")],
            "select 'old'": [row("old"), tag("SELECT 1")],
            "select $1::text": [row(token), tag("SELECT 1")],
            "select 7 as seven, $1::text": [row("7", token), tag("SELECT 1")],
            "select generate_series(1, 3)": [row("1"), row("2"), row("3"), tag("SELECT 3")],
        }.get(sql) or [row(sql.split("'")[1]), tag("SELECT 1")]
        return bind(name, values) + execute() + sync(), [some("2")] + result + [status]

    # turns

    def act(self, now):
        """Sends something, when it is time."""
        if self.client is None:
            try:
                self.connect()
            except (wire.Closed, wire.ServerError, wire.Hang, OSError) as e:
                self.group.report(Problem(f"could not log in: {e}", [], []))
                self.client, self.next_at = None, now + 0.5
                return
        if self.expected or now < self.next_at:
            return
        if self.left <= 0 and not self.in_transaction:
            if self.random.random() < 0.7:
                try:
                    self.socket.send(wire.terminate())
                except OSError:
                    pass
            self.disconnect()
            self.next_at = now + self.random.random() * 0.01
            return
        self.left -= 1
        burst, self.expected = self.ask()
        self.got, self.since = [], now
        try:
            at = self.random.randrange(len(burst)) if self.random.random() < 0.1 else 0
            if at:
                self.socket.send(burst[:at])
            self.socket.send(burst[at:])
        except OSError:
            self.take()

    def take(self):
        ended = None
        try:
            part = self.socket.recv(65536)
            if not part:
                ended = "its connection was closed"
            self.buffer += part
        except BlockingIOError:
            return
        except OSError as e:
            ended = f"its connection: {e}"
        while len(self.buffer) >= 5:
            size = struct.unpack_from("!I", self.buffer, 1)[0] + 1
            if len(self.buffer) < size:
                break
            frame = bytes(self.buffer[:size])
            del self.buffer[:size]
            if frame[:1] == b"N" and b"No server connection available in postgres backend" in frame:
                continue  # the pooler's own word to who waits for a server
            if self.is_aside(frame):
                continue
            self.got.append(frame)
            if not self.expected:
                return self.wrong("a message that it had not asked for", [])
            if len(self.got) > len(self.expected) or not matches(self.expected[len(self.got) - 1], frame):
                return self.wrong("a wrong message", self.expected)
            if len(self.got) == len(self.expected):
                self.expected, self.got = [], []
                self.is_right_behind()
                self.group.answers += 1
                self.next_at = time.monotonic() + self.random.random() * self.group.pace
        if ended:
            self.wrong(ended, self.expected)

    def is_aside(self, frame):
        """It is no part of an answer."""
        return False

    def is_right_behind(self):
        """All of an answer has come."""

    def wrong(self, text, expected):
        self.group.report(Problem(text, expected, self.got))
        self.disconnect()
        self.next_at = time.monotonic()

    def look(self, now):
        if self.client and self.expected and now - self.since > SILENCE:
            self.wrong(f"no answer within {SILENCE} s", self.expected)


class Bystanders:
    """All of a lane, in the lane's own loop."""

    member = Bystander

    def __init__(self, target, lane, seed, pace=0.006):
        self.target, self.lane, self.pace = target, lane, pace
        self.random = random.Random(seed)
        self.answers, self.problems = 0, []
        self.members = [self.member(self, number) for number in range(lane.bystanders)]
        for member in self.members:
            member.next_at = 0

    def report(self, problem):
        self.problems.append(problem)

    def take_problems(self):
        problems, self.problems = self.problems, []
        return problems

    def waiting(self):
        return [member for member in self.members if member.client]

    def pause(self):
        now = time.monotonic()
        for member in self.members:
            member.act(now)
        return max(0.0005, min(0.05, min((m.next_at - now for m in self.members if not (m.client and m.expected)), default=0.05)))

    def turn(self, ready_ones):
        for one in ready_ones:
            if isinstance(one, Bystander) and one.client:
                one.take()
        now = time.monotonic()
        for member in self.members:
            member.look(now)

    def run_for(self, seconds, until=lambda: False):
        end = time.monotonic() + seconds
        while not until():
            left = end - time.monotonic()
            if left <= 0:
                return
            pause = min(left, self.pause())
            waiting = self.waiting()
            ready_ones = select.select(waiting, [], [], pause)[0]
            self.turn(ready_ones)

    def round(self):
        """Until each has got one answer more: what is wrong with any server shows now."""
        members = [m for m in self.members]
        before = self.answers
        self.run_for(SILENCE + 1, lambda: self.problems or self.answers >= before + len(members))

    def forget_connections(self):
        for member in self.members:
            member.disconnect()
            member.next_at = 0
            member.in_transaction, member.expected = False, []
