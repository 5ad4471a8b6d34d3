"""Running code and reading variables: what a session and a transaction have in common."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any, Unpack

from sandbank import calls, requests, rpc
from sandbank.aio.execution import AsyncExecution, InputCallback
from sandbank.aio.interaction import AsyncInteraction
from sandbank.aio.transport import Transport
from sandbank.encoded import encoded
from sandbank.events import Event
from sandbank.facade import ScopeBase, Sent
from sandbank.places import Description
from sandbank.reasons import FormatUnavailable
from sandbank.results import Callbacks, DisplayCallback, Result, TextCallback
from sandbank.transfers import Source
from sandbank.v1 import state_pb2, variable_pb2
from sandbank.values import Value
from sandbank.variable_transfers import SET_BYTES, Export, Import, Target


class AsyncScope(ScopeBase):
    """Runs code and reads variables, in a session or as a member of a transaction."""

    _transport: Transport

    async def run(
        self,
        code: str,
        *,
        on_stdout: TextCallback | None = None,
        on_stderr: TextCallback | None = None,
        on_display: DisplayCallback | None = None,
        input: InputCallback | None = None,  # noqa: A002 - what it stands for in the session
        check: bool = True,
        **options: Unpack[requests.ExecuteOptions],
    ) -> Result:
        """Run code and wait for its end; the callbacks get its output while it runs.

        `input` answers the code's `input()` and `getpass`: it gets the prompt and whether the answer is secret, and
        returns a line, or None for the end of the input; it may be a coroutine function, which is cancelled when the
        operation ends first. What it raises cancels the operation and is raised here.
        Without it `input()` raises EOFError in the session.

        Raises ExecutionFailed where the code did not succeed (not with `check=False`), and SandbankError
        where the call failed.
        """
        callbacks = Callbacks(on_stdout, on_stderr, on_display)
        if input is not None:
            options = {"allow_input": True, **options}
        if callbacks or input is not None:
            execution = self.execute(code, **options)
            return await execution.result(check=check, callbacks=callbacks, input=input)
        request = self._request(code, options)
        sent = Sent(request.operation_id)
        self._track(sent)
        result = await self._transport.call(calls.run(request))
        sent.finished = True
        return result.checked() if check else result

    def execute(self, code: str, **options: Unpack[requests.ExecuteOptions]) -> AsyncExecution:
        """Run code, with its events and its result to be had from what is returned."""
        return AsyncExecution(self._transport, self._prepare(code, options)[0])

    def stream(self, code: str, **options: Unpack[requests.ExecuteOptions]) -> AsyncIterator[Event]:
        """Run code and iterate over its events."""
        return aiter(self.execute(code, **options))

    def interact(self) -> AsyncInteraction:
        """Open one stream for many operations, with their input and cancellation: the lowest latency."""
        return AsyncInteraction(self._transport, self.session_id, self._prepare)

    def variables(
        self, prefix: str = "", *, private: bool = False, page_size: int = 0
    ) -> AsyncIterator[variable_pb2.Variable]:
        """Iterate over the variables whose names begin with `prefix`, fetched page by page.

        With `private` also those that begin with an underscore.
        """
        return self._transport.pages(
            calls.list_variables(self.session_id, self._transaction_id, prefix, private, page_size)
        )

    async def get(self, name: str, format: str | int = "", *, max_bytes: int = 0) -> Value:  # noqa: A002 - the API's
        """Read a variable: `format` is `"json"`, `"repr"`, `"mime"` or `"arrow"`; left out, JSON or else repr.

        Reading changes nothing, and works while code runs: `as_of` says which operation's effects are in it.
        """
        if format:
            return await self._get(name, format, max_bytes)
        try:
            return await self._get(name, "json", max_bytes)
        except FormatUnavailable:
            return await self._get(name, "repr", max_bytes)

    async def set(
        self, name: str, value: Any, *, arrow_as: str | int = ""
    ) -> variable_pb2.VariableChange | None:
        """Bind a variable to a value, in its turn among the operations; return what that changed.

        Plain data goes as JSON, and only where JSON says it exactly: None, bool, int, finite float, str, lists of these
        and dicts with text for keys. Tables and arrays (pandas, NumPy, whatever has Arrow's stream interface) go as an
        Arrow stream, for which pyarrow must be installed here; `bytes` are such a stream. `arrow_as` is what it is to
        be: `"table"` (pyarrow), `"pandas"` or `"numpy"`; left out, what it is here. None is returned where the variable
        had that value already.
        """
        sent = encoded(value, arrow_as)
        if len(sent.data) > SET_BYTES:
            with closing(Import.of(self.session_id, self._transaction_id, name, sent)) as pieces:
                return calls.change_of(await self._transport.upload(rpc.IMPORT_VARIABLE, pieces.messages))
        return await self._transport.call(
            calls.set_variable(self.session_id, self._transaction_id, name, sent)
        )

    async def export_variable(
        self,
        name: str,
        to: Target | None = None,
        *,
        format: str | int = "arrow",  # noqa: A002 - the API's
        max_bytes: int = 0,
    ) -> Value:
        """Read a variable of any size: `format` is `"arrow"`, `"json"`, `"repr"` or `"mime"`.

        With `to`, a path or a binary file object, the bytes go there (to a path only when they are whole), and those of
        the result are empty. It sees what `get` sees.
        """
        with Export(self.session_id, self._transaction_id, name, to, format, max_bytes) as export:
            async for message in self._transport.stream(rpc.EXPORT_VARIABLE, export.request):
                export.feed(message)
            return export.finish()

    async def import_variable(
        self,
        name: str,
        source: Source,
        *,
        format: str | int = "arrow",  # noqa: A002 - the API's
        arrow_as: str | int = "",
    ) -> variable_pb2.VariableChange | None:
        """Bind a variable to a value of any size: a path, bytes or a binary file object with Arrow (or `"json"`).

        As `set`, whole or not at all. Operations of the session wait until it is there.
        """
        with closing(Import(self.session_id, self._transaction_id, name, source, format, arrow_as)) as pieces:
            return calls.change_of(await self._transport.upload(rpc.IMPORT_VARIABLE, pieces.messages))

    async def complete(self, code: str, cursor: int | None = None) -> state_pb2.CompleteResponse:
        """Ask how the code before `cursor` could go on; left out, the cursor is at its end.

        `matches` of the answer, best first, take the place of the code from `start_position` to `end_position`. The
        code is not run; attributes and items that it names may be looked up, in a copy of the interpreter.
        """
        return await self._transport.call(calls.complete(self.session_id, self._transaction_id, code, cursor))

    async def inspect(self, code: str, cursor: int | None = None, *, detail: int = 0) -> Description:
        """Ask what is known of the thing at `cursor`, or of what is called around it: signature, type, documentation.

        With `detail=1` its source too, where that is known.
        """
        return await self._transport.call(
            calls.inspect(self.session_id, self._transaction_id, code, cursor, detail)
        )

    async def _get(self, name: str, value_format: str | int, max_bytes: int) -> Value:
        return await self._transport.call(
            calls.get_variable(self.session_id, self._transaction_id, name, value_format, max_bytes)
        )
