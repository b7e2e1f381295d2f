"""Random pipelines: every message a client may send, right and wrong, in orders that drivers use and in orders that nobody uses.

What leaves session state behind (SET, LISTEN, temporary tables, advisory locks, SQL PREPARE) is left out: a transaction pool does not
promise it. So is SQL EXECUTE of a statement that was prepared by the protocol.
"""
import random
import struct

from dice import Dice
from pipeline import Pipeline
from wire import bind, close, copy_data, copy_done, copy_fail, describe, execute, flush, function_call, message, parse, query, sync, terminate, text

LONG = "n" * 63
STATEMENT_NAMES = ["", "", "", "a", "a", "a", "b", "b", "c", LONG, LONG + "x", LONG + "yy", "A", "a b", 'q"q']
PORTAL_NAMES = ["", "", "", "", "p", "p", "q", LONG, LONG + "x"]
# Texts that everybody prepares, bystanders included: the pooler gives them one server name for all.
SHARED_TEXTS = ["select 42", "select 'old'", "select $1::text", "select 7 as seven, $1::text", "select generate_series(1, 3)"]
TABLES = ["t", "u", "k", "m", "ch", "trg", "stm", "v", "dt"]
NOT_THERE = ["nix", "absent"]


class Grammar(Dice):
    def __init__(self, seed, number):
        self.seed, self.number = seed, number
        self.random = random.Random(seed)
        self.base = number % 2_000_000 * 1000
        self.serial = 0
        self.steps = []
        self.broken = self.chance(0.12)
        # Each pipeline keeps to a few names, so that they meet.
        self.names = [self.pick(STATEMENT_NAMES) for _ in range(self.random.randint(1, 3))]
        self.portals = [self.pick(PORTAL_NAMES) for _ in range(self.random.randint(1, 2))]
        self.shared = self.pick(SHARED_TEXTS)

    def token(self):
        self.serial += 1
        return self.base + 10 + self.serial

    def name(self):
        return self.pick(self.names) if self.chance(0.93) else self.pick(STATEMENT_NAMES + NOT_THERE)

    def portal(self):
        return self.pick(self.portals) if self.chance(0.95) else self.pick(NOT_THERE)

    # a pipeline

    def pipeline(self):
        for _ in range(self.weighted([(4, 1), (5, 2), (4, 3), (2, 5), (1, 8)])):
            self.weighted(self.PHRASES)(self)
            if self.chance(0.25):
                self.wait()
        end = self.weighted([(66, "go on"), (8, "terminate"), (10, "half-close"), (8, "close"), (8, "reset")])
        if self.chance(0.7):
            self.wait()
        steps = self.steps
        if self.chance(0.15):
            steps = self.disorder(steps)
        if self.broken:
            steps = self.damage(steps)
        return Pipeline(self.segments(steps), end, self.seed, self.number)

    def add(self, *messages):
        for one in messages:
            self.steps.append(("message", one))

    def wait(self, letter=None):
        self.steps.append(("wait", letter or self.weighted([(6, "quiet"), (3, "Z"), (1, "G")])))

    def segments(self, steps):
        """Cuts between messages, and in them."""
        style = self.weighted([(5, 0.0), (3, 0.1), (2, 0.5), (1, 1.0)])
        result = []
        for step in steps:
            if step[0] == "message" and style and len(step[1]) > 1 and self.chance(style * 0.3):
                at = self.random.randrange(1, min(len(step[1]), 12) if self.chance(0.7) else len(step[1]))
                result += [("split", step[1], at)]
            else:
                result.append(step)
            if self.chance(style):
                result.append(("pause",) if self.chance(0.2) else ("cut",))
        # A split message is two parts with a segment's end between them.
        flat = []
        for step in result:
            if step[0] == "split":
                flat += [("message", step[1], step[2])]
            else:
                flat.append(step)
        return flat

    # SQL

    def select(self):
        token = self.token()
        return self.weighted(
            [
                (8, f"select {token}"),
                (3, f"select a, {token} from r order by a"),
                (2, f"select generate_series({token}, {token} + 3)"),
                (1, f"select {token}, pg_sleep(0.02)"),
                (1, f"select note('n{token}')"),
                (1, f"do $$ begin raise notice 'd{token}'; end $$"),
                (1, f"select repeat('x', 3000), {token}"),
                (1, f"select count(*), {token} from t where a between {self.base} and {self.base} + 999"),
                (0.3, f"select repeat('y', 150000), {token}"),
            ]
        )

    def error(self):
        token = self.token()
        return self.weighted(
            [
                (4, f"select {token} / 0"),
                (2, f"selec {token}"),
                (2, f"select nocolumn{token}"),
                (1, f"select * from absent{token}"),
                (1, f"insert into k values (-{token})"),
                (1, f"insert into r values ({token}), (1)"),
                (1, f"do $$ begin raise exception 'x{token}'; end $$"),
                (1, f"select 'abc'::int, {token}"),
                (1, "insert into m(b) values ('b')"),
            ]
        )

    def write(self):
        token = self.token()
        return self.weighted(
            [
                (6, f"insert into t values ({token})"),
                (2, f"insert into u values ({token})"),
                (2, f"insert into u values ({self.base + self.random.randint(1, 3)})"),
                (1, f"insert into t select {token} from pg_sleep(0.02)"),
                (1, f"insert into trg values ({token})"),
                (1, f"insert into ch values ({token})"),
                (1, f"delete from t where a = {self.base + 10 + self.random.randint(1, 5)}"),
                (1, f"insert into t values ({token}) returning a"),
            ]
        )

    def transaction(self):
        return self.weighted(
            [
                (6, "begin"),
                (5, "commit"),
                (4, "rollback"),
                (2, "savepoint s"),
                (2, "rollback to s"),
                (1, "release s"),
                (1, "begin isolation level serializable"),
                (1, "set transaction isolation level repeatable read"),
                (1, "start transaction read only"),
                (1, "commit and chain"),
                (1, "rollback and chain"),
                (1, "abort"),
                (1, "end"),
            ]
        )

    def forget(self):
        # PostgreSQL says NOTICE 42622 of longer ones, and the pooler does not (allowed.py).
        name = (self.name() or "a")[:63]
        quoted = '"' + name.replace('"', '""') + '"'
        return self.weighted(
            [
                (5, f"deallocate {quoted}"),
                (2, f"DEALLOCATE PREPARE {quoted}"),
                (3, "deallocate all"),
                (1, "DEALLOCATE PREPARE ALL"),
                (3, "discard all"),
                (1, "DISCARD ALL;"),
                (1, f"/* c */ deallocate -- d\n {quoted} ;"),
                (1, f"deallocate {name.split(' ')[0].replace(chr(34), '')}"),
                (2, f"SAVEPOINT x;DEALLOCATE {quoted};RELEASE x"),
                (1, f"begin;deallocate {quoted};commit"),
                (1, "discard plans"),
                (1, f"deallocate {quoted};deallocate {quoted}"),
                (1, f"select {self.token()};deallocate all"),
            ]
        )

    def other(self):
        token = self.token()
        return self.weighted(
            [
                (2, ""),
                (1, ";"),
                (1, " ; ; "),
                (1, f"-- {token}"),
                (2, f"declare c cursor for select {token}"),
                (1, "fetch all from c"),
                (1, "close c"),
                (1, f"declare h cursor with hold for select {token};close h"),
                (0.5, "execute never"),
                (1, f"explain (costs off) select {token}"),
                (1, "show server_version"),
                (1, f"copy (select {token}) to stdout"),
                (1, "copy r to stdout"),
            ]
        )

    def statement(self):
        return self.weighted(
            [(8, self.select), (5, self.write), (3, self.error), (5, self.transaction), (2, self.forget), (2, self.other)]
        )()

    def simple(self):
        if self.chance(0.75):
            return self.statement()
        return ";".join(self.statement() for _ in range(self.random.randint(2, 4)))

    def prepared(self):
        """A text to prepare."""
        token = self.token()
        return self.weighted(
            [
                (6, self.shared),
                (2, self.pick(SHARED_TEXTS)),
                (3, f"select {token}"),
                (2, f"select $1::text, {token}"),
                (1, f"select $1::int + {token}"),
                (2, self.write()),
                (2, self.error()),
                (2, self.transaction()),
                (2, self.forget()),
                (1, self.other()),
                (1, f"select {token};select 2"),
                (1, f"select generate_series(1, 5), {token}"),
            ]
        )

    # phrases

    def values(self, sql):
        """What the text wants, mostly."""
        count = sql.count("$1")
        wanted = [str(self.token())] if count else []
        return wanted if self.chance(0.95) else wanted + ["1"] if self.chance(0.5) else []

    def types(self, sql):
        return (25,) if "$1::text" in sql and self.chance(0.1) else ()

    def formats(self):
        return self.weighted([(9, ()), (1, (1,)), (0.3, (0, 1)), (0.2, (7,))])

    def phrase_query(self):
        self.add(query(self.simple()))

    def phrase_extended(self):
        sql, name, portal = self.prepared(), self.name(), self.portal()
        if self.chance(0.2):
            self.add(close(name))
        self.add(parse(name, sql, self.types(sql)))
        if self.chance(0.3):
            self.add(describe(name))
        for _ in range(self.weighted([(7, 1), (2, 2), (1, 0)])):
            self.add(bind(name, self.values(sql), portal, result_formats=self.formats()))
            if self.chance(0.3):
                self.add(describe(portal, "P"))
            self.add(execute(portal, self.weighted([(7, 0), (1, 1), (1, 2)])))
            if self.chance(0.15):
                self.add(execute(portal, self.weighted([(2, 0), (1, 1)])))
            if self.chance(0.15):
                self.add(close(portal, "P"))
        self.end_batch()

    def end_batch(self):
        self.weighted(
            [
                (14, lambda: self.add(sync())),
                (2, lambda: None),
                (1, lambda: self.add(flush())),
                (1, lambda: (self.add(flush()), self.wait("quiet"), self.add(sync()))),
                (1, lambda: self.add(sync(), sync())),
            ]
        )()

    def phrase_reuse(self):
        """Statements prepared earlier."""
        name, portal = self.name(), self.portal()
        if self.chance(0.3):
            self.add(describe(name))
        self.add(bind(name, self.weighted([(2, ()), (2, [str(self.token())])]), portal))
        self.add(execute(portal, self.weighted([(5, 0), (1, 1)])))
        self.end_batch()

    def phrase_batch(self):
        """Anything of the extended protocol, in any order."""
        for _ in range(self.random.randint(2, 7)):
            self.add(self.any_extended())
            if self.chance(0.04):
                self.wait()
        self.end_batch()

    def any_extended(self):
        def of_parse():
            sql = self.prepared()
            return parse(self.name(), sql, self.types(sql))

        return self.weighted(
            [
                (5, of_parse),
                (6, lambda: bind(self.name(), self.weighted([(3, ()), (1, ["x"])]), self.portal(), result_formats=self.formats())),
                (6, lambda: execute(self.portal(), self.weighted([(5, 0), (1, 1)]))),
                (2, lambda: describe(self.name())),
                (2, lambda: describe(self.portal(), "P")),
                (2, lambda: close(self.name())),
                (1, lambda: close(self.portal(), "P")),
                (3, sync),
                (1, flush),
                (1, lambda: query(self.simple())),
                (0.7, lambda: execute("nix")),
                (0.3, self.call),
            ]
        )()

    def call(self):
        return self.weighted(
            [
                (3, function_call(1397, struct.pack("!i", -self.token()))),  # int4abs
                (1, function_call(1397)),
                (1, function_call(3)),
                (1, function_call(1397, b"ab")),
                (1, message("F", struct.pack("!IHHHH", 1397, 1, 0, 1, 0))),
            ]
        )

    def phrase_call(self):
        self.add(self.call())

    def phrase_forget(self):
        """Something prepared, forgotten by SQL in one of all the ways, and used."""
        name, sql = self.name() or "a", self.prepared()
        by_name = self.chance(0.3)
        forget = self.forget() if self.chance(0.6) else f'deallocate "{name[:63].replace(chr(34), chr(34) * 2)}"'
        if by_name:
            self.add(parse("r", forget))
            if self.chance(0.5):
                self.add(sync())
        self.add(parse(name, sql))
        if self.chance(0.5):
            self.add(sync())
        if self.chance(0.2):
            self.add(execute("nix"))
        if by_name:
            self.add(bind("r"), execute())
        elif self.chance(0.5):
            self.add(query(forget))
        else:
            self.add(parse("", forget), bind(), execute())
        if self.chance(0.3):
            self.add(sync())
        if self.chance(0.6):
            self.add(parse(name, self.prepared()))
        if self.chance(0.7):
            self.add(bind(name, self.values(sql)), execute())
        self.end_batch()
        if by_name and self.chance(0.7):
            self.add(close("r"), sync())
        if self.chance(0.5):
            self.add(bind(name), execute(), sync())

    def phrase_skipped(self):
        """What stands behind an error in its batch did not happen."""
        self.add(execute("nix") if self.chance(0.6) else parse("", self.error()))
        if self.chance(0.2):
            self.add(bind(), execute())
        for _ in range(self.random.randint(1, 4)):
            self.add(self.any_extended())
        self.add(sync())
        if self.chance(0.6):
            self.add(bind(self.name()), execute(), sync())

    def phrase_failed(self):
        """A failed transaction and what is done in it."""
        self.add(query("begin"), query(self.error()))
        for _ in range(self.random.randint(1, 3)):
            self.weighted([(3, self.phrase_extended), (2, self.phrase_batch), (1, self.phrase_query), (1, self.phrase_reuse)])()
        self.add(query(self.weighted([(3, "rollback"), (1, "commit")])))
        if self.chance(0.6):
            self.phrase_reuse()

    def phrase_transaction(self):
        self.add(query("begin"))
        for _ in range(self.random.randint(1, 3)):
            self.weighted(self.INNER)(self)
        self.add(query(self.weighted([(3, "commit"), (2, "rollback")])))

    def phrase_sleep(self):
        """So that what follows certainly waits."""
        self.add(query(f"select pg_sleep(0.03), {self.token()}"))

    def phrase_cancel(self):
        token = str(self.token())
        kind = self.pick(["simple", "extended", "transaction", "copy"])
        if kind == "copy":
            self.add(query(f"copy t from stdin /* {token} */"))
            self.wait("G")
            self.steps.append(("cancel", token, "ClientRead"))
            self.add(copy_data(f"{self.token()}\n".encode()))
            self.wait("quiet")
            self.add(copy_done())
        elif kind == "extended":
            self.add(parse("", f"select pg_sleep(2), {token}"), bind(), execute(), self.pick([sync(), flush()]))
            self.steps.append(("cancel", token, "PgSleep"))
            self.add(sync())
        else:
            if kind == "transaction":
                self.add(query("begin"), query(self.write()))
            self.add(query(f"select pg_sleep(2), {token}"))
            self.steps.append(("cancel", token, "PgSleep"))
            self.add(query(self.select()))
        self.wait("quiet")

    def phrase_huge(self):
        size = self.pick([9_000, 20_000, 70_000, 140_000, 300_000])
        filler = "z" * size
        self.weighted(
            [
                (3, lambda: self.add(query(f"select length('{filler}'), {self.token()}"))),
                (2, lambda: self.add(parse("", "select length($1::text)"), bind("", [filler]), execute(), sync())),
                (2, lambda: self.add(parse(self.name(), f"select length('{filler}'), {self.token()}"), bind(self.name()), execute(), sync())),
                (2, lambda: self.add(query(f"select repeat('w', {size * 5}), {self.token()}"))),
                (2, lambda: self.add(query("copy m(b) from stdin"), copy_data(filler.encode() + b"\n"), copy_done())),
                (1, lambda: self.add(query(f"copy (select repeat('c', {size}), {self.token()}) to stdout"))),
            ]
        )()

    # COPY

    def copy_text(self):
        table = self.pick(TABLES)
        columns = "(a)" if table == "m" else ""
        options = self.weighted(
            [
                (8, ""),
                (1, " (format csv)"),
                (1, " (format binary)"),
                (0.5, " (header true)"),
                (0.5, " (freeze)"),
                (0.3, " (format nonsense)"),
                (0.3, " (null 'x')"),
            ]
        )
        where = f" where a % 2 = 0 /* {self.token()} */" if self.chance(0.1) and table not in ("v",) else ""
        return f"copy {table}{columns} from stdin{options}{where}"

    def copy_lines(self):
        token = self.token()
        return self.weighted(
            [
                (8, f"{token}\n".encode()),
                (3, f"{token}\n{self.token()}\n".encode()),
                (4, b"bad\n"),
                (2, f"{self.base + self.random.randint(1, 3)}\n".encode()),  # may be a duplicate, found at CopyDone
                (2, f"{token}\n{token}\n".encode()),
                (1, b""),
                (1, f"{token}".encode()),
                (1, b"\n"),
                (1, b"\\.\n"),
                (1, f"{token}\n\\.\n{self.token()}\n".encode()),
                (1, f"{token}\tb\tc\n".encode()),
                (1, b"\xff\xfe\n"),
                (1, b"ba"),
                (1, b"\\N\n"),
                (1, f"-{token}\n".encode()),
                (1, f"{token // 10 * 10 + 2}\n".encode()),  # refused by the trigger
                (1, f"{token // 10 * 10 + 1}\n".encode()),  # noticed by the trigger
                (1, b"PGCOPY\n\xff\r\n\0" + struct.pack("!II", 0, 0)),
                (1, b"PGCOPY\n\xff\r\n\0" + struct.pack("!IIhii", 0, 0, 1, 4, token) + struct.pack("!h", -1)),
                (1, struct.pack("!hii", 1, 4, token)),
                (0.5, struct.pack("!hi", 1, 1 << 29)),
                (0.5, struct.pack("!h", -1)),
                (0.5, bytes(self.random.randrange(256) for _ in range(20))),
                (0.3, f"{token}\n".encode() * 1),
                (0.2, b"".join(b"%d\n" % (self.base + 500 + i % 400) for i in range(1200))),
            ]
        )

    def copy_inner(self):
        """What is sent while a COPY runs, or is thought to run."""
        return self.weighted(
            [
                (10, lambda: copy_data(self.copy_lines())),
                (2, sync),
                (1, flush),
                (2, copy_done),
                (1, lambda: copy_fail("failed on purpose")),
                (1, lambda: query(self.simple())),
                (0.5, lambda: close(self.name())),
                (0.5, lambda: parse(self.name(), self.prepared())),
                (0.5, lambda: bind(self.name())),
                (0.5, lambda: execute()),
                (0.3, lambda: describe(self.name())),
                (0.1, self.call),
            ]
        )()

    def phrase_copy(self):
        extended = self.chance(0.5)
        sql = self.copy_text()
        if extended:
            name = self.name() if self.chance(0.2) else ""
            self.add(parse(name, sql), bind(name))
            if self.chance(0.2):
                self.add(describe("", "P"))
            self.add(execute())
            self.weighted([(4, lambda: None), (3, lambda: self.add(sync())), (1, lambda: self.add(sync(), sync())), (2, lambda: self.add(flush()))])()
        else:
            if self.chance(0.15):
                sql = f"{self.statement()};{sql}"
            if self.chance(0.2):
                sql = f"{sql};{self.statement()}"
            if self.chance(0.05):
                sql = f"{sql};{self.copy_text()}"
            self.add(query(sql))
        if self.chance(0.4):
            self.wait(self.pick(["G", "quiet"]))
        if self.chance(0.6):
            # As a driver does it.
            for _ in range(self.random.randint(0, 4)):
                self.add(copy_data(self.copy_lines()))
                if self.chance(0.1):
                    self.wait("quiet")
            self.add(copy_done() if self.chance(0.85) else copy_fail("failed on purpose"))
        else:
            for _ in range(self.random.randint(1, 6)):
                self.add(self.copy_inner())
                if self.chance(0.08):
                    self.wait("quiet")
        if extended:
            self.weighted([(6, lambda: self.add(sync())), (1, lambda: None), (1, lambda: self.add(sync(), sync()))])()
        if self.chance(0.5):
            self.add(query(self.select()))

    # what drivers never do

    def disorder(self, steps):
        steps = list(steps)
        for _ in range(self.random.randint(1, 3)):
            if len(steps) < 2:
                break
            action, at = self.random.randrange(3), self.random.randrange(len(steps))
            if action == 0:
                del steps[at]
            elif action == 1:
                other = self.random.randrange(len(steps))
                steps[at], steps[other] = steps[other], steps[at]
            else:
                steps.insert(self.random.randrange(len(steps)), steps[at])
        return steps

    def damage(self, steps):
        steps = list(steps)
        at = [i for i, step in enumerate(steps) if step[0] == "message"]
        for _ in range(self.weighted([(4, 1), (1, 2)])):
            place = self.random.randrange(len(steps) + 1)
            if self.chance(0.5) or not at:
                steps.insert(place, ("message", self.garbage()))
                at = [i for i, step in enumerate(steps) if step[0] == "message"]
            else:
                i = self.pick(at)
                steps[i] = ("message", self.maim(steps[i][1]))
        return steps

    def maim(self, whole):
        """The same message with another length, a body too long or too short, another subtype."""
        kind, body = chr(whole[0]), whole[5:]
        choice = self.random.randrange(6)
        if choice == 0:
            return message(kind, body + bytes(self.random.choice(b"\0ab") for _ in range(self.pick([1, 2, 4]))))
        if choice == 1 and body:
            return message(kind, body[: self.random.randrange(len(body))])
        if choice == 2 and kind in "DC":
            return message(kind, self.pick([b"x", b"\0", b"T"]) + body[1:])
        if choice == 3 and body:
            i = self.random.randrange(len(body))
            return message(kind, body[:i] + bytes([self.random.randrange(256)]) + body[i + 1 :])
        if choice == 4 and self.chance(0.3):
            return kind.encode() + struct.pack("!I", self.pick([0, 1, 3, 4, len(body) + 3, 0x7FFFFFFF, 0xFFFFFFFF, 0x40000000])) + body
        return message(kind, body + b"\0\0")

    def garbage(self):
        return self.weighted(
            [
                (3, lambda: message(self.pick("SHcX"), bytes(self.pick([1, 2, 4])))),
                (2, lambda: message(self.pick("EDC"), self.pick([b"S", b"P", b""]) + b"a\0" + bytes(self.pick([1, 3, 5, 9])))),
                (2, lambda: message(self.pick("DC"), self.pick([b"", b"x", b"S", b"Sa", b"xa\0", b"\0", b"\0\0"]))),
                (2, lambda: message(self.pick("PBEQ"), self.pick([b"", b"a", b"a\0", b"a\0b", b"\0\0", b"\0\0\0"]))),
                (1, lambda: message(self.pick("EDCSHcf"), self.pick([b"S", b"P", b"a"]) + b"x" * self.pick([9_990, 9_997, 10_100, 30_000]) + b"\0" * self.pick([1, 5]))),
                (1, lambda: message(self.pick("PQBdfF"), b"x" * self.pick([3, 10_100]) + self.pick([b"", b"\0", b"\0\0\0\0"]))),
                (1, lambda: message(self.pick("pRZG19!aKt"), self.pick([b"", b"abc\0"]))),
                (1, lambda: parse(b"\xff\xfe", "select 1")),
                (1, lambda: bind(b"\xff\xfe")),
                (1, lambda: close(b"\xff\xfe")),
                (1, lambda: describe(b"\xc3", "S")),
                (1, lambda: query(b"select '\xff'")),
                (1, lambda: parse("", b"select '\xff'")),
                (1, lambda: bind("", [b"\xff"])),
                (1, lambda: message("P", text("a") + text(f"select {self.token()}") + struct.pack("!H", 1))),
                (1, lambda: message("B", text("") + text("") + struct.pack("!HHi", 0, 1, 5) + b"abc")),
                (1, lambda: message("F", struct.pack("!I", 1397))),
                (1, lambda: copy_done()),
                (1, lambda: copy_data(b"nobody wants this")),
                (1, lambda: copy_fail("of nothing")),
                (0.5, terminate),
            ]
        )()

    PHRASES = [
        (10, phrase_query),
        (12, phrase_extended),
        (6, phrase_reuse),
        (10, phrase_batch),
        (14, phrase_copy),
        (6, phrase_forget),
        (6, phrase_skipped),
        (4, phrase_failed),
        (4, phrase_transaction),
        (1, phrase_sleep),
        (0.7, phrase_cancel),
        (1, phrase_huge),
        (1, phrase_call),
    ]
    INNER = [(5, phrase_query), (5, phrase_extended), (3, phrase_batch), (3, phrase_copy), (2, phrase_forget), (2, phrase_skipped)]


def generate(seed, number):
    """The pipeline of a seed. `number` sets its rows apart from those of all others."""
    return Grammar(seed, number).pipeline()
