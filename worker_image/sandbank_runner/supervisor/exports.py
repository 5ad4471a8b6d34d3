"""Values that leave by a connection of their own: a reader is forked as for any read, gets it, and is watched."""

from __future__ import annotations

import asyncio
import itertools

from sandbank.v1.state_pb2 import ValueFormat

from sandbank_runner.supervisor.interpreter_process import StartFailed
from sandbank_runner.supervisor.reads import Seen, States
from sandbank_runner.supervisor.refusals import Refusal
from sandbank_runner.supervisor.state_connections import UNKNOWN, StateConnection, StateConnections
from sandbank_runner.supervisor.state_work import ForkedWorker, Processes, StateRefused, said, seconds_of
from sandbank_runner.v1.runner_pb2 import ExportVariable, StateResult

AT_ONCE = 2
"""Readers that export at the same time; more wait."""

_FORMS: dict[int, str] = {
    ValueFormat.VALUE_FORMAT_UNSPECIFIED: "repr",
    ValueFormat.VALUE_FORMAT_REPR: "repr",
    ValueFormat.VALUE_FORMAT_JSON: "json",
    ValueFormat.VALUE_FORMAT_MIME: "mime",
    ValueFormat.VALUE_FORMAT_ARROW: "arrow",
}


class Exports:
    """Sends variables, as reads see them."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connections: StateConnections,
        states: States,
        processes: Processes,
        preview_characters: int,
    ) -> None:
        self._loop = loop
        self._preview_characters = preview_characters
        self._connections = connections
        self._states = states
        self._processes = processes
        self._room = asyncio.Semaphore(AT_ONCE)
        self._numbers = itertools.count(-1, -1)  # reads that are answered on channels count upwards

    async def export(self, request: ExportVariable) -> StateResult:
        """Have a variable sent; return what it is of. Raises :class:`StateRefused`."""
        seconds = seconds_of(request.timeout)
        connection = await self._connections.take(request.token)
        if connection is None:
            raise StateRefused(UNKNOWN)
        try:
            async with asyncio.timeout(seconds), self._room:
                seen = await self._export(request, connection)
        except TimeoutError:
            connection.cut()
            raise StateRefused(
                Refusal("SESSION_BUSY", f"the value could not be sent within {seconds:g} s")
            ) from None
        except BaseException:
            connection.cut()
            raise
        connection.close()
        return StateResult(as_of_operation_id=seen.operation_id, stale=seen.stale)

    async def _export(self, request: ExportVariable, connection: StateConnection) -> Seen:
        form = _FORMS.get(request.format)
        if form is None:
            raise StateRefused(Refusal("FORMAT_UNAVAILABLE", "there is no such format"))
        seen = await self._seen(request.transaction_id)
        what = {
            "type": "export",
            "name": request.name,
            "format": form,
            "max_bytes": max(request.max_bytes, 0),
            "characters": self._preview_characters,
        }
        try:
            connection.say({"type": "seen", "operation": seen.operation_id, "stale": seen.stale})
            told = (await seen.interpreter.read(next(self._numbers), what, connection.give())).header
        except StartFailed as error:
            raise StateRefused(Refusal("SESSION_BUSY", f"the interpreter has died: {error}")) from None
        except OSError:
            raise StateRefused(Refusal("SESSION_BUSY", "nobody listens to the value")) from None
        pid = told.get("pid")
        if told.get("type") != "reading" or type(pid) is not int:
            why = said(told.get("message"))
            raise StateRefused(Refusal("SESSION_BUSY", f"no copy of the interpreter could be made: {why}"))
        reader = ForkedWorker(self._loop, pid, self._processes)
        connection.watch(self._loop, lambda: reader.kill("nobody listens to the value any more"))
        try:
            await reader.end()
        finally:
            reader.kill("the export was given up")
        return seen

    async def _seen(self, transaction_id: str) -> Seen:
        while True:
            seen = self._states.seen(transaction_id)
            if isinstance(seen, Refusal):
                raise StateRefused(seen)
            if seen is not None:
                return seen
            await self._states.ready()
