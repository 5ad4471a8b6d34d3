"""Who dies first when memory runs out: tells the template the ranks of interpreters and their snapshots.

Not at once: a snapshot that is dropped a few milliseconds later, as in back-to-back transactions, costs nothing so, and
what has just begun to run takes longer to use up the memory.
"""

from __future__ import annotations

import asyncio

from sandbank_runner.supervisor.template_process import ForkFailed, TemplateDied, TemplateProcess

_DELAY_SECONDS = 0.010


class MemoryRanks:
    """The ranks wanted and those given, by pid. A fork has the rank of its parent."""

    def __init__(self, loop: asyncio.AbstractEventLoop, template: TemplateProcess) -> None:
        self._loop = loop
        self._template = template
        self._wanted: dict[int, int] = {}
        self._given: dict[int, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._giving: asyncio.Task[None] | None = None

    def born(self, pid: int, rank: int, dead: asyncio.Future[int]) -> None:
        """There is a process of this rank, until it is ``dead``: then its number may become somebody else's."""
        self._given[pid] = rank
        dead.add_done_callback(lambda _: self.forget(pid))

    def want(self, pid: int, rank: int) -> None:
        """Give process ``pid`` this rank, soon."""
        self._wanted[pid] = rank
        if self._timer is None and self._giving is None:
            self._timer = self._loop.call_later(_DELAY_SECONDS, self._start)

    def forget(self, pid: int) -> None:
        """It is dead, or about to be."""
        self._wanted.pop(pid, None)
        self._given.pop(pid, None)

    def close(self) -> None:
        """Give no more."""
        for pending in (self._timer, self._giving):
            if pending is not None:
                pending.cancel()

    def _start(self) -> None:
        self._timer = None
        self._giving = self._loop.create_task(self._give())

    async def _give(self) -> None:
        try:
            while self._wanted:
                pid, rank = self._wanted.popitem()
                if self._given.get(pid) == rank:
                    continue
                self._given[pid] = rank
                try:
                    await self._template.protect(pid, rank)
                except ForkFailed:
                    self._given.pop(pid, None)  # it died meanwhile
        except TemplateDied:
            return  # the sandbox ends
        finally:
            self._giving = None
