"""What runs in the thread of an operation.

User code runs in regions, between ``open`` and ``shut``: only there does an interrupt come. One that comes in the last
moment of a region is raised somewhere on the way out of it, is caught, and counts for nothing where the code had come
to its end.
"""

from __future__ import annotations

import os
import sys
import time
from _thread import get_ident, get_native_id
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Any

from sandbank_runner.interpreter import display, formatting
from sandbank_runner.interpreter.evaluation import awaits, evaluate, evaluate_awaiting
from sandbank_runner.interpreter.execution import Executor
from sandbank_runner.interpreter.forks import end_child
from sandbank_runner.interpreter.output import Output
from sandbank_runner.interpreter.parallel import awaiting, current
from sandbank_runner.interpreter.parallel.names import changes_of
from sandbank_runner.interpreter.parallel.operation import NamespaceOperation
from sandbank_runner.interpreter.probes import Probes
from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.signals import SIG_SETMASK, sigmask
from sandbank_runner.interpreter.source import decode

seal(globals())

_getpid, _get_ident, _get_native_id = os.getpid, get_ident, get_native_id
_thread_time = getattr(time, "thread_time", time.process_time)
_find: Callable[[], Any] = current.namespace_operation
_TRIES = tuple(range(16))
"""How often leaving user code is tried: a trace function may raise in the very call, and is off by that."""


class ThreadRunner:
    """Runs operations, each in the thread that calls :meth:`run`."""

    def __init__(
        self,
        executor: Executor,
        output: Output,
        mask: Callable[[], AbstractSet[int]],
        ended: Callable[[Any], None],
    ) -> None:
        """``mask`` tells which signals user code blocks; ``ended`` is called last, in the thread."""
        self._executor = executor
        self._output = output
        self._mask = mask
        self._ended = ended
        self._pid = _getpid()
        nested = executor.magics.run_nested

        def run_nested(text: str) -> Any:
            operation = _find()
            return nested(text) if operation is None else self._run_nested(operation, text)

        executor.magics.run_nested = run_nested

    def reborn(self) -> None:
        """This process is another one, forked off between two operations."""
        self._pid = _getpid()

    def run(self, operation: NamespaceOperation) -> None:
        """Run an operation from beginning to end. Does not raise."""
        try:
            operation.thread, operation.native_thread = _get_ident(), _get_native_id()
            operation.context.run(current.enter, operation)
            sigmask(SIG_SETMASK, self._mask())
            start = _thread_time()
            failure = self._region(operation, self._cell)
            if _getpid() != self._pid:
                end_child(failure, self._output)
            if failure is not None:
                self._describe(operation, failure)
                failure = None
                self._region(operation, self._give_up)
            operation.cpu_seconds = max(_thread_time() - start, 0.0)
        except (
            BaseException
        ) as error:  # memory, an audit hook of the user's: it is this operation's misfortune
            if operation.outcome.error is None:
                operation.outcome.error = self._executor.errors.describe_without_asking(error)
        finally:
            current.leave()
            _forget_thread(operation.thread)
            self._ended(operation)

    def _region(
        self, operation: NamespaceOperation, step: Callable[[NamespaceOperation], None]
    ) -> BaseException | None:
        """Call ``step``, which runs user code, and return what it raised."""
        failure: BaseException | None = None
        try:
            operation.open()
            operation.context.run(step, operation)
        except BaseException as error:
            failure = error
        for _ in _TRIES:
            try:
                operation.shut()
                Probes().take_off()
                self._executor.make_room()
            except BaseException:  # an interrupt that came too late, a hook of the user's  # noqa: S112
                continue
            break
        try:
            return failure
        finally:
            failure = None  # its traceback holds this frame, and this frame would hold it

    def _cell(self, operation: NamespaceOperation) -> None:
        executor, cell, outcome = self._executor, operation.cell, operation.outcome
        try:
            text = decode(operation.source, cell)
            operation.sources.keep(cell, text)
            parts = statements, expression = executor.magics.compile(text, cell, operation.sources)
            operation.code = [code for code in parts if code is not None]
            operation.is_compiling = False
            names = operation.branch.names
            if awaits(statements, expression):
                value = awaiting.run(operation, evaluate_awaiting(statements, expression, names))
            else:
                value = evaluate(statements, expression, names)
            if value is not None:
                operation.last = value
                if not formatting.shows_itself(value):
                    outcome.result = formatting.bundle(value)[0]
            self._show_figures()
        except Exception:
            self._show_figures()
            raise
        finally:
            operation.output.finish()

    def _describe(self, operation: NamespaceOperation, failure: BaseException) -> None:
        """Say how it failed. The error's own ``__str__`` is user code."""
        outcome = operation.outcome
        outcome.result = {}
        outcome.interrupted = operation.is_interrupted_by(failure)
        errors = self._executor.errors

        def describe(_: NamespaceOperation) -> None:
            outcome.error = errors.describe(failure, compiling=operation.is_compiling)
            operation.output.finish()

        if not outcome.interrupted:
            second = self._region(operation, describe)
            outcome.interrupted = outcome.error is None and operation.is_interrupted_by(second)
        if outcome.error is None:
            outcome.error = errors.describe_without_asking(failure)

    def _give_up(self, operation: NamespaceOperation) -> None:
        """Let go of what it bound: the end of objects is user code, and belongs to it."""
        operation.touched = changes_of(operation.branch).touched()
        operation.let_go()
        operation.output.finish()

    def _run_nested(self, operation: NamespaceOperation, text: str) -> Any:
        """Run source that a magic of the cell has made of it, as part of it."""
        magics = self._executor.magics
        statements, expression = magics.compile(text, operation.cell, operation.sources)
        if awaits(statements, expression):
            return awaiting.run(operation, evaluate_awaiting(statements, expression, operation.branch.names))
        return evaluate(statements, expression, operation.branch.names)

    def _show_figures(self) -> None:
        if _getpid() == self._pid:
            display.show_figures()


def _forget_thread(ident: int) -> None:
    """Take out of :mod:`threading` what stands there for a thread that it did not start, where user code asked."""
    threading: Any = sys.modules.get("threading")
    active = getattr(threading, "_active", None)
    if type(active) is dict:
        active.pop(ident, None)
