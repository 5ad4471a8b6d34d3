"""The session's event loop: made with the first cell that awaits, and kept: tasks go on while a later cell awaits."""

from __future__ import annotations

from collections.abc import Coroutine
from contextvars import Context
from typing import TYPE_CHECKING, Any

from sandbank_runner.interpreter.interrupts import Interrupts
from sandbank_runner.interpreter.sealed import seal

if TYPE_CHECKING:
    import asyncio

seal(globals())


class SessionLoop:
    """Runs cells that await."""

    __slots__ = ("_interrupts", "loop")

    def __init__(self, interrupts: Interrupts) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._interrupts = interrupts

    def run(self, steps: Coroutine[Any, Any, Any], context: Context) -> Any:
        """Run ``steps`` as a task in ``context`` and return what it returns."""
        import asyncio

        try:
            loop = self.loop
            if loop is None or loop.is_closed():
                loop = self.loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)  # asyncio.run() of a cell before has left none
            task = loop.create_task(steps, context=context)
        except BaseException:
            steps.close()
            raise
        interrupts = self._interrupts
        interrupts.attach(loop, task)
        try:
            return loop.run_until_complete(task)
        except asyncio.CancelledError as error:
            if not interrupts.cancelled:
                raise
            interrupts.raised = interruption = KeyboardInterrupt()
            raise interruption.with_traceback(error.__traceback__) from None
        finally:
            self._settle(loop, task)
            interrupts.detach()

    def _settle(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
        """End the cell's task too where an exception of another task or of a callback broke out of the loop."""
        import asyncio

        if not task.done():
            task.cancel()
            try:
                loop.run_until_complete(task)
            except asyncio.CancelledError:
                return
            except Exception:  # noqa: S110 - what the operation ends with is on its way already
                pass
        elif not task.cancelled():
            task.exception()  # looked at, so that asyncio does not complain of it
