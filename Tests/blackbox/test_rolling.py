"""docs/operating/restarting.md: a new process on the same port, the old one lets its clients leave."""
import signal
import urllib.error
import urllib.request

import pytest

import wire
from postgres import password_of
from processes import DEADLINE, free_port, listening_at, wait_until

pytestmark = pytest.mark.sluice_only("tells two processes apart by their pages, which PgBouncer does not have")


def listeners(port):
    """How many sockets listen on the port."""
    with open("/proc/net/tcp") as f:
        return sum(part[3] == "0A" and part[1].endswith(f":{port:04X}") for part in map(str.split, f))


def ready(page):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{page}/readyz", timeout=DEADLINE) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_rolling_restart(make_pooler):
    pages = [free_port(), free_port()]
    old, new = (
        make_pooler(start=False, workers=1, so_reuseport=1, peer_id=n + 1, metrics_listen=f"127.0.0.1:{page}") for n, page in enumerate(pages))
    new.port = new.settings["listen_port"] = old.port
    for pooler in (old, new):
        pooler.sections = {"peers": {n + 1: f"host={p.folder} port={old.port}" for n, p in enumerate((old, new))}}
        pooler.write_ini()
    old.launch()
    wait_until(lambda: listening_at(old.socket_path) and listeners(old.port) == 1, old.log)
    staying = old.connect()
    staying.query("begin")
    new.launch()
    wait_until(lambda: listening_at(new.socket_path) and listeners(old.port) == 2, new.log)
    assert new.connect(address=new.socket_path).value("select 1") == "1" and ready(pages[1]) == 200
    old.signal(signal.SIGTERM)
    wait_until(lambda: listeners(old.port) == 1, "the old one to listen no more")
    # whoever comes now gets the new one
    known = old.log_count("login attempt")
    for _ in range(20):
        client = wire.Client(("127.0.0.1", old.port), user="app", password=password_of("app"), database="lab")
        assert client.value("select 1") == "1"
        client.close()
    assert old.log_count("login attempt") == known
    assert ready(pages[0]) == 503 and ready(pages[1]) == 200
    # and whoever is there stays as long as it likes
    assert staying.value("select 2") == "2"
    staying.query("commit")
    assert staying.value("select 3") == "3"
    staying.close()
    assert old.wait() == 0
    assert new.connect().value("select 4") == "4"
