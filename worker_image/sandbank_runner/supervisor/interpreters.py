"""Keeps one interpreter alive in the sandbox: buries the dead one, forks the next, gives up on a crash loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from sandbank_runner.channel import Message
from sandbank_runner.supervisor.interpreter_process import Interpreter, StartFailed, Watcher
from sandbank_runner.supervisor.process_death import describe
from sandbank_runner.supervisor.template_process import TemplateProcess

START_ATTEMPTS = 6
"""Interpreters in a row that die before they did anything, until the sandbox is given up."""

_FIRST_PAUSE_SECONDS = 0.05

RESET = "reset"
"""``killed_for`` of an interpreter that is replaced on purpose."""


class CrashLoop(Exception):
    """No interpreter stays alive in this sandbox. The text is for operators."""


class Listener(Protocol):
    """Who runs operations in the interpreters."""

    def output(self, stream: int, data: bytes) -> None:
        """User code wrote."""

    def settle(self) -> None:
        """Nothing more comes for the moment."""

    def said(self, interpreter: Interpreter, message: Message) -> None:
        """An interpreter that runs an operation said something, not checked yet."""

    def interpreter_ready(self) -> None:
        """There is a fresh interpreter to use."""

    def interpreter_died(self, interpreter: Interpreter, cause: str) -> None:
        """An interpreter is gone with all that user code started; what it still said and wrote has been told."""


class Nobody:
    """Listens while the sandbox has no session."""

    def output(self, stream: int, data: bytes) -> None:
        """Drop it."""

    def settle(self) -> None:
        """Nothing was kept."""

    def said(self, interpreter: Interpreter, message: Message) -> None:
        """Drop it."""

    def interpreter_ready(self) -> None:
        """Nothing waits for one."""

    def interpreter_died(self, interpreter: Interpreter, cause: str) -> None:
        """Nothing is lost."""


class Interpreters:
    """The interpreters of a sandbox, one at a time. :meth:`run` does the work."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        template: TemplateProcess,
        watcher: Watcher,
        sweep: Callable[[], Awaitable[None]],
        memory_kills: Callable[[], int],
    ) -> None:
        self.listener: Listener = Nobody()
        self.current: Interpreter | None = None
        self._loop = loop
        self._template = template
        self._watcher = watcher
        self._sweep = sweep
        self._memory_kills = memory_kills
        self._environment: Mapping[str, str] = {}
        self._generation = 0
        self._failures = 0
        self._last_failure = ""
        self._ready = asyncio.Event()
        self._before_next: list[Callable[[], Awaitable[None]]] = []
        self._applying: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Keep an interpreter alive until cancelled. Raises :class:`CrashLoop` or ``TemplateDied``."""
        while True:
            interpreter = await self._renew()
            if self._before_next:  # it is to be replaced before anything ran in it
                interpreter.kill(RESET)
                await interpreter.dead
                await self._bury(interpreter)
                continue
            kills = self._memory_kills()
            self.current = interpreter
            self._ready.set()
            self.listener.interpreter_ready()
            status = await interpreter.dead
            self.current = None
            self._ready.clear()
            if interpreter.used or interpreter.killed_for == RESET:
                self._failures = 0
            else:
                self._failures += 1
            await self._bury(interpreter)
            cause = interpreter.killed_for or describe(status, out_of_memory=self._memory_kills() > kills)
            self._last_failure = cause
            self.listener.interpreter_died(interpreter, cause)

    async def ready(self) -> Interpreter:
        """Wait until there is an interpreter to use."""
        while self.current is None:
            await self._ready.wait()
        return self.current

    def set_environment(self, environment: Mapping[str, str]) -> None:
        """Give this environment to the current interpreter and to each fresh one."""
        self._environment = environment
        if self.current is not None and self.current.free and environment:
            self._applying = self._loop.create_task(self._apply(self.current, environment))

    def replace(self, before_next: Callable[[], Awaitable[None]]) -> Awaitable[None]:
        """End the current interpreter at once; between its end and the next, ``before_next`` runs.

        What is returned is done when the next is ready, or raises what ``before_next`` raised.
        """
        done: asyncio.Future[None] = self._loop.create_future()

        async def between() -> None:
            error: Exception | None = None
            try:
                await before_next()
            except Exception as caught:
                error = caught
            if done.done():
                return  # nobody waits any more
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        async def both() -> None:
            await done
            await self.ready()

        self._before_next.append(between)
        if self.current is not None:
            self.current.kill(RESET)
        return both()

    async def _apply(self, interpreter: Interpreter, environment: Mapping[str, str]) -> None:
        try:
            await interpreter.set_environment(environment)
        except StartFailed:
            return  # its death is noticed by run(), and the next interpreter gets the environment from the start
        if interpreter is self.current:
            self.listener.interpreter_ready()

    async def _renew(self) -> Interpreter:
        pending, self._before_next = self._before_next, []
        for work in pending:
            await work()
        while True:
            if self._failures >= START_ATTEMPTS:
                raise CrashLoop(
                    f"{self._failures} interpreters in a row died before they did anything, "
                    f"the last: {self._last_failure}"
                )
            if self._failures:
                await asyncio.sleep(_FIRST_PAUSE_SECONDS * 2 ** (self._failures - 1))
            self._generation += 1
            interpreter = Interpreter(self._loop, self._generation, self)
            try:
                await interpreter.start(self._template, self._watcher)
                environment: Mapping[str, str] | None = None
                while environment is not self._environment:  # it may change while it is being set
                    environment = self._environment
                    await interpreter.set_environment(environment)
            except StartFailed as error:
                self._failures += 1
                self._last_failure = str(error)
                interpreter.kill("it did not start")
                if interpreter.pid > 0:
                    await interpreter.dead  # until it is the user's, a sweep does not reach it
                await self._bury(interpreter)
            except BaseException:
                interpreter.kill("the sandbox ends")
                interpreter.close()
                raise
            else:
                return interpreter

    async def _bury(self, interpreter: Interpreter) -> None:
        """End what user code has started: it holds the pipes and the channel, and it is nobody's any more."""
        await self._sweep()
        interpreter.drain()
        interpreter.close()

    # Owner of the interpreters.

    def output(self, stream: int, data: bytes) -> None:
        """Pass it on."""
        self.listener.output(stream, data)

    def settle(self) -> None:
        """Pass it on."""
        self.listener.settle()

    def said(self, interpreter: Interpreter, message: Message) -> None:
        """Pass it on."""
        self.listener.said(interpreter, message)
