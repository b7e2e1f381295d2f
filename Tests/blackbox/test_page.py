"""The page at `/` in a real browser, under load, on a desk and on a phone."""
import os
import threading

import pytest

import wire
from browser import Browser
from processes import free_port, listening, wait_until

pytestmark = pytest.mark.sluice_only("PgBouncer has no page")


class Load:
    """Clients that keep a pool of two servers busy, some of whose queries fail."""

    def __init__(self, pooler, clients=6):
        self.ending = threading.Event()
        self.pooler = pooler
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(clients)]

    def run(self, number):
        client = wire.Client(self.pooler.address, user="app", password="app-pw", database="lab")
        while not self.ending.is_set():
            client.query("select pg_sleep(0.01)")
            if number == 0:
                client.query("select 1/0")
        client.close()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join()


def test_the_page_draws_what_happens(make_pooler, tmp_path):
    port = free_port()
    pooler = make_pooler(metrics_listen=f"127.0.0.1:{port}", default_pool_size=2, databases={"lab": {}, "'<img src=x onerror=alert(1)>'": {"dbname": "lab"}})
    pooler.connect(database="<img src=x onerror=alert(1)>").rows("select 1")
    wait_until(lambda: listening(port), "the HTTP port to be open")
    with Load(pooler), Browser() as page:
        page.view(1280, 900)
        page.open(f"http://127.0.0.1:{port}/")
        wait_until(lambda: page.evaluate("document.querySelectorAll('#charts polyline').length") >= 6, "lines in the charts")
        wait_until(lambda: "22012" in page.evaluate("document.getElementById('errors').textContent"), "the SQLSTATE of the failing query")
        assert page.evaluate("document.getElementById('pill').textContent") == "ready"
        assert page.evaluate("document.querySelectorAll('#charts svg').length") == 6
        assert page.evaluate("document.querySelectorAll('#tiles .tile').length") == 6
        # four of six clients wait for the two servers at nearly every look
        wait_until(lambda: page.evaluate("history.length > 2 && history.some(h => h.waiting > 0)"), "somebody to wait")
        wait_until(lambda: page.evaluate("history.some(h => h.p95 > 0.005)"), "a p95 of the waits")
        assert page.evaluate("history[history.length - 1].transactions") > 0
        # names are text, whatever they look like
        assert page.evaluate("document.querySelectorAll('img').length") == 0
        assert "<img" in page.evaluate("document.getElementById('pools').textContent")
        # hovering shows the past
        page.call("Input.dispatchMouseEvent", type="mouseMoved", x=page.evaluate("document.querySelector('svg').getBoundingClientRect().right - 12"), y=page.evaluate("document.querySelector('svg').getBoundingClientRect().top + 40"))
        wait_until(lambda: "s ago" in page.evaluate("document.querySelector('svg').textContent"), "the time under the pointer")
        page.call("Input.dispatchMouseEvent", type="mouseMoved", x=2, y=2)
        page.screenshot(f"{tmp_path}/page.png")
        for width, dark in ((390, True), (320, False), (768, False)):
            page.view(width, 844, dark)
            page.evaluate("draw()")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, f"the page is wider than a screen of {width}"
            colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (colour == "rgb(13, 19, 28)") == dark
        assert os.path.getsize(f"{tmp_path}/page.png") > 20_000
        assert all(url.startswith((f"http://127.0.0.1:{port}/", "data:")) for url in page.requests()), page.requests()
        assert not page.problems()


def test_a_pool_that_is_stuck_looks_stuck(make_pooler):
    """Nobody is served, so nobody's wait ends and there are no percentiles: the chart of the waits was empty, and the tile was calm."""
    port = free_port()
    pooler = make_pooler(metrics_listen=f"127.0.0.1:{port}", default_pool_size=1, databases={"lab": {}})
    holder, waiter = pooler.connect(), pooler.connect()
    holder.rows("begin")
    waiter.send(wire.query("select 1"))
    wait_until(lambda: listening(port), "the HTTP port to be open")
    with Browser() as page:
        page.view(390, 844)
        page.open(f"http://127.0.0.1:{port}/")
        wait_until(lambda: page.evaluate("history.length >= 3"), "three looks")
        waits = "[...document.querySelectorAll('#charts .card')].find(c => c.textContent.startsWith('Wait'))"
        assert page.evaluate(waits + ".querySelectorAll('polyline').length") == 1
        assert page.evaluate("[...document.querySelectorAll('.tile.hot')].map(t => t.textContent).join()").endswith("Wait p95–nobody served")
        # all that the table shows fits a phone
        assert page.evaluate("(e => e.scrollWidth <= e.clientWidth)(document.querySelector('#pools').parentElement)")
        assert not page.problems()
    holder.rows("commit")
    waiter.read_until("Z")


def test_the_page_says_when_nobody_answers(make_pooler):
    port = free_port()
    pooler = make_pooler(metrics_listen=f"127.0.0.1:{port}")
    wait_until(lambda: listening(port), "the HTTP port to be open")
    with Browser() as page:
        page.view(800, 600)
        page.open(f"http://127.0.0.1:{port}/")
        wait_until(lambda: page.evaluate("document.getElementById('pill').textContent") == "ready", "a first look")
        pooler.stop()
        wait_until(lambda: page.evaluate("document.getElementById('pill').textContent") == "no answer", "the page to notice")
