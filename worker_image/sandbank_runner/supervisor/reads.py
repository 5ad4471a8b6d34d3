"""Reads of variables: finds the state that is to be seen, has a reader forked of it, and outlives whatever that does.

A reader runs user code (``__repr__``). It says beforehand which variable it turns to: one that hangs or dies is ended,
and another one is asked that leaves this variable's ``__repr__`` alone. So a hostile variable costs its own preview.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from sandbank_runner.supervisor.interpreter_process import Interpreter, StartFailed
from sandbank_runner.supervisor.reader_dialogue import Answer, Culprit, Question, ReadRefused, listen
from sandbank_runner.supervisor.reader_messages import LONGEST_PREVIEW
from sandbank_runner.supervisor.reader_process import ReaderProcess
from sandbank_runner.supervisor.refusals import Refusal
from sandbank_runner.v1.runner_pb2 import Read, ReadResult

PREVIEW_CHARACTERS = 200
"""How long a preview is where nobody says."""

AT_ONCE = 4
"""Readers at the same time; more reads wait."""

_ATTEMPTS = 6
"""Readers for one read. The last is not to call anybody's code."""
_LONGEST_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A state that can be read: of whom to fork, and what it includes."""

    interpreter: Interpreter
    operation_id: str
    """The newest operation whose effects are in it; empty: none."""
    stale: bool
    """A later one has finished or runs."""


class States(Protocol):
    """Who knows the states of the session."""

    @property
    def generation(self) -> int:
        """Counts the interpreters that died: with one, readers may be swept away that did nothing wrong."""

    def seen(self, transaction_id: str) -> Seen | Refusal | None:
        """Return what a read sees now; None where that is about to be there."""

    def ready(self) -> Awaitable[object]:
        """Wait until it is there."""


class Processes(Protocol):
    """Who keeps book of processes."""

    def watch(self, pid: int, on_exit: Callable[[int], None]) -> None:
        """Tell ``on_exit`` once of a process's death, and its wait status."""

    def reader_born(self, pid: int) -> bool:
        """Take note of a reader; False where ``pid`` cannot be one."""

    def reader_died(self, pid: int) -> None:
        """It is no more."""


class Reads:
    """Answers reads, a few at a time."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        states: States,
        processes: Processes,
        preview_characters: int = 0,
    ) -> None:
        self._loop = loop
        self._preview_characters = min(preview_characters, LONGEST_PREVIEW) or PREVIEW_CHARACTERS
        self._states = states
        self._processes = processes
        self._room = asyncio.Semaphore(AT_ONCE)
        self._readers: set[ReaderProcess] = set()
        self._number = 0

    async def answer(self, read: Read) -> ReadResult:
        """Return what is asked for. Raises :class:`ReadRefused`."""
        seconds = min(read.timeout.seconds + read.timeout.nanos / 1e9, _LONGEST_SECONDS)
        deadline = self._loop.time() + seconds
        try:
            async with asyncio.timeout_at(deadline):
                # A reader's time is over a little before ours, so that we can still say what it was at.
                return await self._answer(read, deadline - min(0.1 * seconds, 0.2))
        except TimeoutError:
            raise ReadRefused(
                "SESSION_BUSY",
                f"the state could not be read within {seconds:g} s: other reads, code of its variables, or threads "
                "of user code that hold what a copy needs, are in the way",
            ) from None

    def close(self) -> None:
        """End all readers."""
        for reader in tuple(self._readers):
            reader.end()

    async def _answer(self, read: Read, deadline: float) -> ReadResult:
        question = Question(read, self._preview_characters)
        blamed: dict[str, str] = {}
        bare = False
        why = ""
        for attempt in range(_ATTEMPTS):
            seen = await self._seen(read.transaction_id)
            generation = self._states.generation
            header = question.message(
                list(blamed), bare=bare or attempt == _ATTEMPTS - 1, seconds=deadline - self._loop.time()
            )
            try:
                answer = await self._ask(seen.interpreter, question, header, deadline)
            except Culprit as culprit:
                why = str(culprit)
                if generation != self._states.generation:
                    continue
                if culprit.name is None or culprit.name in blamed:
                    bare = True
                else:
                    blamed[culprit.name] = why
                continue
            except (
                StartFailed
            ) as error:  # it died or was let go of in this moment: another one takes its place
                why = str(error)
                continue
            for variable in answer.variables:
                variable.preview = blamed.get(variable.name, variable.preview)
            return ReadResult(
                variables=[variable.SerializeToString() for variable in answer.variables],
                more=answer.more,
                data=answer.data,
                mime_type=answer.mime_type,
                response=answer.response,
                as_of_operation_id=seen.operation_id,
                stale=seen.stale,
            )
        raise ReadRefused("SESSION_BUSY", f"the state could not be read: {why}")

    async def _seen(self, transaction_id: str) -> Seen:
        while True:
            seen = self._states.seen(transaction_id)
            if isinstance(seen, Refusal):
                raise ReadRefused(seen.reason, seen.message)
            if seen is not None:
                return seen
            await self._states.ready()

    async def _ask(
        self, source: Interpreter, question: Question, header: dict[str, object], deadline: float
    ) -> Answer:
        """Have one reader answer. Raises :class:`Culprit`, ``StartFailed``, :class:`ReadRefused`."""
        await self._room.acquire()
        reader = ReaderProcess(self._loop)
        self._readers.add(reader)
        self._number += 1
        try:
            told = (await source.read(self._number, header, reader.give, question.blobs)).header
            pid = told.get("pid")
            if told.get("type") != "reading" or type(pid) is not int or not self._processes.reader_born(pid):
                raise StartFailed("no copy of the interpreter could be made")
            reader.born(pid, self._processes.watch)
            reader.dead.add_done_callback(lambda _: self._processes.reader_died(pid))
            return await listen(reader, question, deadline)
        finally:
            reader.end()
            self._readers.discard(reader)
            # The answer does not wait for its death, the next reader does: each of them may hold pages of its own.
            reader.when_gone(self._room.release)
