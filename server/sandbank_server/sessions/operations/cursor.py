"""Where one reader is in the events of an operation.

Events are pulled: from the window of the live operation while the reader keeps up, from the journal in the sandbox
where it has fallen behind, and from the log where nothing else is left. So a slow reader holds nothing but its place.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from sandbank_server.errors import EventsEvictedError, OperationNotFoundError
from sandbank_server.sessions.log.operation_log import OperationLog
from sandbank_server.sessions.operations.journal_reader import Evicted, JournalReader
from sandbank_server.sessions.operations.live_operation import LastEvent, LiveOperation, finished_event


class Cursor:
    """For one reader. ``position`` is the sequence of the newest event that it was given.

    With ``lenient`` events that are gone are left out and Finished alone comes, which is what somebody who repeats a
    request wants to know; otherwise they are an :class:`EventsEvictedError`.
    """

    __slots__ = ("_journal", "_lenient", "_live", "_log", "_missed", "ended", "operation_id", "position")

    def __init__(
        self,
        operation_id: str,
        live: LiveOperation | None,
        journal: JournalReader,
        log: OperationLog,
        after: int = 0,
        *,
        lenient: bool = False,
    ) -> None:
        self.operation_id = operation_id
        self.position = after
        self.ended = False
        """Whether Finished was given."""
        self._live = live
        self._journal = journal
        self._log = log
        self._lenient = lenient
        self._missed = False

    @property
    def live(self) -> LiveOperation | None:
        """What is followed, None where there is only something to replay."""
        return self._live

    def let_go(self) -> None:
        """Keep nothing of an operation that has finished: the rest is read from the journal."""
        if self._live is not None and self._live.finished:
            self._live = None

    async def more(self) -> Sequence[bytes]:
        """Return the next events, serialized; none where the operation has to go on first.

        Waits for the sandbox where they have to be asked for, never for the operation.
        """
        live = self._live
        if live is not None:
            batch = await self._of_live(live)
            if batch or not live.finished:
                return batch
            self._live = None
        return await self._replayed()

    async def batch(self) -> Sequence[bytes]:
        """Do the same, waiting for the operation too; none only after Finished."""
        while not self.ended:
            found = await self.more()
            if found or self._live is None:
                return found
            await self._live.changed()
        return ()

    async def events(self) -> AsyncGenerator[bytes, None]:
        """Yield all events and those to come, up to Finished."""
        while found := await self.batch():
            for event in found:
                yield event

    async def _of_live(self, live: LiveOperation) -> Sequence[bytes]:
        if self.position >= live.last or self._missed or (live.finished and not live.placed):
            return ()
        batch = live.after(self.position)
        if batch is None:
            batch = () if live.finished else await self._from_journal(live)
        self.position += len(batch)
        if batch and live.finished and self.position >= live.last:
            return self._last(batch)
        return batch

    async def _from_journal(self, live: LiveOperation) -> Sequence[bytes]:
        """Return what a reader that fell behind the window has missed; nothing where that cannot be had any more."""
        found = await self._journal.events(self.operation_id, self.position)
        if isinstance(found, Evicted) and not self._lenient:
            # Perhaps nothing is kept so far, and the next event will be the first.
            raise self._evicted(min(found.first_kept, live.last + 1), live.last)
        if found is None or isinstance(found, Evicted):
            self._missed = True  # what is left is the end, once it is there
            return ()
        return found

    async def _replayed(self) -> Sequence[bytes]:
        entry = self._log.get(self.operation_id)
        if entry is None:
            raise OperationNotFoundError(
                f"no operation {self.operation_id} in this session", resource=self.operation_id
            )
        last = entry.last_sequence
        if entry.finished and not last:
            # Nobody knows how many events there had been: whatever was seen, this one comes after it.
            return self._end_of_log(self.position + 1)
        if self.position >= last:
            self.ended = True
            return ()
        found = await self._journal.events(self.operation_id, self.position)
        if found is None or isinstance(found, Evicted):
            if not (self._lenient or self.position == last - 1):
                # Finished can always be had again, whatever became of the sandbox.
                raise self._evicted(last if found is None else min(found.first_kept, last), last)
            return self._end_of_log(last)
        self.position += len(found)
        return found if self.position < last else self._last(found)

    def _last(self, batch: Sequence[bytes]) -> Sequence[bytes]:
        self.ended = True
        return batch if isinstance(batch[-1], LastEvent) else [*batch[:-1], LastEvent(batch[-1])]

    def _end_of_log(self, sequence: int) -> Sequence[bytes]:
        operation = self._log.operation(self.operation_id)
        self.position = sequence
        self.ended = True
        return [finished_event(operation, sequence, operation.end_time.ToDatetime())]

    def _evicted(self, first: int, last: int) -> EventsEvictedError:
        return EventsEvictedError(
            f"the events of operation {self.operation_id} after {self.position} are gone, up to {first - 1}",
            metadata={"first_sequence": str(first), "last_sequence": str(last)},
            resource=self.operation_id,
        )
