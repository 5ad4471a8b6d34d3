"""One session: run code in it, look at what ran, reset it, end it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Self

from sandbank import calls, requests, rpc
from sandbank.errors import NotFound, SandbankError
from sandbank.facade import SessionBase, joined
from sandbank.sync.execution import Execution
from sandbank.sync.files import Files
from sandbank.sync.scope import Scope
from sandbank.sync.transaction import Transaction
from sandbank.sync.transport import Transport
from sandbank.v1 import checkpoint_pb2, execution_pb2, session_pb2


class Session(SessionBase, Scope):
    """A session on the server. As a context manager it is deleted at the end if it was created here.

    `info` is the session as the server last described it; `refresh` asks again. `files` is its workspace. `restored`
    is what came back of the checkpoint that it was made of or restored from here, and what did not, else None.
    """

    def __init__(
        self,
        transport: Transport,
        info: session_pb2.Session,
        *,
        owned: bool,
        restored: checkpoint_pb2.RestoreReport | None = None,
    ) -> None:
        super().__init__(info, transport.connection.retry, owned=owned, restored=restored)
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

    def provide_input(self, operation_id: str, input_id: str, text: str | None) -> None:
        """Answer an operation that waits for input with a line, or with the end of the input for None.

        Raises NotWaitingForInput where that question was answered before, or is over.
        """
        request = requests.provide_input(self.session_id, operation_id, input_id, text)
        self._transport.call(calls.provide_input(request))

    def transaction(
        self, *, include_files: bool = False, idle_timeout: requests.Seconds | None = None
    ) -> Transaction:
        """Begin a transaction; as a context manager it commits at the end, or rolls back where the block raises.

        With `include_files` a rollback returns the workspace's files too. Idle for `idle_timeout` it is rolled
        back. If the connection breaks while it begins, the call is not repeated: `open_transaction_id` of
        `refresh` then says whether it did.
        """
        call = calls.begin_transaction(self.session_id, idle_timeout, include_files)
        return Transaction(self._transport, self._transport.call(call), owned=True)

    def attach_transaction(self, transaction_id: str) -> Transaction:
        """Use a transaction that is open already. As a context manager it leaves it open."""
        return Transaction(self._transport, joined(self.session_id, transaction_id), owned=False)

    def hibernate(self) -> session_pb2.Session:
        """Save the state and give the sandbox up; the next use takes another and goes on there.

        What could not be saved is named in `state_detail`. In use: SessionBusy, retried for a while.
        """
        self.info = self._transport.call(calls.hibernate_session(self.session_id))
        return self.info

    def rewind(self, operation_id: str) -> session_pb2.Session:
        """Go back to the state right after an operation; a running operation is cancelled first.

        How far that reaches is the `history` that the session was created with; beyond it: SnapshotGone.
        """
        self.info = self._transport.call(calls.rewind_session(self.session_id, operation_id))
        return self.info

    def checkpoint(
        self,
        *,
        labels: Mapping[str, str] | None = None,
        verify: bool = False,
        request_id: str | None = None,
    ) -> checkpoint_pb2.Checkpoint:
        """Save the state as it is committed now; return when that is durable.

        `verify` has it loaded in a fresh process and compared first. What could not be saved has `FIDELITY_LOST`.
        """
        return self._transport.call(calls.checkpoint(self.session_id, labels, verify, request_id))

    def restore(self, checkpoint_id: str, *, allow_lost: bool = False) -> checkpoint_pb2.RestoreReport:
        """Replace the state by a checkpoint's, all or nothing; return what came back and what did not."""
        answer = self._transport.call(calls.restore(self.session_id, checkpoint_id, allow_lost))
        self.info, self.restored = answer.session, answer.report
        return answer.report

    def fork(
        self,
        count: int = 1,
        *,
        labels: Mapping[str, str] | None = None,
        request_id: str | None = None,
    ) -> list[Session]:
        """Make new sessions of the state now, each in a sandbox of its own; `secret_env` is not handed on."""
        made = self._transport.call(calls.fork_session(self.session_id, count, labels, request_id))
        return [Session(self._transport, info, owned=True, restored=report) for info, report in made]

    def checkpoints(self, *, page_size: int = 0) -> Iterator[checkpoint_pb2.Checkpoint]:
        """Iterate over this session's checkpoints, newest first, without what is in them."""
        return self._transport.pages(calls.list_checkpoints(self.session_id, page_size))

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
