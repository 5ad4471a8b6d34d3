"""The interpreter's main loop: one message of the supervisor after the other."""

from __future__ import annotations

import builtins
import os
import sys
import time
from collections.abc import Mapping
from typing import Any, NoReturn

from sandbank_runner.channel import Channel
from sandbank_runner.interpreter import display, figures, forks
from sandbank_runner.interpreter.changes import Changes, Wanted
from sandbank_runner.interpreter.checkpoints.service import Checkpoints
from sandbank_runner.interpreter.execution import Executor, Outcome
from sandbank_runner.interpreter.input import Questions, install
from sandbank_runner.interpreter.interrupts import Interrupts
from sandbank_runner.interpreter.link import Link
from sandbank_runner.interpreter.namespace import Namespace
from sandbank_runner.interpreter.output import Output
from sandbank_runner.interpreter.parallel.board import Board, Report
from sandbank_runner.interpreter.parallel.current import namespace_operation
from sandbank_runner.interpreter.reading import Readers
from sandbank_runner.interpreter.recomputing.recorder import SECONDS, Change
from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.snapshots import Snapshots
from sandbank_runner.interpreter.transfer import Importer
from sandbank_runner.interpreter.turns import CHANNEL
from sandbank_runner.interpreter.usage import Usage, peak_memory_bytes
from sandbank_runner.interpreter.workspace_files import WorkspaceFiles

seal(globals())

_getpid, _exit = os.getpid, os._exit
BUG_EXIT_CODE = 70
"""The runner's own code has failed; what it said is on stderr."""


CHANNEL_EXIT_CODE = 72
"""User code has closed the channel, so nobody can be told anything."""


class Session:
    """What the loop serves."""

    def __init__(self, link: Link, settings: Mapping[str, object]) -> None:
        self._link = link
        self._settings = settings
        self._interrupts = Interrupts()
        self._interrupts.install()
        self.questions = Questions(link, self._hand_over)
        install(self.questions)
        self._output = Output(link.descriptor, self.questions)
        self._usage = Usage()
        workspace = settings.get("workspace")
        if not isinstance(workspace, str):
            workspace = os.getcwd()
        self._files = WorkspaceFiles(workspace)
        self._executor = Executor(Namespace(), self._interrupts, self._output, workspace)
        self._changes = Changes(self._executor.namespace.names)
        self._pid = _getpid()
        self._operation: str | None = None
        self._wanted: dict[str, Wanted | None] = {}
        """What namespace operations are to report of their changes."""
        self.snapshots = Snapshots(
            link, _users_of(settings), self._output.copies, self._executor.event_loop, self._reborn
        )
        self.snapshots.files_since_snapshot = self._files.since_snapshot
        readers = Readers(link, self._executor.namespace.names, _users_of(settings))
        self.snapshots.sleeper_handlers["read"] = readers.read
        self.snapshots.sleeper_handlers["export"] = readers.read
        self._checkpoints = Checkpoints(
            link,
            self._executor.namespace,
            workspace,
            _users_of(settings),
            self._changes.ledger,
            placed=self._files.refresh,
            run_in_context=self._executor.context.run,
        )
        self.snapshots.sleeper_handlers.update(self._checkpoints.sleeper_handlers)
        self._board = Board(
            link,
            self._executor,
            self._interrupts,
            self._output,
            self.questions,
            report=self._send_namespace_done,
        )
        self._handlers = {
            "interrupt": self._board.interrupt,
            "read": readers.read,
            "export": readers.read,
            "import": Importer(link, self._executor.namespace, self._changes).bind,
            "execute": self._execute,
            "setup": self._setup,
            "input": self.questions.answered,
            "snapshot": self._snapshot,
            **self._checkpoints.handlers,
        }
        display.connect(self._publish)
        builtins.display = display.display  # type: ignore[attr-defined]
        forks.watch(link)

    def serve(self) -> NoReturn:
        """Say that we are ready, then do what is asked until the supervisor is gone."""
        self._link.send(
            {"type": "ready", "pid": self._pid, "missing_walls": self._settings.get("missing_walls") or []}
        )
        while True:
            try:
                header, blobs = self._board.receive() if self._board.is_active else self._link.receive()
            except OSError:
                _exit(CHANNEL_EXIT_CODE)
            handler = self._handlers.get(header["type"])
            if handler is not None:
                handler(header, blobs)

    def _setup(self, header: dict[str, Any], _blobs: tuple[bytes, ...]) -> None:
        refused = []
        for name, value in header["env"].items():
            try:
                os.environ[name] = value
            except (ValueError, TypeError, OSError):  # null characters, an equals sign in the name
                refused.append(name)
        if "TZ" in header["env"]:
            time.tzset()
        self._checkpoints.begin(header.get("secret") or (), recompute=header.get("recompute") is True)
        self._link.send({"type": "setup_done", "refused": refused})

    def _snapshot(self, header: dict[str, Any], blobs: tuple[bytes, ...]) -> None:
        if header.get("fresh_files") is True:
            self._files.refresh()
        self.snapshots.take(header, blobs)

    def _execute(self, header: dict[str, Any], blobs: tuple[bytes, ...]) -> None:
        if header.get("fresh_files") is True:
            self._files.refresh()
        wanted = Wanted.of(header)
        self._changes.begin(wanted)
        if header.get("isolation") == "namespace":
            if not self._board.is_active:
                self.snapshots.limits.lower()
            self._wanted[header["operation"]] = wanted
            self._board.execute(header, blobs)
            return
        self._checkpoints.count(header["execution_count"])
        operation = self._operation = header["operation"]
        self._usage.start()
        self.questions.begin(operation, allowed=header.get("allow_input") is True, alone=True)
        self.snapshots.limits.lower()
        outcome = self._executor.run(blobs[0] if blobs else b"", header["execution_count"])
        self.snapshots.limits.lift()
        self.questions.end(operation)
        self._operation = None
        seconds, peak = self._usage.stop()
        told = self._changes.end(wanted)
        files = self._tell(
            operation, outcome, seconds, peak, **told, warnings=self._checkpoints.take_warnings()
        )
        if self._checkpoints.recorder.is_on:
            is_quiet = outcome.error is None and not files and seconds < SECONDS
            self._record(blobs[0] if blobs else b"", header["execution_count"], is_quiet=is_quiet)

    def _record(self, source: bytes, execution_count: int, *, is_quiet: bool) -> None:
        """Note down an operation that made what no checkpoint can save. ``is_quiet``: it did nothing else."""
        found = self._changes.last
        if found is None or not is_quiet or not self._changes.was_alone:
            return
        self._checkpoints.recorder.ran(
            source,
            execution_count,
            [
                Change(
                    each.name,
                    each.before is None,
                    each.after is not None and not each.after.unsure,
                    each.after is not None and bool(each.after.lost),
                )
                for each in found
            ],
        )

    def _send_namespace_done(self, report: Report) -> None:
        if not self._board.is_active:
            self.snapshots.limits.lift()
        operation, settled = report.operation, report.settled
        self._tell(
            operation.operation,
            report.outcome,
            operation.cpu_seconds,
            peak_memory_bytes(),
            is_alone=operation.is_alone,
            warnings=settled.warnings,
            conflicts=settled.conflicts,
            **self._changes.end_beside(
                self._wanted.pop(operation.operation), operation, others=self._board.is_active
            ),
        )

    def _tell(
        self,
        operation: str,
        outcome: Outcome,
        seconds: float,
        peak: int,
        *,
        is_alone: bool = True,
        **more: list[Any] | bool,
    ) -> bool:
        """Tell the end of an operation; return whether files are seen to have changed meanwhile."""
        files, files_truncated = self._files.since_operation()
        self._say(
            {
                **more,
                "type": "done",
                "operation": operation,
                "ok": outcome.error is None,
                "mime": list(outcome.result),
                "error": outcome.error,
                "interrupted": outcome.interrupted,
                "cpu_seconds": seconds,
                "peak_memory_bytes": peak,
                "files": files,
                "files_truncated": files_truncated or (not is_alone and bool(files)),
            },
            tuple(outcome.result.values()),
        )
        return bool(files)  # where not all were looked at: code that is rerun is known to write none

    def _reborn(self) -> None:
        """This is a sleeper, a process of its own: what remembered the process before it must not any more."""
        self._pid = _getpid()
        self._executor.reborn()
        self.questions.reborn()
        self._board.reborn()
        self._usage.reborn()

    def _say(self, header: dict[str, Any], blobs: tuple[bytes, ...] = ()) -> None:
        try:
            self._link.send(header, blobs)
        except OSError:
            _exit(CHANNEL_EXIT_CODE)

    def _hand_over(self) -> None:
        """Let what was written so far come before what is said next."""
        operation: Any = namespace_operation()
        if operation is not None:
            operation.output.finish()
            return
        self._output.flush()
        self._output.turns.take(CHANNEL)

    def _publish(
        self, data: dict[str, bytes], metadata: dict[str, Any], display_id: str, update: bool
    ) -> bool:
        """Send a display of the operation that runs; False where none does, or another process asks."""
        beside_others = namespace_operation()
        operation = self._operation if beside_others is None else beside_others.operation
        if operation is None or _getpid() != self._pid:
            return False
        self._hand_over()
        return self._link.send(
            {
                "type": "display",
                "operation": operation,
                "mime": list(data),
                "metadata": metadata,
                "display_id": display_id or None,
                "update": update,
            },
            tuple(data.values()),
        )


def _users_of(settings: Mapping[str, object]) -> tuple[int, int] | None:
    """Return the users of code and of sleepers, or None where there is only one."""
    users = settings.get("users")
    return (users[2], users[3]) if isinstance(users, list) else None


def main(channel: Channel, settings: Mapping[str, object]) -> NoReturn:
    """Serve a session in this process, which the template has just forked: for good.

    Expects descriptor 0 at ``/dev/null``, the pipes at 1 and 2, the workspace as current directory, and SIGINT blocked.
    Of ``settings`` it takes ``workspace`` (str) and ``missing_walls`` (list of str, told in ``ready``).
    """
    try:
        sys.argv[:] = [""]
        if "" not in sys.path:
            sys.path.insert(0, "")  # modules in the current directory, as at the interactive prompt
        figures.choose_backend()
        Session(Link(channel.sock), settings).serve()
    except BaseException as error:  # a process without its loop is of no use: the supervisor replaces it
        try:
            import traceback

            os.write(2, "".join(traceback.format_exception(error)).encode("utf-8", "backslashreplace"))
        finally:
            _exit(BUG_EXIT_CODE)
