"""Tracebacks as the user should see them: without the runner's frames, and bounded however deep the recursion was."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from traceback import (
    FrameSummary,
    StackSummary,
    TracebackException,
    format_exception_only,
    format_list,
    walk_tb,
)
from types import FrameType, TracebackType

from sandbank_runner.interpreter.sealed import seal

seal(globals())

_RUNNER = os.path.dirname(os.path.abspath(__file__)) + os.sep
CELL = "<cell "
"""How the file name of every cell begins."""
_DEEP = 2_000
"""Frames up to which the standard library formats a traceback itself: it looks up the position of each."""
_KEPT = 50
"""Frames kept at either end of a traceback that is deeper."""
_LINKS = 100
"""Exceptions of one history that are looked at."""


def format_error(error: BaseException) -> tuple[str, list[FrameSummary]]:
    """Return the traceback as Python prints it, and the frames of ``error`` itself, without those of the runner."""
    if any(_depth(link.__traceback__) > _DEEP for link in _history(error)):
        return format_without_asking(error, format_exception_only(type(error), error))
    whole = TracebackException(type(error), error, error.__traceback__, compact=True)
    for part in _parts(whole):
        part.stack = StackSummary.from_list(_without_runner(part.stack))
    lines = whole.format() if whole.stack else _format_bare(whole)
    return "".join(lines), list(whole.stack)


def _format_bare(whole: TracebackException) -> Iterator[str]:
    """Format an error without frames, such as a syntax error: no header, as at the interactive prompt."""
    if whole.__cause__ is None and whole.__context__ is None and not getattr(whole, "exceptions", None):
        return whole.format_exception_only()
    return whole.format()


def format_without_asking(error: BaseException, last_lines: list[str]) -> tuple[str, list[FrameSummary]]:
    """Do the same without calling anything of the user's: the ends of the traceback, nothing of earlier errors."""
    first: list[tuple[FrameType, int]] = []
    last: deque[tuple[FrameType, int]] = deque(maxlen=_KEPT)
    count = 0
    for frame, line in walk_tb(error.__traceback__):
        if frame.f_code.co_filename.startswith(_RUNNER):
            continue
        count += 1
        if len(first) < _KEPT:
            first.append((frame, line))
        else:
            last.append((frame, line))
    head = _without_runner(StackSummary.extract(iter(first)))
    tail = list(StackSummary.extract(iter(last)))
    lines = ["Traceback (most recent call last):\n", *format_list(head)]
    if count > len(first) + len(last):
        lines.append(f"  … {count - len(first) - len(last)} frames left out …\n")
    lines += format_list(tail)
    return "".join([*lines, *last_lines]), head + tail


def _without_runner(stack: list[FrameSummary]) -> list[FrameSummary]:
    """Drop how the runner came to a cell (the event loop's frames among it), and its frames further in."""
    start = next((at for at, frame in enumerate(stack) if frame.filename.startswith(CELL)), 0)
    return [frame for frame in stack[start:] if not frame.filename.startswith(_RUNNER)]


def _parts(whole: TracebackException) -> Iterator[TracebackException]:
    """Yield ``whole``, its causes, contexts and members of groups."""
    waiting: list[TracebackException | None] = [whole]
    while waiting:
        part = waiting.pop()
        if part is None:
            continue
        yield part
        waiting += [part.__cause__, part.__context__, *(getattr(part, "exceptions", None) or ())]


def _history(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting and len(seen) < _LINKS:
        link = waiting.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        waiting += [link.__cause__, link.__context__]


def _depth(step: TracebackType | None) -> int:
    depth = 0
    while step is not None and depth <= _DEEP:
        depth += 1
        step = step.tb_next
    return depth
