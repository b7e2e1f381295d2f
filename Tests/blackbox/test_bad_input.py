"""Hostile and broken input ends in a clear error or a close with a logged reason, and nobody else notices."""
import os
import random
import re
import struct

import pytest

import wire
from wire import ask, bind, execute, message, parse, query, sync

MB = 1 << 20


@pytest.fixture
def pooler(make_pooler):
    return make_pooler(client_login_timeout=5, auth_type="plain")


@pytest.fixture
def bystander(pooler):
    """Somebody who must never notice."""
    c = pooler.connect()
    c.rows("begin")
    pid = c.pid()
    yield c
    assert c.pid() == pid and c.query("commit").tags == ["COMMIT"]
    assert pooler.connect().value("select 'newcomer'") == "newcomer"
    assert pooler.alive()


def ends(pooler, client, closes_before=0):
    """The pooler ended this connection: with a FATAL or a logged reason, at best both. Returns the error, if any."""
    seen = client.read_to_end()
    assert not any(m[0] == "Z" or m[:2] == ("R", 0) for m in seen), f"it was let in: {seen}"
    pooler.wait_log("closing because: ", closes_before + 1)
    return seen.errors[-1] if seen.errors else None


# --- startup ---------------------------------------------------------------------------------------------------------

GOOD = wire.startup_packet({"user": "app", "database": "lab"})
STARTUPS = {
    "length zero": b"\0\0\0\0" + GOOD[4:],
    "length four": b"\0\0\0\4" + GOOD[4:],
    "length seven": b"\0\0\0\7" + GOOD[4:],
    "length negative": b"\xff\xff\xff\xff" + GOOD[4:],
    "length above 2^31": b"\x80\0\0\1" + GOOD[4:],
    "length of 1 GB": b"\x40\0\0\0" + GOOD[4:],
    "length of 10 MB": struct.pack("!I", 10 * MB) + GOOD[4:],
    "protocol 2.0": wire.startup_packet({"user": "app"}, 2 << 16),
    "protocol 4.0": wire.startup_packet({"user": "app"}, 4 << 16),
    "protocol 0": wire.startup_packet({"user": "app"}, 0),
    "an unknown request code": wire.request_packet(1234 << 16 | 9999),
    "an empty packet": wire.startup_packet({}),
    "no user": wire.startup_packet({"database": "lab"}),
    "an empty user": wire.startup_packet({"user": "", "database": "lab"}),
    "a user of 100 kB": wire.startup_packet({"user": "u" * 100000, "database": "lab"}),
    "no terminator": wire.request_packet(wire.PROTOCOL_3_0, b"user\0app\0database\0lab\0"),
    "no end of the last string": wire.request_packet(wire.PROTOCOL_3_0, b"user\0app\0database\0lab"),
    "a key without a value": wire.request_packet(wire.PROTOCOL_3_0, b"user\0app\0database\0"),
    "bytes after the terminator": wire.request_packet(wire.PROTOCOL_3_0, b"user\0app\0\0trailing garbage"),
    "no body": wire.request_packet(wire.PROTOCOL_3_0, b""),
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a TLS hello without SSLRequest": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2,
    "zeros": b"\0" * 1000,
    "ff": b"\xff" * 1000,
    "a query before the startup": query("select 1"),
    "a password before the startup": message("p", b"app-pw\0"),
}


@pytest.mark.parametrize("name", STARTUPS)
def test_a_malformed_startup_is_refused(pooler, bystander, name):
    closes = pooler.log_count("closing because: ")
    c = pooler.raw()
    c.send(STARTUPS[name])
    ends(pooler, c, closes)


def test_data_behind_an_ssl_request(pooler, bystander):
    # "received unencrypted data after SSL request": the man-in-the-middle fault of 2021
    c = pooler.raw()
    c.send(wire.request_packet(wire.SSL), GOOD)
    first = c.read_byte()
    assert first in b"NE"
    if first == b"E":
        c.buffer[:0] = b"E"
        assert c.read_to_end().errors
    else:
        c.password = "app-pw"
        try:
            c.login()
        except wire.ServerError as e:
            assert e.message == "received unencrypted data after SSL request"


def test_a_thousand_ssl_requests_do_not_go_on_for_ever(pooler, bystander):
    c = pooler.raw()
    try:
        for _ in range(1000):
            c.send(wire.request_packet(wire.SSL))
            c.read_byte()
    except wire.Closed:
        pass


def test_old_v2_clients_are_told(pooler, bystander):
    c = pooler.raw()
    c.send(struct.pack("!II", 296, 2 << 16) + b"\0" * 288)
    e = ends(pooler, c)
    assert e.severity == "FATAL" and e.message == "old V2 protocol not supported"


def test_no_user_is_told(pooler, bystander):
    c = pooler.raw()
    c.send(wire.startup_packet({"database": "lab"}))
    assert ends(pooler, c).message in ("no PostgreSQL user name specified in startup packet", "no username supplied", "No username supplied")


def test_a_login_that_never_ends_is_closed(pooler, bystander):
    connections = [pooler.raw() for _ in range(5)]
    for c, sent in zip(connections, (b"", GOOD[:2], GOOD[:10], GOOD[:-1], GOOD)):
        c.send(sent)
    for c in connections:
        seen = c.read_to_end()
        whole_packets_only = "client sent partial pkt in startup phase"  # PgBouncer 1.18
        assert all(e.message in ("client_login_timeout", whole_packets_only) for e in seen.errors)


def test_a_login_in_drips_does_not_outlive_its_timeout(pooler, bystander):
    # the limit counts from the connect, not from the last byte
    c = pooler.raw()
    c.socket.settimeout(0.1)
    with pytest.raises(wire.Closed):
        for byte in GOOD[:-1] * 1000:
            c.send(bytes([byte]))
            try:
                c._receive()
            except wire.Hang:
                pass


@pytest.mark.parametrize("sent", [query("select 1"), ask("select 1") + sync(), wire.copy_data(b"x"), wire.terminate(), message("\x01", b"x" * 50)], ids=["Query", "pipeline", "CopyData", "Terminate", "unknown"])
def test_messages_before_the_login_are_refused(pooler, bystander, sent):
    closes = pooler.log_count("closing because: ")
    c = pooler.raw()
    c.send(GOOD)
    assert c.read()[:2] == ("R", 3)
    c.send(sent)
    ends(pooler, c, closes)


def test_a_query_before_the_password_is_never_run(pooler, bystander):
    look = pooler.connect()
    look.rows("drop table if exists burglars; create table burglars(i int)")
    c = pooler.raw()
    c.send(GOOD, query("insert into burglars values (1)"), message("p", b"wrong\0"), query("insert into burglars values (2)"))
    ends(pooler, c)
    assert look.value("select count(*) from burglars") == "0"


@pytest.mark.parametrize("password", [b"", b"\0", b"no terminator", b"x" * 100000 + b"\0", b"\xff\xfe\xfd\0"], ids=["none", "empty", "unterminated", "100 kB", "not UTF-8"])
def test_malformed_passwords(pooler, password):
    c = pooler.raw()
    c.send(GOOD)
    c.read()
    c.send(message("p", password))
    ends(pooler, c)
    assert pooler.connect().value("select 1") == "1"


@pytest.mark.since("1.26")
@pytest.mark.parametrize("second_user", ["app", "app2", "nobody"])
def test_a_second_startup_packet_during_scram_is_no_way_in(make_pooler, second_user):
    # CVE of 2025/26: begin as one user, send another startup packet, and be logged in as somebody else
    pooler = make_pooler(users={"app": "app-pw", "app2": "app2-pw"})
    for when in range(3):
        c = pooler.raw()
        c.send(GOOD)
        assert c.read()[:2] == ("R", 10)
        s = wire.Scram("app-pw")
        first = s.first_message()
        again = wire.startup_packet({"user": second_user, "database": "lab"})
        if when == 0:
            c.send(again)
        elif when == 1:
            c.send(first)
            c.send(again)
        else:
            c.send(first)
            server_first = c.read()[2].decode()
            c.send(again, s.final_message(server_first))
        seen = c.read_to_end()
        assert not any(m[:2] == ("R", 0) or m[0] == "Z" for m in seen), (when, seen)
    assert pooler.connect().value("select current_user") == "app"


def test_a_second_startup_packet_after_the_login_is_refused(pooler, bystander):
    c = pooler.connect()
    c.send(wire.startup_packet({"user": "app2", "database": "lab"}))
    ends(pooler, c)


# --- after the login -----------------------------------------------------------------------------------------------------

BAD = {
    "an unknown letter": message("\x01", b"abcd"),
    "letter zero": b"\0\0\0\0\4",
    "a backend message": message("Z", b"I"),
    "a row description": message("T", b"\0\0"),
    "a password": message("p", b"app-pw\0"),
    "length zero": b"Q\0\0\0\0",
    "length three": b"Q\0\0\0\3",
    "length negative": b"Q\xff\xff\xff\xffselect",
    "length above 2^31": b"Q\x80\0\0\0select",
    "Parse of length 2^31": b"P\x80\0\0\0a\0b\0",
    "ff": b"\xff" * 500,
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD)
def test_garbage_after_the_login_ends_the_connection(pooler, bystander, name):
    closes = pooler.log_count("closing because: ")
    c = pooler.connect()
    assert c.value("select 1") == "1"
    c.send(BAD[name])
    if pooler.kind.is_sluice:
        ends(pooler, c, closes)
    else:
        c.half_close()
        c.read_to_end()


@pytest.mark.parametrize("name", ["an unknown letter", "length zero", "ff"])
def test_garbage_behind_a_good_query(pooler, bystander, name):
    c = pooler.connect()
    c.send(query("select 'good'"), BAD[name])
    c.half_close() if not pooler.kind.is_sluice else None
    seen = c.read_to_end()
    assert seen.values in (["good"], [])


@pytest.mark.parametrize("name", ["an unknown letter", "length negative", "a backend message"])
def test_garbage_in_a_transaction_rolls_back(pooler, bystander, name):
    other = pooler.connect()
    other.rows("drop table if exists garbage; create table garbage(i int)")
    c = pooler.connect()
    c.rows("begin; insert into garbage values (1)")
    c.send(BAD[name])
    c.half_close() if not pooler.kind.is_sluice else None
    c.read_to_end()
    assert other.value("select count(*) from garbage") == "0"


# broken inside: PostgreSQL answers 08P01 and lives, or the pooler ends the connection; never a crash, never out of step
BROKEN = {
    "Parse without a text": message("P", b"name\0"),
    "Parse without any end": message("P", b"name"),
    "Parse empty": message("P", b""),
    "Parse with a lying type count": message("P", b"s\0select 1\0" + struct.pack("!H", 60000)),
    "Parse with half a count": message("P", b"s\0select 1\0\0"),
    "Bind empty": message("B", b""),
    "Bind without a statement": message("B", b"portal\0"),
    "Bind without a portal's end": message("B", b"portal"),
    "Bind with a lying count": message("B", b"\0s\0" + struct.pack("!HH", 0, 60000)),
    "Bind with a lying length": message("B", b"\0s\0" + struct.pack("!HHi", 0, 1, 2**31 - 1) + b"x"),
    "Bind with a length of minus five": message("B", b"\0s\0" + struct.pack("!HHi", 0, 1, -5) + b"x"),
    "Describe empty": message("D", b""),
    "Describe of nothing known": message("D", b"Xs\0"),
    "Describe without an end": message("D", b"Sname"),
    "Close empty": message("C", b""),
    "Close of nothing known": message("C", b"Xs\0"),
    "Close without an end": message("C", b"Sname"),
    "Execute empty": message("E", b""),
    "Execute without a limit": message("E", b"p\0"),
    "Query without an end": message("Q", b"select 1"),
    "Query with two ends": message("Q", b"select 1\0select 2\0"),
    "Query empty": message("Q", b""),
    "FunctionCall empty": message("F", b""),
    "FunctionCall with lying counts": message("F", struct.pack("!IHHi", 1, 0, 1, 2**31 - 1)),
    "Sync with a body": message("S", b"body"),
    "Flush with a body": message("H", b"body"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_message_broken_inside(pooler, bystander, name):
    if not pooler.kind.is_sluice and name in ("Flush with a body",):
        pytest.skip("PgBouncer waits for an answer")
    c = pooler.connect()
    try:
        c.run(parse("s", "select $1::text"), sync())
        c.send(BROKEN[name], sync(), query("select 'after'"))
        seen = wire.Reply()
        while not seen or seen[-1] != ("D", ("after",)):
            seen.append(c.read())
        assert c.read_until("Z").status == "I"
        assert c.value("select 'in step'") == "in step"
    except wire.Closed:
        pass


def test_an_oversized_message_is_refused(make_pooler):
    pooler = make_pooler(max_packet_size=100000)
    c, other = pooler.connect(), pooler.connect()
    assert c.value(f"select length('{'x' * 90000}')") == "90000"
    c.send(query(f"select length('{'x' * 200000}')")[:50000])
    seen = c.read_to_end()
    assert all(e.severity == "FATAL" for e in seen.errors)
    assert other.value("select 1") == "1"
    pooler.wait_log("closing because: ")


def test_a_message_of_2_gb_is_announced_and_nothing_is_reserved_for_it(make_pooler):
    pooler = make_pooler()
    clients = [pooler.connect() for _ in range(20)]
    before = pooler.memory()
    for c in clients:
        c.send(b"Q\x7f\xff\xff\xff" + b"select 1" * 100)
    other = pooler.connect()
    for i in range(20):
        assert other.value(f"select {i}") == str(i)
    assert pooler.memory() - before < 16 * MB


def test_random_bytes_before_the_login(pooler, bystander):
    rng = random.Random(1)
    for _ in range(150):
        c = pooler.raw()
        try:
            c.send(rng.randbytes(rng.randrange(1, 400)))
        except wire.Closed:
            pass
        c.reset() if rng.random() < 0.3 else c.close()


def test_random_bytes_after_the_login(pooler, bystander):
    rng = random.Random(2)
    for _ in range(60):
        c = pooler.connect()
        try:
            c.send(rng.randbytes(rng.randrange(1, 3000)))
        except wire.Closed:
            pass
        c.reset() if rng.random() < 0.3 else c.close()
        pooler.clients.remove(c)


def test_flipped_bits_in_real_traffic(pooler, bystander):
    rng = random.Random(3)
    good = parse("s", "select $1::text", [25]) + bind("s", ["x"]) + wire.describe("s") + execute() + wire.close("s") + sync() + query("select 1")
    for _ in range(150):
        c = pooler.connect()
        bad = bytearray(good)
        for _ in range(rng.randrange(1, 4)):
            bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        try:
            c.send(bytes(bad))
            c.half_close()
            c.socket.settimeout(0.05)
            c.read_to_end()
        except (wire.Closed, wire.Hang, AssertionError):
            pass
        c.close()
        pooler.clients.remove(c)


# --- configuration files ---------------------------------------------------------------------------------------------------

FILES = {
    # name: (text, line, what must be named)
    "unknown key": ("[databases]\n[pgbouncer]\nlisten_port = {port}\nlisten_prot = 1\n", 4, "listen_prot"),
    "not a number": ("[databases]\n[pgbouncer]\nlisten_port = {port}\ndefault_pool_size = twenty\n", 4, "default_pool_size"),
    "not a time": ("[databases]\n[pgbouncer]\nquery_timeout = 5 minutes\n", 3, "query_timeout"),
    "not a mode": ("[databases]\n[pgbouncer]\npool_mode = transactional\n", 3, "pool_mode"),
    "not an auth_type": ("[databases]\n[pgbouncer]\nauth_type = open\n", 3, "auth_type"),
    "not a switch": ("[databases]\n[pgbouncer]\nlog_connections = maybe\n", 3, "log_connections"),
    "unknown section": ("[databases]\n[pgbouncer]\nlisten_port = {port}\n[poolers]\nx = 1\n", 4, "poolers"),
    "no equals sign": ("[databases]\n[pgbouncer]\nlisten_port\n", 3, ""),
    "unknown key in a database": ("[databases]\nlab = host=127.0.0.1 hots=1\n[pgbouncer]\n", 2, "hots"),
    "a broken connect string": ("[databases]\nlab = host='127.0.0.1\n[pgbouncer]\n", 2, "lab"),
    "a bad port in a database": ("[databases]\nlab = host=127.0.0.1 port=many\n[pgbouncer]\n", 2, "port"),
    "reserved database": ("[databases]\npgbouncer = host=127.0.0.1\n[pgbouncer]\n", 2, "pgbouncer"),
    "unknown key of a user": ("[databases]\n[users]\napp = poolmode=session\n[pgbouncer]\n", 3, "poolmode"),
    "a missing include": ("[databases]\n%include /nowhere/at/all.ini\n[pgbouncer]\n", 2, "/nowhere/at/all.ini"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_wrong_file_is_refused_in_one_line(make_pooler, name):
    text, line, key = FILES[name]
    pooler = make_pooler(start=False)
    pooler.write_ini(text.format(port=pooler.port))
    pooler.launch()
    assert pooler.wait() == 1
    complaint = pooler.stderr()
    if pooler.kind.is_sluice:
        lines = [l for l in complaint.splitlines() if l.strip()]
        assert len(lines) == 1, complaint
        assert re.search(rf"{re.escape(os.path.basename(pooler.ini_path))}\D{{1,8}}{line}\b", lines[0]), f"file and line {line}: {lines[0]}"
        assert key in lines[0], lines[0]
    pooler.process = None


@pytest.mark.parametrize("text, word", [("", "pgbouncer"), ("[databases]\nlab = host=127.0.0.1\n", "pgbouncer")])
def test_a_file_without_its_main_section(make_pooler, text, word):
    pooler = make_pooler(start=False)
    pooler.write_ini(text)
    pooler.launch()
    assert pooler.wait() == 1
    assert word in pooler.stderr() or not pooler.kind.is_sluice
    pooler.process = None


def test_a_missing_file(make_pooler):
    pooler = make_pooler(start=False)
    os.unlink(pooler.ini_path)
    pooler.launch()
    assert pooler.wait() == 1
    assert pooler.ini_path in pooler.stderr() or os.path.basename(pooler.ini_path) in pooler.stderr()
    pooler.process = None


def test_a_port_that_is_taken(make_pooler):
    first = make_pooler()
    second = make_pooler(start=False, listen_port=first.port, **({"workers": 1} if first.kind.is_sluice else {}))
    second.settings["unix_socket_dir"] = None
    second.write_ini()
    second.launch()
    assert second.wait() == 1
    assert str(first.port) in second.stderr()
    second.process = None
    assert first.connect().value("select 1") == "1"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_start_refused_for_its_pidfile_leaves_nothing_behind(make_pooler, workers):
    # the listeners had been opened before the pidfile was looked at: a dead socket file stayed behind
    workers = {"workers": workers} if make_pooler.kind.is_sluice else {}
    first = make_pooler()
    pidfile = first.folder + "/pooler.pid"
    with open(pidfile, "w") as f:
        f.write(f"{first.pid}\n")
    second = make_pooler(start=False, pidfile=pidfile, **workers)
    before = sorted(os.listdir(second.folder))
    second.launch()
    assert second.wait() == 1
    assert "pidfile" in second.log()
    left = sorted(set(os.listdir(second.folder)) - set(before))
    assert [name for name in left if not name.endswith(".log")] == []
    assert open(pidfile).read() == f"{first.pid}\n", "the living process's pidfile stays"
    second.process = None
    os.unlink(pidfile)
    second.start()
    assert second.connect().value("select 1") == "1" and open(pidfile).read().strip() == str(second.pid)
    assert first.connect().value("select 1") == "1"


@pytest.mark.sluice_only("PgBouncer's known keys differ by version")
def test_known_keys_that_are_not_built_yet_are_taken_with_a_warning(make_pooler):
    pooler = make_pooler(service_name="x", job_name="y", suspend_timeout=10, resolv_conf="/etc/resolv.conf", pkt_buf=8192, sbuf_loopcnt=3, tcp_defer_accept=1)
    assert pooler.connect().value("select 1") == "1"


def test_a_broken_user_list_keeps_the_good_entries_before_it(make_pooler):
    pooler = make_pooler(start=False)
    with open(pooler.users_path, "w") as f:
        f.write('; a comment\n"app" "app-pw" and the rest is ignored\n"app2" "app2-pw"\n"broken\n')
    pooler.start()
    assert pooler.connect().value("select 1") == "1" and pooler.connect("app2").value("select 1") == "1"


# --- texts -----------------------------------------------------------------------------------------------------------


NAMES = 'u&"a"' * 400_000
LONG_TEXTS = {
    # Behind each such name UESCAPE may stand: the pooler looks ahead, and finds the next name.
    "names with escapes": "select " + NAMES,
    "names with escapes behind DEALLOCATE": "deallocate " + NAMES,
    "names with escapes behind SET": "set names " + NAMES,
    "names with escapes behind CREATE": "create temp table " + NAMES,
    # Whether a call is the only one shows at the end of the text.
    "calls of set_config": "select " + "set_config('a','b',true)," * 80_000,
    # Whether a temporary table stays shows there, too.
    "temporary this and that": "create " + "temp " * 400_000,
}


@pytest.mark.parametrize("text", LONG_TEXTS.values(), ids=LONG_TEXTS)
def test_long_texts_without_sense(bystander, pooler, text):
    client = pooler.connect()
    assert client.run(query(text)).codes == ["42601"]
    assert client.run(parse("", text), sync()).codes == ["42601"]
    assert client.value("select 1") == "1"
