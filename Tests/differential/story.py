"""A story: what several clients of one database do, one after the other. A value that can be printed, stored and made smaller.

A step is a tuple, and is over before the next one begins:
    ("arrive", who, pairs)      logs in with these startup parameters
    ("send", who, messages)     one burst that ends with a Query or a Sync; all of its answers
    ("leave", who, how)         "terminate", or "close" without a word
    ("past", sql)               somebody else does this on a connection of PostgreSQL's own, not through the pooler
    ("hold", n)                 other clients of the pooler hold n servers, so that the next one gets another
    ("reconnect",)              RECONNECT on the pooler's console: new servers
"""
import json

from pipeline import show_sent


class Story:
    end = "go on"

    def __init__(self, steps, origin="", number=0, changes_catalogue=False):
        self.steps, self.origin, self.number, self.changes_catalogue = list(steps), origin, number, changes_catalogue

    def replace(self, steps=None, end=None):
        return Story(self.steps if steps is None else steps, self.origin, self.number, self.changes_catalogue)

    @property
    def messages(self):
        return [message for step in self.steps if step[0] == "send" for message in step[2]]

    @property
    def size(self):
        return len(self.steps) + len(self.messages)

    def about(self, played):
        """What the last of so many steps was about, for a report: the last text in it."""
        step = self.steps[len(played) - 1] if played else ("nothing",)
        if step[0] != "send":
            return step[0]
        texts = [m[5:].split(b"\0")[0 if m[:1] == b"Q" else 1] for m in step[2] if m[:1] in b"QP"]
        words = texts[-1].decode("utf-8", "replace").split(" ") if texts else ["a statement prepared earlier"]
        return " ".join(words[:3] if words[0].lower() in ("set", "reset", "discard") else words[:2])

    def to_json(self):
        def plain(value):
            if isinstance(value, bytes):
                return {"bytes": value.decode("latin-1")}
            return [plain(v) for v in value] if isinstance(value, (list, tuple)) else value

        return json.dumps({"origin": self.origin, "number": self.number, "changes_catalogue": self.changes_catalogue, "story": plain(self.steps)})

    @staticmethod
    def from_json(text):
        def tuples(value):
            if isinstance(value, dict):
                return value["bytes"].encode("latin-1")
            return tuple(tuples(v) for v in value) if isinstance(value, list) else value

        value = json.loads(text)
        return Story(tuples(value["story"]), value["origin"], value["number"], value["changes_catalogue"])

    def __str__(self):
        return "\n    ".join(show_step(step) for step in self.steps)

    def smaller(self):
        """The same story with a client, a message, a startup parameter or a statement less."""
        for who in sorted({step[1] for step in self.steps if step[0] == "arrive"}):
            yield self.replace([step for step in self.steps if step[0] not in ("arrive", "send", "leave") or step[1] != who])
        for at, step in enumerate(self.steps):
            for part in parts(step):
                yield self.replace(self.steps[:at] + [part] + self.steps[at + 1 :])


def parts(step):
    kind = step[0]
    if kind in ("arrive", "send"):
        for index, one in enumerate(step[2]):
            rest = step[2][:index] + step[2][index + 1 :]
            if kind == "arrive" or rest:
                yield (kind, step[1], rest)
            if kind == "send" and one[:1] == b"Q" and b";" in one:
                texts = one[5:-1].split(b";")
                for i in range(len(texts)):
                    text = b";".join(texts[:i] + texts[i + 1 :]) + b"\0"
                    yield (kind, step[1], step[2][:index] + (b"Q" + (len(text) + 4).to_bytes(4, "big") + text,) + step[2][index + 1 :])
    elif kind == "leave" and step[2] == "close":
        yield ("leave", step[1], "terminate")
    elif kind == "hold" and step[1] > 0:
        yield ("hold", step[1] - 1)


def show_step(step):
    if step[0] == "arrive":
        shown = " ".join(f"{show_text(name)}={show_text(value)!r}" for name, value in step[2])
        return f"{step[1]} arrives {shown}".rstrip()
    if step[0] == "send":
        return f"{step[1]}: " + " ".join(show_sent(message) for message in step[2])
    if step[0] == "leave":
        return f"{step[1]} leaves ({step[2]})"
    if step[0] == "past":
        return f"past the pooler: {step[1]}"
    return " ".join(str(part) for part in step)


def show_text(value):
    return value if isinstance(value, str) else value.decode("utf-8", "backslashreplace")
