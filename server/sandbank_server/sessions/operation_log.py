"""The operation log: what the control plane knows of a session's operations, whatever dies.

One append-only file per session. Before an operation is dispatched its id and the digest of its request are written,
at its end its state, outcome and last sequence; later changes of outcome follow. Nothing is synced: the page cache
survives a killed control plane, and the containers' memory would not survive the machine either. There is no code, no
output and no result in it.

A line is a JSON object; an unfinished last line, left by a full disk or a lost machine, is cut off when the file is
opened. Format version 1.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

from sandbank.v1 import execution_pb2

from sandbank_server.errors import QuotaExceededError, StoreUnavailableError

OPERATIONS_PER_SESSION = 500_000
"""A session's ids are all kept in memory (about 300 bytes each), so that none can run twice; this bounds them."""

_Operation = execution_pb2.Operation

KEPT_EFFECT = frozenset(
    {_Operation.OUTCOME_COMMITTED, _Operation.OUTCOME_PARTIAL, _Operation.OUTCOME_PENDING}
)
"""Outcomes whose effects are lost when the session's state is."""


@dataclass(slots=True)
class LogEntry:
    """What the log knows of one operation. ``record`` is where its end lies in the file, -1 when it is not there."""

    number: int
    digest: str
    create_time_us: int
    started: bool = False
    state: _Operation.State = _Operation.STATE_PENDING
    outcome: _Operation.Outcome = _Operation.OUTCOME_UNSPECIFIED
    last_sequence: int = 0
    finished: bool = False
    record: int = -1
    before_reset: bool = False


class OperationLog:
    """The log of one session. Not thread-safe: the event loop owns it; an append takes a few microseconds."""

    def __init__(self, path: str, session_id: str) -> None:
        """Open or create the file at ``path`` and read what is in it. OSError when that fails."""
        self.path = path
        self.session_id = session_id
        self.uploaded: dict[str, None] = {}
        self.replacements = 0
        self._entries: dict[str, LogEntry] = {}
        self._order: list[str] = []
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._size = self._load()
        except BaseException:
            os.close(self._file)
            raise

    # Reading.

    def get(self, operation_id: str) -> LogEntry | None:
        """Return what is known of an operation, None when it was never recorded."""
        return self._entries.get(operation_id)

    def __len__(self) -> int:
        """Return how many operations were recorded."""
        return len(self._order)

    def newest_first(self, before: int, count: int) -> list[tuple[str, LogEntry]]:
        """Return up to ``count`` operations with a number below ``before``, the newest first."""
        ids = self._order[max(0, min(before, len(self._order)) - count) : min(before, len(self._order))]
        return [(operation_id, self._entries[operation_id]) for operation_id in reversed(ids)]

    def unfinished(self) -> Iterator[tuple[str, LogEntry]]:
        """Yield the operations that have no end yet, oldest first."""
        return ((name, self._entries[name]) for name in self._order if not self._entries[name].finished)

    def operation(self, operation_id: str) -> execution_pb2.Operation:
        """Return an operation as the log can tell it: without result and traceback. KeyError for an unknown id."""
        entry = self._entries[operation_id]
        operation = _Operation(session_id=self.session_id, operation_id=operation_id)
        operation.create_time.FromMicroseconds(entry.create_time_us)
        if entry.record >= 0:
            line = os.pread(self._file, 1 << 20, entry.record).split(b"\n", 1)[0]
            operation.MergeFromString(base64.b64decode(json.loads(line)["r"]))
        operation.state = entry.state if entry.finished or not entry.started else _Operation.STATE_RUNNING
        operation.outcome = entry.outcome
        return operation

    # Writing.

    def dispatch(self, operation_id: str, digest: str, create_time_us: int) -> None:
        """Record that an operation is about to be sent; nothing is sent unless this returns.

        :class:`QuotaExceededError` over :data:`OPERATIONS_PER_SESSION`, :class:`StoreUnavailableError` when the
        disk refuses.
        """
        if len(self._order) >= OPERATIONS_PER_SESSION:
            raise QuotaExceededError(
                f"a session takes at most {OPERATIONS_PER_SESSION} operations",
                subject="operations per session",
            )
        try:
            # Written by hand on the path of every operation: ids need no escaping (they match [A-Za-z0-9._-]).
            self._write(
                b'{"k":"d","op":"%b","dg":"%b","t":%d}\n'
                % (operation_id.encode(), digest.encode(), create_time_us)
            )
        except OSError as error:
            raise StoreUnavailableError(
                "the operation log cannot be written; nothing was run", retry_delay=5.0
            ) from error
        self._add(operation_id, digest, create_time_us)

    def withdraw(self, operation_id: str) -> None:
        """Forget a dispatch that could not be sent: the id may be used again."""
        with contextlib.suppress(OSError):
            self._append({"k": "w", "op": operation_id})
        self._remove(operation_id)

    def start(self, operation_id: str) -> None:
        """Record that an operation began."""
        entry = self._entries[operation_id]
        entry.started = True
        with contextlib.suppress(
            OSError
        ):  # a hint for the record only: the dispatch is what forbids a second run
            self._append({"k": "s", "op": operation_id})

    def finish(self, operation: execution_pb2.Operation, last_sequence: int) -> None:
        """Record the end of an operation. OSError when the disk refuses; the entry in memory is right all the same."""
        entry = self._entries[operation.operation_id]
        entry.state, entry.outcome, entry.last_sequence = operation.state, operation.outcome, last_sequence
        entry.finished = entry.started = True
        at = self._size
        line = b'{"k":"e","op":"%b","st":%d,"oc":%d,"q":%d,"r":"%b"}\n' % (
            operation.operation_id.encode(),
            operation.state,
            operation.outcome,
            last_sequence,
            base64.b64encode(_summary(operation)),
        )
        self._write(line)
        entry.record = at

    def lose_effects(self, replacement: int = 0, survivors: frozenset[str] = frozenset()) -> list[str]:
        """Record that the session's state is gone, and return the operations whose effects went with it.

        Outcomes that promised an effect become LOST, but for those of ``survivors``; those before the last
        :meth:`reset` had theirs ended by the user, and stay. ``replacement`` is the runner's number of the
        replacement of the interpreter that did it, remembered in :attr:`replacements`; 0 where the whole sandbox
        went.
        """
        lost = [
            name
            for name in self._order
            if (entry := self._entries[name]).outcome in KEPT_EFFECT
            and entry.finished
            and not entry.before_reset
            and name not in survivors
        ]
        self._change_outcomes(lost, _Operation.OUTCOME_LOST)
        self.replacements = replacement
        with contextlib.suppress(OSError):
            self._append({"k": "o", "oc": _Operation.OUTCOME_LOST, "ops": lost, "n": replacement})
        return lost

    def reset(self) -> None:
        """Record that the user ended the state, so that a later loss does not count what came before."""
        self._mark_reset()
        with contextlib.suppress(OSError):
            self._append({"k": "r"})

    def upload(self, path: str) -> None:
        """Record a file that came in through the API, so that a recovery can name it when it is lost."""
        if path not in self.uploaded:
            with contextlib.suppress(OSError):
                self._append({"k": "f", "p": path})
            self.uploaded[path] = None

    def forget_files(self) -> list[str]:
        """Record that the workspace is gone, and return the uploaded files that were in it."""
        lost = list(self.uploaded)
        if lost:
            self.uploaded.clear()
            with contextlib.suppress(OSError):
                self._append({"k": "x"})
        return lost

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def delete(self) -> None:
        """Close and remove the file."""
        self.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)

    # Inside.

    def _append(self, fields: dict[str, object]) -> None:
        self._write(json.dumps(fields, separators=(",", ":")).encode() + b"\n")

    def _write(self, data: bytes) -> None:
        try:
            written = os.pwrite(self._file, data, self._size)
        except OSError:
            written = -1
        if written != len(data):
            # Half a line on a full disk: cut it off, so that the next one is not glued to it.
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise OSError("the operation log cannot be written")
        self._size += written

    def _add(self, operation_id: str, digest: str, create_time_us: int) -> None:
        self._entries[operation_id] = LogEntry(len(self._order), digest, create_time_us)
        self._order.append(operation_id)

    def _remove(self, operation_id: str) -> None:
        # Only ever the newest: a dispatch is withdrawn in the same breath.
        if self._order and self._order[-1] == operation_id:
            self._order.pop()
            del self._entries[operation_id]

    def _change_outcomes(self, operation_ids: Iterable[str], outcome: _Operation.Outcome) -> None:
        for name in operation_ids:
            self._entries[name].outcome = outcome

    def _mark_reset(self) -> None:
        for entry in self._entries.values():
            entry.before_reset = True

    def _load(self) -> int:
        size = 0
        with open(os.dup(self._file), "rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                # A line that a broken disk garbled costs what it said, never what follows it.
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    self._replay(json.loads(line), size)
                size += len(line)
        os.ftruncate(self._file, size)
        return size

    def _replay(self, fields: dict[str, object], at: int) -> None:
        kind = fields["k"]
        name = str(fields.get("op", ""))
        if kind == "d":
            self._add(name, str(fields["dg"]), _number(fields["t"]))
        elif kind == "s":
            self._entries[name].started = True
        elif kind == "e":
            entry = self._entries[name]
            entry.state, entry.outcome = _state(fields["st"]), _outcome(fields["oc"])
            entry.last_sequence, entry.record, entry.finished = _number(fields["q"]), at, True
        elif kind == "o":
            operation_ids = fields["ops"]
            assert isinstance(operation_ids, list)
            self._change_outcomes(operation_ids, _outcome(fields["oc"]))
            self.replacements = _number(fields.get("n", 0))
        elif kind == "w":
            self._remove(name)
        elif kind == "r":
            self._mark_reset()
        elif kind == "f":
            self.uploaded[str(fields["p"])] = None
        elif kind == "x":
            self.uploaded.clear()


def _state(number: object) -> _Operation.State:
    return cast("_Operation.State", _number(number))


def _outcome(number: object) -> _Operation.Outcome:
    return cast("_Operation.Outcome", _number(number))


def _number(value: object) -> int:
    if type(value) is not int:
        raise TypeError("not a number")
    return value


def _summary(operation: execution_pb2.Operation) -> bytes:
    """Return what of an operation outlives its container: no result, no text that user code wrote."""
    summary = _Operation()
    summary.CopyFrom(operation)
    summary.ClearField("result")
    summary.ClearField("changes")
    if summary.HasField("error"):
        summary.ClearField("error")
        summary.error.type_name = operation.error.type_name[:200]
    return summary.SerializeToString()
