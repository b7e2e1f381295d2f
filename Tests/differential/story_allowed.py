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


STORIES_ALLOWED = [
    (
        "notices of a Parse, or of a login",
        notices_of_a_parse,
        "PostgreSQL warns of a backslash in a string (22P06) and of a name that it cuts (42622) each time that it reads one. Where the pooler"
        " answers a Parse by itself, because the statement is there already, it warns of nothing; nor does it in its greeting.",
    ),
]
