"""Bystanders with settings of their own: whatever others set, they have the values that they brought, and know no others.

What they expect is what PostgreSQL says to a client with the same startup parameters. Each question leaves everything as it was.
"""
import random
import time

import wire
from bystanders import Bystander, Bystanders, Problem
from environment import USER
from wire import bind, close, describe, execute, parse, query, sync

STARTS = [
    (),
    (("DateStyle", "German"), ("TimeZone", "Asia/Tokyo")),
    (("search_path", "two"), ("app.tenant", "bystander"), ("extra_float_digits", "0")),
    (("client_encoding", "LATIN1"), ("standard_conforming_strings", "off"), ("statement_timeout", "99s")),
    (("options", "-c datestyle=sql,dmy -c bytea_output=escape"), ("application_name", "bystander")),
    (("role", "ta"), ("IntervalStyle", "iso_8601")),
]
SHOWN = ["DateStyle", "TimeZone", "IntervalStyle", "client_encoding", "standard_conforming_strings", "application_name", "extra_float_digits",
    "bytea_output", "statement_timeout", "lock_timeout", "work_mem", "search_path", "role"]
TEXTS = [
    "select extract(month from '01/02/2020'::date), '2020-01-01 00:00'::timestamptz",
    r"select length('a\nb'), E'\\x41ff'::bytea::text",
    "select 0.1::float8 * 3, '1 day 02:03'::interval",
    "select length('\u00e4'), '\u00e4'",
    "select current_user, current_schema(), nullif(current_setting('app.tenant', true), '')",
    "select " + ", ".join(f"current_setting('{name}')" for name in SHOWN),
]
CHANGES = ["set local datestyle = 'SQL, MDY'", "set local timezone = 'UTC'", "set local statement_timeout = '55s'", "set local search_path = one",
    "set local app.tenant = 'other'", "set local bytea_output = hex", "set local role tb", "select set_config('timezone', 'Europe/Vienna', true)"]


class SettledBystander(Bystander):
    def connect(self):
        self.start = self.random.choice(self.group.starts)
        self.client = wire.Client(self.group.target.address, login=False)
        self.socket = self.client.socket
        # The login waits for a server, and the other bystanders must go on meanwhile.
        self.client.send(wire.startup_packet([("user", USER), ("database", self.group.lane.pooled), *self.start]))
        self.socket.setblocking(False)
        self.buffer, self.got, self.expected, self.since = bytearray(), [], [("Z", b"I")], time.monotonic()
        self.prepared, self.in_transaction = {}, False
        self.left = self.random.randint(3, 20) if self.group.lane.mode == "session" else self.random.randint(10, 100)
        self.known, self.wanted = {}, self.group.greeting(self.start)

    def tell_unknown(self):
        wrong = {name: (self.wanted.get(name), value) for name, value in self.known.items() if self.wanted.get(name) != value}
        self.group.report(Problem(f"told other values {sorted(wrong)}", [], [], f"brought {dict(self.start)}; right and told: {wrong}"))

    def ask(self):
        dice = self.random.random()
        if self.in_transaction:
            # It lets its server rest with it for a moment.
            self.in_transaction = False
            return query("commit"), self.group.answer(self.start, query("begin"), query("commit"))
        if dice < 0.1:
            self.in_transaction = True
            return query("begin"), self.group.answer(self.start, query("begin"))
        text = self.random.choice(TEXTS)
        if dice < 0.25:
            burst = query(text)
        elif dice < 0.4:
            burst = query("begin") + query(self.random.choice(CHANGES)) + query(text) + query("rollback")
        elif dice < 0.5:
            burst = query(f"begin;{self.random.choice(CHANGES)};{text};commit")
        elif dice < 0.6 and "TimeZone" not in dict(self.start):
            burst = query("set timezone = 'America/Lima'") + query("select '2020-01-01 00:00'::timestamptz") + query("reset timezone")
        elif dice < 0.65:
            burst = query("begin") + parse("", text) + bind() + execute() + sync() + query("select 1/0") + query("rollback")
        else:
            name = self.random.choice(["n", "m", "S_1"])
            if name in self.prepared:
                if dice < 0.7:
                    del self.prepared[name]
                    return close(name) + sync(), self.group.answer(self.start, close(name) + sync())
                before = parse(name, self.prepared[name]) + sync()
                burst = (describe(name) if dice < 0.8 else b"") + bind(name, result_formats=(1,) if dice < 0.85 else ()) + execute() + sync()
                return burst, self.group.answer(self.start, before, burst)
            self.prepared[name] = text
            burst = parse(name, text) + (describe(name) if dice < 0.8 else b"") + sync()
        return burst, self.group.answer(self.start, burst)

    def is_aside(self, frame):
        """ParameterStatus is taken for itself: in the end everything is as it was."""
        if frame[:1] in b"NRK":
            return True  # a Parse that the pooler answers has no notices
        if frame[:1] != b"S":
            return False
        name, value = (part.decode("utf-8", "surrogateescape") for part in frame[5:-1].split(b"\0"))
        if not name.startswith("pgbouncer."):
            self.known[name] = value
        return True

    def is_right_behind(self):
        """All of an answer has come."""
        if self.known != self.wanted:
            self.tell_unknown()
            self.known = dict(self.wanted)


class SettledBystanders(Bystanders):
    member = SettledBystander

    def __init__(self, target, lane, seed, pace=0.006):
        super().__init__(target, lane, seed, pace)
        chosen = random.Random(f"{seed} starts")
        self.starts = chosen.sample(STARTS, min(len(STARTS), max(2, lane.bystanders)))
        self.answers_of, self.greetings = {}, {}

    def session(self, start):
        return wire.Client(self.target.environment.postgres.socket_path, user=USER, database=self.lane.reference, parameters=start)

    def greeting(self, start):
        if start not in self.greetings:
            with self.session(start) as client:
                self.greetings[start] = client.parameters
        return self.greetings[start]

    def answer(self, start, *bursts):
        """What PostgreSQL answers to the last of these bursts; (letter, contents) of each message."""
        key = (start, *bursts)
        if key not in self.answers_of:
            with self.session(start) as client:
                for burst in bursts:
                    frames = raw_answer(client, burst)
                self.answers_of[key] = [expectation(frame) for frame in frames]
        return self.answers_of[key]


def raw_answer(client, burst):
    """All messages but ParameterStatus and notices."""
    due, frames, at = 0, [], 0
    while at < len(burst):
        due += burst[at : at + 1] in b"QS"
        at += 1 + int.from_bytes(burst[at + 1 : at + 5], "big")
    client.send(burst)
    while due:
        kind, body = client.read_raw()
        due -= kind == "Z"
        if kind not in "SN":
            frames.append((kind, body))
    return frames


def expectation(frame):
    kind, body = frame
    if kind == "E":
        return kind, next(part[1:] for part in body.split(b"\0") if part[:1] == b"C")
    return kind, body
