"""One session: run code in it, look at what ran, reset it, end it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Self, Unpack

from sandbank import calls, requests, rpc
from sandbank.errors import NotFound, SandbankError
from sandbank.events import Event
from sandbank.facade import SessionBase
from sandbank.results import Callbacks, DisplayCallback, Result, TextCallback
from sandbank.sync.execution import Execution
from sandbank.sync.files import Files
from sandbank.sync.transport import Transport
from sandbank.v1 import execution_pb2, session_pb2


class Session(SessionBase):
    """A session on the server. As a context manager it is deleted at the end if it was created here.

    `info` is the session as the server last described it; `refresh` asks again. `files` is its workspace.
    """

    def __init__(self, transport: Transport, info: session_pb2.Session, *, owned: bool) -> None:
        super().__init__(info, transport.connection.retry, owned=owned)
        self._transport = transport
        self.files = Files(transport, info.session_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if not self._owned:
            return
        # The error that ended the block matters more than one of deleting: the server ends the session in the
        # end.
        with contextlib.suppress(SandbankError) if exc[0] is not None else contextlib.nullcontext():
            self.delete()

    def run(
        self,
        code: str,
        *,
        on_stdout: TextCallback | None = None,
        on_stderr: TextCallback | None = None,
        on_display: DisplayCallback | None = None,
        check: bool = True,
        **options: Unpack[requests.ExecuteOptions],
    ) -> Result:
        """Run code and wait for its end; the callbacks get its output while it runs.

        Raises ExecutionFailed where the code did not succeed (not with `check=False`), and SandbankError
        where the call failed.
        """
        callbacks = Callbacks(on_stdout, on_stderr, on_display)
        if callbacks:
            return self.execute(code, **options).result(check=check, callbacks=callbacks)
        result = self._transport.call(calls.run(self.session_id, code, options))
        return result.checked() if check else result

    def execute(self, code: str, **options: Unpack[requests.ExecuteOptions]) -> Execution:
        """Run code, with its events and its result to be had from what is returned."""
        return Execution(self._transport, self._execute(code, options))

    def stream(self, code: str, **options: Unpack[requests.ExecuteOptions]) -> Iterator[Event]:
        """Run code and iterate over its events."""
        return iter(self.execute(code, **options))

    def watch(self, operation_id: str, *, after_sequence: int = 0) -> Execution:
        """Follow an operation that was started before, from any event on."""
        return Execution(self._transport, self._watch(operation_id, after_sequence))

    def operation(self, operation_id: str) -> execution_pb2.Operation:
        """Read one operation as it is now."""
        return self._transport.call(calls.get_operation(self.session_id, operation_id))

    def operations(self, *, page_size: int = 0) -> Iterator[execution_pb2.Operation]:
        """Iterate over all operations, newest first, fetched page by page."""
        return self._transport.pages(calls.list_operations(self.session_id, page_size))

    def cancel(self, operation_id: str) -> execution_pb2.Operation:
        """Ask for an operation to stop; return it as it is when the wish is recorded."""
        return self._transport.call(calls.cancel_operation(self.session_id, operation_id))

    def refresh(self) -> session_pb2.Session:
        """Ask for the session as it is now, and return it."""
        self.info = self._transport.call(calls.get_session(self.session_id))
        return self.info

    def update(
        self,
        *,
        labels: Mapping[str, str] | None = None,
        idle_timeout: requests.Seconds | None = None,
        extend_lifetime: requests.Seconds | None = None,
    ) -> session_pb2.Session:
        """Change labels and times; with no argument it only keeps the session alive."""
        call = calls.update_session(self.session_id, labels, idle_timeout, extend_lifetime)
        self.info = self._transport.call(call)
        return self.info

    def reset(self, *, keep_files: bool = False) -> session_pb2.Session:
        """Give it a pristine interpreter; a running operation is cancelled first."""
        self.info = self._transport.call(calls.reset_session(self.session_id, keep_files))
        return self.info

    def delete(self) -> None:
        """End it. Deleting what is gone already is no error."""
        with contextlib.suppress(NotFound):
            self._transport.call(calls.delete_session(self.session_id))

    def events(self, *, after_sequence: int = 0) -> Iterator[session_pb2.SessionEvent]:
        """Iterate over what happens to the session, until it ends."""
        request = session_pb2.WatchSessionRequest(session_id=self.session_id, after_sequence=after_sequence)
        return self._transport.stream(rpc.WATCH_SESSION, request)
