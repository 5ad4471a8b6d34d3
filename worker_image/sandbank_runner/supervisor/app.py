"""The supervisor put together: what there is behind the link, and how it begins and ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Sequence

from sandbank_runner.supervisor import cgroup
from sandbank_runner.supervisor.boot import Booted
from sandbank_runner.supervisor.config import SandboxConfig
from sandbank_runner.supervisor.connection import Connection
from sandbank_runner.supervisor.control import ControlDesk
from sandbank_runner.supervisor.ending import EXIT_CRASH_LOOP, EXIT_PRELOAD, EXIT_TEMPLATE, End
from sandbank_runner.supervisor.file_connections import FileConnections
from sandbank_runner.supervisor.interpreters import CrashLoop, Interpreters
from sandbank_runner.supervisor.link import PROTOCOL_VERSION, Link
from sandbank_runner.supervisor.process_death import describe
from sandbank_runner.supervisor.publisher import EventPublisher
from sandbank_runner.supervisor.reaper import Reaper
from sandbank_runner.supervisor.session import Session
from sandbank_runner.supervisor.state_connections import StateConnections
from sandbank_runner.supervisor.sweep import kill_descendants
from sandbank_runner.supervisor.template_process import TemplateDied, TemplateProcess
from sandbank_runner.supervisor.user_processes import UserProcesses, start_time
from sandbank_runner.supervisor.workspace import Workspace
from sandbank_runner.template.preload import freeze
from sandbank_runner.v1.runner_pb2 import Assign, FromRunner, Hello, Pong, ToRunner

PRELOAD_SECONDS = 300.0
"""How long the template may take to preload its modules."""


class Supervisor:
    """One sandbox. ``begin`` is when its process began, monotonic. :meth:`run` returns when it has ended."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, config: SandboxConfig, booted: Booted, begin: float
    ) -> None:
        self.session: Session | None = None
        self._loop = loop
        self._config = config
        self._begin = begin
        self._boot_id = os.urandom(16).hex()  # `secrets` would bring libcrypto, 1 MB
        self._python_version = ""
        self._figures: dict[str, int] = {}
        self._missing_walls: tuple[str, ...] = booted.missing_walls
        self._group = cgroup.find()
        self._end: asyncio.Future[End] = loop.create_future()
        self._reaper = Reaper(loop)
        self._template = TemplateProcess(
            loop, booted.template_socket, booted.template_pid, lambda how: self.end(EXIT_TEMPLATE, how)
        )
        self._files = FileConnections(loop, self._template, self._reaper)
        self._states = StateConnections(loop)
        self._workspace = Workspace(loop, self._files)
        self._interpreters = Interpreters(
            loop,
            self._template,
            self._reaper,
            helpers=self._files.helpers,
            workspace=self._workspace,
            processes=lambda ours: UserProcesses(ours, self._sweep, self._sweep_others),
            sleeper_uid=config.users.sleeper if config.users else None,
            memory_kills=self._memory_kills,
        )
        self._link = Link(loop, config.socket_path, self)
        self._publisher = EventPublisher(loop, self._link)
        self._desk = ControlDesk(loop, self)
        self._orphan: asyncio.TimerHandle | None = None

    async def run(self) -> End:
        """Start everything, serve until the end, and leave nothing behind."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self.end, 0)
        self._reaper.start()
        self._reaper.watch(self._template.pid, lambda status: self._template.died(describe(status)))
        serving = self._loop.create_task(self._serve())
        serving.add_done_callback(self._served)
        try:
            return await self._end
        finally:
            serving.cancel()
            with contextlib.suppress(asyncio.CancelledError, TemplateDied, CrashLoop, OSError):
                await serving
            await self._leave_nothing()

    def end(self, code: int, message: str = "") -> None:
        """End the sandbox; the first reason counts."""
        if not self._end.done():
            self._end.set_result(End(code, message))

    async def _serve(self) -> None:
        ready = await self._template.ready(PRELOAD_SECONDS)
        self._figures["template_ready_ms"] = int((self._loop.time() - self._begin) * 1000)
        self._figures["preload_ms"] = ready.preload_ms
        if ready.failed:
            what = "; ".join(f"{module}: {message}" for module, message in ready.failed.items())
            self.end(EXIT_PRELOAD, f"preload failed: {what[:2000]}")
            return
        self._python_version = ready.python_version
        begin = self._loop.time()
        keeping = self._loop.create_task(self._interpreters.run())
        try:
            first = self._loop.create_task(self._interpreters.ready())
            await asyncio.wait({keeping, first}, return_when=asyncio.FIRST_COMPLETED)
            if first.done():
                self._figures["interpreter_ready_ms"] = int((self._loop.time() - begin) * 1000)
                walls = (*self._missing_walls, *ready.missing_walls, *first.result().missing_walls)
                self._missing_walls = tuple(dict.fromkeys(walls))
                freeze()
                self._link.listen()
                self.control_closed()
            await keeping
        finally:
            first.cancel()
            keeping.cancel()

    def _served(self, task: asyncio.Task[None]) -> None:
        """Nothing but :meth:`end` ends serving in peace."""
        error = None if task.cancelled() else task.exception()
        if isinstance(error, CrashLoop):
            self.end(EXIT_CRASH_LOOP, str(error))
        elif isinstance(error, TemplateDied):
            self.end(EXIT_TEMPLATE, str(error))
        elif error is not None:
            self.end(1, f"{type(error).__name__}: {error}")

    async def _leave_nothing(self) -> None:
        if self._orphan is not None:
            self._orphan.cancel()
        self._desk.close()
        self._link.close()
        self._workspace.close()
        self._states.close()
        await self._files.close()
        with contextlib.suppress(TemplateDied, OSError):
            await self._sweep()
        self._template.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._template.pid, signal.SIGKILL)
        if self._config.mode == "local":
            kill_descendants(())
        self._reaper.collect()
        self._reaper.stop()

    # What the link asks for.

    def hello(self) -> Hello:
        """Return who this is, and what the journal knows."""
        hello = Hello(
            protocol_version=PROTOCOL_VERSION,
            sandbox_id=self._config.sandbox_id,
            boot_id=self._boot_id,
            python_version=self._python_version,
            missing_walls=self._missing_walls,
            figures=self._figures,
        )
        if self.session is not None:
            self.session.describe(hello)
        return hello

    def control_opened(self, connection: Connection, hello: Hello) -> None:
        """Push what has happened since the greeting, so that nothing is lost between the two."""
        if self._orphan is not None:
            self._orphan.cancel()
            self._orphan = None
        self._publisher.forget()
        if self.session is not None and not self.session.catch_up(hello):
            connection.close()

    def control_message(self, connection: Connection, message: ToRunner) -> None:
        """Do what is asked."""
        self._desk.handle(message, connection.send)

    def control_closed(self) -> None:
        """Nobody is responsible for this sandbox: it ends unless somebody comes in time."""
        if self._orphan is None and not self._end.done():
            self._orphan = self._loop.call_later(
                self._config.orphan_seconds, self.end, 0, "no control plane has come for too long"
            )

    def files_opened(self, sock: socket.socket) -> None:
        """Hand a FILES connection on."""
        self._files.open(sock)

    def state_opened(self, sock: socket.socket, token: str) -> None:
        """Keep a STATE connection for the request that it is for."""
        self._states.open(sock, token)

    # What the desk asks for.

    def assign(self, assign: Assign) -> Session:
        """Give the sandbox to a session."""
        self.session = Session(
            self._loop,
            assign,
            self._interpreters,
            connections=self._states,
            publisher=self._publisher,
            tell=self._tell,
            now=time.time_ns,
        )
        return self.session

    def pong(self) -> Pong:
        """Return a sign of life."""
        group = self._group if self._config.mode == "container" else None
        return Pong(
            memory_bytes=(group.memory_bytes() or 0) if group else 0,
            process_count=max((group.process_count() or 0) - 2, 0) if group else 0,  # not us and the template
            queued_count=self.session.queued_count if self.session else 0,
        )

    async def clean_workspace(self) -> None:
        """Empty the workspace."""
        await self._files.clear_workspace()

    def shut_down(self) -> None:
        """End the sandbox once the answer is on its way."""
        self._loop.call_soon(self.end, 0)

    # What the parts need.

    def _tell(self, message: FromRunner) -> bool:
        control = self._link.control
        if control is None:
            return False
        self._publisher.flush()
        control.send(message.SerializeToString())
        return True

    async def _sweep(self) -> None:
        """Kill every process of the user. In a container the template can do it at one blow."""
        if self._config.mode == "container":
            await self._template.sweep()
        else:
            kill_descendants({self._template.pid, *self._files.helpers})

    async def _sweep_others(self, keep: Sequence[tuple[int, int]]) -> None:
        """Kill every process of the user but those, and but what sleeps."""
        if self._config.mode == "container":
            if keep:
                await self._template.sweep_others(keep)
            else:
                await self._template.sweep(keep_sleepers=True)
        else:
            kept = {pid for pid, start in keep if start_time(pid) == start}
            kill_descendants(
                {self._template.pid, *self._files.helpers, *self._interpreters.snapshots.living, *kept}
            )

    def _memory_kills(self) -> int:
        return (self._group.out_of_memory_kills() or 0) if self._group else 0
