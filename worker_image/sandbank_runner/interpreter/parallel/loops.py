"""Event loops that run in the threads of operations, as the main thread sees them."""

from __future__ import annotations

import sys
from types import FrameType
from typing import TYPE_CHECKING, Any

from sandbank_runner.interpreter.interrupts import belongs_to_loop
from sandbank_runner.interpreter.parallel.operation import breathe
from sandbank_runner.interpreter.sealed import seal

if TYPE_CHECKING:
    import asyncio

seal(globals())

_current_frames = sys._current_frames  # noqa: SLF001 - documented, whatever its name says


def is_idle(loop: asyncio.AbstractEventLoop, thread: int) -> bool:
    """Tell whether the loop of a thread is at work itself, in no task and in no callback of the user's."""
    try:
        return belongs_to_loop(loop, _current_frames().get(thread))
    except Exception:  # an audit hook of the user's
        return False


def wake(thread: int) -> None:
    """Have asyncio's loop that runs in a thread look up: where it sleeps in a system call no exception reaches it."""
    try:
        frame: FrameType | None = _current_frames().get(thread)
        while frame is not None:
            if (
                frame.f_code.co_name == "run_forever"
                and frame.f_globals.get("__name__") == "asyncio.base_events"
            ):
                loop: Any = frame.f_locals.get("self")
                if type(loop).__module__.startswith("asyncio."):
                    loop.call_soon_threadsafe(breathe)
                return
            frame = frame.f_back
    except Exception:  # it is closed by now; an audit hook of the user's
        return
