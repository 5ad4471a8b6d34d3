"""The operation log: what the control plane knows of a session's operations, whatever dies.

One append-only file per session. Before an operation is dispatched its id and the digest of its request are written,
at its end its state, outcome and last sequence; later changes of outcome follow. The page cache survives a killed
control plane; it is synced where something is promised to survive the machine: with each checkpoint, before the catalog
has it, and before each end under SYNCHRONOUS. There is no code, no output and no result in it.

A line is a JSON object; an unfinished last line, left by a lost machine, is cut off when the file is opened. Only a
dispatch is refused when the disk is full: whatever has happened already is told to clients all the same, and written
when there is room. Format version 1.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import cast

from sandbank.v1 import execution_pb2, transaction_pb2

from sandbank_server.errors import QuotaExceededError, StoreUnavailableError
from sandbank_server.sessions.log.entry import LogEntry, Terms, summarize
from sandbank_server.sessions.log.line_file import LogFile
from sandbank_server.sessions.log.named_effects import Gone, NamedEffects, gone_with
from sandbank_server.sessions.log.state import USUAL_TERMS
from sandbank_server.sessions.log.state_log import StateLog
from sandbank_server.sessions.log.syncing import LogSync
from sandbank_server.sessions.log.transaction_ledger import LoggedTransaction

OPERATIONS_PER_SESSION = 500_000
"""A session's ids are all kept in memory (about 300 bytes each), so that none can run twice; this bounds them."""

TRANSACTIONS_PER_SESSION = 100_000
"""Likewise: what became of one can be asked for ever."""

NAMED_AT_ONCE = 10_000
"""Operations whose names are read from the file for one loss: a tenth of a second."""

_HOLDERS = 3
"""Directories whose names lead to a log: of the tenant, of all logs, of the data."""

_Operation = execution_pb2.Operation
_Transaction = transaction_pb2.Transaction


class OperationLog(StateLog):
    """The log of one session. Not thread-safe: the event loop owns it; an append takes a few microseconds."""

    def __init__(
        self, path: str, session_id: str, *, readonly: bool = False, threads: Executor | None = None
    ) -> None:
        """Open the file at ``path``, making it unless ``readonly``, and read what is in it. OSError when that fails.

        ``threads`` sync it; None: those of the event loop.
        """
        super().__init__()
        self.session_id = session_id
        self._unwritten: dict[str, tuple[bytes, NamedEffects]] = {}
        """Summary and names of operations whose end the disk has refused so far."""
        self._file = LogFile(path, self._written, readonly=readonly)
        self._sync = LogSync(path, self._file.duplicate, threads, _HOLDERS)
        try:
            for at, line in self._file.lines():
                # A line that a broken disk garbled costs what it said, never what follows it.
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    self.replay(json.loads(line), at)
        except BaseException:
            self._file.close()
            raise

    # Reading.

    @property
    def path(self) -> str:
        """Where it lies."""
        return self._file.path

    def operation(self, operation_id: str) -> execution_pb2.Operation:
        """Return an operation as the log can tell it: without result and traceback. KeyError for an unknown id."""
        entry = self._entries[operation_id]
        operation = _Operation(session_id=self.session_id, operation_id=operation_id)
        operation.create_time.FromMicroseconds(entry.create_time_us)
        operation.MergeFromString(self._summary_of(operation_id, entry))
        operation.tx_policy = cast("transaction_pb2.TxPolicy", entry.tx_policy)
        operation.isolation = cast("transaction_pb2.Isolation", entry.isolation)
        operation.transaction_id = entry.transaction_id
        operation.state = entry.state if entry.finished or not entry.started else _Operation.STATE_RUNNING
        if entry.finished:
            operation.outcome = entry.outcome
            operation.durable_checkpoint_id = self.durable_checkpoint_of(entry)
        return operation

    def _summary_of(self, operation_id: str, entry: LogEntry) -> bytes:
        if entry.record < 0:
            return self._unwritten.get(operation_id, (b"",))[0]
        # A file that was removed or garbled costs the details; what matters is in memory.
        with contextlib.suppress(OSError, ValueError, KeyError):
            return base64.b64decode(json.loads(self._file.read(entry.record))["r"])
        return b""

    def gone_with(self, operation_ids: Sequence[str]) -> Gone:
        """Return the names that go with the effects of operations, oldest first.

        Those that were reported; ``more`` also where there are over :data:`NAMED_AT_ONCE` operations.
        """
        looked_at = operation_ids[-NAMED_AT_ONCE:]
        left_out = NamedEffects(more=len(looked_at) < len(operation_ids))
        return gone_with((left_out, *map(self._named_effects_of, looked_at)))

    def _named_effects_of(self, operation_id: str) -> NamedEffects:
        entry = self._entries[operation_id]
        found = NamedEffects()
        if entry.record < 0:
            found = self._unwritten.get(operation_id, (b"", found))[1]
        elif entry.named:
            found = NamedEffects(more=True)
            with contextlib.suppress(OSError, ValueError):
                found = NamedEffects.of_fields(json.loads(self._file.read(entry.record)))
        return found

    # Writing.

    def dispatch(
        self, operation_id: str, digest: str, create_time_us: int, terms: Terms = USUAL_TERMS
    ) -> LogEntry:
        """Record that an operation is about to be sent; nothing is sent unless this returns.

        With ``terms.begins`` its transaction is asked for, too. :class:`QuotaExceededError` over
        :data:`OPERATIONS_PER_SESSION`, :class:`StoreUnavailableError` when the disk refuses.
        """
        if len(self._order) >= OPERATIONS_PER_SESSION:
            raise QuotaExceededError(
                f"a session takes at most {OPERATIONS_PER_SESSION} operations",
                subject="operations per session",
            )
        if terms.begins:
            self._check_room_for_transaction()
        more = b"" if terms.usual else b"," + _json(terms.fields())[1:-1]
        # Written by hand on the path of every operation: ids need no escaping (they match [A-Za-z0-9._-]).
        self._append(
            b'{"k":"d","op":"%b","dg":"%b","t":%d%b}\n'
            % (operation_id.encode(), digest.encode(), create_time_us, more)
        )
        return self._add(operation_id, digest, create_time_us, terms)

    def ask_transaction(self, transaction_id: str, *, include_files: bool) -> LoggedTransaction:
        """Record that a transaction is about to be asked for; nothing is asked unless this returns. As dispatch."""
        self._check_room_for_transaction()
        self._plan({"k": "ta", "tx": transaction_id, "b": include_files})
        return self.transactions.ask(transaction_id, include_files=include_files)

    def change_transaction(self, transaction: LoggedTransaction, state: int, number: int) -> None:
        """Record that a transaction opened or ended, and with its end what became of its members.

        ``number``: the runner's, remembered in :attr:`transaction_changes`. Times and count are taken from
        ``transaction``. ValueError where it cannot come to that state.
        """
        self._change_transaction(transaction.transaction_id, state, number)
        self._note(
            {
                "k": "t",
                "tx": transaction.transaction_id,
                "st": state,
                "n": number,
                "bt": transaction.begin_time_us,
                "et": transaction.expire_time_us,
                "c": transaction.base_count,
                "r": transaction.reason,
            }
        )

    def end_transaction(self, transaction: LoggedTransaction) -> None:
        """Record that a transaction is rolled back of which no sandbox will ever tell it."""
        self.change_transaction(transaction, _Transaction.STATE_ROLLED_BACK, self.transaction_changes)

    def withdraw(self, operation_id: str) -> None:
        """Forget a dispatch that could not be sent: the id may be used again."""
        self._note({"k": "w", "op": operation_id})
        self._remove(operation_id)

    def start(self, operation_id: str) -> None:
        """Record that an operation began."""
        self._entries[operation_id].started = True
        self._file.note(b'{"k":"s","op":"%b"}\n' % operation_id.encode())

    def finish(self, operation: execution_pb2.Operation, last_sequence: int) -> None:
        """Record the end of an operation."""
        name = operation.operation_id
        entry = self._entries[name]
        entry.state, entry.last_sequence = operation.state, last_sequence
        entry.outcome = self._outcome_now(entry, operation)
        self._finish(name, entry)
        self._end_unopened(name)
        summary, names = summarize(operation), NamedEffects.of_operation(operation)
        entry.named = bool(names)
        line = b'{"k":"e","op":"%b","st":%d,"oc":%d,"q":%d,"r":"%b"%b}\n' % (
            name.encode(),
            entry.state,
            entry.outcome,
            last_sequence,
            base64.b64encode(summary),
            b"," + _json(names.fields())[1:-1] if names else b"",
        )
        entry.record = self._file.note(line, name)
        if entry.record < 0:
            self._unwritten[name] = summary, names

    def flush(self) -> None:
        """Try again to write what the disk has refused, if there is any."""
        if self._file.behind:
            with contextlib.suppress(OSError):
                self._file.flush()

    async def sync(self) -> None:
        """Return once what was recorded before this call stays through a power cut. StoreUnavailableError."""
        try:
            await self._sync.all_so_far()
        except OSError as error:
            raise StoreUnavailableError("the operation log cannot be synced", retry_delay=5.0) from error

    def release(self) -> None:
        """Hold no descriptor until something is recorded again. Reading goes on to work."""
        self._file.release()

    def close(self) -> None:
        """Close the file. Reading goes on to work."""
        self._file.close()

    def delete(self) -> None:
        """Close and remove the file."""
        self._file.delete()

    # Inside.

    def _append(self, line: bytes) -> None:
        try:
            self._file.append(line)
        except OSError as error:
            raise StoreUnavailableError(
                "the operation log cannot be written; nothing was run", retry_delay=5.0
            ) from error

    def _plan(self, fields: dict[str, object]) -> None:
        self._append(_json(fields) + b"\n")

    def _note(self, fields: dict[str, object]) -> None:
        self._file.note(_json(fields) + b"\n")

    def _written(self, operation_id: str, at: int) -> None:
        if self._unwritten.pop(operation_id, None) is not None:
            self._entries[operation_id].record = at

    def _check_room_for_transaction(self) -> None:
        if len(self.transactions) >= TRANSACTIONS_PER_SESSION:
            raise QuotaExceededError(
                f"a session takes at most {TRANSACTIONS_PER_SESSION} transactions",
                subject="transactions per session",
            )


def _json(fields: dict[str, object]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()
