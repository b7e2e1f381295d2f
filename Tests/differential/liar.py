"""A relay that lies: it stands in the pooler's place, and the differential test must find it out."""
import asyncio
import random
import struct
import threading


class Liar:
    """Relays to PostgreSQL, a server for each client. Of what a server answers, one message in `one_in` is told wrong in a way of LIES."""

    LIES = ("drop", "repeat", "swap", "foreign", "status", "stop")
    # About what a client brings and sets.
    LIES_OF_SETTINGS = ("tell", "forget", "lose")
    is_pooler = False

    def __init__(self, environment, lie, one_in=400, seed=1):
        self.environment, self.lie, self.one_in = environment, lie, one_in
        self.random, self.lies, self.last_row = random.Random(seed), 0, {}
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        threading.Thread(target=self._run, args=(started,), daemon=True).start()
        started.wait()

    def _run(self, started):
        asyncio.set_event_loop(self.loop)

        async def begin():
            self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.address = self.server.sockets[0].getsockname()
            started.set()

        self.loop.run_until_complete(begin())
        self.loop.run_forever()

    async def _serve(self, reader, writer):
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self.environment.postgres.port)
        await asyncio.gather(self._to_server(reader, to_server), self._to_client(from_server, writer, id(writer)), return_exceptions=True)
        self.last_row.pop(id(writer), None)

    async def _to_server(self, reader, to_server):
        try:
            head = await reader.readexactly(4)
            rest = await reader.readexactly(struct.unpack("!I", head)[0] - 4)
            to_server.write(self._startup(rest))
            while data := await reader.read(65536):
                to_server.write(self._query(data))
                await to_server.drain()
            to_server.write_eof()
        except (asyncio.IncompleteReadError, OSError):
            to_server.close()

    def _startup(self, packet):
        """What a client brings, or one thing less."""
        texts = packet[4:].split(b"\0")[:-2]
        if self.lie == "lose" and len(texts) > 4 and self.random.randrange(4) == 0:
            self.lies += 1
            texts = texts[:-2]
        packet = packet[:4] + b"".join(text + b"\0" for text in texts) + b"\0"
        return struct.pack("!I", len(packet) + 4) + packet

    def _query(self, data):
        """A Query that sets something, or another one that sets what nobody looks at."""
        if self.lie != "forget" or data[:1] != b"Q" or data[5:9].lower() != b"set " or self.random.randrange(4):
            return data
        size = struct.unpack_from("!I", data, 1)[0] + 1
        if len(data) != size or b";" in data:
            return data
        self.lies += 1
        text = b"set cursor_tuple_fraction = 0.5\0"
        return b"Q" + struct.pack("!I", len(text) + 4) + text

    async def _to_client(self, from_server, writer, who):
        logged_in = False
        try:
            while True:
                head = await from_server.readexactly(5)
                frame = head + await from_server.readexactly(struct.unpack("!I", head[1:])[0] - 4)
                for one in self._tell(frame, who) if logged_in else [frame]:
                    writer.write(one)
                logged_in = logged_in or frame[0] == ord("Z")
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            writer.close()

    def _tell(self, frame, who):
        kind, lie = chr(frame[0]), False
        if kind == "D":
            others = [row for other, row in self.last_row.items() if other != who and row != frame]
            self.last_row[who] = frame
        if kind in {"drop": "12DCn", "repeat": "12DC3", "swap": "C", "foreign": "D", "status": "Z", "stop": "Z", "tell": "S"}.get(self.lie, ""):
            lie = self.random.randrange(self.one_in) == 0
        if not lie or (self.lie == "foreign" and not others):
            return [frame]
        self.lies += 1
        if self.lie in ("drop", "stop"):
            return []
        if self.lie == "repeat":
            return [frame, frame]
        if self.lie == "swap":
            return [frame[:5] + frame[5:].swapcase()]
        if self.lie == "tell":
            return [frame[:-2] + bytes([frame[-2] ^ 1]) + frame[-1:]]
        if self.lie == "foreign":
            return [self.random.choice(others)]
        return [frame[:5] + (b"T" if frame[5:] == b"I" else b"I")]

    def alive(self):
        return True

    def stop(self):
        return None

    def restart(self):
        return None
