"""A pipeline: what one client sends, where its TCP segments end, where it waits, and how it ends. A value that can be printed and stored.

A step is a tuple:
    ("message", bytes)     one message of the protocol, whole or not
    ("message", bytes, n)  the same, with a segment's end behind its first n bytes
    ("cut",)               what was sent so far leaves as a segment
    ("pause",)             the same, and a moment passes
    ("wait", letter)       until a message of that letter arrives ("Z", "G"), or PostgreSQL has nothing more to say ("quiet")
    ("cancel", token, e)   a cancel request, as soon as the query with that token runs and waits for e ("PgSleep", "ClientRead")
An end is one of ENDS.
"""
import json
import struct

ENDS = ("go on", "terminate", "half-close", "close", "reset")


class Pipeline:
    def __init__(self, steps, end="go on", origin="", number=0):
        self.steps, self.end, self.origin, self.number = list(steps), end, origin, number

    def replace(self, steps=None, end=None):
        return Pipeline(self.steps if steps is None else steps, self.end if end is None else end, self.origin, self.number)

    @property
    def messages(self):
        return [step[1] for step in self.steps if step[0] == "message"]

    def to_json(self):
        steps = [["message", step[1].decode("latin-1"), *step[2:]] if step[0] == "message" else list(step) for step in self.steps]
        return json.dumps({"origin": self.origin, "number": self.number, "end": self.end, "steps": steps})

    @staticmethod
    def from_json(text):
        value = json.loads(text)
        steps = [("message", step[1].encode("latin-1"), *step[2:]) if step[0] == "message" else tuple(step) for step in value["steps"]]
        return Pipeline(steps, value["end"], value["origin"], value["number"])

    def __str__(self):
        parts = []
        for step in self.steps:
            if step[0] == "message":
                parts.append(show_sent(step[1]) + (f"/{step[2]}" if len(step) > 2 else ""))
            elif step[0] == "cut":
                parts.append("|")
            elif step[0] == "pause":
                parts.append("|pause|")
            else:
                parts.append(f"<{' '.join(step)}>")
        return " ".join(parts + [f"<{self.end}>"])


def _quote(data, limit=90):
    shown = data if len(data) <= limit else data[:limit]
    text = "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else "\\n" if b == 10 else f"\\x{b:02x}" for b in shown)
    return f'"{text}"' + (f"...({len(data)} bytes)" if len(data) > limit else "")


def _texts(body, count):
    texts = []
    for _ in range(count):
        end = body.index(b"\0")
        texts.append(body[:end])
        body = body[end + 1 :]
    return texts, body


def show_sent(message):
    """One message as the issues write it: Q("select 1"), P("a","select 1"), S."""
    if len(message) < 5:
        return f"raw({message.hex()})"
    kind, length, body = chr(message[0]), struct.unpack_from("!I", message, 1)[0], message[5:]
    odd = "" if length == len(body) + 4 else f"[length {length}, {len(body)} bytes follow]"
    if not (kind.isalpha() and kind.isascii()):
        return f"raw({message[:40].hex()})"
    try:
        if kind in "Qf":
            texts, rest = _texts(body, 1)
            shown = _quote(texts[0])
        elif kind == "P":
            texts, rest = _texts(body, 2)
            count = struct.unpack_from("!H", rest)[0]
            types, rest = struct.unpack_from(f"!{count}I", rest, 2), rest[2 + 4 * count :]
            shown = ",".join(_quote(t) for t in texts) + (f",types={list(types)}" if types else "")
        elif kind == "B":
            texts, rest = _texts(body, 2)
            if rest == b"\0\0\0\0\0\0":
                rest = b""
            shown = ",".join(_quote(t) for t in texts) + (f",{_quote(rest)}" if rest else "")
            rest = b""
        elif kind in "DC":
            texts, rest = _texts(body[1:], 1)
            shown = f"{_quote(body[:1])},{_quote(texts[0])}"
        elif kind == "E":
            texts, rest = _texts(body, 1)
            shown, rest = f"{_quote(texts[0])},{struct.unpack_from('!I', rest)[0]}", rest[4:]
        elif kind in "ScHX":
            shown, rest = "", body
        else:
            shown, rest = _quote(body), b""
        if rest:
            shown += f",surplus={_quote(rest)}"
    except (ValueError, struct.error):
        shown = f"body={_quote(body)}"
    return kind + (f"({shown})" if shown else "") + odd


def show_received(frame):
    """One message of a server, short."""
    kind, body = chr(frame[0]), frame[5:]
    if kind in "EN":
        fields = {chr(part[0]): part[1:].decode("utf-8", "replace") for part in body.split(b"\0") if part}
        extra = "".join(f"; {name}={fields[name][:160]}" for name in "DHWPR" if name in fields)
        return f"{kind} {fields.get('S')} {fields.get('C')} {fields.get('M')}{extra}"
    if kind == "Z":
        return f"Z {chr(body[0])}"
    if kind == "C":
        return f"C {body[:-1].decode('utf-8', 'replace')}"
    if kind in "123IncsX" and not body:
        return kind
    return f"{kind} {_quote(body, 60)}"
