"""Several processes that share a port: a cancel request reaches any of them, and is passed on to the one that has the client."""
import concurrent.futures
import glob
import os
import signal
import socket
import struct
import threading

import pytest

import wire
from nameserver import NameServer
from processes import listening, listening_at, raise_open_files, wait_until

pytestmark = [pytest.mark.poolers_only, pytest.mark.since("1.19")]


@pytest.fixture
def trio(make_pooler, run_folder):
    """Three processes on one TCP port, each with a Unix socket of its own."""
    return make_trio(make_pooler, run_folder)


def make_trio(make_pooler, run_folder, count=3, **more):
    poolers = [make_pooler(start=False, so_reuseport=1, peer_id=n + 1, **more) for n in range(count)]
    port = poolers[0].port
    for pooler in poolers:
        pooler.port = pooler.settings["listen_port"] = port
        pooler.sections = {"peers": {n + 1: f"host={other.folder} port={port}" for n, other in enumerate(poolers)}}
        pooler.write_ini()
    for pooler in poolers:
        pooler.launch()
        # the file of a Unix socket is there before anybody listens
        wait_until(lambda: listening_at(pooler.socket_path) and listening(port), lambda: f"it to listen:\n{pooler.log()}")
    return poolers


def cancel_at(pooler, key):
    """A cancel request to this very process; returns when it closes the connection."""
    with wire.connect(pooler.socket_path) as s:
        s.settimeout(wire.HANG)
        s.sendall(struct.pack("!iiI", 12 + len(key[1]), 80877102, key[0] & 0xFFFFFFFF) + key[1])
        assert s.recv(1) == b""


def sleeping(client):
    """Starts a long query; returns a function that waits for its end and tells how it ended."""
    result = []
    thread = threading.Thread(target=lambda: result.append(client.query("select pg_sleep(3600)")))
    thread.start()

    def end():
        thread.join(60)
        assert result, "the query was not cancelled"
        return result[0].error.code

    return end


def key_bytes(client):
    pid, secret = client.key
    return struct.pack("!I", pid & 0xFFFFFFFF) + (secret if isinstance(secret, bytes) else struct.pack("!I", secret & 0xFFFFFFFF))


def as_key(data):
    return (struct.unpack("!I", data[:4])[0], data[4:])


def test_the_key_names_the_process(trio):
    for number, pooler in enumerate(trio, 1):
        keys = [key_bytes(pooler.connect(address=pooler.socket_path)) for _ in range(20)]
        for key in keys:
            assert key[0] < 128 and key[1] | key[2] << 8 == number and key[7] & 3 == 3
        assert len(set(keys)) == 20


def test_a_cancel_request_reaches_any_process(trio):
    for owner in trio:
        for receiver in trio:
            client = owner.connect(address=owner.socket_path)
            end = sleeping(client)
            wait_until(lambda: owner.postgres.backends("lab", "state = 'active' and query like '%3600%'"), "the query to run")
            cancel_at(receiver, as_key(key_bytes(client)))
            assert end() == "57014"


def test_over_the_shared_port(trio):
    """As drivers do it: the kernel chooses who gets the request."""
    for _ in range(12):
        client = trio[0].connect()
        end = sleeping(client)
        wait_until(lambda: trio[0].postgres.backends("lab", "state = 'active' and query like '%3600%'"), "the query to run")
        client.cancel()
        assert end() == "57014"
    assert sum(pooler.log_count("login attempt: db=lab") for pooler in trio) == 12
    assert sum(pooler.log_count("closing because: cancel request") for pooler in trio) >= 12


def test_a_request_makes_three_hops_at_most(make_pooler, run_folder):
    """Two processes that each take the other for a third would send it to and fro for ever."""
    one, two = make_trio(make_pooler, run_folder, 2)
    for pooler, other in ((one, two), (two, one)):
        pooler.sections["peers"][77] = f"host={other.folder} port={one.port}"
        pooler.reload()
    cancel_at(one, as_key(bytes([0, 77, 0, 9, 9, 9, 9, 0xFF])))
    wait_until(lambda: one.log_count("cancel request") + two.log_count("cancel request") >= 4, "all hops")
    assert one.log_count("too many hops") + two.log_count("too many hops") == 1
    assert one.connect(address=one.socket_path).rows("select 1") == [("1",)]


def test_a_peer_that_is_not_there(trio):
    gone, pooler = trio[2], trio[0]
    client = pooler.connect(address=pooler.socket_path)
    gone.stop()
    cancel_at(pooler, as_key(bytes([0, 3, 0, 1, 2, 3, 4, 0xFF])))
    cancel_at(pooler, as_key(bytes([0, 250, 1, 1, 2, 3, 4, 0xFF])))
    assert pooler.log_contains("peer 506 is not in \\[peers\\]")
    assert client.rows("select 1") == [("1",)]


def test_a_peer_that_never_answers(make_pooler, run_folder):
    """cancel_wait_timeout ends it, and pool_size bounds how many connections lead there."""
    folder = run_folder.folder("peer")
    os.chmod(folder, 0o777)
    pooler = make_pooler(start=False, workers=1, peer_id=1, cancel_wait_timeout=1)
    path = f"{folder}/.s.PGSQL.{pooler.port}"
    pooler.sections = {"peers": {2: f"host={folder} port={pooler.port} pool_size=2"}}
    pooler.write_ini()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(path)
        silent.listen(16)
        os.chmod(path, 0o777)
        pooler.start()
        wait_until(lambda: listening_at(pooler.socket_path), "the Unix socket, which comes last")
        key = as_key(bytes([0, 2, 0, 1, 2, 3, 4, 0xFF]))
        with concurrent.futures.ThreadPoolExecutor(3) as threads:
            ends = [threads.submit(cancel_at, pooler, key) for _ in range(3)]
            accepted = [silent.accept()[0] for _ in range(2)]
            assert [a.recv(16)[12:] for a in accepted] == [b"\x02\x03\x04\xfe"] * 2
            for end in ends:
                end.result()
        pooler.wait_log("closing because: cancel_wait_timeout", count=3)
        for a in accepted:
            a.close()


@pytest.mark.sluice_only
def test_a_peer_that_a_reload_removes(make_pooler, run_folder):
    """Who waits for a connection to it hears at once; what is on its way goes on."""
    folder = run_folder.folder("peer")
    os.chmod(folder, 0o777)
    pooler = make_pooler(start=False, workers=1, peer_id=1, cancel_wait_timeout=3600)
    path = f"{folder}/.s.PGSQL.{pooler.port}"
    pooler.sections = {"peers": {2: f"host={folder} port={pooler.port} pool_size=1"}}
    pooler.write_ini()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(path)
        silent.listen(16)
        silent.settimeout(wire.HANG)
        os.chmod(path, 0o777)
        pooler.start()
        requests = []
        for _ in range(2):
            requests.append(wire.connect(pooler.address))
            requests[-1].settimeout(wire.HANG)
            requests[-1].sendall(struct.pack("!ii", 16, 80877102) + b"\0\x02\0\x01\x02\x03\x04\xff")
            if len(requests) == 1:
                under_way = silent.accept()[0]
        client = pooler.connect()
        assert client.rows("select 1") == [("1",)]
        pooler.sections = {}
        pooler.reload()
        assert requests[1].recv(1) == b""
        pooler.wait_log("closing because: peer removed")
        assert under_way.recv(16)[12:] == b"\x02\x03\x04\xfe"
        under_way.close()
        assert requests[0].recv(1) == b""
        for request in requests:
            request.close()


def test_without_peers_keys_are_all_random(make_pooler):
    pooler = make_pooler()
    keys = [key_bytes(pooler.connect()) for _ in range(40)]
    assert len({k[1] for k in keys}) > 10 and len({k[7] & 3 for k in keys}) == 4 and all(k[0] < 128 for k in keys)


def salt_of(pooler, user):
    """The salt that a process tells somebody who says that they are this user."""
    with wire.connect(pooler.socket_path) as s:
        s.settimeout(wire.HANG)
        s.sendall(wire.startup_packet([("user", user), ("database", "lab")]))
        assert s.recv(1000)[:1] == b"R"
        s.sendall(wire.Scram("x").first_message())
        return s.recv(1000).split(b",")[1]


def test_processes_on_one_port_give_unknown_users_the_same_salt(make_pooler, run_folder):
    """A stored secret has one salt. Where an unknown user's depended on the process, it told that there is no such user."""
    trio = make_trio(make_pooler, run_folder, users={"app": wire.scram_secret("app-pw")})
    before = {user: [salt_of(pooler, user) for pooler in trio] for user in ("app", "nobody", "somebody")}
    assert all(len(set(salts)) == 1 for salts in before.values()) and len({salts[0] for salts in before.values()}) == 3
    # over a reload, and for those who come while one of the others is there
    trio[0].reload(scram_iterations=5000)
    for pooler in trio[1:]:
        pooler.stop()
        pooler.launch()
        wait_until(lambda: os.path.exists(pooler.socket_path), "it to listen")
    trio[0].stop()
    assert all(salt_of(pooler, user) == salts[0] for user, salts in before.items() for pooler in trio[1:])
    name = f"/dev/shm/sluice-{trio[0].port}-"
    assert [path for path in glob.glob(name + "*") if os.stat(path).st_mode & 0o077 == 0]
    for pooler in trio[1:]:
        pooler.stop()
    assert glob.glob(name + "*") == []


@pytest.mark.sluice_only
def test_one_process_ends_and_the_others_go_on(trio):
    """A rolling restart: TERM one after the other."""
    for ending in trio[:2]:
        ending.signal(signal.SIGTERM)
        assert ending.wait() == 0
        client = trio[2].connect()
        assert client.rows("select 1") == [("1",)]
        client.close()


def test_a_peer_that_dies_with_thousands_of_requests_waiting(make_pooler, run_folder):
    """What waited for a connection to it fails at once, one request after the other and not one inside the other."""
    folder = run_folder.folder("peer")
    os.chmod(folder, 0o777)
    pooler = make_pooler(start=False, workers=1, peer_id=1, cancel_wait_timeout=3600, log_disconnections=0, max_client_conn=10_000)
    path = f"{folder}/.s.PGSQL.{pooler.port}"
    pooler.sections = {"peers": {2: f"host={folder} port={pooler.port} pool_size=2"}}
    pooler.write_ini()
    raise_open_files(10_000)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(path)
        silent.listen(16)
        silent.settimeout(60)
        os.chmod(path, 0o777)
        pooler.start()
        before = pooler.memory()
        requests = []
        for _ in range(6000):
            requests.append(wire.connect(pooler.address))
            requests[-1].settimeout(60)
            requests[-1].sendall(struct.pack("!ii", 16, 80877102) + b"\0\x02\0\x01\x02\x03\x04\xff")
        accepted = [silent.accept()[0] for _ in range(2)]
        client = pooler.connect()
        assert client.rows("select 1") == [("1",)]
    os.unlink(path)
    for a in accepted:
        a.close()
    for request in requests:
        assert request.recv(1) == b""
        request.close()
    assert client.rows("select 1") == [("1",)]
    assert pooler.memory() - before < 60_000_000


@pytest.mark.sluice_only("its own name server has a port")
def test_an_answer_for_a_request_that_is_given_up_is_not_anothers(make_pooler):
    """A name that is found too late must not send the next request to the wrong peer."""
    names = NameServer({"two.test": None, "three.test": None})
    pooler = make_pooler(start=False, workers=1, peer_id=1, cancel_wait_timeout=1)
    with socket.create_server(("127.0.0.1", 0)) as two, socket.create_server(("127.0.0.1", 0)) as three:
        pooler.settings["resolv_conf"] = names.resolv_conf(pooler.folder, timeout=60)
        pooler.sections = {
            "peers": {2: f"host=two.test port={two.getsockname()[1]}", 3: f"host=three.test port={three.getsockname()[1]}"}
        }
        pooler.write_ini()
        pooler.start()
        cancel_at(pooler, as_key(bytes([0, 2, 0, 1, 2, 3, 4, 0xFF])))
        pooler.reload(cancel_wait_timeout=3600)
        thread = threading.Thread(target=cancel_at, args=(pooler, as_key(bytes([0, 3, 0, 5, 6, 7, 8, 0xFF]))))
        thread.start()
        wait_until(lambda: names.asked("three.test"), "the second name to be asked for")
        names.release("two.test", (["127.0.0.1"], 60))
        names.release("three.test", (["127.0.0.1"], 60))
        three.settimeout(30)
        with three.accept()[0] as accepted:
            assert accepted.recv(16)[8:] == bytes([0, 3, 0, 5, 6, 7, 8, 0xFE])
        thread.join(60)
        two.settimeout(0)
        with pytest.raises(BlockingIOError):
            two.accept()
    names.close()
