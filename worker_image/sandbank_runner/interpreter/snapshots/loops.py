"""asyncio's event loops: the pair of sockets by which each wakes itself is no peer's, and stays."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable
from typing import Any

from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.snapshots.descriptors import Descriptors

seal(globals())

_modules = sys.modules
_get_objects = gc.get_objects


def own_pairs(found: Descriptors, session_loop: object) -> set[int]:
    """Return the descriptors by which event loops wake themselves.

    The session's loop is known. Others are looked for among all objects, and only where there are more pairs of an
    epoll and sockets than that.
    """
    kind = getattr(_modules.get("asyncio.selector_events"), "BaseSelectorEventLoop", None)
    if kind is None or not found.epolls or not found.streams:
        return set()
    pairs = _pairs_of([session_loop])
    sockets = [stream for stream in found.streams if stream.kind == "socket"]
    if len(found.epolls) > len(pairs) // 2 and len(sockets) > len(pairs):
        pairs = _pairs_of(candidate for candidate in _get_objects() if issubclass(type(candidate), kind))
    return pairs


def _pairs_of(loops: Iterable[object]) -> set[int]:
    found: set[int] = set()
    for loop in loops:
        try:
            state: dict[str, Any] = vars(loop)
            found.update((state["_ssock"].fileno(), state["_csock"].fileno()))
        except (AttributeError, KeyError, TypeError):
            continue  # none, closed, or of another make
    return found
