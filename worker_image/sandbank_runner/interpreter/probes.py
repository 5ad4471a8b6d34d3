"""What user code hooks into the interpreter itself: trace and profile functions, monitoring tools.

They are user code, called from wherever Python code runs, the runner's included. So they are taken off while the runner
is at work, and put on again with the next operation.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from sandbank_runner.interpreter.sealed import seal

seal(globals())

_gettrace, _settrace = sys.gettrace, sys.settrace
_getprofile, _setprofile = sys.getprofile, sys.setprofile
_monitoring: Any = getattr(sys, "monitoring", None)  # from Python 3.12 on
TOOLS = range(6) if _monitoring else range(0)
"""Numbers of monitoring tools."""
get_tool: Callable[[int], str | None] = getattr(_monitoring, "get_tool", lambda _: None)
get_events: Callable[[int], int] = getattr(_monitoring, "get_events", lambda _: 0)
set_events: Callable[[int, int], None] = getattr(_monitoring, "set_events", lambda *_: None)
_TRIES = 16
"""An audit hook can forbid this for ever; then the hooks stay."""


class Probes:
    """The hooks of one interpreter's main thread."""

    __slots__ = ("_events", "_profile", "_trace")

    def __init__(self) -> None:
        self._trace: Callable[..., Any] | None = None
        self._profile: Callable[..., Any] | None = None
        self._events: dict[int, int] = {}

    def take_off(self) -> None:
        """Keep user hooks away. Does not raise."""
        for _ in range(_TRIES):
            try:
                self._take_off()
            except BaseException:  # noqa: S112 - a hook that raised is gone by that, or is taken off in the next turn
                continue
            return

    def put_on(self) -> None:
        """Let them see what comes. May raise what an audit hook of the user's raises."""
        if self._events:
            events, self._events = self._events, {}
            for tool, mask in events.items():
                if get_tool(tool) is not None:
                    set_events(tool, mask)
        if self._profile is not None:
            profile, self._profile = self._profile, None
            _setprofile(profile)
        if self._trace is not None:
            trace, self._trace = self._trace, None
            _settrace(trace)

    def _take_off(self) -> None:
        if (trace := _gettrace()) is not None:
            self._trace = trace
            _settrace(None)
        if callable(profile := _getprofile()):  # a profiler written in C is not, and does no harm
            self._profile = profile
            _setprofile(None)
        for tool in TOOLS:
            if get_tool(tool) is not None and (mask := get_events(tool)):
                self._events[tool] = mask
                set_events(tool, 0)
