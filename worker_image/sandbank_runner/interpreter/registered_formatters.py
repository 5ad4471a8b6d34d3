"""Formatters that user code has registered with IPython (``for_type``): none as long as its shell is not there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from sandbank_runner.interpreter.sealed import seal

seal(globals())

_formatters: Mapping[str, Any] = {}
_NONE: Mapping[str, Callable[[], Any]] = {}


def use(formatters: Mapping[str, Any]) -> None:
    """Take IPython's table of formatters by MIME type."""
    global _formatters  # noqa: PLW0603 - one process, one shell
    _formatters = formatters


def of(value: object) -> Mapping[str, Callable[[], Any]]:
    """Return what is registered for the type of ``value``, by MIME type. Plain text is not: it is ``repr`` always."""
    if not _formatters:
        return _NONE
    found: dict[str, Callable[[], Any]] = {}
    for mime, formatter in _formatters.items():
        if mime == "text/plain" or not (formatter.type_printers or formatter.deferred_printers):
            continue
        try:
            found[mime] = partial(formatter.lookup(value), value)
        except KeyError:
            continue
    return found
