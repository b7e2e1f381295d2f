"""One lane of a run: pipelines one after the other to a PostgreSQL and to a pooler, and what is done with a difference."""
import collections
import time

import wire
from allowed import ALLOWED, Case, comparable, error_of, explained
from bystanders import Bystanders
from environment import TABLES
from grammar import generate
from holds import held
from pipeline import show_received
from play import Player
from shrink import shrink
from story_allowed import STORIES_ALLOWED
from story_bystanders import SettledBystanders
from story_grammar import tell
from story_player import NotPlayable, StoryPlayer


class Finding:
    def __init__(self, kind, lane, pipeline, direct, pooled, problems=(), note="", shrunk=None):
        self.kind, self.lane, self.pipeline, self.note = kind, lane, pipeline, note
        self.direct, self.pooled, self.problems = direct, pooled, [str(p) for p in problems]
        self.shrunk = shrunk

    @property
    def size(self):
        return len(self.shrunk.messages) if self.shrunk else 10_000 + len(self.pipeline.messages)

    @property
    def concerns_others(self):
        """More went wrong than an answer to who sent the pipeline."""
        return self.kind == "the process ended" or any(not problem.startswith("  before it: ") for problem in self.problems)

    def report(self):
        smallest = self.shrunk or self.pipeline
        lines = [f"{self.kind}   [lane {self.lane}, {self.pipeline.origin}] {self.note}"]
        lines += [f"  {str(smallest)[:3000]}"]
        if self.direct is not None:
            lines += ["  PostgreSQL: " + show_transcript(self.direct)]
            lines += ["  pooler:     " + show_transcript(self.pooled)]
        lines += self.problems
        return "\n".join(lines)


def show_transcript(transcript):
    frames = [show_received(f) for f in transcript.frames]
    if len(frames) > 40:
        frames = frames[:30] + ["..."] + frames[-8:]
    text = "  ".join(frames)
    if transcript.tail:
        text += f"  (unfinished: {transcript.tail[:30]!r})"
    if transcript.closed:
        text += "  (closed)"
    if transcript.hung:
        text += f"  (NO ANSWER: waited for {transcript.hung})"
    if transcript.content:
        rows = transcript.content
        text += f"  tables: {' '.join('='.join(row) for row in rows[:8])}{'...' if len(rows) > 8 else ''}"
    return text


def short(frame):
    error = error_of(frame)
    if error:
        return f"{error[0]} {error[1]}"
    kind = chr(frame[0])
    if kind in "ZC":
        return " ".join(show_received(frame).split(" ")[:2])
    return kind


def kind_of(direct, pooled, end):
    """What differs first."""
    if pooled.hung and pooled.hung == "a login":
        return "no login"
    for a, b in () if pooled.unseen else zip(direct.frames, pooled.frames):
        if comparable(a) != comparable(b):
            one, other = short(a), short(b)
            if one != other:
                return f"{one} became {other}"
            if a[0] in b"EN":
                fields = [set(comparable(f)[1:].split(b"\0")) for f in (a, b)]
                return f"{one} with other fields {' '.join(sorted({chr(part[0]) for part in fields[0] ^ fields[1] if part}))}"
            return f"{one} with other contents"
    if pooled.hung:
        return "no answer: the rest is missing" if len(pooled.frames) < len(direct.frames) else "no answer: the end is missing"
    if pooled.unseen:
        return written(direct, pooled, end)
    if len(pooled.frames) < len(direct.frames):
        return "the rest is missing" + (", closed" if pooled.closed else "") + (f" after {end}" if end != "go on" else "")
    if len(pooled.frames) > len(direct.frames):
        return f"{short(pooled.frames[len(direct.frames)])} too many"
    if direct.closed != pooled.closed:
        return "closed" if pooled.closed else "not closed"
    if direct.tail != pooled.tail:
        return "an unfinished message"
    return written(direct, pooled, end)


def written(direct, pooled, end):
    if direct.content == pooled.content:
        return "nothing"
    more = [row for row in pooled.content or [] if row not in direct.content]
    return ("a write that should not be" if more else "a write is missing") + (f" after {end}" if end != "go on" else "")


class Kind:
    """What a lane plays, and how."""

    def __init__(self, generate, player, bystanders, allowed):
        self.generate, self.player, self.bystanders, self.allowed = generate, player, bystanders, allowed


KINDS = {
    "pipelines": Kind(lambda seed, number, lane, holds: generate(seed, number), Player, Bystanders, ALLOWED),
    "stories": Kind(tell, StoryPlayer, SettledBystanders, STORIES_ALLOWED),
}


class LaneRunner:
    def __init__(self, environment, lane, target, seed, shrink_seconds=8, examples=2, ends=None, holds=None):
        self.environment, self.lane, self.target, self.seed = environment, lane, target, seed
        self.shrink_seconds, self.examples, self.ends = shrink_seconds, examples, ends
        self.kind, self.holds = KINDS[lane.plays], held(lane.mode) if holds is None else holds
        self.bystanders = self.kind.bystanders(target, lane, f"{seed}/{lane.name}")
        self.player = self.kind.player(environment, lane, target, self.bystanders)
        self.findings, self.allowed = [], collections.Counter()
        self.crashes = environment.crashes()
        self.seen, self.until = collections.Counter(), float("inf")
        self.played = self.messages = 0
        self.history, self.last = collections.deque(maxlen=12), None

    # a run

    def run(self, seconds, first=0, until=lambda: False):
        self.until = end = time.monotonic() + seconds
        number = first
        while time.monotonic() < end and not until():
            pipeline = self.kind.generate(f"{self.seed}/{self.lane.name}/{number}", number, self.lane, self.holds)
            number += 1
            if not self.ends or pipeline.end in self.ends:
                self.survive(pipeline)
        self.finish()

    def survive(self, pipeline):
        """Some of this crashes PostgreSQL itself, and with it all lanes: that is no finding about the pooler."""
        try:
            self.examine(pipeline)
        except (wire.Closed, wire.ServerError, OSError, AssertionError):
            if not self.environment.has_crashed(self.crashes):
                raise
            self.allowed["PostgreSQL itself crashed meanwhile"] += 1
            print(f"PostgreSQL crashed while lane {self.lane.name} played {pipeline.origin}", flush=True)
            self.environment.after_a_crash(self.recover)

    def recover(self):
        self.crashes = self.environment.crashes()
        self.start_over()
        self.player = self.kind.player(self.environment, self.lane, self.target, self.bystanders)

    def finish(self):
        self.bystanders.round()
        problems = self.bystanders.take_problems()
        if problems:
            self.bystander_finding(problems)
        self.player.close()
        self.bystanders.forget_connections()
        trouble = self.target.stop()
        if trouble:
            self.findings.append(Finding("the process", self.lane.name, self.history[-1], None, None, [trouble[-3000:]]))

    def look_for_late_writes(self):
        """What the last pipeline left in the tables is still the same, though its client has gone since."""
        if not self.last:
            return
        pipeline, direct, pooled = self.last
        self.last = None
        late = self.player.content(self.player.pooled_admin, pipeline.number)
        if late != pooled.content:
            pooled.content = late
            if not explained(Case(pipeline, direct, pooled, self.replay), self.kind.allowed):
                self.add(Finding(f"late: {kind_of(direct, pooled, pipeline.end)}", self.lane.name, pipeline, direct, pooled))

    def examine(self, pipeline):
        self.look_for_late_writes()
        self.played += 1
        self.messages += len(pipeline.messages)
        self.history.append(pipeline)
        try:
            direct = self.player.play_direct(pipeline)
        except NotPlayable:
            self.allowed["not played: PostgreSQL itself would wait"] += 1
            return
        pooled = self.player.play_pooled(pipeline, direct)
        problems = self.bystanders.take_problems()
        if not self.target.alive():
            return self.process_died(pipeline)
        if problems:
            return self.bystander_finding(problems)
        if pooled.same_as(direct):
            self.last = (pipeline, direct, pooled) if pipeline.end != "go on" else None
            return
        name = explained(Case(pipeline, direct, pooled, self.replay), self.kind.allowed)
        if name:
            self.allowed[name] += 1
            return
        # Several answers of PostgreSQL's own?
        for _ in range(3):
            self.player.clean_tables(pipeline.number)
            again = self.player.play_direct(pipeline, fresh=True)
            if pooled.same_as(again):
                self.allowed["PostgreSQL itself answers this or that"] += 1
                return
        self.difference(pipeline, direct, pooled)

    def kind_of(self, direct, pooled, pipeline):
        what = kind_of(direct, pooled, pipeline.end)
        return what if self.lane.plays == "pipelines" else f"{what}: {pipeline.about(pooled.marks)}"

    def replay(self, pipeline):
        """To PostgreSQL alone."""
        self.clean_reference(pipeline.number)
        return self.player.play_direct(pipeline, fresh=True)

    def clean_reference(self, number):
        low = number % 2_000_000 * 1000
        for table in TABLES:
            self.player.reference_admin.query(f"delete from {table} where abs(a::bigint) between {low} and {low} + 999")

    # findings

    def start_over(self):
        """A pooler that nothing has happened to."""
        self.player.forget_connections()
        self.bystanders.forget_connections()
        trouble = self.target.restart()
        self.bystanders.take_problems()
        return trouble

    def process_died(self, pipeline):
        trouble = self.start_over() or "it ended"
        self.add(Finding("the process ended", self.lane.name, pipeline, None, None, [trouble[-3000:]]))

    def attempt(self, pipelines, hang=None):
        """Plays them on fresh connections; (kind, direct, pooled, problems) of what the last one showed, or None."""
        for pipeline in pipelines:
            if not self.player.clean_tables(pipeline.number):
                self.start_over()
        self.player.forget_connections()
        direct = pooled = None
        for pipeline in pipelines:
            try:
                direct = self.player.play_direct(pipeline)
            except NotPlayable:
                return None
            pooled = self.player.play_pooled(pipeline, direct, hang=hang)
            problems = self.bystanders.take_problems()
            if not self.target.alive():
                return "the process ended", direct, pooled, problems
            if problems:
                return problems[0].kind, direct, pooled, problems
            if not pooled.same_as(direct) and not explained(Case(pipeline, direct, pooled, self.replay), self.kind.allowed):
                return self.kind_of(direct, pooled, pipeline), direct, pooled, problems
        return None

    def difference(self, pipeline, direct, pooled):
        kind = self.kind_of(direct, pooled, pipeline)
        finding = Finding(kind, self.lane.name, pipeline, direct, pooled)
        self.seen[kind] += 1
        self.start_over()
        if self.seen[kind] <= self.examples:
            self.make_small(finding, pipeline, self.shrink_seconds)
        self.add(finding)

    def make_small(self, finding, pipeline, seconds, tries=1):
        """Plays it anew, alone, then smaller and smaller."""
        result = None
        for _ in range(3 * tries):
            result = self.attempt([pipeline])
            if result:
                break
        if not result:
            finding.note = "(not seen again alone)"
            self.history_finding(finding)
            self.start_over()
            return
        kind = result[0]
        last = {"result": result, "pipeline": pipeline}

        def still_differs(candidate):
            self.start_over() if last.pop("dirty", False) else None
            for _ in range(tries):
                got = self.attempt([candidate], hang=min(self.player.hang, 3))
                if got:
                    last["dirty"] = True
                    if got[0] == kind:
                        last["result"], last["pipeline"] = got, candidate
                        return True
                    return False
            return False

        last["dirty"] = True
        late = time.monotonic() > self.until - seconds
        finding.shrunk = shrink(pipeline, still_differs, seconds / 2 if late else seconds)
        finding.kind, finding.direct, finding.pooled, problems = last["result"]
        finding.problems = [str(p) for p in problems]
        self.start_over()

    def history_finding(self, finding):
        """It takes what went before, too."""
        for count in (2, 4, len(self.history)):
            self.start_over()
            pipelines = list(self.history)[-count:]
            result = self.attempt(pipelines)
            if result:
                finding.note = f"(with the {count - 1} pipelines before it)"
                finding.kind, finding.direct, finding.pooled, problems = result
                finding.problems = [str(p) for p in problems]
                before = " ".join(str(p) for p in pipelines[:-1])
                finding.problems.append(f"  before it: {before[:2500]}")
                return

    def bystander_finding(self, problems):
        kind = problems[0].kind
        self.seen[kind] += 1
        finding = Finding(kind, self.lane.name, self.history[-1], None, None, problems[:3], "(the pipeline is the last one played)")
        self.start_over()
        if self.seen[kind] <= self.examples:
            for pipeline in list(reversed(self.history))[:3]:
                result = None
                for _ in range(4):
                    result = self.attempt([pipeline])
                    if result:
                        break
                    self.bystanders.round()
                    problems = self.bystanders.take_problems()
                    if problems:
                        break
                if result or problems:
                    self.start_over()
                    finding.pipeline, finding.note = pipeline, ""
                    self.make_small(finding, pipeline, self.shrink_seconds, tries=3)
                    if finding.shrunk:
                        break
                self.start_over()
        self.add(finding)

    def add(self, finding):
        self.findings.append(finding)


def group(findings):
    kinds = collections.defaultdict(list)
    for finding in findings:
        kinds[finding.kind].append(finding)
    return dict(sorted(kinds.items(), key=lambda item: -len(item[1])))
