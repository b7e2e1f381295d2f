"""What a story's answers may differ in, each by name and with its reason: the second half of the list in `allowed.py`."""


def fields_of(frame):
    return {part[:1]: part[1:] for part in frame[5:].split(b"\0") if part}


STALE = b"cached plan must not change result type"
OF_A_PARSE = (b"22P06", b"42622")


def without_notices(frames):
    return [frame for frame in frames if frame[:1] != b"N" or fields_of(frame).get(b"C") not in OF_A_PARSE]


def notices_of_a_parse(case):
    """All else is equal, as far as it goes."""
    direct, pooled = (without_notices(t.frames) for t in (case.direct, case.pooled))
    return pooled == direct and not case.pooled.hung and case.direct.content == case.pooled.content


def described_otherwise_elsewhere(case):
    """The first difference is 0A000 behind the pooler, for a statement that was prepared before the catalogue changed."""
    if not case.pipeline.changes_catalogue or case.pooled.hung:
        return False
    for direct, pooled in zip(without_notices(case.direct.frames), without_notices(case.pooled.frames)):
        if direct != pooled:
            is_told = pooled[:1] == b"E" and fields_of(pooled).get(b"M") == STALE
            # PostgreSQL says what else is wrong with it now, or nothing.
            return is_told and direct[:1] in b"2tTnE"
    return False


def first_difference(case):
    """What stands at the same place of both transcripts, with what follows it in PostgreSQL's; None where one of them has ended."""
    direct, pooled = without_notices(case.direct.frames), without_notices(case.pooled.frames)
    for at, (one, other) in enumerate(zip(direct, pooled)):
        if one != other:
            return direct[at : at + 2], other
    return None


def target(message):
    """(kind, name) of a Describe."""
    return message[5:6], message[6:-1]


def was_told(story, number, before=True):
    """The client of this step was told of the columns of a statement that it uses in it. `before`: in an earlier step, or in this one."""
    _, who, messages = story.steps[number]
    names = {message[5:].split(b"\0")[1] for message in messages if message[:1] == b"B"}
    names |= {target(message)[1] for message in messages if message[:1] == b"D" and target(message)[0] == b"S"}
    for step in story.steps[: number if before else number + 1]:
        if step[:2] != ("send", who):
            continue
        binds = any(message[:1] == b"B" and message[5:].split(b"\0")[1] in names for message in step[2])
        for message in step[2]:
            if message[:1] == b"D" and (target(message)[1] in names if target(message)[0] == b"S" else binds):
                return True
    return False


def not_told_and_parsed_anew(case):
    """The first difference is that PostgreSQL says 0A000 of a statement of which its client was never told anything, or tells what it was."""
    number = len(case.pooled.marks) - 1
    if not case.pipeline.changes_catalogue or case.pooled.hung or case.pipeline.steps[number][0] != "send":
        return False
    found = first_difference(case)
    if found is None:
        return False
    (direct, *_), pooled = found
    if direct[:1] + pooled[:1] == b"tt":
        return not was_told(case.pipeline, number)
    return direct[:1] == b"E" and fields_of(direct).get(b"M") == STALE and pooled[:1] == b"2" and not was_told(case.pipeline, number, before=False)


def parsed_before_others_changed_it(case):
    """The first difference is that PostgreSQL refuses a Parse, after DDL past the pooler."""
    found = first_difference(case)
    if found is None or case.pooled.hung or not any(step[0] == "past" for step in case.pipeline.steps):
        return False
    (direct, *_), pooled = found
    return direct[:1] == b"E" and fields_of(direct).get(b"C", b"").startswith(b"42") and pooled[:1] == b"1"


def refused_before_its_parameters(case):
    """The first difference is that PostgreSQL tells a statement's parameters ahead of an error that is the same."""
    found = first_difference(case)
    if found is None or case.pooled.hung or not case.pipeline.changes_catalogue or len(found[0]) < 2:
        return False
    (direct, behind), pooled = found
    return direct[:1] == b"t" and behind[:1] == b"E" and behind == pooled


STORIES_ALLOWED = [
    (
        "a statement whose description is another one where it is parsed anew",
        described_otherwise_elsewhere,
        "PostgreSQL keeps the types of a statement's parameters when the catalogue changes; a server that parses the text anew for the same client"
        " finds others. The client hears 0A000, which tells drivers to prepare it again.",
    ),
    (
        "notices of a Parse, or of a login",
        notices_of_a_parse,
        "PostgreSQL warns of a backslash in a string (22P06) and of a name that it cuts (42622) each time that it reads one. Where the pooler"
        " answers a Parse by itself, because the statement is there already, it warns of nothing; nor does it in its greeting.",
    ),
    (
        "a statement that was never described, and is parsed anew",
        not_told_and_parsed_anew,
        "PostgreSQL refuses a statement whose columns have changed, though its client was never told of them, and keeps the types of its parameters."
        " The pooler has parsed it anew, on another server or after DDL, and has nothing to compare them with: no client can be wrong about them.",
    ),
    (
        "a Parse within statement_max_age of DDL past the pooler",
        parsed_before_others_changed_it,
        "Such DDL is not seen. The text was parsed before it for somebody, and its first use tells.",
    ),
    (
        "a Describe of what does not parse any more",
        refused_before_its_parameters,
        "PostgreSQL tells the parameters that a statement had, and then that it is not valid any more. A server that has to parse it anew says the same"
        " without the parameters.",
    ),
]
