"""A name server of a test's own on loopback: A and AAAA records out of a dictionary that the test changes."""
import socket
import struct
import threading

A, AAAA = 1, 28


class NameServer:
    """records  {name: ([addresses], ttl)}; a name that is missing does not exist; None: no answer before `release`"""

    def __init__(self, records=None):
        self.records, self.questions, self.unanswered = dict(records or {}), [], []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def resolv_conf(self, folder, timeout=20):
        """The path of a file that leads here. Nobody asks twice because the machine is slow."""
        path = f"{folder}/resolv.conf"
        with open(path, "w") as f:
            f.write(f"nameserver 127.0.0.1:{self.port}\noptions timeout:{timeout} attempts:2\n")
        return path

    def asked(self, name):
        """How often for its IPv4 address."""
        return self.questions.count((name, A))

    def close(self):
        self.closing = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"", ("127.0.0.1", self.port))
        self.thread.join(10)
        self.socket.close()

    closing = False

    def _serve(self):
        while True:
            data, client = self.socket.recvfrom(4096)
            if self.closing:
                return
            answer = self._answer(data)
            if answer:
                self.socket.sendto(answer, client)
            else:
                self.unanswered.append((data, client))

    def release(self, name, record):
        """Answers what was asked about a name of which the record was None."""
        self.records[name] = record
        for data, client in list(self.unanswered):
            if self._name(data) == name:
                self.unanswered.remove((data, client))
                self.socket.sendto(self._answer(data), client)

    @staticmethod
    def _name(data):
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1 : at + 1 + data[at]])
            at += 1 + data[at]
        return b".".join(labels).decode().lower()

    def _answer(self, data):
        name = self._name(data)
        at = data.index(b"\0", 12)
        kind = struct.unpack_from("!H", data, at + 1)[0]
        question = data[12 : at + 5]
        self.questions.append((name, kind))
        if name in self.records and self.records[name] is None:
            return None
        addresses, ttl = self.records.get(name, ([], 0))
        packed = []
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            if (family == socket.AF_INET6) == (kind == AAAA):
                packed.append(socket.inet_pton(family, address))
        status = 0 if name in self.records else 3
        head = data[:2] + struct.pack("!HHHHH", 0x8180 | status, 1, len(packed), 0, 0)
        return head + question + b"".join(struct.pack("!HHHIH", 0xC00C, kind, 1, ttl, len(a)) + a for a in packed)
