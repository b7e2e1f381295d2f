"""Servers that move between workers, and clients that wait beside servers: whoever can be served is served."""
import threading

import pytest

import wire
from processes import wait_until

pytestmark = [pytest.mark.poolers_only, pytest.mark.sluice_only("PgBouncer has one thread")]


def test_a_server_on_its_way_between_workers_is_a_server(make_pooler, own_postgres):
    # logins failed while the pool's only server was on its way: all who waited heard that there is no server
    own_postgres.sql("alter role app connection limit 1")
    pooler = make_pooler(own_postgres, databases={"lab": {}}, default_pool_size=3, server_login_retry=0.01, workers=4)
    stop, problems, answers = threading.Event(), [], [0] * 12
    clients = [pooler.connect() for _ in answers]

    def work(me):
        while not stop.is_set():
            try:
                assert clients[me].value(f"select {me}") == str(me)
                answers[me] += 1
            except (wire.Closed, wire.ServerError, OSError, AssertionError) as e:
                problems.append((me, e))
                return

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(clients))]
    for t in threads:
        t.start()
    try:
        wait_until(lambda: problems or (min(answers) > 1000 and pooler.log_count("too many connections") > 50), lambda: f"everybody to be served: {answers}")
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert not problems, problems[:3]
