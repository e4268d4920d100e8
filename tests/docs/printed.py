"""What code of a page prints, and whether that is what the page shows, but for rounding and seconds."""

import contextlib
import io
import math
import re

NUMBER = re.compile(r"(?<![\w.])[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?!\w)")
SECONDS = re.compile(r"\d+\.\d+ m?s\b")


def difference(shown, printed, *, rel=1e-6, tiny=1e-9):
    """The first line that differs, or None. Numbers below `tiny` are rounding."""
    lines = [SECONDS.sub("... s", text).rstrip().splitlines() for text in (shown, printed)]
    if len(lines[0]) != len(lines[1]):
        return f"{len(lines[0])} lines are shown, {len(lines[1])} printed:\n{printed}"
    for ours, theirs in zip(*lines, strict=True):
        words = [NUMBER.sub("#", line).split() for line in (ours, theirs)]
        numbers = [list(map(float, NUMBER.findall(line))) for line in (ours, theirs)]
        same = len(numbers[0]) == len(numbers[1]) and all(
            math.isclose(a, b, rel_tol=rel, abs_tol=tiny) for a, b in zip(*numbers, strict=True)
        )
        if words[0] != words[1] or not same:
            return f"{ours!r} is shown, {theirs!r} printed"
    return None


def printed_by(code, page, names=None):
    """What the code prints; what it defines is left in `names`."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, page, "exec"), {} if names is None else names)
    return printed.getvalue()
