"""Plays pipelines: to PostgreSQL through its Unix socket, where it can be seen when it has nothing more to say, and to the pooler.

The first play tells, for each wait, how many messages had come by then. The second play waits for as many; so both clients have
sent the same bytes after having read the same messages, and nothing depends on anybody's speed.
"""
import array
import errno
import fcntl
import os
import platform
import select
import socket
import struct
import termios
import time

import wire
from allowed import comparable
from environment import CONTENT, TABLES, USER

HANG = float(os.environ.get("DIFFERENTIAL_HANG", 5))
EPOLL_WAITS = ("232", "281") if platform.machine() == "x86_64" else ("22",)


class Transcript:
    """What came back: whole messages, how many of them by each wait, how the connection ended, what is in the tables."""

    def __init__(self):
        self.frames, self.marks = [], []  # a mark is None at a cancel that found nothing to cancel
        self.closed = False  # by the other side
        self.hung = None  # what it was waited for in vain
        self.content = None
        self.tail = b""  # a message that was begun and never ended
        self.unseen = False  # the client closed; how far its answers came by then is a matter of speed

    def answers(self):
        """What is compared."""
        return None if self.unseen else ([comparable(frame) for frame in self.frames], self.closed, self.tail)

    def same_as(self, other):
        return not self.hung and self.answers() == other.answers() and self.content == other.content


class Peer:
    """One connection that is written to and read from without ever blocking."""

    def __init__(self, client):
        self.client, self.socket = client, client.socket
        self.socket.setblocking(False)
        self.buffer, self.out = bytearray(client.buffer), bytearray()
        self.frames, self.closed, self.cannot_send = [], False, False
        self.counts = {}
        self.shut_when_sent = False
        self.backend = None

    def fileno(self):
        return self.socket.fileno()

    def begin(self):
        self.frames, self.counts = [], {}

    def send(self, data):
        if not self.cannot_send:
            self.out += data
            self.flush()

    def flush(self):
        while self.out:
            try:
                sent = self.socket.send(self.out)
            except BlockingIOError:
                return
            except OSError:
                self.out.clear()
                self.cannot_send = True
                return
            del self.out[:sent]

    def feed(self):
        """Takes what has arrived; True when something did."""
        got = False
        while not self.closed:
            try:
                part = self.socket.recv(262144)
            except BlockingIOError:
                break
            except OSError:
                part = b""
            if not part:
                self.closed = True
                break
            got = True
            self.buffer += part
            if len(part) < 4096:
                break
        if got:
            data, at = self.buffer, 0
            while len(data) - at >= 5:
                size = struct.unpack_from("!I", data, at + 1)[0] + 1
                if len(data) - at < size:
                    break
                self.frames.append(bytes(data[at : at + size]))
                letter = chr(data[at])
                self.counts[letter] = self.counts.get(letter, 0) + 1
                at += size
            del data[:at]
        return got

    def close(self, reset=False):
        try:
            if reset:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.socket.close()
        except OSError:
            pass

    # the direct side only

    def is_quiet(self):
        """PostgreSQL has read everything, and sleeps until the client sends more."""
        if self.unread() or not self.is_waiting(True):
            return False
        return not self.feed() and not self.unread()

    def unread(self):
        count = array.array("i", [0])
        fcntl.ioctl(self.socket, termios.TIOCOUTQ, count)
        return count[0]

    def is_waiting(self, for_ever):
        try:
            with open(f"/proc/{self.backend}/syscall") as f:
                words = f.read().split()
        except (FileNotFoundError, ProcessLookupError):
            return True
        if words[0] not in EPOLL_WAITS:
            return False
        return not for_ever or int(words[4], 16) & 0xFFFFFFFF == 0xFFFFFFFF

    def is_gone(self):
        return not os.path.exists(f"/proc/{self.backend}")


def letters_of(step):
    return step[1] if step[1] in ("Z", "G") else None


def pump_direct(peer, done, quiet=True):
    """Until `done`, the end of the stream, or (with `quiet`) until nothing more will come."""
    end = time.monotonic() + 60
    pause = 0.0002
    while True:
        peer.flush()
        got = peer.feed()
        if done() or peer.closed:
            return
        if got:
            pause = 0.0002
            continue
        if quiet and not peer.out and peer.is_quiet():
            return
        if time.monotonic() > end:
            raise AssertionError("PostgreSQL itself does not answer")
        select.select([peer], [peer] if peer.out else [], [], pause)
        pause = min(pause * 1.5, 0.005)


class Player:
    """The two connections of a lane, kept as long as nothing has ended them."""

    def __init__(self, environment, lane, target, bystanders):
        self.environment, self.lane, self.target, self.bystanders = environment, lane, target, bystanders
        self.direct = self.pooled = None
        self.hang = HANG  # seconds after which an answer of the pooler counts as never coming
        self.reference_admin = environment.postgres.connect(lane.reference)
        self.pooled_admin = environment.postgres.connect(lane.pooled)
        self.pooled_admin.query("set lock_timeout = '3s'")

    def close(self):
        for peer in (self.direct, self.pooled):
            if peer:
                peer.close()
        self.reference_admin.close()
        self.pooled_admin.close()

    # connections

    def connect_direct(self):
        client = wire.Client(self.environment.postgres.socket_path, user=USER, database=self.lane.reference)
        peer = Peer(client)
        peer.backend = client.key[0]
        return peer

    def connect_pooled(self):
        """None: nobody answers."""
        try:
            s = socket.create_connection(self.target.address, self.hang)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            return None
        client = wire.Client.__new__(wire.Client)
        client.address, client.user, client.password, client.buffer, client.key = self.target.address, USER, "x", bytearray(), None
        client.socket = s
        peer = Peer(client)
        peer.send(wire.startup_packet({"user": USER, "database": self.lane.pooled}))
        self.pump(peer, lambda: "Z" in peer.counts or "E" in peer.counts, self.hang * 2)
        if "Z" not in peer.counts:
            peer.close()
            return None
        for frame in peer.frames:
            if frame[0] == ord("K"):
                client.key = (struct.unpack_from("!I", frame, 5)[0], frame[9:])
        return peer

    def forget_connections(self):
        for peer in (self.direct, self.pooled):
            if peer:
                peer.close()
        self.direct = self.pooled = None

    # PostgreSQL

    def play_direct(self, pipeline, fresh=False):
        if fresh and self.direct:
            self.direct.close()
            self.direct = None
        if self.direct is None:
            self.direct = self.connect_direct()
        peer, transcript = self.direct, Transcript()
        peer.begin()
        counts = {}
        for step in steps_of(pipeline):
            if step[0] == "message":
                self.put(peer, step, lambda: pump_direct(peer, lambda: not peer.out))
            elif step[0] in ("cut", "pause"):
                pass
            elif step[0] == "wait":
                letter = letters_of(step)
                if letter:
                    before = counts.get(letter, 0)
                    pump_direct(peer, lambda: peer.counts.get(letter, 0) > before)
                    seen = 0
                    for index, frame in enumerate(peer.frames):
                        if frame[0] == ord(letter):
                            seen += 1
                            if seen > before:
                                counts[letter] = seen
                                transcript.marks.append(index + 1)
                                break
                    else:
                        transcript.marks.append(len(peer.frames))
                else:
                    pump_direct(peer, lambda: False)
                    transcript.marks.append(len(peer.frames))
            elif step[0] == "cancel":
                # Where a wait has let it sleep to its end, or it was skipped, there is nothing to cancel: neither here nor there.
                sleeps = self.wait_running(self.reference_admin, step, lambda: time.sleep(0.001) or peer.feed())
                if sleeps:
                    wire.cancel(self.environment.postgres.socket_path, peer.client.key)
                transcript.marks.append(len(peer.frames) if sleeps else None)
        self.end_direct(peer, pipeline, transcript)
        return transcript

    def end_direct(self, peer, pipeline, transcript):
        if pipeline.end in ("close", "reset"):
            peer.close()
            self.direct, transcript.unseen, transcript.frames = None, True, peer.frames
            self.wait_gone(peer)
        elif pipeline.end == "half-close":
            pump_direct(peer, lambda: not peer.out, quiet=False)
            try:
                peer.socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        if pipeline.end in ("half-close", "terminate"):
            pump_direct(peer, lambda: False, quiet=False)
        elif pipeline.end == "go on":
            pump_direct(peer, lambda: False)
        if pipeline.end not in ("close", "reset"):
            transcript.frames, transcript.closed = peer.frames, peer.closed
            transcript.tail = bytes(peer.buffer)
            if peer.closed:
                peer.close()
                self.direct = None
                self.wait_gone(peer)
            elif not is_at_rest(peer.frames):
                # It waits for the rest of a message that never comes, for example.
                peer.close()
                self.direct = None
                self.wait_gone(peer)
        transcript.content = self.content(self.reference_admin, pipeline.number)

    def wait_gone(self, peer):
        end = time.monotonic() + 30
        while not peer.is_gone() and time.monotonic() < end:
            time.sleep(0.0005)

    # the pooler

    def play_pooled(self, pipeline, direct, hang=None):
        """`direct`: what PostgreSQL answered; it says how much is to be waited for."""
        transcript, hang = Transcript(), hang or self.hang
        if self.pooled is None:
            self.pooled = self.connect_pooled()
            if self.pooled is None:
                transcript.hung = "a login"
                return transcript
        peer = self.pooled
        peer.begin()
        marks = iter(direct.marks)
        pending = bytearray()

        def leave():
            if pending:
                peer.send(bytes(pending))
                pending.clear()
                if peer.out:
                    self.pump(peer, lambda: not peer.out, hang)

        for step in steps_of(pipeline):
            if step[0] == "message":
                pending += step[1][: step[2]] if len(step) > 2 else step[1]
                if len(step) > 2:
                    leave()
                    pending += step[1][step[2] :]
            elif step[0] == "cut":
                leave()
            elif step[0] == "pause":
                leave()
                self.pump(peer, lambda: False, 0.001)
            elif step[0] == "wait":
                leave()
                mark = next(marks)
                if not self.pump(peer, lambda: len(peer.frames) >= mark, hang) and not peer.closed:
                    transcript.hung = f"message {mark} before going on"
                    break
            elif step[0] == "cancel":
                leave()
                mark = next(marks)
                if mark is not None:
                    self.pump(peer, lambda: len(peer.frames) >= mark, hang)
                    self.cancel_pooled(peer, step)
        else:
            leave()
            self.end_pooled(peer, pipeline, direct, transcript, hang)
        if transcript.hung:
            transcript.frames, transcript.closed, transcript.tail = peer.frames, peer.closed, bytes(peer.buffer)
            peer.close()
            self.pooled = None
        return transcript

    def end_pooled(self, peer, pipeline, direct, transcript, hang):
        if pipeline.end in ("close", "reset"):
            peer.feed()
            peer.close(reset=pipeline.end == "reset")
            self.pooled, transcript.unseen, transcript.frames = None, True, peer.frames
        else:
            if pipeline.end == "half-close":
                self.pump(peer, lambda: not peer.out, hang)
                try:
                    peer.socket.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
            if direct.closed:
                if not self.pump(peer, lambda: False, hang) and not peer.closed:
                    transcript.hung = "the end of the connection"
            elif not self.pump(peer, lambda: len(peer.frames) >= len(direct.frames), hang) and not peer.closed:
                transcript.hung = f"message {len(direct.frames)}"
            transcript.frames, transcript.closed, transcript.tail = peer.frames, peer.closed, bytes(peer.buffer)
            if peer.closed or not is_at_rest(direct.frames):
                peer.close()
                self.pooled = None
        transcript.content = self.content_settled(pipeline.number, direct.content)

    def cancel_pooled(self, peer, step):
        self.wait_running(self.pooled_admin, step, lambda: self.pump(peer, lambda: False, 0.002))
        with socket.create_connection(self.target.address, self.hang) as s:
            s.sendall(wire.request_packet(wire.CANCEL, struct.pack("!I", peer.client.key[0]) + peer.client.key[1]))
            try:
                while s.recv(100):
                    pass
            except OSError:
                pass

    def wait_running(self, admin, step, meanwhile):
        """Whether the query with that token sleeps in PostgreSQL; waits for it, not for ever, since it may have been skipped."""
        running = (
            "select 1 from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and state = 'active'"
            f" and wait_event = '{step[2]}' and query like '%{step[1]}%'"
        )
        end = time.monotonic() + 1.8  # it sleeps for 2 s
        while not admin.rows(running):
            if time.monotonic() >= end:
                return False
            meanwhile()
        return True

    def pump(self, peer, done, seconds):
        """Until `done` (True) or the end of the stream or the time (False). The bystanders go on meanwhile."""
        end = time.monotonic() + seconds
        while True:
            peer.flush()
            peer.feed()
            if done():
                return True
            if peer.closed:
                return False
            left = end - time.monotonic()
            if left <= 0:
                return False
            pause = min(left, self.bystanders.pause())
            ready, _, _ = select.select([peer] + self.bystanders.waiting(), [peer] if peer.out else [], [], pause)
            self.bystanders.turn(ready)

    # tables

    def content(self, admin, number):
        return sorted(admin.rows(CONTENT.format(low=number % 2_000_000 * 1000)))

    def content_settled(self, number, wanted):
        """What is in the tables, once nobody works for that client any more, or as soon as it is what is wanted."""
        end = time.monotonic() + 3
        while True:
            content = self.content(self.pooled_admin, number)
            if content == wanted or time.monotonic() > end:
                return content
            self.bystanders.run_for(0.005)

    def clean_tables(self, number):
        low = number % 2_000_000 * 1000
        for admin in (self.reference_admin, self.pooled_admin):
            for table in TABLES:
                answer = admin.query(f"delete from {table} where abs(a::bigint) between {low} and {low} + 999")
                if answer.errors:
                    return False
        return True

    def put(self, peer, step, until_sent):
        peer.send(step[1])
        if peer.out:
            until_sent()


EPILOGUE = [("message", wire.copy_fail("over")), ("message", wire.sync()), ("message", wire.query("rollback")), ("message", wire.query("deallocate all"))]


def is_at_rest(frames):
    """The epilogue was heard and answered."""
    return len(frames) >= 2 and frames[-2][5:] == b"DEALLOCATE ALL\0" and frames[-1][5:] == b"I"


def steps_of(pipeline):
    """With what follows: a connection that goes on is brought back to its beginning."""
    if pipeline.end == "go on":
        return pipeline.steps + EPILOGUE
    if pipeline.end == "terminate":
        return pipeline.steps + [("message", wire.terminate())]
    return pipeline.steps
