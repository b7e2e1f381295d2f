"""Random stories: clients with settings, statements, roles and tables of their own, who share a few servers. `holds.py` says what they may do.

A client does one *unit* after the other: a statement, or a transaction from BEGIN to its end. A unit is a list of bursts, and between two
bursts others may act. So that PostgreSQL itself never has to wait, one server stays free in a transaction pool, and who changes the catalogue
is alone until its transaction is over.
"""
import random

from dice import Dice
from holds import NAMES, VALUES
from story import Story
from story_texts import CATALOGUE_TEXTS, DDL, NAME_TEXTS, VALUE_TEXTS
from wire import bind, close, describe, execute, parse, query, sync

STATEMENT_NAMES = ["", "", "n", "n", "m", "S_1"]
# Behind these a pooler does not know which settings a text is analysed under, or which objects hide others.
HIDING = (b"create temp", b"execute q", b"rollback to", b"do $$")
# What a story is about. PostgreSQL analyses a statement again when its search_path or the catalogue has changed, under the settings of that
# moment, which is another one on each server; so no story changes both what literals mean and what names mean.
THEMES = {"values": (VALUES, VALUE_TEXTS), "names": (NAMES, NAME_TEXTS), "catalogue": (NAMES, CATALOGUE_TEXTS)}


class Actor:
    def __init__(self, who):
        self.who, self.connected, self.brought = who, False, set()
        self.unit, self.is_open, self.is_alone = [], False, False
        self.prepared = {}  # name: (text, values)
        self.given = set()  # names that may be taken
        self.once = set()  # names that may be used once more: the pooler renews a statement that has failed, PostgreSQL does not

    def forget(self):
        """What it has prepared is not used again."""
        self.prepared.clear()
        self.once.clear()


class StoryGrammar(Dice):
    def __init__(self, seed, number, mode, servers, holds):
        self.seed, self.number, self.mode, self.servers = seed, number, mode, servers
        self.random = random.Random(seed)
        self.holds = holds
        self.steps, self.changes_catalogue, self.held = [], False, 0
        self.theme = self.weighted([(5, "values"), (4, "names"), (3, "catalogue")])
        self.settings, self.texts = THEMES[self.theme]
        if self.theme == "values" and self.may("a custom name that nobody has set"):
            self.texts = self.texts + [("select current_setting('app.tenant', true)", ())]
        # A story keeps to a few texts and settings, so that its clients meet in them.
        self.texts = self.random.sample(self.texts, self.random.randint(2, 5))
        # A custom name that its client has set is '' afterwards, on a server of its own; on another one it is not there.
        is_seen = mode == "transaction" and any("current_setting('app.tenant', true)" == text[7:] for text, _ in self.texts)
        self.changeable = [setting for setting in self.settings if setting.name != "app.tenant" or not is_seen]
        self.few = self.random.sample(self.changeable, min(len(self.changeable), self.random.randint(1, 4)))
        self.starts = [self.start() for _ in range(self.random.randint(1, 3))]
        most = 4 if mode == "transaction" else max(1, servers - 1)
        self.actors = [Actor("abcd"[i]) for i in range(self.random.randint(min(2, most), most))]

    def may(self, feature):
        return feature in self.holds

    # a story

    def story(self):
        for _ in range(self.weighted([(1, 3), (3, 8), (3, 14), (2, 25)])):
            self.turn()
        while any(actor.unit for actor in self.actors):
            self.turn(finishing=True)
        for actor in self.actors:
            if actor.connected:
                self.leave(actor)
        return Story(self.steps, self.seed, self.number, self.changes_catalogue)

    def turn(self, finishing=False):
        alone = next((actor for actor in self.actors if actor.is_alone), None)
        busy = [actor for actor in self.actors if actor.unit]
        if alone or finishing:
            return self.go_on(alone or self.pick(busy))
        if self.chance(0.12):
            return self.stir()
        open_ones = [actor for actor in self.actors if actor.is_open]
        # In a transaction pool an open transaction has a server, and one has to be left for all others.
        room = len(open_ones) + self.held < self.servers - 1 or self.mode == "session"
        actor = self.pick(self.actors) if room or not open_ones else self.pick(open_ones if self.servers == 1 or self.chance(0.4) else self.actors)
        if self.servers == 1 and open_ones:
            actor = open_ones[0]
        if actor.unit:
            return self.go_on(actor)
        if not actor.connected:
            return self.arrive(actor)
        if self.chance(0.06):
            return self.leave(actor)
        actor.unit = self.unit(actor, may_open=room, may_be_alone=not open_ones)
        self.go_on(actor)

    def go_on(self, actor):
        burst, is_open = actor.unit.pop(0)
        self.steps.append(("send", actor.who, tuple(burst)))
        actor.is_open = is_open
        if not actor.unit:
            actor.is_alone = False

    def stir(self):
        """What moves servers."""
        if self.mode == "session" or any(actor.is_open for actor in self.actors):
            return
        if self.servers > 1 and (self.chance(0.75) or not self.may("RECONNECT")):
            self.held = self.pick([n for n in range(self.servers) if n != self.held])
            self.steps.append(("hold", self.held))
        elif self.may("RECONNECT"):
            self.steps.append(("reconnect",))

    # clients come and go

    def start(self):
        """Startup parameters; several clients of a story have the same."""
        pairs, refused = [], False
        if not self.may("startup values"):
            return ()
        for setting in self.random.sample(self.settings, min(len(self.settings), self.weighted([(2, 0), (4, 1), (4, 2), (2, 4)]))):
            value = self.pick(setting.values)
            if setting.name == "DateStyle" and "," not in value and not self.may("a partial DateStyle at the login"):
                continue
            if setting.refused and (not refused or self.may("two startup values that are refused")) and self.chance(0.03) and self.may("refused startup values"):
                value, refused = self.pick(setting.refused), True
            if self.may("bytes that are no UTF-8 in startup values") and setting.name in ("app.tenant", "search_path") and self.chance(0.3):
                value = b"\xe4\xff"
            pairs.append((setting.name.lower() if self.chance(0.2) else setting.name, value))
        if pairs and self.chance(0.2):
            # The same by a switch.
            name, value = pairs[-1]
            if isinstance(value, str) and value.isascii():
                escaped = value.replace("\\", "\\\\").replace(" ", "\\ ")
                pairs[-1] = ("options", f"-c {name}={escaped}")
        return tuple((name, value if isinstance(value, bytes) else value.encode()) for name, value in pairs)

    def arrive(self, actor):
        start = self.pick(self.starts) if self.chance(0.85) else self.start()
        actor.brought = {(value.decode().split("=")[0][3:] if name == "options" else name).lower() for name, value in start if name != "options" or value[:3] == b"-c "}
        actor.connected, actor.prepared, actor.once, actor.given = True, {}, set(), set()
        self.steps.append(("arrive", actor.who, start))

    def leave(self, actor):
        actor.connected = False
        self.steps.append(("leave", actor.who, "terminate" if self.chance(0.7) else "close"))

    # units

    def unit(self, actor, may_open, may_be_alone):
        """[(burst, whether a transaction is open behind it)]"""
        kinds = [(6, "statement"), (3, "change"), (2, "reset")]
        if may_open or self.servers == 1:
            kinds.append((7, "transaction"))
        if self.theme == "catalogue" and may_be_alone and self.may("DDL"):
            kinds.append((4, "ddl"))
            if self.may("DDL past the pooler"):
                kinds.append((2, "past"))
        kind = self.weighted(kinds)
        if kind == "transaction":
            return self.transaction(actor)
        if kind == "ddl":
            return self.ddl(actor)
        if kind == "past":
            self.catalogue_changes()
            self.steps.append(("past", self.pick(DDL)))
            return [(self.statement(actor), False)]
        messages = self.statement(actor) if kind == "statement" else self.change(actor) if kind == "change" else self.reset(actor)
        return [(messages or self.statement(actor), False)]

    def transaction(self, actor):
        parts, hidden = [], False
        begin = self.weighted([(8, "begin"), (1, "start transaction"), (1, "begin isolation level repeatable read"), (0.5, "begin read only")])
        parts.append(self.run(begin))
        for _ in range(self.weighted([(3, 1), (4, 2), (3, 4), (1, 7)])):
            kinds = [(6, lambda: self.statement(actor)), (5, lambda: self.local(actor)), (1, lambda: self.savepoint()), (0.5, lambda: self.run("select 1/0"))]
            if self.may("temporary tables within a transaction") and self.theme != "values":
                kinds.append((1.5, lambda: self.temporary(actor)))
            if self.may("SQL PREPARE within a transaction"):
                kinds.append((0.5, self.sql_prepared))
            part = self.weighted(kinds)()
            hidden = hidden or any(word in message for message in part for word in HIDING)
            parts.append(part)
        lasting = self.may("SET of an unreported parameter")
        end = self.weighted([(4, "commit"), (3, "rollback"), (0.5, "commit and chain; rollback"), (0.5, "abort")])
        if not lasting and self.may("SET in a transaction that is rolled back") and self.chance(0.25):
            # A SET of anything is gone with its transaction.
            parts.insert(self.random.randint(1, len(parts)), self.run(self.set_text(self.pick(self.changeable), "set")))
            end = "rollback"
        parts.append(self.run(end))
        if hidden:
            # What such a statement means on another server is not said.
            actor.forget()
        return self.bursts(parts, 0.3)

    def bursts(self, parts, together):
        """All in one burst, or several."""
        if self.chance(together):
            return [([m for part in parts for m in part], False)]
        bursts = []
        for part in parts[:-1]:
            if bursts and self.chance(0.25):
                bursts[-1][0].extend(part)
            else:
                bursts.append((list(part), True))
        return bursts + [(list(parts[-1]), False)]

    def ddl(self, actor):
        text = self.pick(DDL)
        if self.chance(0.5):
            # In a transaction, with statements ahead of it and behind it.
            parts = [self.run("begin")] + [self.statement(actor) for _ in range(self.random.randint(0, 1))]
            self.catalogue_changes()
            parts += [self.run(text, extended=False if ";" in text else None)]
            if self.chance(0.2):
                parts.insert(-1, self.run("savepoint s"))
                parts.append(self.run("rollback to s"))
            hidden = any(word in message for part in parts for message in part for word in HIDING)
            parts += [self.statement(actor) for _ in range(self.random.randint(0, 2))]
            parts.append(self.run(self.weighted([(2, "commit"), (1, "rollback")])))
            self.catalogue_changes()
            if hidden:
                actor.forget()
        else:
            self.catalogue_changes()
            parts = [self.run(text, extended=False if ";" in text else None)]
        actor.is_alone = True
        return self.bursts(parts, 0.4)

    def catalogue_changes(self):
        self.changes_catalogue = True
        for actor in self.actors:
            actor.once |= set(actor.prepared)
            if not self.may("a statement prepared before DDL"):
                actor.forget()

    # statements of the client's own

    def run(self, text, extended=None):
        """A text without parameters and without a name that stays."""
        if extended is None:
            extended = ";" not in text and self.chance(0.3)
        return [parse("", text), bind(), execute(), sync()] if extended else [query(text)]

    def statement(self, actor):
        """One of the story's texts, or what was prepared earlier."""
        text, values = self.pick(self.texts)
        if not self.may("prepared statements") or (not values and self.chance(0.25)):
            return [query(text)]
        usable = [name for name in actor.prepared]
        if usable and self.chance(0.5):
            return self.reuse(actor, self.pick(usable))
        name = self.pick(STATEMENT_NAMES + ["\u00e4"] * self.may("statement names under another client_encoding"))
        messages = []
        if name and (name in actor.prepared or name in actor.given or self.chance(0.1)):
            messages.append(close(name))
        actor.given.add(name)
        types = (25,) * len(values) if self.chance(0.08) and "::" not in text else ()
        messages.append(parse(name, text, types))
        actor.prepared[name] = (text, values)
        actor.once.discard(name)
        if self.chance(0.35):
            messages.append(describe(name))
        if self.chance(0.15):
            return messages + [sync()]
        if self.chance(0.1):
            messages.append(sync())
        return messages + self.use(name, values) + [sync()]

    def reuse(self, actor, name):
        values = actor.prepared[name][1]
        messages = []
        if name in actor.once:
            actor.once.discard(name)
            del actor.prepared[name]
            messages = self.use(name, values) if self.chance(0.8) else [describe(name)]
            return messages + [sync(), close(name), sync()]
        how = self.weighted([(6, "use"), (1, "describe"), (1, "both"), (1, "close"), (0.5, "deallocate"), (0.3, "deallocate all"), (1, "twice")])
        if how in ("close", "deallocate"):
            del actor.prepared[name]
            if how == "close" or not name:
                return [close(name), sync()]
            return self.run(f'deallocate "{name}"')
        if how == "deallocate all":
            unnamed = actor.prepared.get("")
            actor.prepared.clear()
            messages = self.run("deallocate all", extended=False if unnamed else None)
            return messages
        if how == "describe":
            return [describe(name), sync()]
        if how == "both":
            messages.append(describe(name))
        if how == "twice":
            messages += self.use(name, values)
        return messages + self.use(name, values) + [sync()]

    def use(self, name, values):
        formats = self.weighted([(5, ()), (2, (1,))])
        portal = self.weighted([(6, ""), (1, "p")])
        messages = [bind(name, values, portal, result_formats=formats)]
        if self.chance(0.3):
            messages.append(describe(portal, "P"))
        return messages + [execute(portal, self.weighted([(6, 0), (1, 1)]))]

    def sql_prepared(self):
        # Only what can't fail: PREPARE is not undone with its transaction.
        texts = [text for text, values in self.texts if not values and "/0" not in text and "tenant" not in text and " from zip" not in text and (self.theme == "values" or "current_" in text)]
        text = self.pick(texts) if texts else "select 42"
        lasting = self.may("SQL PREPARE") and self.chance(0.5)
        if self.chance(0.5):
            return [query(f"prepare q as {text};execute q" + ("" if lasting else ";deallocate q"))]
        return [query(f"prepare q as {text}"), query("execute q")] + ([] if lasting else [query("deallocate q")])

    def temporary(self, actor):
        # Whether a statement that was prepared before reads the new table depends on whether its session has had temporary objects before.
        actor.forget()
        lasting = self.may("temporary tables") and self.chance(0.4)
        table, column = self.pick([("zip", "code text"), ("zip", "code int"), ("st", "a text, b int"), ("late", "a int")])
        drop = "" if lasting else " on commit drop"
        return self.run(f"create temp table {table}({column}){drop}") + (self.run(f"insert into {table} values ('301')") if self.chance(0.6) else [])

    def savepoint(self):
        return self.run(self.weighted([(3, "savepoint s"), (3, "rollback to savepoint s"), (1, "release s")]))

    # settings

    def change(self, actor):
        """A SET that stays with its client."""
        reported = [setting for setting in self.changeable if setting.reported]
        setting = self.pick([s for s in self.few if s.reported] or reported) if reported else None
        if self.chance(0.4) or not setting:
            others = [s for s in self.changeable if not s.reported and self.may("SET ROLE" if s.name == "role" else "SET of an unreported parameter")]
            setting = self.pick(others) if others else setting
        if not setting or not (self.may("SET of a reported parameter") or not setting.reported):
            return None
        is_told = setting.reported and not actor.is_open
        if self.chance(0.25) and setting.name != "role" and self.may("set_config of a reported parameter outside a transaction" if is_told else "set_config"):
            value = self.value(setting).replace("'", "''")
            return self.run(f"select set_config('{setting.name}', '{value}', false)")
        return self.run(self.set_text(setting, self.pick(["set", "set", "set session"])))

    def value(self, setting):
        if setting.refused and self.chance(0.08):
            return self.pick(setting.refused)
        return self.pick(setting.values)

    def set_text(self, setting, verb):
        name, value = setting.name, self.value(setting)
        quoted = "'" + value.replace("'", "''") + "'"
        if name == "role":
            return f"{verb} role {value if value.isalpha() and self.chance(0.5) else quoted}"
        if name == "TimeZone" and self.chance(0.4):
            return f"{verb} time zone {quoted}"
        if name == "client_encoding" and self.chance(0.4):
            return f"{verb} names {quoted}"
        if name in ("search_path", "DateStyle"):
            # A list: each of its parts is a word of its own.
            parts = [part.strip() for part in value.split(",")]
            quoted = ", ".join(part if part.startswith('"') else f"'{part}'" for part in parts)
        spelt = name.upper() if "." not in name and self.chance(0.1) else name
        return f"{verb} {spelt} {self.pick(['=', 'to'])} {quoted}"

    def local(self, actor):
        """Until the transaction ends."""
        settings = [s for s in (self.few if self.chance(0.7) else self.changeable) if s.name != "role" or self.may("SET LOCAL ROLE")]
        if not settings or not self.may("SET LOCAL"):
            return self.statement(actor)
        setting = self.pick(settings)
        if setting.reported and self.chance(0.2):
            return self.change(actor) or self.statement(actor)
        if self.chance(0.08):
            return self.reset(actor) or self.statement(actor)
        if self.may("SET LOCAL TO DEFAULT") and self.chance(0.15):
            return self.run(f"set local {setting.name} to default")
        if self.chance(0.25) and setting.name != "role" and self.may("set_config"):
            value = self.value(setting).replace("'", "''")
            return self.run(f"select set_config('{setting.name}', '{value}', true)")
        return self.run(self.set_text(setting, "set local"))

    def reset(self, actor):
        """Back to what the client brought."""
        may_all = self.may("RESET of what the client brought") or not actor.brought
        kind = self.weighted([(3, "one"), (may_all, "RESET ALL"), (may_all, "DISCARD ALL")])
        if kind == "DISCARD ALL":
            actor.forget()
            return [query(self.pick(["discard all", "DISCARD ALL;"]))]
        if kind == "RESET ALL":
            # PostgreSQL's passes over the role.
            return self.run(self.pick(["reset all", "RESET ALL"])) if self.may("RESET ALL behind SET ROLE") or self.theme == "values" else None
        settings = [s for s in self.changeable if self.may("RESET of what the client brought") or s.name.lower() not in actor.brought]
        if not settings or not self.may("RESET of a parameter"):
            return None
        setting = self.pick([s for s in self.few if s in settings] or settings)
        texts = [f"reset {setting.name}", f"set {setting.name} to default", f"set {setting.name} = default"]
        if setting.name == "TimeZone":
            texts += ["set time zone default", "reset time zone"]
        if setting.name == "role":
            texts = ["reset role", "set role none"] if self.may("SET ROLE") else ["reset role"]
        return self.run(self.pick(texts))


def tell(seed, number, lane, holds):
    """The story of a seed in a lane. `holds`: what its clients may rely on."""
    return StoryGrammar(seed, number, lane.mode, lane.servers, holds).story()


