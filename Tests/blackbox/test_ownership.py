"""Every row belongs to who asked for it. No order of disconnects, cancels, errors and deaths changes that."""
import pytest

import swarm
import wire
from processes import raise_open_files, wait_until
from swarm import Swarm

PLAIN = [swarm.simple, swarm.several_rows, swarm.extended, swarm.pipeline, swarm.transaction]
ERRORS = [swarm.error, swarm.error_in_pipeline]
PREPARED = [swarm.prepared, swarm.prepared_pipeline]
UNNAMED = [swarm.unnamed_across_sync]


def everything(kind, cancels=True):
    kinds = PLAIN + ERRORS + ([swarm.cancelled] if cancels else [])
    if kind.since("1.21"):
        kinds = kinds + PREPARED * 2
    if kind.is_sluice:
        kinds = kinds + UNNAMED
    return kinds


def start(make_pooler, workers=None, **settings):
    if workers and make_pooler.kind.is_sluice:
        settings["workers"] = workers
    return make_pooler(auth_type="trust", max_client_conn=6000, log_connections=0, log_disconnections=0, **settings)


def settles(pooler, most):
    """No more servers than the pool may have, once PostgreSQL has let go of those that were closed."""
    wait_until(lambda: len(pooler.servers()) <= most, f"{most} servers at most")


each_worker_count = pytest.mark.parametrize("workers", [1, 4])


@each_worker_count
def test_500_clients_on_10_servers(make_pooler, workers):
    assert raise_open_files(1200)
    pooler = start(make_pooler, workers, default_pool_size=10)
    s = Swarm(pooler.address, 500, everything(pooler.kind, cancels=False), turns=12).run()
    assert s.exchanges == 500 * 12 and len(pooler.servers()) <= 10


@each_worker_count
def test_with_random_disconnects(make_pooler, workers):
    pooler = start(make_pooler, workers, default_pool_size=8)
    s = Swarm(pooler.address, 150, everything(pooler.kind, cancels=False), turns=25, chaos=0.1).run()
    assert s.vanished > 100
    settles(pooler, 8)


@pytest.mark.since("1.19")
@each_worker_count
def test_with_cancels_and_disconnects(make_pooler, workers):
    pooler = start(make_pooler, workers, default_pool_size=6)
    s = Swarm(pooler.address, 80, everything(pooler.kind), turns=25, chaos=0.03).run()
    assert s.vanished > 10


@pytest.mark.since("1.21")
@each_worker_count
def test_with_evictions(make_pooler, workers):
    pooler = start(make_pooler, workers, default_pool_size=4, max_prepared_statements=3)
    kinds = PREPARED * 3 + ERRORS + [swarm.pipeline] + (UNNAMED if pooler.kind.is_sluice else [])
    Swarm(pooler.address, 100, kinds, turns=25, chaos=0.05).run()


@each_worker_count
def test_with_short_lived_servers(make_pooler, workers):
    pooler = start(make_pooler, workers, default_pool_size=5, server_lifetime=0)
    Swarm(pooler.address, 50, everything(pooler.kind, cancels=False), turns=8).run()


@each_worker_count
def test_with_backends_that_are_terminated(make_pooler, postgres, workers):
    pooler = start(make_pooler, workers, default_pool_size=6, server_login_retry=1)
    s = Swarm(pooler.address, 80, everything(pooler.kind), turns=40, losses_allowed=True)
    kills = []

    def kill(s):
        if s.exchanges % 150 == 0:
            kills.append(postgres.sql("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'lab' limit 1"))

    s.on_progress = kill
    s.run()
    assert len(kills) > 5 and s.lost_count


@each_worker_count
def test_with_kill_9_of_backends(make_pooler, own_postgres, workers):
    pooler = start(make_pooler, workers, postgres=own_postgres, default_pool_size=6, server_login_retry=1)
    s = Swarm(pooler.address, 60, everything(pooler.kind), turns=60, losses_allowed=True)
    kills = []

    def kill(s):
        if s.exchanges // 1000 > len(kills):
            try:
                pids = own_postgres.backends("lab")
                own_postgres.kill_backend(pids[0])
                kills.append(pids[0])
            except (OSError, wire.Closed, wire.ServerError, IndexError, AssertionError):
                pass  # the server is just coming back

    s.on_progress = kill
    s.run()
    assert len(kills) >= 2
    own_postgres.wait_ready()


@each_worker_count
def test_on_one_server(make_pooler, workers):
    """The least room for mistakes to hide: everybody's messages follow one another on one connection."""
    pooler = start(make_pooler, workers, default_pool_size=1)
    Swarm(pooler.address, 40, everything(pooler.kind), turns=25, chaos=0.03).run()
    settles(pooler, 1)


def test_session_mode(make_pooler):
    pooler = start(make_pooler, default_pool_size=10, pool_mode="session")
    Swarm(pooler.address, 50, everything(pooler.kind, cancels=False), turns=10, chaos=0.05).run()


@pytest.mark.slow
@pytest.mark.timeout(900)
@each_worker_count
def test_5000_clients_on_20_servers(make_pooler, workers):
    if not raise_open_files(5500):
        pytest.skip("the hard limit on open files is too low")
    pooler = start(make_pooler, workers, default_pool_size=20)
    s = Swarm(pooler.address, 5000, everything(pooler.kind, cancels=False), turns=8).run()
    assert s.exchanges == 5000 * 8 and len(pooler.servers()) <= 20


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_5000_clients_with_disconnects_cancels_and_terminated_backends(make_pooler, postgres):
    if not raise_open_files(5500):
        pytest.skip("the hard limit on open files is too low")
    pooler = start(make_pooler, default_pool_size=20, server_login_retry=1)
    s = Swarm(pooler.address, 5000, everything(pooler.kind), turns=6, chaos=0.05, losses_allowed=True)
    s.on_progress = lambda s: s.exchanges % 2000 == 0 and postgres.sql("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'lab' limit 1")
    s.run()
    settles(pooler, 20)
    pooler.connect().value("select 1")
