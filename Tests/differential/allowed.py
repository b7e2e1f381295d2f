"""Every difference between the pooler and PostgreSQL that is allowed, each by name and with its reason. There is no other list.

A rule looks at a `Case` whose two transcripts differ, and says whether it explains all of it. What it does not explain is a finding.
"""
import struct

from pipeline import Pipeline

SMALL = b"EDCSHXcf"  # messages that PostgreSQL bounds by 10,000 bytes
WITHOUT_BODY = b"SHcX"


def comparable(frame):
    """A message without what is never compared: where in PostgreSQL's source an error or a notice arose (file, line, routine). Where a name
    does not exist the pooler lets PostgreSQL say so by a message of its own, and the same words come from another place there."""
    if frame[0] not in b"EN":
        return frame
    return frame[:1] + b"\0".join(part for part in frame[5:].split(b"\0") if part[:1] not in (b"F", b"L", b"R"))


class Case:
    """A pipeline and its two transcripts. `replay(pipeline)` plays another one to PostgreSQL alone."""

    def __init__(self, pipeline, direct, pooled, replay):
        self.pipeline, self.direct, self.pooled, self.replay = pipeline, direct, pooled, replay


def error_of(frame):
    """(severity, SQLSTATE) of an ErrorResponse."""
    if frame[0] != ord("E"):
        return None
    fields = {part[:1]: part[1:] for part in frame[5:].split(b"\0") if part}
    return fields.get(b"V", fields.get(b"S")).decode(), fields.get(b"C").decode()


FATAL = ("FATAL", "08P01")


def ended_by_pooler(transcript):
    return transcript.closed and transcript.frames and error_of(transcript.frames[-1]) == FATAL and not transcript.tail


def ended_at(case, is_culprit):
    """The pooler ended the client with FATAL 08P01 for a message that `is_culprit`, and until then answered as PostgreSQL answers what
    was sent before. Of these answers the last may be missing, since the end came first."""
    pooled = case.pooled
    unseen = case.pipeline.end in ("close", "reset")
    if pooled.hung or not (unseen or ended_by_pooler(pooled)):
        return False
    steps = reframed(case.pipeline.steps)
    if not unseen and case.direct.content == pooled.content and any(s[0] == "message" and is_culprit(s[1]) for s in steps):
        # All but the last words is what PostgreSQL said, too. (What a cancel hits is not the same each time that it is played.)
        got = [comparable(f) for f in pooled.frames[:-1]]
        if got and [comparable(f) for f in case.direct.frames[: len(got)]] == got:
            return True
    for index, step in enumerate(steps):
        if step[0] != "message" or not is_culprit(step[1]):
            continue
        before = case.pipeline.replace(steps[:index])
        # Brought to its end, PostgreSQL sends all answers; cut off, it leaves the tables as they are after what was sent.
        answers = case.replay(before.replace(end="go on")).frames
        got = pooled.frames[:-1]
        if not unseen and [comparable(f) for f in answers[: len(got)]] != [comparable(f) for f in got]:
            continue
        if case.replay(before.replace(end="half-close")).content == pooled.content:
            return True
    return False


def reframed(steps):
    """Where a length is wrong, the messages are others than those that were meant."""
    if all(sound(step[1]) for step in steps if step[0] == "message"):
        return steps
    stream, result = b"".join(step[1] for step in steps if step[0] == "message"), []
    while stream:
        size = struct.unpack_from("!I", stream, 1)[0] + 1 if len(stream) >= 5 else len(stream)
        if has_a_broken_frame(stream[:5]):
            size = len(stream)
        result.append(("message", stream[:size]))
        stream = stream[size:]
    return result


def has_body_where_none_belongs(message):
    return len(message) > 5 and message[0] in WITHOUT_BODY and sound(message)


def has_surplus_bytes(message):
    """E, D, C that go on behind their last field."""
    if not sound(message) or message[0] not in b"EDC":
        return False
    body = message[5:]
    start = 0 if message[0] == ord("E") else 1
    end = body.find(b"\0", start)
    if end < 0:
        return False
    return len(body) - end - 1 > (4 if message[0] == ord("E") else 0)


def is_oversize(message):
    return len(message) >= 5 and message[0] in SMALL and struct.unpack_from("!I", message, 1)[0] > 10_000


def has_a_broken_frame(message):
    if len(message) < 5:
        return True
    length = struct.unpack_from("!I", message, 1)[0]
    return length < 4 or length >= 0x3FFFFFFF or message[0] not in b"BCDEFHPQSXcdf"


def sound(message):
    return len(message) >= 5 and struct.unpack_from("!I", message, 1)[0] == len(message) - 1


def empty_message_with_body(case):
    return ended_at(case, has_body_where_none_belongs)


def surplus_bytes(case):
    return ended_at(case, has_surplus_bytes)


def oversize_small_message(case):
    return ended_at(case, is_oversize)


def broken_frame(case):
    return ended_at(case, has_a_broken_frame)


def not_flushed(case):
    """More than PostgreSQL sent, and no more than it would have sent at the next Sync."""
    direct, pooled = case.direct, case.pooled
    if direct.unseen or pooled.hung or not (direct.closed and pooled.closed) or direct.content != pooled.content:
        return False
    ours, theirs = [comparable(f) for f in pooled.frames], [comparable(f) for f in direct.frames]
    if ours[: len(theirs)] != theirs or pooled.tail or direct.tail:
        return False
    steps = reframed(case.pipeline.steps)
    last = next((i for i, step in enumerate(steps) if step[0] == "message" and step[1][:1] == b"X"), len(steps))
    due = case.replay(case.pipeline.replace(steps[:last], "go on")).frames
    return [comparable(f) for f in due[: len(ours)]] == ours


def error_not_flushed(case):
    """Less than PostgreSQL sent: the answers of a last batch without a Sync, of which an error is the last."""
    direct, pooled = case.direct, case.pooled
    if direct.unseen or pooled.hung or not (direct.closed and pooled.closed) or direct.content != pooled.content or not direct.frames:
        return False
    ours, theirs = [comparable(f) for f in pooled.frames], [comparable(f) for f in direct.frames]
    last = direct.frames[-1]
    if theirs[: len(ours)] != ours or not (last[:1] == b"N" or (error_of(last) or ("", ""))[0] == "ERROR"):
        return False
    return all(frame[:1] in b"123nTDCsIt" for frame in theirs[len(ours):-1])


def cut_off_by_client(case):
    """PostgreSQL notices that its client is gone when an answer can't be sent, and stops before the next message."""
    if case.pipeline.end not in ("close", "reset") or case.pooled.hung:
        return False
    if case.pooled.content == case.direct.content:
        return False
    steps = case.pipeline.steps
    units = [i + 1 for i, step in enumerate(steps) if step[0] == "message" and step[1][:1] in b"QSFcfX"]
    return any(case.replay(case.pipeline.replace(steps[:unit], "half-close")).content == case.pooled.content for unit in reversed(units))


def fields_of(frame):
    return {part[:1]: part[1:] for part in frame[5:].split(b"\0") if part}


def is_cut_notice(frame):
    return frame[:1] == b"N" and fields_of(frame).get(b"C") == b"42622"


def names_cut_without_a_notice(case):
    """All else is equal: PostgreSQL alone says that a long identifier is cut."""
    if case.direct.closed != case.pooled.closed or case.direct.content != case.pooled.content:
        return False
    direct = [comparable(f) for f in case.direct.frames if not is_cut_notice(f)]
    pooled = [comparable(f) for f in case.pooled.frames if not is_cut_notice(f)]
    # Who waits for as many messages as PostgreSQL sent may wait in vain for the last.
    return len(direct) < len(case.direct.frames) and direct[: len(pooled)] == pooled and (direct == pooled or case.pooled.hung)


LONG = 1000  # bytes of a name that the pooler keeps for an error


def long_names_cut_in_errors(case):
    """All else is equal: of a name in an error the pooler shows the beginning."""
    if len(case.direct.frames) != len(case.pooled.frames) or case.direct.content != case.pooled.content or case.pooled.hung:
        return False
    for direct, pooled in zip(case.direct.frames, case.pooled.frames):
        if comparable(direct) == comparable(pooled):
            continue
        if direct[:1] != b"E" or pooled[:1] != b"E":
            return False
        theirs, ours = fields_of(direct), fields_of(pooled)
        ahead, _, behind = ours.get(b"M", b"").partition(b'"')
        name, _, behind = behind.rpartition(b'"')
        whole = theirs.get(b"M", b"")
        if theirs.get(b"C") != ours.get(b"C") or len(name) != LONG or not whole.startswith(ahead + b'"' + name) or not whole.endswith(b'"' + behind):
            return False
    return case.direct.closed == case.pooled.closed


def texts(message):
    return message[5:].lower() if message[:1] in b"QP" else b""


def deallocates_twice(case):
    """The first difference is what is said of a portal that is run again: 55000 in PostgreSQL, 26000 behind the pooler."""
    if not any(step[0] == "message" and b"deallocate" in texts(step[1]) for step in case.pipeline.steps):
        return False
    for direct, pooled in zip(case.direct.frames, case.pooled.frames):
        if comparable(direct) != comparable(pooled):
            return error_of(direct) == ("ERROR", "55000") and error_of(pooled) == ("ERROR", "26000")
    return False


def is_no_text(message):
    if message[:1] != b"Q":
        return False
    try:
        message[5:].decode()
    except UnicodeDecodeError:
        return True
    return message[5:].find(b"\0") != len(message) - 6 or len(message) == 5


def query_that_is_no_text(case):
    """The unnamed statement is gone, or another one, behind a Query that is no UTF-8."""
    if not any(step[0] == "message" and is_no_text(step[1]) for step in case.pipeline.steps):
        return False
    for direct, pooled in zip(case.direct.frames, case.pooled.frames):
        if comparable(direct) != comparable(pooled):
            return error_of(pooled) == ("ERROR", "26000")
    return False


def end_inside_a_copy(case):
    """Half-closed behind half a message: all else is equal, and PostgreSQL alone says that the end was unexpected."""
    direct, pooled = [comparable(f) for f in case.direct.frames], [comparable(f) for f in case.pooled.frames]
    return (
        case.pipeline.end == "half-close" and case.direct.content == case.pooled.content and case.pooled.closed and len(direct) > 1
        and error_of(case.direct.frames[-1]) == FATAL and error_of(case.direct.frames[-2]) in (("ERROR", "08006"), ("ERROR", "08P01"))
        and pooled == direct[: len(pooled)] and all(frame[:1] in b"12nTG" for frame in direct[len(pooled) : -2])
    )


def lacked_in_a_failed_transaction(case):
    """The first difference is that the transaction has failed, where PostgreSQL describes the parameters of a statement that nobody has described
    before."""
    for direct, pooled in zip(case.direct.frames, case.pooled.frames):
        if comparable(direct) != comparable(pooled):
            return direct[:1] == b"t" and direct[5:7] != b"\0\0" and error_of(pooled) == ("ERROR", "25P02")
    return False


ALLOWED = [
    (
        "empty message with a body",
        empty_message_with_body,
        "S, H, c and X have no body. PostgreSQL finds that out in different ways, and some it takes inside a COPY; a pooler that hands them"
        " on cannot know what is answered. It ends the client with FATAL 08P01 before the message reaches a server.",
    ),
    (
        "surplus bytes in a small message",
        surplus_bytes,
        "E, D and C with more than their fields: PostgreSQL's ERROR comes after it has begun to act. The pooler ends the client with FATAL"
        " 08P01 before the message reaches a server.",
    ),
    (
        "small message of more than 10,000 bytes",
        oversize_small_message,
        "PostgreSQL ends the connection, too, but tells only its log why (invalid message length), and loses the answers that it had not sent"
        " yet; inside a COPY it sends ERROR 08006 first. The pooler says FATAL 08P01 before the message reaches a server.",
    ),
    (
        "broken frame",
        broken_frame,
        "A length below 4 or above 1 GB, or a type that does not exist: PostgreSQL ends the connection, with FATAL 08P01 or without a word."
        " The pooler ends it with FATAL 08P01 in its own words, before the message reaches a server, so also where a COPY would have failed"
        " first.",
    ),
    (
        "answers that nobody had asked for yet",
        not_flushed,
        "PostgreSQL keeps the answers of the extended protocol back until a Sync or a Flush, and loses them when the client ends without one. A"
        " pooler that answers by itself, or gets them together with others, sends them.",
    ),
    (
        "an error in a batch that its client leaves without a Sync",
        error_not_flushed,
        "PostgreSQL sends an error or a notice at once, with all that stands before it, and keeps other answers back until a Sync or a Flush."
        " The pooler ends such a batch when its client leaves, and does not wait to hear whether it would have failed.",
    ),
    (
        "cut off by the client",
        cut_off_by_client,
        "Where a client closes without having read its answers, PostgreSQL does what was sent up to the first answer that it can't send, so"
        " how much is done depends on who is faster. The tables must be as after some complete part of what was sent.",
    ),
    (
        "an end inside a COPY",
        end_inside_a_copy,
        "PostgreSQL says ERROR 08006 (or 08P01 to a Terminate) and FATAL 08P01 to a client that ends while a COPY reads. The pooler says the"
        " same, but closes without a word where half a message came last.",
    ),
    (
        "a long name in DEALLOCATE is cut without a NOTICE",
        names_cut_without_a_notice,
        "PostgreSQL says NOTICE 42622 when an identifier has more than 63 bytes. The pooler looks the name up under its first 63 bytes, too,"
        " and says nothing where it answers a DEALLOCATE by itself.",
    ),
    (
        "a name of more than 1,000 bytes in an error",
        long_names_cut_in_errors,
        "PostgreSQL shows all of a name that does not exist, up to 10,000 bytes. The pooler keeps 1,000 bytes of it until the error is due, since"
        " thousands may be outstanding.",
    ),
    (
        "parameters of a statement that the server lacks, in a failed transaction",
        lacked_in_a_failed_transaction,
        "PostgreSQL describes a statement without columns in a failed transaction, too. A server that lacks it can't parse it then, and the types"
        " of its parameters are known to the pooler only if the Parse gave them, or somebody has had it described before: else 25P02.",
    ),
    (
        "a portal that is a DEALLOCATE is run twice",
        deallocates_twice,
        "PostgreSQL refuses to run a portal again that has run to its end (55000). The pooler runs DEALLOCATE in a portal of its own, so that"
        " the client's runs now, and finds nothing (26000).",
    ),
    (
        "a Query that is no text keeps the unnamed statement",
        query_that_is_no_text,
        "PostgreSQL refuses a Query with bytes that are no characters, or with more behind its text, before it drops the unnamed statement."
        " The pooler does not search a query's text for them, and takes the statement for dropped.",
    ),
]


def explained(case, rules):
    """The name of the rule that allows this difference, or None."""
    for name, rule, _ in rules:
        if rule(case):
            return name
    return None
