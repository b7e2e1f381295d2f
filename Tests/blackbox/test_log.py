"""What strangers say stays where it belongs in the log: names, statements and errors of servers write no line, and no field, of their own."""
import json
import re
import socket
import threading

import pytest

import wire
from processes import wait_until
from test_hostile_server import OK, READY, behind  # noqa: F401
from test_process import syslog  # noqa: F401
from wire import message

pytestmark = [pytest.mark.poolers_only, pytest.mark.sluice_only("the log as JSON, and what PgBouncer's log lets names write")]

LINE = "2026-01-01 00:00:00.000 UTC [1] LOG forged"

# user, database, and how JSON tells them where it can't hold them
NAMES = [
    ("x@127.0.0.1:80 closing because: fake (age=1s)", "a/victim@127.0.0.1:1"),
    ("C-0x1: a/b@unix closing because: fake (age=1s)", "S-0x2: a/b@127.0.0.1:5432"),
    ('u"b\\c\'', '"}\n{"event":"close","reason":"fake"}'),
    (f"u\n{LINE}", f"d\r\n{LINE}"[:63]),
    ("\x1b]0;x\x07\x7f\u009b2J", "\t\x01\u0085"),
    ("(nouser)", "(nodb)"),
    ("e\u0301\u00e9\u2028\U0001f600", "\u00a0\ufeff"),
    (b"caf\xe9", b"\xff\xfe/\x80@127.0.0.1:1"),
    (b"\xc3", b"\xed\xa0\x80\xf4\x90\x80\x80"),
]


def told(name):
    """A name in JSON: bytes that are no UTF-8 as \\xe4."""
    return name if isinstance(name, str) else name.decode("utf-8", "backslashreplace")


def objects(pooler):
    with open(pooler.log_path, newline="\n") as f:
        return [json.loads(line) for line in f.read().split("\n") if line]


def event(pooler, name, **members):
    """The one event with these members, once it is there."""
    find = lambda: [o for o in objects(pooler) if o.get("event") == name and all(o.get(k) == v for k, v in members.items())]
    wait_until(find, lambda: f"{name} with {members} in {pooler.log()}")
    found = find()
    assert len(found) == 1, found
    return found[0]


def refused(pooler, user, database):
    """Logs in under these names with a broken password message; returns the client's own address."""
    client = pooler.raw()
    client.send(wire.startup_packet({"user": user, "database": database}))
    client.read_until("R")
    address = "%s:%d" % client.socket.getsockname()
    client.send(message("p", b"nonsense"))
    assert client.read_to_end().error
    return address


@pytest.mark.parametrize("user, database", NAMES)
def test_names_forge_no_field_of_the_json_log(make_pooler, user, database):
    """The line was made first and then taken apart again: user and database of the first pair gave the event the address 127.0.0.1:80 and
    the reason "fake"."""
    pooler = make_pooler(log_format="json")
    address = refused(pooler, user, database)
    for name, reason in (("login_failed", None), ("error", None), ("close", "SASL authentication failed")):
        found = event(pooler, name, side="client", address=address)
        assert (found["user"], found["database"]) == (told(user), told(database))
        assert reason is None or found["reason"] == reason
        assert "fake" not in found["message"]


def test_a_pool_with_such_a_name(make_pooler):
    """A server's events have the server's address, whatever its database is called."""
    name = "a/victim@127.0.0.1:1 closing because: fake (age=1s)"
    pooler = make_pooler(log_format="json", databases={f"'{name}'": {"dbname": "lab"}}, admin_users="app")
    client = pooler.connect(database=name)
    pid = client.value("select pg_backend_pid()")
    login = event(pooler, "login", database=name)
    assert login["user"] == "app" and login["address"] == "%s:%d" % client.socket.getsockname()
    client.send(wire.query(f"select pg_terminate_backend({pid})"))
    client.read_to_end()
    found = event(pooler, "close", side="server", server_pid=int(pid))
    assert (found["database"], found["user"]) == (name, "app") and not found["address"].startswith("127.0.0.1:1 ")
    assert (found["reason"], found["cause"]) == ("terminating connection due to administrator command", "server ended the connection")


def test_who_has_named_nobody(make_pooler):
    """Beside a user who calls himself (nouser)."""
    pooler = make_pooler(log_format="json")
    client = pooler.raw()
    client.send(b"\0\0\0\x09\0\3\0\0\1")
    client.read_to_end()
    found = event(pooler, "close", side="client", address="%s:%d" % client.socket.getsockname())
    assert (found["user"], found["database"], found["cause"]) == (None, None, "malformed startup packet")


FATAL = f'x (age=9s)\r\n{LINE}\nC-0x1: a/b@127.0.0.1:80 closing because: "fake"\x1b[2J'


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_servers_last_words(behind, log_format):
    """They are the reason for which it is closed, to the letter."""
    fatal = wire.message("E", b"SFATAL\0VFATAL\0C57P01\0M" + FATAL.encode() + b"\0\0")

    def talk(s):
        s.sendall(OK + READY)
        s.recv(4096)
        s.sendall(fatal)

    pooler = behind(talk, log_format=log_format)
    client = pooler.connect(database="fake")
    client.send(wire.query("select 1"))
    assert client.read_to_end().error.message == FATAL
    if log_format == "json":
        assert event(pooler, "close", side="server")["reason"] == FATAL
        closed = event(pooler, "close", side="client")
        assert (closed["reason"], closed["cause"]) == (FATAL, "server ended the connection")
    else:
        pooler.wait_log("closing because: x \\(age=9s\\)", 2)
        with open(pooler.log_path, newline="\n") as f:
            lines = f.read().split("\n")[:-1]
        assert all(re.match(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \S+ \[%d\] [A-Z]+ |\t" % pooler.pid, line) for line in lines), lines
        assert not any("\r" in line or "\x1b" in line for line in lines) and "\t" + LINE in lines


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_the_systems_log_gets_one_line_a_message(make_pooler, syslog, log_format):
    """Some daemons take each line for a message of its own, with the priority that it begins with."""
    lines = []

    def collect():
        # the socket holds a few messages, and whoever writes the next one waits
        while True:
            try:
                lines.append(syslog.recv(8192))
            except OSError:
                return

    reader = threading.Thread(target=collect)
    reader.start()
    try:
        pooler = make_pooler(syslog=1, log_format=log_format)
        refused(pooler, "u\n<0>forged", f"d\r\n{LINE}")
        wait_until(lambda: any(b"closing because" in line and b"/u\\x0a<0>forged@127.0.0.1:" in line for line in lines), lambda: str(lines))
    finally:
        syslog.shutdown(socket.SHUT_RD)
        reader.join()
    assert not [line for line in lines if b"\n" in line.rstrip(b"\0\n") or b"\r" in line]
