"""Plays stories: to PostgreSQL, where each client has a server of its own, and to the pooler. One step ends before the next one begins.

What comes back is one transcript of all clients. ParameterStatus may come at any moment and more than once: what is compared is what a client
knows at each ReadyForQuery. OIDs of objects that a story has made are different in the two databases, and are left out.
"""
import select
import socket
import struct
import time

import wire
from allowed import comparable
from environment import USER
from play import HANG, Peer, Transcript, pump_direct
from story_allowed import without_notices
from story_schema import CLEAN, CONTENT, REBUILD

AS_ADMIN = f"set role {USER}; set search_path = public; {{}}; reset role; reset search_path"
POOLERS_OWN = ("pgbouncer.",)  # what only a pooler tells at the login


class NotPlayable(Exception):
    """A client waits for another one's lock, or for a server that another one keeps: smaller stories may do so."""


def note(text):
    """What is no message of a server's, in a transcript."""
    body = text.encode()
    return b"#" + struct.pack("!I", len(body) + 4) + body


class StoryPeer:
    """One client of a story, and what it knows."""

    def __init__(self, who, peer, first_new_oid):
        self.who, self.peer, self.first_new_oid = who, peer, first_new_oid
        self.known, self.told, self.status = {}, {}, "I"

    def take(self):
        """The messages that have come since, as they are compared."""
        result = []
        for frame in self.peer.frames:
            kind = chr(frame[0])
            if kind == "S":
                name, value = frame[5:-1].split(b"\0")
                if not name.decode().startswith(POOLERS_OWN):
                    self.known[name] = value
                continue
            if kind in "RK":
                continue
            if kind == "Z":
                self.status = chr(frame[5])
                if self.known != self.told:
                    changed = {name: value for name, value in self.known.items() if self.told.get(name) != value}
                    result.append(note("knows " + " ".join(f"{n.decode()}={v.decode('utf-8', 'backslashreplace')!r}" for n, v in sorted(changed.items()))))
                    self.told = dict(self.known)
            result.append(normal(self.without_oids(frame)))
        self.peer.begin()
        return result

    def without_oids(self, frame):
        if frame[:1] == b"t":
            count = struct.unpack_from("!H", frame, 5)[0]
            return frame[:7] + struct.pack(f"!{count}I", *map(self.old, struct.unpack_from(f"!{count}I", frame, 7)))
        if frame[:1] != b"T":
            return frame
        out, at = frame[:7], 7
        for _ in range(struct.unpack_from("!H", frame, 5)[0]):
            end = frame.index(b"\0", at) + 1
            table, column, kind = struct.unpack_from("!IHI", frame, end)
            out += frame[at:end] + struct.pack("!IHI", self.old(table), column, self.old(kind)) + frame[end + 10 : end + 18]
            at = end + 18
        return out

    def old(self, oid):
        return oid if oid < self.first_new_oid else 1


def normal(frame):
    """Without what is never compared."""
    return frame[:1] + bytes(4) + comparable(frame)[1:] if frame[:1] in b"EN" else frame


def answers_due(messages):
    return sum(message[:1] in b"QS" for message in messages)


class StoryPlayer:
    def __init__(self, environment, lane, target, bystanders):
        self.environment, self.lane, self.target, self.bystanders = environment, lane, target, bystanders
        self.hang = HANG
        self.reference_admin = environment.postgres.connect(lane.reference)
        self.pooled_admin = environment.postgres.connect(lane.pooled)
        self.pooled_admin.query("set lock_timeout = '3s'")
        self.peers, self.holders = {}, []
        self.dirty = False  # the tables are not as they were at the beginning

    def close(self):
        self.forget_connections()
        self.reference_admin.close()
        self.pooled_admin.close()

    def forget_connections(self):
        for peer in [*self.peers.values(), *self.holders]:
            peer.peer.close()
        self.peers, self.holders = {}, []

    # to PostgreSQL

    def play_direct(self, story, fresh=False):
        transcript, peers = Transcript(), {}
        try:
            self.play_steps(story, peers, transcript)
        finally:
            self.leave_direct(peers.values(), "close")
            transcript.content = self.content(self.reference_admin)
            self.clean_reference(story)
        return transcript

    def play_steps(self, story, peers, transcript):
        held = 0
        for step in story.steps:
            before = len(transcript.frames)
            if step[0] == "arrive":
                self.arrive_direct(step, peers, transcript)
            elif step[0] == "send" and step[1] in peers:
                self.may_act(peers, step[1], held)
                self.send_direct(peers[step[1]], step[2], transcript)
                if peers[step[1]].peer.closed:
                    peers.pop(step[1]).peer.close()
            elif step[0] == "leave" and step[1] in peers:
                self.leave_direct([peers.pop(step[1])], step[2])
            elif step[0] == "past":
                self.past(self.reference_admin, step[1], peers)
            elif step[0] == "hold":
                held = step[1]
                self.may_act(peers, None, held)
            transcript.marks.append(transcript.frames[before:])

    def may_act(self, peers, who, held):
        """There is a server for the one that acts, and one for all others."""
        if self.lane.mode == "session":
            if len(peers) > self.lane.servers - 1:
                raise NotPlayable
            return
        others = sum(peer.status != "I" for name, peer in peers.items() if name != who)
        if others + held > self.lane.servers - 1:
            raise NotPlayable

    def arrive_direct(self, step, peers, transcript):
        self.may_act(peers, step[1], 0)
        if step[1] in peers:
            raise NotPlayable
        client = wire.Client(self.environment.postgres.socket_path, login=False)
        peer = StoryPeer(step[1], Peer(client), self.environment.first_new_oid)
        peer.peer.send(startup(self.lane.reference, step[2]))
        transcript.frames.append(note(f"{step[1]} arrives"))
        pump_direct(peer.peer, lambda: "Z" in peer.peer.counts, quiet=False)
        for frame in peer.peer.frames:
            if frame[0] == ord("K"):
                peer.peer.backend = struct.unpack_from("!I", frame, 5)[0]
        transcript.frames += peer.take()
        if peer.peer.closed:
            peer.peer.close()
        else:
            peers[step[1]] = peer

    def send_direct(self, peer, messages, transcript):
        if messages[-1][:1] not in b"QS":
            raise NotPlayable
        due = answers_due(messages)
        peer.peer.send(b"".join(messages))
        transcript.frames.append(note(f"{peer.who}:"))
        pump_direct(peer.peer, lambda: peer.peer.counts.get("Z", 0) >= due)
        if peer.peer.counts.get("Z", 0) < due and not peer.peer.closed:
            raise NotPlayable
        transcript.frames += peer.take()

    def leave_direct(self, peers, how):
        for peer in peers:
            if how == "terminate":
                peer.peer.send(wire.terminate())
            peer.peer.close()
        end = time.monotonic() + 30
        while not all(peer.peer.is_gone() for peer in peers) and time.monotonic() < end:
            time.sleep(0.0005)

    def past(self, admin, sql, peers):
        if any(peer.status != "I" for peer in peers.values()):
            raise NotPlayable
        admin.query(f"set role {USER}; set search_path = public")
        admin.query(sql)
        admin.query("reset role; reset search_path")

    # to the pooler

    def play_pooled(self, story, direct, hang=None):
        """Until the first step whose answers differ."""
        transcript, hang = Transcript(), hang or self.hang
        self.forget_connections()
        self.peers = {}
        for number, step in enumerate(story.steps):
            before = len(transcript.frames)
            wanted = direct.marks[number]
            if step[0] == "arrive":
                self.arrive_pooled(step, transcript, hang)
            elif step[0] == "send" and step[1] in self.peers:
                peer = self.peers[step[1]]
                due = answers_due(step[2])
                peer.peer.send(b"".join(step[2]))
                transcript.frames.append(note(f"{peer.who}:"))
                if not self.pump(peer, lambda: peer.peer.counts.get("Z", 0) >= due, hang) and not peer.peer.closed:
                    transcript.hung = f"{peer.who}'s answers"
                transcript.frames += peer.take()
                if peer.peer.closed:
                    self.peers.pop(step[1]).peer.close()
            elif step[0] == "leave" and step[1] in self.peers:
                self.leave_pooled(self.peers.pop(step[1]), step[2], transcript, hang)
            elif step[0] == "past":
                self.past(self.pooled_admin, step[1], {})
            elif step[0] == "hold":
                self.hold(step[1], transcript, hang)
            elif step[0] == "reconnect":
                self.reconnect()
            transcript.marks.append(transcript.frames[before:])
            if transcript.hung or without_notices(transcript.frames[before:]) != without_notices(wanted):
                break
        else:
            transcript.content = direct.content
        if transcript.content is None:
            # It has ended early: what follows in the other transcript is not compared.
            del direct.frames[len(transcript.frames) + 6 :]
        self.end_pooled(story, transcript, direct, hang)
        return transcript

    def end_pooled(self, story, transcript, direct, hang):
        for peer in self.peers.values():
            peer.peer.close()
        self.peers = {}
        self.hold(0, transcript, hang)
        if transcript.content is not None:
            # A client that left without a word may still be worked for.
            end = time.monotonic() + 3
            while (found := self.content(self.pooled_admin)) != direct.content and time.monotonic() < end:
                self.bystanders.run_for(0.005)
            transcript.content = found
        if not self.clean_pooled(story):
            self.dirty = True
            transcript.hung = transcript.hung or "the cleaning up"

    def connect(self, who, pairs, hang):
        try:
            s = socket.create_connection(self.target.address, hang)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            return None
        client = wire.Client.__new__(wire.Client)
        client.socket, client.buffer = s, bytearray()
        peer = StoryPeer(who, Peer(client), self.environment.first_new_oid)
        peer.peer.send(startup(self.lane.pooled, pairs))
        self.pump(peer, lambda: "Z" in peer.peer.counts, hang)
        return peer

    def arrive_pooled(self, step, transcript, hang):
        transcript.frames.append(note(f"{step[1]} arrives"))
        peer = self.connect(step[1], step[2], hang)
        if peer is None:
            transcript.hung = "a login"
            return
        has_answer = peer.peer.closed or "Z" in peer.peer.counts
        transcript.frames += peer.take()
        if not has_answer:
            transcript.hung = f"{step[1]}'s login"
        if peer.peer.closed:
            peer.peer.close()
        else:
            self.peers[step[1]] = peer

    def leave_pooled(self, peer, how, transcript, hang):
        """What comes after its last answer was asked for by nobody."""
        if how == "terminate":
            peer.peer.send(wire.terminate())
            if not self.pump(peer, lambda: False, hang) and not peer.peer.closed:
                transcript.hung = f"{peer.who}'s end"
        peer.peer.feed()
        left = [frame for frame in peer.take() if frame[:1] != b"#"]
        transcript.frames += left
        peer.peer.close()

    def hold(self, count, transcript, hang):
        while len(self.holders) > count:
            holder = self.holders.pop()
            holder.peer.send(wire.query("rollback"))
            self.pump(holder, lambda: holder.peer.counts.get("Z", 0) >= 1, hang)
            holder.peer.close()
        while len(self.holders) < count:
            holder = self.connect("a holder", (), hang)
            if holder:
                holder.take()
                holder.peer.send(wire.query("begin"))
                self.pump(holder, lambda: holder.peer.counts.get("Z", 0) >= 1, hang)
            if not holder or holder.peer.counts.get("Z", 0) < 1:
                transcript.hung = "a server to hold"
                return
            holder.take()
            self.holders.append(holder)

    def reconnect(self):
        if self.target.is_pooler:
            with wire.Client(self.target.address, user=USER, password="x", database="pgbouncer") as console:
                console.query(f"reconnect {self.lane.pooled}").check()

    def pump(self, peer, done, seconds):
        """Until `done` (True) or the end of the stream or the time (False). The bystanders go on meanwhile."""
        end = time.monotonic() + seconds
        one = peer.peer
        while True:
            one.flush()
            one.feed()
            if done():
                return True
            left = end - time.monotonic()
            if one.closed or left <= 0:
                return False
            pause = min(left, self.bystanders.pause())
            ready, _, _ = select.select([one] + self.bystanders.waiting(), [one] if one.out else [], [], pause)
            self.bystanders.turn(ready)

    # tables

    def content(self, admin, number=0):
        return [row[0] for row in admin.rows(CONTENT)]

    def clean_reference(self, story):
        self.reference_admin.query(AS_ADMIN.format(REBUILD) if story.changes_catalogue else CLEAN).check()

    def clean_pooled(self, story):
        """DDL goes the way of a client, so that the pooler knows of it."""
        if not story.changes_catalogue:
            return not self.pooled_admin.query(CLEAN).errors
        peer = self.connect("the end", (("search_path", "public"),), self.hang)
        if not peer:
            return False
        peer.take()
        peer.peer.send(wire.query(REBUILD))
        self.pump(peer, lambda: peer.peer.counts.get("Z", 0) >= 1, self.hang)
        good = peer.peer.counts.get("Z", 0) >= 1 and "E" not in peer.peer.counts
        peer.peer.close()
        return good

    def clean_tables(self, number):
        """Whatever was left behind: everything is made anew."""
        if self.dirty:
            self.dirty = bool(self.pooled_admin.query(AS_ADMIN.format(REBUILD)).errors)
        return not self.dirty


def startup(database, pairs):
    return wire.startup_packet([("user", USER), ("database", database), *pairs])
