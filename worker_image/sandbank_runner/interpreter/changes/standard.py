"""Rules for objects of the standard library whose memory says more than their state, or less."""

from __future__ import annotations

import contextvars
import gc
import io
import re
from typing import Any, Final

from sandbank_runner.interpreter.changes import code, foreign
from sandbank_runner.interpreter.changes.walk import MUTABLE, PLAIN, Entry, Walk
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_referents = gc.get_referents
_buffer_of: Any = io.TextIOWrapper.__dict__["buffer"].__get__
_Context = contextvars.Context
_session_context: list[contextvars.Context] = []


def a_pattern(walk: Walk, value: Any, kind: Any) -> None:
    """Write a regular expression down."""
    contents = kind.__dict__
    walk.tokens.append(("pattern", contents["flags"].__get__(value)))
    walk.stack.append(contents["pattern"].__get__(value))


def a_text_file(walk: Walk, value: Any, kind: Any) -> None:
    """Write a file for text down; the standard streams are the interpreter's."""
    try:
        below = _buffer_of(value)
    except ValueError:  # it was detached
        below = None
    if code.module_of(type(below)).startswith("sandbank_runner."):
        walk.tokens.append("standard stream")
    else:
        foreign.an_opaque(walk, value, kind)


def a_context_variable(walk: Walk, value: Any, _kind: Any) -> None:
    """Write a context variable down, with its value in the session's context."""
    walk.tokens.append(("context variable", [value in context for context in _session_context]))
    walk.push([*_referents(value), *(_Context.get(context, value) for context in _session_context)])


def look_in(context: contextvars.Context) -> None:
    """Say which context is the session's."""
    _session_context[:] = [context]


def a_match(walk: Walk, value: Any, kind: Any) -> None:
    """Write a match of a regular expression down."""
    contents = kind.__dict__
    pattern = contents["re"].__get__(value)
    span = contents["span"]
    spans = [span(value, number) for number in range(pattern.groups + 1)]
    walk.tokens.append(("match", spans, contents["pos"].__get__(value), contents["endpos"].__get__(value)))
    walk.lost = walk.lost or "re.Match"
    walk.push((pattern, contents["string"].__get__(value)))


ENTRIES: Final[tuple[tuple[Any, Entry], ...]] = (
    (contextvars.ContextVar, (a_context_variable, MUTABLE)),
    (io.TextIOWrapper, (a_text_file, MUTABLE)),
    (re.Match, (a_match, PLAIN)),
    (re.Pattern, (a_pattern, PLAIN)),
)
"""Rules for instances of just these types."""
