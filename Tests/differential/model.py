"""Random walks played to the model PostgreSQL of the unit tests and to the real one: where they differ, the model is wrong.

Each message exists twice, in the model's SQL (Tests/ModelPostgres) and in PostgreSQL's. What is compared is each message's letter,
SQLSTATEs and severities, tags, rows, the transaction status, the end of the connection, and what was committed.
"""
import random
import struct
import subprocess
import time

import wire
from dice import Dice
from environment import USER
from grammar import LONG
from pipeline import show_sent
from play import Peer, is_at_rest, pump_direct
from wire import bind, close, copy_data, copy_done, copy_fail, describe, execute, flush, message, parse, query, sync, terminate

SCHEMA = """
create table ins(a text);
create table ct(a int);
create table uq(a int primary key);
insert into uq values (1);
create view vw as select a from ct;
create table dfr(a int);
create function dfr_trigger() returns trigger language plpgsql as $$ begin raise exception sqlstate '23503'; end $$;
create constraint trigger a after insert on dfr deferrable initially deferred for each row execute function dfr_trigger();
create function nothing() returns int language sql as 'select null::int';
grant all on all tables in schema public to public;
"""


class Model:
    """The program model-postgres."""

    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def _answer(self):
        size = struct.unpack("!I", self.process.stdout.read(4))[0]
        data = self.process.stdout.read(size + 1)
        return data[:-1], data[-1] == 1

    def begin(self):
        """A new connection; what was committed on the last one."""
        self.process.stdin.write(struct.pack("!I", 0))
        self.process.stdin.flush()
        return self._answer()[0].decode().split("\n")

    def play(self, messages):
        frames, closed, left = [], False, 0
        for one in messages:
            self.process.stdin.write(struct.pack("!I", len(one)) + one)
            self.process.stdin.flush()
            data, closed = self._answer()
            at = 0
            while at < len(data):
                size = struct.unpack_from("!I", data, at + 1)[0] + 1
                frames.append(data[at : at + size])
                at += size
                if chr(data[at - size]) in "ZENG":
                    left = len(frames)
            if one[:1] == b"H" and not closed:
                left = len(frames)
            if closed:
                # What PostgreSQL had not sent yet is lost when it ends without a word.
                del frames[left:]
                break
        return frames, closed, [text for text in self.begin() if text]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def real(sql):
    """The model's SQL in PostgreSQL's words."""
    return ";".join(_real(one) for one in sql.split(";"))


def _real(sql):
    words = sql.lower().split(" ")
    verb = " ".join(words[:2]) if words[0] == "copy" else words[0]
    if verb == "select":
        return f"select '{sql}'" + (", $1::text" if "$1" in sql else "")
    if verb == "rows":
        return f"select '{sql}', generate_series(1, 3)::text"
    if sql == "insert deferred":
        return "insert into dfr values (1)"
    if verb == "insert":
        return f"insert into ins values ('{sql}')"
    if verb == "fail":
        return "do $$ begin perform 1/0; end $$"
    if verb == "syntax":
        return "selec 1"
    if verb == "prepare":
        return f"{sql} as select 'select 1'"
    if verb == "copy out":
        return f"copy (select '{sql}') to stdout"
    tables = {"copy in": "ct", "copy view": "vw", "copy unique": "uq", "copy deferred": "dfr"}
    if verb in tables:
        return f"copy {tables[verb]} from stdin"
    return sql


def both(make, sql):
    """A message as the model gets it, and as PostgreSQL does."""
    return make(sql), make(real(sql))


class Walk(Dice):
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.serial = 0
        self.names = self.random.sample(["", "a", "b", LONG, LONG + "x", LONG + "yy"], 3)
        self.portals = self.random.sample(["", "p", LONG, LONG + "x"], 2)

    def token(self):
        self.serial += 1
        return str(self.serial)

    def statement(self):
        token = self.token()
        return self.weighted(
            [
                (6, f"select {token}"),
                (2, f"rows {token}"),
                (4, f"insert {token}"),
                (1, "insert deferred"),
                (2, f"fail {token}"),
                (1, f"syntax {token}"),
                (4, "begin"),
                (3, "commit"),
                (3, "rollback"),
                (1, "savepoint x"),
                (1, "release x"),
                (1, f"prepare {self.pick(['pa', 'pb'])}"),
                (2, self.deallocate()),
                (1, "deallocate all"),
                (1, "discard all"),
                (1.5, f"set {self.setting()}"),
                (0.7, f"reset {self.pick(['application_name', 'extra_float_digits', 'all'])}"),
                (1.5, f"show {self.pick(['application_name', 'extra_float_digits'])}"),
                (0.3, "set nix='1'"),
                (0.3, "set extra_float_digits='99'"),
                (1, f"copy in {token}"),
                (1, f"copy view {token}"),
                (1, f"copy unique {token}"),
                (1, f"copy deferred {token}"),
                (1, f"copy out {token}"),
                (0.5, ""),
            ]
        )

    def setting(self):
        return self.pick([f"application_name='a{self.token()}'", f"extra_float_digits='{self.random.randint(0, 3)}'"])

    def deallocate(self):
        return f"deallocate {self.pick(['pa', 'pb', 'a', 'b', LONG, LONG + 'x'])}"

    def simple(self):
        if self.chance(0.8):
            return self.statement()
        return ";".join(self.statement() or "select 0" for _ in range(self.random.randint(2, 3)))

    def name(self):
        return self.pick(self.names) if self.chance(0.95) else "nix"

    def portal(self):
        return self.pick(self.portals) if self.chance(0.97) else "nix"

    def of_parse(self):
        sql, name = self.statement(), self.name()
        if sql.startswith(("select", "rows")) and self.chance(0.2):
            sql = f"select $1 {self.token()}"
        if self.chance(0.03):
            sql = f"select {self.token()};select {self.token()}"
        return both(lambda text: parse(name, text), sql)

    def same(self, one):
        return one, one

    def step(self):
        return self.weighted(
            [
                (4, lambda: both(query, self.simple())),
                (7, self.of_parse),
                (7, lambda: self.same(bind(self.name(), self.weighted([(3, ()), (1, ["v"])]) if self.chance(0.2) else (), self.portal()))),
                (7, lambda: self.same(execute(self.portal(), self.weighted([(6, 0), (1, 1), (1, 2), (1, 3)])))),
                (2, lambda: self.same(describe(self.name()))),
                (2, lambda: self.same(describe(self.portal(), "P"))),
                (1.5, lambda: self.same(close(self.name()))),
                (1, lambda: self.same(close(self.portal(), "P"))),
                (6, lambda: self.same(sync())),
                (0.7, lambda: self.same(flush())),
                (0.5, lambda: (self.call(0), self.call(1))),
                (5, self.data),
                (2.5, lambda: self.same(copy_done())),
                (1, lambda: self.same(copy_fail("over"))),
                (0.8, lambda: self.broken()),
            ]
        )()

    def call(self, which):
        return message("F", b"\0\0\0\x01" + bytes(6) if which == 0 else b"$oid" + bytes(6))

    def data(self):
        return self.same(copy_data(self.weighted([(6, b"1\n"), (2, b"bad\n"), (1, b"")])))

    def broken(self):
        return self.weighted(
            [
                (2, lambda: self.surplus()),
                (2, lambda: self.truncated()),
                (1, lambda: self.same(message(self.pick("DC"), b"x" + b"a\0"))),
                (0.3, lambda: self.same(message(self.pick("SHcX"), bytes(2)))),
                (0.2, lambda: self.same(message(self.pick("EDCSHcf"), b"S" + b"x" * 10_000 + b"\0"))),
                (0.2, lambda: self.same(message(self.pick("dQPB"), b"x" * 10_000))),
                (0.2, lambda: self.same(message(self.pick("1Gz"), b""))),
                (0.2, lambda: self.same(terminate())),
                (0.5, lambda: self.same(self.pick([parse, lambda name, _: bind(name), lambda name, _: describe(name), lambda name, _: close(name)])(b"\xff", "select 1"))),
            ]
        )()

    def surplus(self):
        one, other = self.step()
        while one[:1] == b"d":
            one, other = self.step()
        extra = bytes(self.pick([1, 2, 4]))
        return tuple(message(chr(m[0]), m[5:] + extra) for m in (one, other))

    def truncated(self):
        one, other = self.step()
        while one[:1] == b"d":  # half a line fails later
            one, other = self.step()
        count = self.random.randint(1, 4)
        return tuple(message(chr(m[0]), m[5 : max(5, len(m) - count)]) for m in (one, other))

    def batch(self):
        """What belongs together, more often than chance would have it."""
        name, portal = self.name(), self.portal()
        steps = [self.of_parse() if self.chance(0.5) else both(lambda text: parse(name, text), f"{self.pick(['copy in', 'copy unique', 'copy deferred', 'copy view'])} {self.token()}")]
        steps += [self.same(bind(name, (), portal)), self.same(execute(portal))]
        if self.chance(0.3):
            steps.append(self.same(sync()))
        for _ in range(self.random.randint(0, 3)):
            steps.append(self.data())
        if self.chance(0.7):
            steps.append(self.same(copy_done()))
        return steps + [self.same(sync())]

    def steps(self):
        steps = []
        while len(steps) < 40:
            if self.chance(0.15):
                steps += self.batch()
            elif self.chance(0.08):
                steps.append(both(query, f"{self.pick(['copy in', 'copy unique', 'copy deferred', 'copy view'])} {self.token()}"))
                steps += [self.data() for _ in range(self.random.randint(0, 2))]
                steps.append(self.same(copy_done()))
            else:
                steps.append(self.step())
        return steps


def comparable(frame):
    """What of a message is the same for both; None for what the model leaves out."""
    kind, body = chr(frame[0]), frame[5:]
    if kind == "S":
        return f"S {body.decode()}" if body.startswith(b"application_name\0") else None
    if kind in "EN":
        fields = {part[:1]: part[1:] for part in body.split(b"\0") if part}
        if kind == "N" and fields[b"C"] == b"01000":
            return None  # a snapshot that PostgreSQL itself forgets where COMMIT or ROLLBACK is bound in a failed transaction
        return f"{kind} {fields[b'S'].decode()} {fields[b'C'].decode()}"
    if kind == "C" and body.startswith(b"COPY"):
        return "C COPY"
    if kind in "TGHVt":
        return kind + (" %d" % len(body) if kind == "t" else "")
    if kind == "d":
        return f"d {body.rstrip().decode()}"
    return kind + " " + body.decode("utf-8", "replace")


class ModelComparison:
    def __init__(self, environment, path, name="model_walk"):
        self.environment, self.model, self.name = environment, Model(path), name
        self.model.begin()
        environment.postgres.sql(f"create database {name}")
        self.admin = environment.postgres.connect(name)
        self.admin.query(SCHEMA).check()
        self.oid = int(self.admin.value("select 'nothing()'::regprocedure::oid"))
        self.peer = None
        self.walks = self.messages = 0
        self.crashes = environment.crashes()

    def close(self):
        self.model.close()
        self.admin.close()
        if self.peer:
            self.peer.close()

    EPILOGUE = [copy_fail("over"), sync(), query("rollback"), query("deallocate all"), query("reset all")]

    def play_real(self, messages):
        if self.peer is None:
            client = wire.Client(self.environment.postgres.socket_path, user=USER, database=self.name)
            self.peer = Peer(client)
            self.peer.backend = client.key[0]
        peer = self.peer
        peer.begin()
        peer.send(b"".join(m.replace(b"$oid", struct.pack("!I", self.oid)) for m in messages))
        pump_direct(peer, lambda: False)
        frames, closed = peer.frames, peer.closed
        if closed or not is_at_rest(frames):
            peer.close()
            self.peer = None
        committed = [row[0] for row in self.admin.rows("delete from ins returning a")]
        return frames, closed, committed

    def compare(self, steps, fresh=False):
        """None, or what differs: two lists of what was answered."""
        if fresh and self.peer:
            self.peer.close()
            self.peer = None
        ours = [m for m, _ in steps] + self.EPILOGUE
        theirs = [r for _, r in steps] + self.EPILOGUE
        self.walks, self.messages = self.walks + 1, self.messages + len(steps)
        frames, closed, committed = self.model.play(ours)
        real_frames, real_closed, real_committed = self.play_real(theirs)
        one = [c for c in map(comparable, frames) if c] + (["closed"] if closed else []) + [f"committed {sorted(committed)}"]
        other = [c for c in map(comparable, real_frames) if c] + (["closed"] if real_closed else []) + [f"committed {sorted(real_committed)}"]
        return None if one == other else (other, one)

    def walk(self, seed, number):
        """A report, or None."""
        steps = Walk(f"{seed}/model/{number}").steps()
        if not self.compare(steps):
            return None
        # Smaller.
        size = max(1, len(steps) // 2)
        while size:
            at = 0
            while at < len(steps):
                rest = steps[:at] + steps[at + size :]
                if self.compare(rest, fresh=True):
                    steps = rest
                else:
                    at += size
            size //= 2
        difference = self.compare(steps, fresh=True)
        if not difference:
            return f"the model differs from PostgreSQL, {seed}/model/{number}, and not when played again"
        return "\n".join(
            [f"the model differs from PostgreSQL   [{seed}/model/{number}]"]
            + ["  " + " ".join(show_sent(m) for m, _ in steps)]
            + ["  PostgreSQL: " + "  ".join(difference[0])]
            + ["  the model:  " + "  ".join(difference[1])]
        )

    def recover(self):
        self.crashes, self.peer = self.environment.crashes(), None
        self.admin = self.environment.postgres.connect(self.name)
        self.admin.rows("delete from ins returning a")

    def run(self, seconds, seed, until=lambda: False):
        """Reports of all differences."""
        end, number, reports = time.monotonic() + seconds, 0, []
        while time.monotonic() < end and len(reports) < 20 and not until():
            try:
                report = self.walk(seed, number)
            except (wire.Closed, wire.ServerError, OSError):
                # Some walk, or some pipeline beside it, has crashed PostgreSQL itself.
                if not self.environment.has_crashed(self.crashes):
                    raise
                self.environment.after_a_crash(self.recover)
                report = None
            number += 1
            if report:
                reports.append(report)
        return reports
