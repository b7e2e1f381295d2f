"""What a story's answers may differ in, each by name and with its reason: the second half of the list in `allowed.py`."""


def fields_of(frame):
    return {part[:1]: part[1:] for part in frame[5:].split(b"\0") if part}


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
            is_told = pooled[:1] == b"E" and fields_of(pooled).get(b"M") == b"cached plan must not change result type"
            # PostgreSQL says what else is wrong with it now, or nothing.
            return is_told and direct[:1] in b"2tTnE"
    return False


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
]
