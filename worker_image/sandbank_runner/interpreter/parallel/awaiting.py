"""Cells that await: each in an event loop of its own, which ends with it, as ``asyncio.run`` would end it.

Tasks that the cell leaves behind are cancelled. The session's loop belongs to the main thread.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from sandbank_runner.interpreter.parallel.operation import Interrupt, NamespaceOperation
from sandbank_runner.interpreter.sealed import seal

if TYPE_CHECKING:
    import asyncio

seal(globals())


def run(operation: NamespaceOperation, steps: Coroutine[Any, Any, Any]) -> Any:
    """Run ``steps`` as a task and return what it returns."""
    import asyncio

    try:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        task = loop.create_task(steps)
    except BaseException:
        steps.close()
        raise
    operation.attach(loop, task)
    try:
        return loop.run_until_complete(task)
    except asyncio.CancelledError as error:
        if not operation.was_cancelled:
            raise
        raise Interrupt().with_traceback(error.__traceback__) from None
    finally:
        operation.attach(loop, None)
        try:
            _end(loop)
        finally:
            operation.attach(None, None)
            asyncio.set_event_loop(None)
            loop.close()


def _end(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what is left, and wait for it."""
    import asyncio

    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
