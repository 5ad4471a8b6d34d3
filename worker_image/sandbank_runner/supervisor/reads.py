"""Reads of variables: finds the state that is to be seen, has a reader forked of it, and outlives whatever that does.

A reader runs user code (``__repr__``). It says beforehand which variable it turns to: one that hangs or dies is ended,
and another one is asked that leaves this variable's ``__repr__`` alone. So a hostile variable costs its own preview.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from sandbank.v1.state_pb2 import ValueFormat
from sandbank.v1.variable_pb2 import Variable

from sandbank_runner.channel import Message
from sandbank_runner.supervisor.interpreter_messages import EVENT_BYTES, BadMessage
from sandbank_runner.supervisor.interpreter_process import Interpreter, StartFailed
from sandbank_runner.supervisor.reader_messages import parse_no_value, parse_value, parse_variables
from sandbank_runner.supervisor.reader_process import ReaderGone, ReaderProcess
from sandbank_runner.supervisor.refusals import Refusal
from sandbank_runner.v1.runner_pb2 import Failure, Read, ReadResult

AT_ONCE = 4
"""Readers at the same time; more reads wait."""

LARGEST_PAGE = 1000
HANG_SECONDS = 1.5
"""How long a reader may be at one variable. It gives up by itself before, unless it hangs in C code."""
SILENT_SECONDS = 5.0
"""How long it may say nothing else."""
_ATTEMPTS = 6
"""Readers for one read. The last is not to call anybody's code."""
_LONGEST_SECONDS = 300.0

_FORMS: dict[int, str] = {
    ValueFormat.VALUE_FORMAT_UNSPECIFIED: "repr",
    ValueFormat.VALUE_FORMAT_REPR: "repr",
    ValueFormat.VALUE_FORMAT_JSON: "json",
    ValueFormat.VALUE_FORMAT_MIME: "mime",
}
_TOO_SLOW = "<preview unavailable: repr took too long>"


class ReadRefused(Exception):
    """There is no answer: a reason of the public API and a sentence."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def failure(self) -> Failure:
        """Return it as it is sent."""
        return Failure(reason=self.reason, message=str(self)[:500])


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
        """Return what a read sees now; None where the interpreter is being replaced."""

    def ready(self) -> Awaitable[object]:
        """Wait until it has been replaced."""


class Processes(Protocol):
    """Who keeps book of processes."""

    def watch(self, pid: int, on_exit: Callable[[int], None]) -> None:
        """Tell ``on_exit`` once of a process's death, and its wait status."""

    def reader_born(self, pid: int) -> bool:
        """Take note of a reader; False where ``pid`` cannot be one."""

    def reader_died(self, pid: int) -> None:
        """It is no more."""


@dataclass(slots=True)
class _Answer:
    """What one reader has said so far."""

    variables: list[Variable] = field(default_factory=list)
    at: Variable | None = None
    more: bool = False
    data: bytes = b""
    mime_type: str = ""


class _Culprit(Exception):
    """The reader hung or died at a variable; ``name`` is None where it did not say at which."""

    def __init__(self, name: str | None, preview: str) -> None:
        super().__init__(preview)
        self.name = name


class Reads:
    """Answers reads, a few at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, states: States, processes: Processes) -> None:
        self._loop = loop
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
                async with self._room:
                    # A reader's time is over a little before ours, so that we can still say what it was at.
                    return await self._answer(read, deadline - min(0.1 * seconds, 0.2))
        except TimeoutError:
            raise ReadRefused("SESSION_BUSY", f"the state could not be read within {seconds:g} s") from None

    def close(self) -> None:
        """End all readers."""
        for reader in tuple(self._readers):
            reader.end()

    async def _answer(self, read: Read, deadline: float) -> ReadResult:
        blamed: dict[str, str] = {}
        bare = False
        why = ""
        for attempt in range(_ATTEMPTS):
            seen = await self._seen(read.transaction_id)
            generation = self._states.generation
            header = _question(
                read, list(blamed), bare or attempt == _ATTEMPTS - 1, deadline - self._loop.time()
            )
            try:
                answer = await self._ask(seen.interpreter, header, deadline)
            except _Culprit as culprit:
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

    async def _ask(self, source: Interpreter, header: dict[str, object], deadline: float) -> _Answer:
        """Have one reader answer. Raises :class:`_Culprit`, ``StartFailed``, :class:`ReadRefused`."""
        reader = ReaderProcess(self._loop)
        self._readers.add(reader)
        self._number += 1
        try:
            told = (await source.read(self._number, header, reader.give)).header
            pid = told.get("pid")
            if told.get("type") != "reading" or type(pid) is not int or not self._processes.reader_born(pid):
                raise StartFailed("no copy of the interpreter could be made")
            reader.born(pid, self._processes.watch)
            reader.dead.add_done_callback(lambda _: self._processes.reader_died(pid))
            return await self._listen(reader, header, deadline)
        finally:
            reader.end()
            self._readers.discard(reader)

    async def _listen(self, reader: ReaderProcess, header: dict[str, object], deadline: float) -> _Answer:
        answer = _Answer()
        writing = False
        """The variable is described, its value is being written down."""
        while True:
            limit = SILENT_SECONDS if answer.at is None else HANG_SECONDS
            left = deadline - self._loop.time()
            try:
                message = await reader.message(left if writing else min(limit, left))
            except TimeoutError:
                if writing:
                    raise ReadRefused(
                        "FORMAT_UNAVAILABLE", "it took too long to write the value down"
                    ) from None
                raise _culprit(answer, _TOO_SLOW) from None
            except ReaderGone as gone:
                if writing:
                    raise ReadRefused(
                        "FORMAT_UNAVAILABLE", f"writing the value down ended its process: {gone}"
                    ) from None
                raise _culprit(answer, f"<preview unavailable: repr ended its process: {gone}>") from None
            try:
                if self._take(message, answer, header):
                    return answer
            except BadMessage:
                continue  # the channel is within reach of user code: what is none of ours is dropped
            writing = header["what"] == "get" and bool(answer.variables)

    def _take(self, message: Message, answer: _Answer, header: dict[str, object]) -> bool:
        """Take one message in; True when it was the last."""
        kind = message.header.get("type")
        if kind == "variables":
            described, answer.at = parse_variables(message)
            limit = header["limit"] if header["what"] == "list" else 1
            assert isinstance(limit, int)
            answer.variables = [*answer.variables, *described][:limit]
        elif kind == "end" and header["what"] == "list":
            answer.more = message.header.get("more") is True
            return True
        elif kind == "value" and header["what"] == "get" and answer.variables:
            assert isinstance(header["max_bytes"], int)
            answer.mime_type, preview, answer.data = parse_value(message, header["max_bytes"])
            if preview is not None:
                answer.variables[0].preview = preview
            return True
        elif kind == "no_value" and header["what"] == "get":
            raise _no_value(message, str(header["name"]), header["max_bytes"])
        return False


def _question(read: Read, skip: list[str], bare: bool, seconds: float) -> dict[str, object]:
    question: dict[str, object] = {"skip": skip, "bare": bare}
    if read.WhichOneof("what") == "list":
        asked = read.list
        return question | {
            "what": "list",
            "prefix": asked.name_prefix,
            "private": asked.include_private,
            "after": asked.after_name,
            "limit": max(min(asked.limit, LARGEST_PAGE), 1),
        }
    form = _FORMS.get(read.get.format)
    if form is None:
        raise ReadRefused("FORMAT_UNAVAILABLE", "this server does not write values down in that format yet")
    return question | {
        "what": "get",
        "name": read.get.name,
        "form": form,
        "max_bytes": max(min(read.get.max_bytes or EVENT_BYTES, EVENT_BYTES), 0),
        "seconds": max(seconds - HANG_SECONDS, seconds / 2, 0.05),
    }


def _culprit(answer: _Answer, preview: str) -> _Culprit:
    return _Culprit(None if answer.at is None else answer.at.name, preview)


def _no_value(message: Message, name: str, limit: object) -> ReadRefused:
    reason, text, size = parse_no_value(message)
    if reason == "missing":
        return ReadRefused("VARIABLE_NOT_FOUND", f"no variable is bound to the name {name[:200]!r}")
    if reason == "too_large":
        known = f" of {size} bytes" if size else ""
        return ReadRefused("TOO_LARGE", f"{text or 'the value'}{known} is over the limit of {limit} bytes")
    return ReadRefused("FORMAT_UNAVAILABLE", text or "the value cannot be had in this format")
