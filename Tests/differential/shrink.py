"""Makes a pipeline small while `still_differs(pipeline)` holds."""
import time


def shrink(pipeline, still_differs, seconds):
    end = time.monotonic() + seconds
    steps = list(pipeline.steps)
    best = pipeline

    def try_(candidate):
        nonlocal best
        if time.monotonic() > end:
            return False
        if still_differs(candidate):
            best = candidate
            return True
        return False

    # Blocks of steps, large ones first.
    size = max(1, len(best.steps) // 2)
    while size and time.monotonic() < end:
        at, removed = 0, False
        while at < len(best.steps):
            if try_(best.replace(best.steps[:at] + best.steps[at + size :])):
                removed = True
            else:
                at += size
        if not removed or size > 1:
            if size == 1:
                break
            size = max(1, size // 2)
    if hasattr(best, "smaller"):
        while time.monotonic() < end and any(try_(candidate) for candidate in best.smaller()):
            pass
        return best
    # Segments and waits whose place is inside a message; plainer ends; statements of a query.
    for at, step in enumerate(list(best.steps)):
        if at < len(best.steps) and step[0] == "message" and len(step) > 2:
            try_(best.replace(best.steps[:at] + [("message", step[1])] + best.steps[at + 1 :]))
    for plainer in ("go on", "half-close"):
        if best.end != plainer and try_(best.replace(end=plainer)):
            break
    changed = True
    while changed and time.monotonic() < end:
        changed = False
        for at, step in enumerate(best.steps):
            if step[0] != "message" or step[1][:1] not in b"Qd":
                continue
            for smaller in parts(step[1]):
                if try_(best.replace(best.steps[:at] + [("message", smaller)] + best.steps[at + 1 :])):
                    changed = True
                    break
            if changed:
                break
    return best


def parts(message):
    """The same message with one statement, or one line, less."""
    body, kind = message[5:], message[:1]
    separator, tail = (b";", b"\0") if kind == b"Q" else (b"\n", b"")
    text = body.rstrip(b"\0") if kind == b"Q" else body
    pieces = text.split(separator)
    if len(pieces) < 2 or len(pieces) > 12:
        return
    for i in range(len(pieces)):
        rest = separator.join(pieces[:i] + pieces[i + 1 :]) + tail
        yield kind + (len(rest) + 4).to_bytes(4, "big") + rest
