"""What either side can make grow, driven to its bound: docs/invariants.md has the table of all of them."""
import pytest

import wire
from processes import wait_until
from test_console import console, table

pytestmark = pytest.mark.sluice_only("memory is bounded")

MB = 1 << 20


def used(admin, kind):
    """What SHOW MEM says of one kind of things: (number, bytes)."""
    return next((int(r["used"]), int(r["memtotal"])) for r in table(admin, "SHOW MEM") if r["name"] == kind)


def sql(number, size):
    """A statement of that many bytes, told from others by its number."""
    return f"select {number} /*" + "x" * (size - 12 - len(str(number))) + "*/"


# Texts of statements


def test_texts_of_statements_that_nobody_uses_are_bounded_by_bytes(make_pooler):
    """They were counted, not weighed: 40 texts of 20 MB stayed for as long as fewer than 1,024 came."""
    pooler = make_pooler(admin_users="app", max_statement_memory=8 * MB)
    admin, client = console(pooler), pooler.connect()
    before = pooler.memory()
    for number in range(40):
        client.run(wire.parse(f"s{number}", sql(number, MB)), wire.sync()).check()
    assert used(admin, "statement_text_cache") == (40, 40 * MB + 40 * 3)
    assert client.run(wire.bind("s7"), wire.execute(), wire.sync()).check().values == ["7"]
    client.close()
    wait_until(lambda: used(admin, "statement_text_cache")[1] <= 8 * MB, lambda: f"them to be dropped: {used(admin, 'statement_text_cache')}")
    assert pooler.memory() - before < 16 * MB


def test_large_texts_go_first(make_pooler):
    """A few large texts must not push out the many small ones that everybody shares."""
    pooler = make_pooler(admin_users="app", max_statement_memory=4 * MB)
    admin = console(pooler)
    with pooler.connect() as client:
        for number in range(100):
            client.run(wire.parse(f"s{number}", f"select {number}"), wire.sync()).check()
        for number in range(6):
            client.run(wire.parse(f"l{number}", sql(number, MB)), wire.sync()).check()
    wait_until(lambda: used(admin, "statement_text_cache")[1] <= 4 * MB, "the large ones to be dropped")
    assert used(admin, "statement_text_cache")[0] in range(101, 104)


def test_a_lower_budget_takes_effect_at_once(make_pooler):
    """max_statement_memory is asked by SET and RELOAD as by a start."""
    pooler = make_pooler(admin_users="app")
    admin = console(pooler)
    with pooler.connect() as client:
        for number in range(6):
            client.run(wire.parse(f"l{number}", sql(number, MB)), wire.sync()).check()
    assert used(admin, "statement_text_cache")[1] > 6 * MB
    admin.query("SET max_statement_memory = 1000000").check()
    wait_until(lambda: used(admin, "statement_text_cache")[1] <= 1000000, "the texts to be dropped")
