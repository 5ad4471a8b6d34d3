"""Runs one cell in the session's namespace.

Two parts, each entered with signals open and left with them shut: the cell (compiling it, its code, the forms of its
value, its figures), and where that failed, the description of the error, which may call user code again.
"""

from __future__ import annotations

import contextvars
import os
import sys
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

from sandbank_runner.interpreter import display, formatting
from sandbank_runner.interpreter.changes.standard import look_in
from sandbank_runner.interpreter.errors import ErrorReporter
from sandbank_runner.interpreter.evaluation import awaits, evaluate, evaluate_awaiting
from sandbank_runner.interpreter.event_loop import SessionLoop
from sandbank_runner.interpreter.forks import end_child
from sandbank_runner.interpreter.interrupts import Interrupts
from sandbank_runner.interpreter.magics import Magics
from sandbank_runner.interpreter.namespace import Namespace
from sandbank_runner.interpreter.output import Output
from sandbank_runner.interpreter.probes import TOOLS, Probes, get_tool, set_events
from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.signals import EVERY, SIG_SETMASK, sigmask
from sandbank_runner.interpreter.source import Sources, decode

seal(globals())

_getpid = os.getpid
_getrecursionlimit, _setrecursionlimit = sys.getrecursionlimit, sys.setrecursionlimit
_TRIES = tuple(range(16))
"""How often leaving user code is tried: a trace function may raise in the very call, and is off by that."""
_RECURSION_ROOM = 300
"""Frames that the runner itself needs between operations; user code may have left fewer."""


@dataclass(slots=True)
class Outcome:
    """What became of a cell."""

    result: dict[str, bytes] = field(default_factory=dict)
    """The last expression's value by MIME type; empty where there is none."""
    error: dict[str, Any] | None = None
    interrupted: bool = False


class Executor:
    """Runs the cells of one session, one after the other."""

    def __init__(self, namespace: Namespace, interrupts: Interrupts, output: Output, workspace: str) -> None:
        self.namespace = namespace
        self._interrupts = interrupts
        self._output = output
        self.errors = ErrorReporter(workspace)
        self.sources = Sources()
        self.context = contextvars.copy_context()
        look_in(self.context)
        self._loop = SessionLoop(interrupts)
        self._probes = Probes()
        self._pid = _getpid()
        self._cell = ""
        self._compiling = False
        self._recursion_limit = 0
        """What user code has set, where that is too low for us."""
        self.magics = Magics(namespace, self._run_nested)

    def run(self, source: bytes, execution_count: int) -> Outcome:
        """Run a cell. Does not raise. A process that user code forked, and that comes back here, ends."""
        self._cell = f"<cell {execution_count}>"
        interrupts = self._interrupts
        outcome = Outcome()
        failure: BaseException | None = None
        try:
            try:
                interrupts.forget()
                self.namespace.repair()
                self._enter()
                self._run(source, outcome)
            finally:
                interrupts.active = False
                # A handler of the user's may still raise here, but what it raises finds signals shut out.
                interrupts.left_mask = sigmask(SIG_SETMASK, EVERY)
        except BaseException as error:
            failure = error
        for _ in _TRIES:
            try:
                self._leave()
            except BaseException:
                for tool in TOOLS:  # a trace function that raised is off by that, a monitoring tool is not
                    if get_tool(tool) is not None:
                        set_events(tool, 0)
                continue
            break
        try:
            if _getpid() != self._pid:
                end_child(failure, self._output)
            if failure is not None:
                self._describe(failure, outcome)
        finally:
            failure = None  # its traceback holds this frame, and this frame would hold it
            interrupts.raised = None
        return outcome

    def event_loop(self) -> object:
        """Return the session's event loop, None where no cell has awaited so far."""
        return self._loop.loop

    def reborn(self) -> None:
        """This process is another one, forked off between two cells to go on with the next."""
        self._pid = _getpid()

    def _enter(self) -> None:
        self._interrupts.active = True
        self._interrupts.open()  # from here on user code's handlers, and ours, may raise at any time

    def _leave(self) -> None:
        """Keep out of the runner what user code has left behind: signal handlers, trace functions, a low limit."""
        interrupts = self._interrupts
        before = sigmask(SIG_SETMASK, EVERY)
        if len(before) < len(EVERY):  # a profile function raised in the call that was to do it
            interrupts.left_mask = before
        interrupts.keep_mask()
        self._probes.take_off()
        self.make_room()

    def make_room(self) -> None:
        """Give the runner the frames that it needs; the next cell gets back what user code has set."""
        limit = _getrecursionlimit()
        if limit < _RECURSION_ROOM:
            self._recursion_limit = limit
            _setrecursionlimit(_RECURSION_ROOM)

    def _run(self, source: bytes, outcome: Outcome) -> None:
        cell = self._cell
        output = self._output
        try:
            output.restore()
            self._compiling = True
            text = decode(source, cell)
            self.sources.keep(cell, text)
            statements, expression = self.magics.compile(text, cell, self.sources)
            self._compiling = False
            value = self._evaluate(statements, expression)
            self.make_room()
            if value is not None:
                self.namespace.keep_last(value)
                if not formatting.shows_itself(value):
                    outcome.result = formatting.bundle(value)[0]
            self._show_figures()
        except Exception:
            self._show_figures()
            raise
        finally:
            output.finish()

    def _evaluate(self, statements: CodeType | None, expression: CodeType | None) -> Any:
        names = self.namespace.names
        if self._recursion_limit:
            limit, self._recursion_limit = self._recursion_limit, 0
            _setrecursionlimit(limit)
        if awaits(statements, expression):
            return self._loop.run(self._steps(statements, expression), self.context)
        self._probes.put_on()
        return self.context.run(evaluate, statements, expression, names)

    async def _steps(self, statements: CodeType | None, expression: CodeType | None) -> Any:
        self._probes.put_on()
        return await evaluate_awaiting(statements, expression, self.namespace.names)

    def _run_nested(self, text: str) -> Any:
        """Run source that a magic of the cell has made of it, as part of it."""
        statements, expression = self.magics.compile(text, self._cell, self.sources)
        if awaits(statements, expression):
            return self._loop.run(self._steps(statements, expression), contextvars.copy_context())
        return evaluate(statements, expression, self.namespace.names)

    def _show_figures(self) -> None:
        if _getpid() == self._pid:
            display.show_figures()

    def _describe(self, failure: BaseException, outcome: Outcome) -> None:
        """Say how the cell failed. The error's own ``__str__`` is user code, and may fail or hang like any other."""
        interrupts = self._interrupts
        outcome.result = {}
        outcome.interrupted = interrupts.ended(failure)
        interrupts.raised = None
        compiling, self._compiling = self._compiling, False
        if not outcome.interrupted:
            try:
                try:
                    self._enter()
                    outcome.error = self.errors.describe(failure, compiling=compiling)
                    self._output.finish()
                finally:
                    interrupts.active = False
                    interrupts.left_mask = sigmask(SIG_SETMASK, EVERY)
            except BaseException:  # noqa: S110 - told without asking it, then
                pass
            for _ in _TRIES:
                try:
                    self._leave()
                except BaseException:
                    for tool in TOOLS:
                        if get_tool(tool) is not None:
                            set_events(tool, 0)
                    continue
                break
            outcome.interrupted = interrupts.raised is not None
        if outcome.error is None:
            outcome.error = self.errors.describe_without_asking(failure)
