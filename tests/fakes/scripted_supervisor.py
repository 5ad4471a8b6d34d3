"""A supervisor that behaves, step by step as the test says, behind a real Unix socket.

It keeps a journal and answers requests as `runner.proto` says. What runs, ends, breaks or dies is the test's to say.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from sandbank.v1 import execution_pb2, transaction_pb2
from sandbank_runner.v1 import runner_pb2
from sandbank_server.runtimes.base import Endpoint

from tests.fakes.supervisor_saboteur import Wire

Operation = execution_pb2.Operation
Transaction = transaction_pb2.Transaction
Answer = Callable[[runner_pb2.ToRunner, runner_pb2.Reply], bool]
"""Changes a reply; False keeps it back for ever."""


class Journalled:
    """One operation in the journal. ``dropped``: how many of its first events are gone."""

    def __init__(self, submit: runner_pb2.Submit) -> None:
        self.submit = submit
        self.events: list[bytes] = []
        self.dropped = 0
        self.operation = Operation(operation_id=submit.operation_id, state=Operation.STATE_PENDING)
        self.effects_lost = False
        self.settled = 0
        """What a test says that its outcome has become."""

    @property
    def outcome_now(self) -> int:
        """What has become of its effects, as far as its interpreter decides that."""
        return self.settled or (Operation.OUTCOME_LOST if self.effects_lost else self.operation.outcome)

    @property
    def finished(self) -> bool:
        """Whether it came to its end."""
        return self.operation.state not in (Operation.STATE_PENDING, Operation.STATE_RUNNING)


class ScriptedSupervisor:
    """One sandbox. ``answer`` may be replaced by a test to change replies or keep them back."""

    def __init__(self, directory: Path, sandbox_id: str) -> None:
        directory.mkdir(parents=True)
        self.sandbox_id = sandbox_id
        self.endpoint = Endpoint(str(directory), "s", os.getuid())
        self.session_id = ""
        self.boot_id = f"boot of {sandbox_id}"
        self.python_version = "3.13.5"
        self.execution_count = 0
        self.journal: dict[str, Journalled] = {}
        self.replaced: runner_pb2.InterpreterReplaced | None = None
        self.replacements: list[runner_pb2.InterpreterReplaced] = []
        self.changes: list[runner_pb2.TransactionChanged] = []
        self.assigned: runner_pb2.Assign | None = None
        self.asked: list[runner_pb2.ToRunner] = []
        self.hello: dict[str, object] = {}
        """Fields of Hello that the test wants otherwise."""
        self.answer: Answer = lambda _request, _reply: True
        self.on_open: Callable[[Wire], None] = lambda _wire: None
        self.files: Callable[[Wire], asyncio.Future[None]] | None = None
        """Serves a FILES connection, once it is open."""
        self.state: Callable[[Wire], Awaitable[None]] | None = None
        """Speaks on a STATE connection, once it is open."""
        self.opens = True
        """Whether it opens transactions that are asked for."""
        self.holds: set[str] = set()
        """Kinds of requests that are not looked at before :meth:`release`."""
        self.held: list[tuple[Wire, runner_pb2.ToRunner]] = []
        self.listed = True
        """Whether Hello tells of the journal."""
        self.wires: list[Wire] = []
        self.dials = 0
        self._told = (0, 0)
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None

    # Life.

    async def listen(self) -> None:
        """Begin to accept."""
        # Not asyncio's server: closing that loses what it has accepted in the same moment.
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{self.endpoint.directory}/s")
        self._listener.listen()
        self._listener.setblocking(False)
        asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def drop(self) -> None:
        """Close every connection; listen on."""
        wires, self.wires = self.wires, []
        for wire in wires:
            wire.writer.transport.abort()

    async def die(self) -> None:
        """Be gone, as after SIGKILL."""
        if self._listener is not None:
            listener, self._listener = self._listener, None
            asyncio.get_running_loop().remove_reader(listener)
            listener.close()
            os.unlink(f"{self.endpoint.directory}/s")
            self.drop()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def alive(self) -> bool:
        """Whether it still listens."""
        return self._listener is not None

    # What the test lets happen.

    def push(self, operation_id: str, **kind: object) -> None:
        """Journal the next event of an operation and send it."""
        record = self.journal[operation_id]
        event = execution_pb2.OperationEvent(
            session_id=self.session_id,
            operation_id=operation_id,
            sequence=record.dropped + len(record.events) + 1,
            **kind,
        )
        event.time.FromSeconds(1_900_000_000)
        record.events.append(event.SerializeToString())
        events = runner_pb2.Events(
            operation_id=operation_id, first_sequence=event.sequence, events=[record.events[-1]]
        )
        self.tell(events=events)

    def tell(self, **message: object) -> None:
        """Send something unasked on the newest connection, if there is one."""
        if self.wires:
            self.wires[-1].send(**message)

    def start(self, operation_id: str) -> None:
        """Let an operation begin."""
        self.execution_count += 1
        record = self.journal[operation_id]
        record.operation.state = Operation.STATE_RUNNING
        record.operation.execution_count = self.execution_count
        self.push(operation_id, started=execution_pb2.Started())

    def output(self, operation_id: str, data: bytes) -> None:
        """Let an operation write."""
        self.push(operation_id, output=execution_pb2.Output(stream="OUTPUT_STREAM_STDOUT", data=data))

    def finish(self, operation_id: str, state: int = Operation.STATE_SUCCEEDED, **fields: object) -> None:
        """Let an operation end."""
        outcomes = {
            Operation.STATE_SUCCEEDED: Operation.OUTCOME_COMMITTED,
            Operation.STATE_FAILED: Operation.OUTCOME_PARTIAL,
        }
        record = self.journal[operation_id]
        given = {"state": state, "outcome": outcomes.get(state, Operation.OUTCOME_ROLLED_BACK), **fields}
        record.operation = Operation(
            session_id=self.session_id,
            operation_id=operation_id,
            execution_count=record.operation.execution_count,
            tx_policy=record.submit.tx_policy,
            isolation=record.submit.isolation,
            transaction_id=record.submit.transaction_id,
            **given,
        )
        self.push(operation_id, finished=execution_pb2.Finished(operation=record.operation))

    def run(self, operation_id: str, **fields: object) -> None:
        """Let an operation begin and succeed."""
        self.start(operation_id)
        self.finish(operation_id, **fields)

    def replace_interpreter(
        self, reason: str = "killed by SIGSEGV", operation_id: str = "", **fields: object
    ) -> None:
        """Let the interpreter die: with the effects of everything that has run, unless ``fields`` say what is lost."""
        if not fields:
            for record in self.journal.values():
                record.effects_lost = record.finished
            fields = {"state_lost": True}
        for name in fields.get("lost_operation_ids", ()):  # type: ignore[attr-defined]
            self.journal[name].effects_lost = not fields.get("rewound")
        number = self.replaced.number + 1 if self.replaced else 1
        self.replaced = runner_pb2.InterpreterReplaced(
            operation_id=operation_id, reason=reason, number=number, **fields
        )
        self.replacements.append(self.replaced)
        self.tell(interpreter_replaced=self.replaced)

    def transaction(self, transaction_id: str, state: int, reason: str = "", **fields: object) -> None:
        """Let a transaction open or end, and say so."""
        told = transaction_pb2.Transaction(
            session_id=self.session_id, transaction_id=transaction_id, state=state, **fields
        )
        told.begin_time.FromSeconds(1_900_000_000)
        told.expire_time.FromSeconds(1_900_000_300)
        number = self.changes[-1].number + 1 if self.changes else 1
        self.changes.append(
            runner_pb2.TransactionChanged(transaction=told.SerializeToString(), reason=reason, number=number)
        )
        self.tell(transaction_changed=self.changes[-1])

    def start_transaction(self, operation_id: str) -> str:
        """Let an operation begin that begins its transaction; return the transaction's id."""
        transaction_id = self.journal[operation_id].submit.transaction_id
        self.transaction(transaction_id, Transaction.STATE_OPEN)
        self.start(operation_id)
        return transaction_id

    def evict(self, operation_id: str, count: int) -> None:
        """Forget the first events of an operation."""
        record = self.journal[operation_id]
        del record.events[:count]
        record.dropped += count

    # The protocol.

    def _accept(self) -> None:
        assert self._listener is not None
        connection, _ = self._listener.accept()
        connection.setblocking(False)
        task = asyncio.get_running_loop().create_task(self._serve(connection))
        self._tasks.add(task)
        # One that is cancelled before it begins never closes anything.
        task.add_done_callback(lambda done: (self._tasks.discard(done), connection.close()))

    async def _serve(self, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=connection)
        wire = Wire(reader, writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._converse(wire)
        writer.transport.abort()
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await writer.wait_closed()

    async def _converse(self, wire: Wire) -> None:
        self.dials += 1
        seen = self._greet(wire)
        opened = await wire.receive()
        if opened.open.purpose == runner_pb2.PURPOSE_FILES:
            if self.files is not None:
                await self.files(wire)
            await wire.reader.read()
            return
        if opened.open.purpose == runner_pb2.PURPOSE_STATE:
            if self.state is not None:
                await self.state(wire)
            await wire.reader.read()
            return
        self.wires.append(wire)
        self._catch_up(seen)
        self.on_open(wire)
        while True:
            request = await wire.receive()
            if wire not in self.wires:
                return  # what was read before the connection was closed is not looked at after it
            if request.WhichOneof("message") in self.holds:
                self.held.append((wire, request))
            else:
                self._handle(wire, request)

    def release(self) -> None:
        """Handle what was held."""
        self.holds.clear()
        while self.held:
            self._handle(*self.held.pop(0))

    def _greet(self, wire: Wire) -> dict[str, int]:
        summaries = [
            runner_pb2.OperationSummary(
                operation_id=name,
                finished=record.finished,
                last_sequence=record.dropped + len(record.events),
                first_kept_sequence=record.dropped + 1,
                effects_lost=record.effects_lost,
                outcome=record.outcome_now if record.finished else 0,
            )
            for name, record in self.journal.items()
            if self.listed and not (record.finished and not record.events)
        ]
        fields = {
            "session_id": self.session_id,
            "python_version": self.python_version,
            "execution_count": self.execution_count,
            "operations": summaries,
            "last_replaced": self.replaced,
            "replacements": self.replacements[-64:],
            "transactions": self.changes[-64:],
            "sandbox_id": self.sandbox_id,
            "boot_id": self.boot_id,
        }
        wire.hello(**{**fields, **self.hello})
        self._told = (len(self.replacements), len(self.changes))
        return {name: record.dropped + len(record.events) for name, record in self.journal.items()}

    def _catch_up(self, seen: dict[str, int]) -> None:
        if self._told != (len(self.replacements), len(self.changes)):
            self.drop()  # only another greeting can tell
            return
        for name, record in self.journal.items():
            told = seen.get(name, 0)
            if told < record.dropped:
                self.drop()  # what is missing now cannot be told: another greeting says how things are
                return
            fresh = record.events[max(0, told - record.dropped) :]
            if fresh:
                self.tell(events=runner_pb2.Events(operation_id=name, first_sequence=told + 1, events=fresh))

    def _handle(self, wire: Wire, request: runner_pb2.ToRunner) -> None:
        self.asked.append(request)
        kind = request.WhichOneof("message")
        if kind == "submit":
            self.journal.setdefault(request.submit.operation_id, Journalled(request.submit))
            return
        reply = runner_pb2.Reply(request_id=request.request_id)
        if kind == "assign":
            self.assigned = request.assign
            self.session_id = request.assign.session_id
        elif kind == "reset":
            self.execution_count = 0
        elif kind == "begin_transaction":
            begin = request.begin_transaction
            if self.opens:
                self.transaction(
                    begin.transaction_id, Transaction.STATE_OPEN, include_files=begin.include_files
                )
        elif kind == "end_transaction":
            self._end_transaction(request.end_transaction, reply)
        elif kind in ("fetch", "get_operation", "cancel"):
            self._about(getattr(request, kind), reply)
        if self.answer(request, reply):
            wire.send(reply=reply)

    def _end_transaction(self, end: runner_pb2.EndTransaction, reply: runner_pb2.Reply) -> None:
        newest = transaction_pb2.Transaction()
        if self.changes:
            newest.ParseFromString(self.changes[-1].transaction)
        if newest.transaction_id != end.transaction_id or newest.state != Transaction.STATE_OPEN:
            reply.failure.reason = "NO_SUCH_TRANSACTION"
        elif end.commit:
            self.transaction(end.transaction_id, Transaction.STATE_COMMITTED, "commit")
        else:
            self.transaction(end.transaction_id, Transaction.STATE_ROLLED_BACK, "rollback")

    def _about(
        self, asked: runner_pb2.Fetch | runner_pb2.GetOperation | runner_pb2.Cancel, reply: runner_pb2.Reply
    ) -> None:
        record = self.journal.get(asked.operation_id)
        if record is None:
            reply.failure.reason = "OPERATION_NOT_FOUND"
        elif isinstance(asked, runner_pb2.Fetch):
            first = max(asked.after_sequence, record.dropped) + 1
            page = reply.page
            page.first_sequence, page.first_kept_sequence = first, record.dropped + 1
            page.events.extend(record.events[first - 1 - record.dropped :][:100])
        else:
            operation = Operation()
            operation.CopyFrom(record.operation)
            operation.session_id = self.session_id
            operation.outcome = record.outcome_now
            reply.operation = operation.SerializeToString()
