"""The operation log: what the control plane knows of a session's operations, whatever dies.

One append-only file per session. Before an operation is dispatched its id and the digest of its request are written,
at its end its state, outcome and last sequence; later changes of outcome follow. Nothing is synced: the page cache
survives a killed control plane, and the containers' memory would not survive the machine either. There is no code, no
output and no result in it.

A line is a JSON object; an unfinished last line, left by a lost machine, is cut off when the file is opened. Only a
dispatch is refused when the disk is full: whatever has happened already is told to clients all the same, and written
when there is room. Format version 1.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterable, Iterator
from typing import cast

from sandbank.v1 import execution_pb2

from sandbank_server.errors import QuotaExceededError, StoreUnavailableError
from sandbank_server.sessions.log_entry import KEPT_EFFECT, LogEntry, summarize
from sandbank_server.sessions.log_file import LogFile

OPERATIONS_PER_SESSION = 500_000
"""A session's ids are all kept in memory (about 300 bytes each), so that none can run twice; this bounds them."""

UPLOADS_KEPT = 10_000
"""Uploaded files remembered by name, the newest, so that a recovery can list them."""

_Operation = execution_pb2.Operation


class OperationLog:
    """The log of one session. Not thread-safe: the event loop owns it; an append takes a few microseconds."""

    def __init__(self, path: str, session_id: str, *, readonly: bool = False) -> None:
        """Open the file at ``path``, making it unless ``readonly``, and read what is in it. OSError when that fails."""
        self.session_id = session_id
        self.uploaded: dict[str, None] = {}
        self.replacements = 0
        self.last_loss: list[str] = []
        """The operations of the newest loss of state, so that a recovery that was never saved can still be told."""
        self.last_lost_files: list[str] = []
        self._entries: dict[str, LogEntry] = {}
        self._order: list[str] = []
        self._summaries: dict[str, bytes] = {}
        """Of operations whose end the disk has refused so far."""
        self._file = LogFile(path, self._written, readonly=readonly)
        try:
            for at, line in self._file.lines():
                # A line that a broken disk garbled costs what it said, never what follows it.
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    self._replay(json.loads(line), at)
        except BaseException:
            self._file.close()
            raise

    # Reading.

    @property
    def path(self) -> str:
        """Where it lies."""
        return self._file.path

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
        operation.MergeFromString(self._summary_of(operation_id, entry))
        operation.state = entry.state if entry.finished or not entry.started else _Operation.STATE_RUNNING
        operation.outcome = entry.outcome
        return operation

    def _summary_of(self, operation_id: str, entry: LogEntry) -> bytes:
        if entry.record < 0:
            return self._summaries.get(operation_id, b"")
        # A file that was removed or garbled costs the details; what matters is in memory.
        with contextlib.suppress(OSError, ValueError, KeyError):
            return base64.b64decode(json.loads(self._file.read(entry.record))["r"])
        return b""

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
            self._file.append(
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
        self._note({"k": "w", "op": operation_id})
        self._remove(operation_id)

    def start(self, operation_id: str) -> None:
        """Record that an operation began."""
        self._entries[operation_id].started = True
        self._note({"k": "s", "op": operation_id})

    def finish(self, operation: execution_pb2.Operation, last_sequence: int) -> None:
        """Record the end of an operation."""
        name = operation.operation_id
        entry = self._entries[name]
        entry.state, entry.last_sequence = operation.state, last_sequence
        if entry.outcome != _Operation.OUTCOME_LOST:  # it may be known to be lost before its end is heard of
            entry.outcome = operation.outcome
        entry.finished = entry.started = True
        summary = summarize(operation)
        line = b'{"k":"e","op":"%b","st":%d,"oc":%d,"q":%d,"r":"%b"}\n' % (
            name.encode(),
            entry.state,
            entry.outcome,
            last_sequence,
            base64.b64encode(summary),
        )
        entry.record = self._file.note(line, name)
        if entry.record < 0:
            self._summaries[name] = summary

    def lose_effects(
        self,
        replacement: int = 0,
        survivors: frozenset[str] = frozenset(),
        unheard: Iterable[str] = (),
    ) -> list[str]:
        """Record that the session's state is gone, and return the operations whose effects went with it.

        Outcomes that promised an effect become LOST, but for those of ``survivors``; those before the last
        :meth:`reset` had theirs ended by the user, and stay. ``replacement`` is the runner's number of the
        replacement of the interpreter that did it, remembered in :attr:`replacements`; 0 where the whole sandbox
        went. ``unheard``: operations whose end is still to come, and whose effects went too.
        """
        lost = [
            name
            for name in self._order
            if (entry := self._entries[name]).outcome in KEPT_EFFECT
            and entry.finished
            and not entry.before_reset
            and name not in survivors
        ] + list(unheard)
        self._lose(lost, replacement)
        self._note({"k": "o", "oc": _Operation.OUTCOME_LOST, "ops": lost, "n": replacement})
        return lost

    def note_replacement(self, number: int) -> None:
        """Record that the interpreter was replaced without losing anything."""
        self._lose((), number)
        self._note({"k": "o", "oc": _Operation.OUTCOME_LOST, "ops": [], "n": number})

    def reset(self) -> None:
        """Record that the user ended the state, so that a later loss does not count what came before."""
        self._mark_reset()
        self._note({"k": "r"})

    def upload(self, path: str) -> None:
        """Record a file that came in through the API, so that a recovery can name it when it is lost."""
        if path not in self.uploaded:
            self._note({"k": "f", "p": path})
            self._remember(path)

    def remove_files(self, path: str) -> None:
        """Record that a file, or a directory with all in it, was deleted through the API: so it cannot be lost."""
        if self._forget(path):
            self._note({"k": "g", "p": path})

    def forget_files(self) -> None:
        """Record that the user emptied the workspace: what was in it cannot be lost."""
        if self.uploaded:
            self._note({"k": "x"})
            self.uploaded.clear()

    def lose_files(self) -> list[str]:
        """Record that the workspace went with its sandbox, and return the uploaded files that were in it."""
        if self.uploaded:
            self._note({"k": "y"})
        return self._lose_files()

    def flush(self) -> None:
        """Try again to write what the disk has refused, if there is any."""
        if self._file.behind:
            with contextlib.suppress(OSError):
                self._file.flush()

    def close(self) -> None:
        """Close the file. Reading goes on to work."""
        self._file.close()

    def delete(self) -> None:
        """Close and remove the file."""
        self._file.delete()

    # Inside.

    def _note(self, fields: dict[str, object]) -> None:
        self._file.note(json.dumps(fields, separators=(",", ":")).encode() + b"\n")

    def _written(self, operation_id: str, at: int) -> None:
        if self._summaries.pop(operation_id, None) is not None:
            self._entries[operation_id].record = at

    def _add(self, operation_id: str, digest: str, create_time_us: int) -> None:
        self._entries[operation_id] = LogEntry(len(self._order), digest, create_time_us)
        self._order.append(operation_id)

    def _remove(self, operation_id: str) -> None:
        # Only ever the newest: a dispatch is withdrawn in the same breath.
        if self._order and self._order[-1] == operation_id:
            self._order.pop()
            del self._entries[operation_id]

    def _lose(self, operation_ids: Iterable[str], replacement: int) -> None:
        self.last_loss, self.last_lost_files = list(operation_ids), []
        self.replacements = replacement
        for name in self.last_loss:
            self._entries[name].outcome = _Operation.OUTCOME_LOST

    def _mark_reset(self) -> None:
        for entry in self._entries.values():
            entry.before_reset = True

    def _remember(self, path: str) -> None:
        self.uploaded[path] = None
        if len(self.uploaded) > UPLOADS_KEPT:
            del self.uploaded[next(iter(self.uploaded))]

    def _forget(self, path: str) -> bool:
        gone = [name for name in self.uploaded if name == path or name.startswith(f"{path}/")]
        for name in gone:
            del self.uploaded[name]
        return bool(gone)

    def _lose_files(self) -> list[str]:
        self.last_lost_files = list(self.uploaded)
        self.uploaded.clear()
        return self.last_lost_files

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
            entry.last_sequence, entry.record = _number(fields["q"]), at
            entry.finished = entry.started = True
        elif kind == "o":
            operation_ids = fields["ops"]
            if not isinstance(operation_ids, list):
                raise TypeError("not a list")
            self._lose(operation_ids, _number(fields.get("n", 0)))
        elif kind == "w":
            self._remove(name)
        elif kind == "r":
            self._mark_reset()
        else:
            self._replay_files(kind, str(fields.get("p", "")))

    def _replay_files(self, kind: object, path: str) -> None:
        if kind == "f":
            self._remember(path)
        elif kind == "g":
            self._forget(path)
        elif kind == "x":
            self.uploaded.clear()
        elif kind == "y":
            self._lose_files()


def _state(number: object) -> _Operation.State:
    return cast("_Operation.State", _number(number))


def _outcome(number: object) -> _Operation.Outcome:
    return cast("_Operation.Outcome", _number(number))


def _number(value: object) -> int:
    if type(value) is not int:
        raise TypeError("not a number")
    return value
