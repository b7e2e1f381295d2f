"""The test of the test: PostgreSQL compared with itself shows nothing, and whoever lies in a pooler's place is found out."""
import os

import pytest

from allowed import ALLOWED
from environment import LANES, USER, DirectTarget, Environment
from grammar import generate
from holds import FEATURES, SETTINGS, held
from lane import KINDS, LaneRunner, group
from liar import Liar
from model import ModelComparison, both
from pipeline import Pipeline
from run import ROOT
from shrink import shrink
from story import Story
from story_allowed import STORIES_ALLOWED
from wire import Client, ServerError, query

LANE = LANES[0]
STORIES = next(lane for lane in LANES if lane.plays == "stories")


@pytest.fixture(scope="module")
def environment():
    environment = Environment([LANE, STORIES])
    yield environment
    environment.close()


def test_a_seed_gives_the_same_pipeline_again():
    for number in range(200):
        one, other = generate(f"1/tx1/{number}", number), generate(f"1/tx1/{number}", number)
        assert one.to_json() == other.to_json()
        assert Pipeline.from_json(one.to_json()).to_json() == one.to_json()
        assert str(one)


def test_a_seed_gives_the_same_story_again():
    for lane in [lane for lane in LANES if lane.plays == "stories"]:
        for number in range(100):
            one, other = (KINDS["stories"].generate(f"1/{lane.name}/{number}", number, lane, set(FEATURES)) for _ in range(2))
            assert one.to_json() == other.to_json()
            assert Story.from_json(one.to_json()).to_json() == one.to_json()
            assert str(one)


@pytest.mark.parametrize("lane", [LANE, STORIES], ids=lambda lane: lane.plays)
def test_postgresql_does_not_differ_from_itself(environment, lane):
    # With what does not hold behind a pooler, too.
    runner = LaneRunner(environment, lane, DirectTarget(environment, lane), "self", shrink_seconds=0, holds=set(FEATURES))
    runner.run(60, until=lambda: runner.findings or runner.played >= 50)
    assert not runner.findings, "\n".join(finding.report() for finding in runner.findings)
    assert runner.played > 10 and runner.bystanders.answers > 50


# What a pooler could do wrong, done on purpose, is a finding in the end; and a lie that hits one message in hundreds suffices.
@pytest.mark.parametrize("lie, lane", [(lie, LANE) for lie in Liar.LIES] + [(lie, STORIES) for lie in Liar.LIES + Liar.LIES_OF_SETTINGS],
    ids=lambda value: getattr(value, "plays", value))
def test_a_liar_is_found_out(environment, lie, lane):
    liar = Liar(environment, lie, one_in=100)
    runner = LaneRunner(environment, lane, liar, f"liar {lie}", examples=0)
    runner.player.hang = 1
    runner.run(60, until=lambda: runner.findings)
    assert runner.findings and liar.lies, f"{liar.lies} lies in {runner.played} pipelines, none found"
    assert "PostgreSQL:" in runner.findings[0].report() or "bystander" in runner.findings[0].report()


def test_the_table_of_what_holds_is_true_of_postgresql(environment):
    def log_in(name, value):
        Client(environment.postgres.socket_path, user=USER, database=STORIES.reference, parameters=[(name, value)]).close()

    for setting in SETTINGS.values():
        for value in setting.values:
            log_in(setting.name, value)
        for value in setting.refused:
            with pytest.raises(ServerError):
                log_in(setting.name, value)
    with Client(environment.postgres.socket_path, user=USER, database=STORIES.reference) as client:
        reported = {name.lower() for name in client.parameters}
    assert all((setting.name.lower() in reported) == setting.reported for setting in SETTINGS.values() if setting.name != "search_path")
    with open(os.path.join(os.path.dirname(__file__), "story_grammar.py")) as f:
        grammar = f.read()
    assert [name for name in FEATURES if f'"{name}"' not in grammar] == []
    assert all(feature.why for feature in FEATURES.values() if not (feature.transaction and feature.session))
    assert held("transaction") < held("transaction", also=FEATURES) and "SET LOCAL" not in held("session", without=["SET LOCAL"])


def test_shrinking_leaves_what_matters():
    steps = [("message", query(f"select {n};select 0")) for n in range(30)] + [("wait", "quiet"), ("cut",)]
    small = shrink(Pipeline(steps, "close"), lambda p: sum(b"17" in m or b"23" in m for m in p.messages) == 2, 10)
    assert [m for m in small.messages] == [query("select 17"), query("select 23")]
    assert small.end == "go on" and len(small.steps) == 2


def test_a_story_is_shrunk_to_what_matters():
    steps = [("arrive", who, ((b"TimeZone", b"UTC"), (b"role", b"ta"))) for who in "ab"]
    steps += [("send", who, (query(f"select {n};select 0"), query("select 1"))) for n in range(9) for who in "ab"] + [("leave", who, "close") for who in "ab"]
    small = shrink(Story(steps), lambda s: b"select 7" in b"".join(s.messages) and any(step[0] == "arrive" for step in s.steps), 10)
    assert [m for m in small.messages] == [query("select 7")]
    assert len(small.steps) == 2 and small.steps[0] == ("arrive", small.steps[0][1], ())


def test_findings_of_one_kind_are_one_group():
    class Found:
        def __init__(self, kind):
            self.kind = kind

    assert [len(g) for g in group([Found("a"), Found("b"), Found("b")]).values()] == [2, 1]


def test_every_allowed_difference_has_a_name_and_a_reason():
    rules = ALLOWED + STORIES_ALLOWED
    assert len({name for name, _, _ in rules}) == len(rules)
    assert all(len(reason) > 60 for _, _, reason in rules)


@pytest.fixture
def comparison(environment):
    path = f"{ROOT}/.build/release/model-postgres"
    if not os.access(path, os.X_OK):
        pytest.skip("swift build -c release --product model-postgres")
    comparison = ModelComparison(environment, path, f"walk{os.urandom(4).hex()}")
    yield comparison
    comparison.close()


def test_the_model_agrees_with_postgresql(comparison):
    assert comparison.run(5, "self") == []
    assert comparison.walks > 50


def test_a_model_that_is_wrong_is_found_out(comparison):
    for one, other in [("select 1", "select 2"), ("begin", "commit"), ("insert 1", "insert 2"), ("fail 1", "syntax 1")]:
        ours, theirs = both(query, one), both(query, other)
        assert comparison.compare([ours, theirs]) is None
        assert comparison.compare([(ours[0], theirs[1])]) is not None
