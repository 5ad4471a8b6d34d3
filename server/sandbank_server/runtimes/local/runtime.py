"""The runtime whose sandboxes are processes of the same user, on the same file system.

For development, and where there is no engine. What it does not do: user code can read and write whatever the
control plane's user can, use the network, and see and signal other processes of that user; memory, CPU and
the number of processes are not limited beyond what the supervisor does for itself (Landlock and a filter
where the kernel has them). So a server does not listen beyond this machine with it unless told to.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress

import structlog

from sandbank_server.runtimes.base import (
    Endpoint,
    LaunchedSandbox,
    LaunchFailed,
    ObservedSandbox,
    RuntimeUnavailable,
    SandboxExit,
    SandboxRuntime,
    SandboxSpec,
    SandboxStats,
)
from sandbank_server.runtimes.identity import check_sandbox_id
from sandbank_server.runtimes.local.directory import LocalDirectories, LocalDirectory
from sandbank_server.runtimes.local.processes import (
    Process,
    end_marked,
    end_tree,
    find_by_argument,
    inherited_descriptors,
)
from sandbank_server.runtimes.local.settings import LocalSettings
from sandbank_server.runtimes.local.usage import usage_of_tree
from sandbank_server.runtimes.local.watch import SupervisorWatch
from sandbank_server.runtimes.post_mortem import describe_exit
from sandbank_server.runtimes.supervisor import SANDBOX_VARIABLE, SOCKET_NAME, VARIABLE, configuration

_log = structlog.get_logger("sandbank.runtimes.local")

_END_SECONDS = 10.0


class LocalRuntime(SandboxRuntime):
    """Supervisors started by hand."""

    name = "local"
    isolation = "none"

    def __init__(self, settings: LocalSettings) -> None:
        self._settings = settings
        self._directories = LocalDirectories(settings.data_dir)
        self._watches: dict[str, SupervisorWatch] = {}
        self._exit_codes: dict[str, int | None] = {}
        self._ended: deque[str] = deque(maxlen=4096)
        self._queues: set[asyncio.Queue[SandboxExit | None]] = set()

    async def start(self) -> None:
        """Check that supervisors can run here. Raises :class:`RuntimeUnavailable`."""
        if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
            raise RuntimeUnavailable("the local runtime needs Linux 5.3 or newer")
        if shutil.which(self._settings.command[0]) is None:
            raise RuntimeUnavailable(f"there is no {self._settings.command[0]} to start sandboxes with")
        if importlib.util.find_spec("sandbank_runner") is None:
            raise RuntimeUnavailable("the package sandbank-runner is not installed beside the server")
        self._directories.prepare()
        await self.list_sandboxes()

    async def launch(self, spec: SandboxSpec) -> LaunchedSandbox:
        """Start a supervisor in a session of its own; nothing of it is tied to this process.

        Never waits, so there is no point at which it could be cancelled.
        """
        directory = self._directories.of(spec.sandbox_id)
        try:
            directory.make(spec)
        except FileExistsError as error:
            raise LaunchFailed(f"there is a sandbox {spec.sandbox_id} already") from error
        except OSError as error:
            directory.remove()
            raise LaunchFailed(f"cannot make a directory for {spec.sandbox_id}: {error}") from error
        try:
            pid = self._spawn(spec, directory)
        except OSError as error:
            directory.remove()
            raise LaunchFailed(f"cannot start {self._settings.command[0]}: {error}") from error
        # A child that is not waited for keeps its number, so this is the one even when it is dead already.
        if (process := Process.of(pid)) is not None:
            directory.record(process)
        self._watch(spec.sandbox_id, process or Process(pid, 0, ""))
        return LaunchedSandbox(spec.sandbox_id, self._endpoint(directory))

    async def destroy(self, sandbox_id: str) -> None:
        """Kill the supervisor with all that it and user code started, and remove the directory."""
        directory = self._directories.of(check_sandbox_id(sandbox_id))
        self._ended.append(sandbox_id)
        if sandbox_id in self._watches or directory.path.exists():
            await asyncio.to_thread(self._end, directory)
        if watch := self._watches.get(sandbox_id):
            await watch.dead.wait()
        self._exit_codes.pop(sandbox_id, None)

    async def list_sandboxes(self) -> list[ObservedSandbox]:
        """Return what has a directory; those that run are watched from now on."""
        observed = []
        for directory in self._directories.all():
            sandbox_id = directory.sandbox_id
            process = self._process(directory)
            running = process is not None and process.alive()
            if process is not None and running and sandbox_id not in self._watches:
                with suppress(ProcessLookupError):
                    self._watch(sandbox_id, process)
            directory.bound_log()
            template, labels = directory.asked_for()
            exit_code = None if running else self._exit_codes.get(sandbox_id)
            observed.append(
                ObservedSandbox(sandbox_id, template, running, self._endpoint(directory), labels, exit_code)
            )
        return observed

    def exits(self) -> AsyncIterator[SandboxExit]:
        """Yield deaths from this call on. One that :meth:`destroy` brings about is not reported."""
        queue: asyncio.Queue[SandboxExit | None] = asyncio.Queue()
        self._queues.add(queue)
        return self._drain(queue)

    async def stats(self, sandbox_id: str) -> SandboxStats:
        """Add up the processes; some 100 µs for each."""
        watch = self._watches.get(check_sandbox_id(sandbox_id))
        if watch is None or not watch.process.alive():
            return SandboxStats(0, 0)
        return await asyncio.to_thread(usage_of_tree, watch.process)

    async def close(self) -> None:
        """Stop watching. Sandboxes run on."""
        for watch in self._watches.values():
            watch.close()
        self._watches.clear()
        for queue in self._queues:
            queue.put_nowait(None)

    # Inside.

    def _spawn(self, spec: SandboxSpec, directory: LocalDirectory) -> int:
        variables = configuration(
            spec,
            mode="local",
            socket_path=str(directory.socket),
            workspace=str(directory.workspace),
            temporary=str(directory.temporary),
        )
        # Nothing of the control plane's environment, which may hold secrets, but what programs need to run.
        environment = {
            name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TZ") if name in os.environ
        }
        environment |= {"HOME": str(directory.workspace), VARIABLE: variables}
        command = self._settings.command
        # No pipe and no terminal ties it to this process. The last argument is for those who look at
        # processes.
        return os.posix_spawnp(
            command[0],
            [*command, spec.sandbox_id],
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(directory.log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                *((os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in inherited_descriptors()),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
        )

    def _end(self, directory: LocalDirectory) -> None:
        process = self._process(directory)
        ended = process is None or not process.alive() or end_tree(process, _END_SECONDS)
        # A supervisor that died before takes its interpreter along, but not what user code had started: that
        # is known by its environment, as long as user code did not clear it.
        ended = end_marked(f"{SANDBOX_VARIABLE}={directory.sandbox_id}", _END_SECONDS) and ended
        if not ended:
            raise RuntimeUnavailable(f"processes of {directory.sandbox_id} cannot be killed")
        if not directory.remove():
            raise RuntimeUnavailable(f"{directory.path} cannot be removed")

    def _process(self, directory: LocalDirectory) -> Process | None:
        """Return a sandbox's supervisor: the one started here, the one noted, or the one that says so."""
        if watch := self._watches.get(directory.sandbox_id):
            return watch.process
        # The file may be missing, when the control plane was killed before it wrote it, or be user code's: so
        # it only says which one, of the processes that look like this sandbox's supervisor.
        found = find_by_argument(directory.sandbox_id)
        noted = directory.process()
        return noted if noted in found else next(iter(found), None)

    def _watch(self, sandbox_id: str, process: Process) -> None:
        self._watches[sandbox_id] = SupervisorWatch(process, lambda code: self._died(sandbox_id, code))

    def _died(self, sandbox_id: str, exit_code: int | None) -> None:
        del self._watches[sandbox_id]
        if sandbox_id in self._ended:
            return
        self._exit_codes[sandbox_id] = exit_code
        log = self._directories.of(sandbox_id).log_tail()
        reason = describe_exit(exit_code, oom_killed=False, log=log)
        for queue in self._queues:
            queue.put_nowait(SandboxExit(sandbox_id, reason, exit_code))

    async def _drain(self, queue: asyncio.Queue[SandboxExit | None]) -> AsyncIterator[SandboxExit]:
        try:
            while (death := await queue.get()) is not None:
                if death.sandbox_id not in self._ended:
                    yield death
        finally:
            self._queues.discard(queue)

    @staticmethod
    def _endpoint(directory: LocalDirectory) -> Endpoint:
        return Endpoint(str(directory.path), SOCKET_NAME, os.geteuid())
