"""Reading what the sandbox of a session has kept of its operations, over whatever link there is.

A link may break and be mended at any time. Who needs the journal waits for that; only when the sandbox is gone for good
there is nothing to wait for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from sandbank_runner.v1 import runner_pb2

from sandbank_server.runners.checks import check_event, check_page
from sandbank_server.runners.frames import RunnerViolation
from sandbank_server.runners.link import LinkClosed, RequestFailed, RunnerLink

PAGE_BYTES = 1024 * 1024
"""Size of a page of replayed events; one is in memory per watcher that fell behind."""


@dataclass(frozen=True, slots=True)
class Evicted:
    """The events asked for are dropped. ``first_kept``: the sequence from which on there are some."""

    first_kept: int


class JournalReader:
    """The journal of one session's sandbox."""

    def __init__(self, session_id: str) -> None:
        self._session_id = session_id
        self.link: RunnerLink | None = None
        self.reachable = asyncio.Event()
        """Set while there is a link, and for good once there is no sandbox to wait for."""

    def attach(self, link: RunnerLink) -> None:
        """Use this link from now on."""
        self.link = link
        self.reachable.set()

    def detach(self, *, for_good: bool) -> RunnerLink | None:
        """Let go of the link and return it. Unless ``for_good``, who needs the sandbox waits for another link."""
        link, self.link = self.link, None
        if for_good:
            self.reachable.set()
        else:
            self.reachable.clear()
        return link

    async def events(self, operation_id: str, after: int) -> Sequence[bytes] | Evicted | None:
        """Return a page of checked events after ``after``.

        None when there is no journal any more, or it knows nothing of the operation.
        """
        while True:
            await self.reachable.wait()
            link = self.link
            if link is None:
                return None
            try:
                page = await self.fetch(link, operation_id, after)
            except RequestFailed:
                return None
            except RunnerViolation as error:
                link.violate(error)
            except (LinkClosed, TimeoutError):
                pass
            else:
                return page.events if page.first_sequence == after + 1 else Evicted(page.first_kept_sequence)
            # Its owner hears of the end in the same moment, and says whether there will be another.
            await link.closed.wait()

    async def fetch(self, link: RunnerLink, operation_id: str, after: int) -> runner_pb2.Page:
        """Return a page of checked events after ``after``; without events where all are dropped up to now.

        Raises :class:`RunnerViolation` and what requests raise.
        """
        fetch = runner_pb2.Fetch(operation_id=operation_id, after_sequence=after, max_bytes=PAGE_BYTES)
        page = (await link.request(fetch=fetch)).page
        check_page(page, after)
        for offset, data in enumerate(page.events):
            check_event(data, self._session_id, operation_id, page.first_sequence + offset)
        return page
