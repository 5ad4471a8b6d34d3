"""The runtime whose sandboxes are containers."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field

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
from sandbank_server.runtimes.docker import cgroup, labels
from sandbank_server.runtimes.docker.checks import check_engine
from sandbank_server.runtimes.docker.containers import Containers, Seen
from sandbank_server.runtimes.docker.engine import Engine
from sandbank_server.runtimes.docker.events import Death, DeathWatch
from sandbank_server.runtimes.docker.seccomp import read_profile
from sandbank_server.runtimes.docker.settings import DockerSettings
from sandbank_server.runtimes.docker.users import SandboxUsers, UserRange
from sandbank_server.runtimes.host_directory import HostDirectories
from sandbank_server.runtimes.identity import check_installation, check_sandbox_id
from sandbank_server.runtimes.post_mortem import describe_exit
from sandbank_server.runtimes.supervisor import SOCKET_NAME

_log = structlog.get_logger("sandbank.runtimes.docker")

NOBODY = -1
"""Peer of a sandbox whose users are not known: it cannot be reached, only removed."""

_UNDO_PAUSES_SECONDS = (0.0, 1.0, 4.0, 15.0)
_CLOSE_SECONDS = 5.0


@dataclass(slots=True)
class _Launch:
    """A container that is being made; ``stop`` tells the thread that makes it."""

    task: asyncio.Task[str]
    stop: threading.Event = field(default_factory=threading.Event)


class DockerRuntime(SandboxRuntime):
    """Hardened containers of one engine; see ``container.py`` for the walls."""

    name = "docker"
    isolation = "container"

    def __init__(self, settings: DockerSettings, randomness: random.Random | None = None) -> None:
        """Raise :class:`RuntimeUnavailable` for settings that cannot be; nothing is contacted yet."""
        check_installation(settings.installation)
        if not settings.data_dir.is_absolute():
            raise RuntimeUnavailable(f"{settings.data_dir}: the engine needs an absolute path")
        self._settings = settings
        try:
            self._users = UserRange(settings.first_uid, settings.uid_count, randomness or random.Random())
        except ValueError as error:
            raise RuntimeUnavailable(str(error)) from error
        self._directories = HostDirectories(settings.data_dir)
        self._engine = Engine(settings)
        self._containers = Containers(self._engine, settings)
        self._profile = ""
        self._container_ids: dict[str, str] = {}
        self._launches: dict[str, _Launch] = {}
        self._ended: deque[str] = deque(maxlen=4096)
        self._watches: dict[DeathWatch, asyncio.Queue[Death | None]] = {}
        self._undoing: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Check the engine, and learn which users its containers have. Raises RuntimeUnavailable."""
        self._profile = read_profile(self._settings.seccomp_profile)
        self._directories.prepare()
        info, _ = await asyncio.gather(self._containers.engine_info(), self.list_sandboxes())
        for warning in check_engine(info, self._settings.oci_runtime):
            _log.warning("engine_lacks_limit", message=warning)

    async def launch(self, spec: SandboxSpec) -> LaunchedSandbox:
        """Start a container. Also raises RuntimeUnavailable when the engine does not answer."""
        sandbox_id = check_sandbox_id(spec.sandbox_id)
        try:
            directory = self._directories.make(sandbox_id)
        except FileExistsError as error:
            raise LaunchFailed(f"there is a sandbox {sandbox_id} already") from error
        except OSError as error:
            raise LaunchFailed(f"cannot make a directory for {sandbox_id}: {error}") from error
        # From here on something exists, and every way out but success removes it.
        launch = None
        try:
            users = self._users.take(sandbox_id)
            stop = threading.Event()
            making = self._containers.start(spec, users, directory, self._profile, stop)
            launch = self._launches[sandbox_id] = _Launch(asyncio.create_task(making), stop)
            # Shielded: the thread that talks to the engine cannot be cancelled, only waited for.
            self._container_ids[sandbox_id] = await asyncio.shield(launch.task)
            return LaunchedSandbox(sandbox_id, self._endpoint(sandbox_id, users))
        except BaseException as error:
            undoing = self._begin_undo(self._undo(sandbox_id, launch))
            # An engine that does not answer is not waited for once more.
            if not isinstance(error, RuntimeUnavailable):
                await asyncio.shield(undoing)
            raise
        finally:
            if launch is not None and launch.task.done():
                self._launches.pop(sandbox_id, None)

    async def destroy(self, sandbox_id: str) -> None:
        """Remove the container and the directory. Raises RuntimeUnavailable; may be called again then."""
        check_sandbox_id(sandbox_id)
        self._ended.append(sandbox_id)
        if launch := self._launches.get(sandbox_id):
            launch.stop.set()
            await asyncio.wait({launch.task})
        await self._containers.remove(sandbox_id)
        if not await asyncio.to_thread(self._directories.remove, sandbox_id):
            _log.warning("sandbox_directory_left", sandbox_id=sandbox_id)
        self._users.release(sandbox_id)
        self._container_ids.pop(sandbox_id, None)
        self._launches.pop(sandbox_id, None)

    async def list_sandboxes(self) -> list[ObservedSandbox]:
        """See the base class. A directory without a container is a sandbox too: a dead one, to be destroyed."""
        starting = {sandbox_id for sandbox_id, launch in self._launches.items() if not launch.task.done()}
        strays = self._directories.list_ids() - starting
        everywhere = await self._containers.all_installations()
        own = {
            seen.sandbox_id: seen for seen in everywhere if seen.installation == self._settings.installation
        }
        others = [seen for seen in everywhere if seen.installation != self._settings.installation]
        self._users.note_others([seen.users for seen in others if seen.users is not None])
        for seen in own.values():
            self._container_ids[seen.sandbox_id] = seen.container_id
            if seen.users is not None:
                self._users.adopt(seen.sandbox_id, seen.users)
        # Those destroyed while the engine was asked are gone from the disk, or will be.
        strays = (strays & self._directories.list_ids()) - own.keys() - set(self._ended)
        observed = [self._observed(seen) for seen in own.values() if seen.sandbox_id not in starting]
        return observed + [
            ObservedSandbox(stray, "", running=False, endpoint=self._endpoint(stray, None), labels={})
            for stray in sorted(strays)
        ]

    def exits(self) -> AsyncIterator[SandboxExit]:
        """Yield deaths from this call on. One that :meth:`destroy` brings about is not reported."""
        return self._exits(time.time())

    async def stats(self, sandbox_id: str) -> SandboxStats:
        """Read the host's control groups where they can be seen, or ask the engine."""
        container_id = self._container_ids.get(sandbox_id) or await self._containers.container_id(sandbox_id)
        if container_id is None:
            return SandboxStats(0, 0)
        return cgroup.read_usage(container_id) or await self._containers.usage(container_id)

    async def close(self) -> None:
        """Let go of connections and threads; what is being undone gets a few seconds."""
        for watch, queue in list(self._watches.items()):
            watch.stop()
            queue.put_nowait(None)
        if self._undoing:
            _, late = await asyncio.wait(self._undoing, timeout=_CLOSE_SECONDS)
            for task in late:
                task.cancel()
        self._engine.close()

    # Inside.

    def _begin_undo(self, undo: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(undo)
        self._undoing.add(task)
        task.add_done_callback(self._undoing.discard)
        return task

    async def _undo(self, sandbox_id: str, launch: _Launch | None) -> None:
        """Remove what a launch has made. What an absent engine keeps is found by a later listing."""
        if launch is not None:
            launch.stop.set()
            with suppress(Exception):
                await launch.task
        for pause in _UNDO_PAUSES_SECONDS:
            await asyncio.sleep(pause)
            try:
                await self.destroy(sandbox_id)
                break
            except RuntimeUnavailable as error:
                _log.warning("launch_not_undone_yet", sandbox_id=sandbox_id, message=str(error))

    async def _exits(self, since: float) -> AsyncIterator[SandboxExit]:
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[Death | None] = asyncio.Queue()

        def tell(death: Death) -> None:
            loop.call_soon_threadsafe(queue.put_nowait, death)

        filters = {
            "type": "container",
            "event": "die",
            "label": f"{labels.INSTALLATION}={self._settings.installation}",
        }
        watch = DeathWatch(self._engine.connect, filters, since, tell)
        self._watches[watch] = queue
        watch.start()
        try:
            while (death := await queue.get()) is not None:
                sandbox_id = death.labels.get(labels.SANDBOX, "")
                if sandbox_id and sandbox_id not in self._ended:
                    yield await self._exit(sandbox_id, death)
        finally:
            self._watches.pop(watch, None)
            watch.stop()

    async def _exit(self, sandbox_id: str, death: Death) -> SandboxExit:
        oom_killed, log = False, b""
        # The engine may be gone by now, or the container: then the death is told with less about it.
        with suppress(RuntimeUnavailable):
            state = await self._containers.state(death.container_id)
            oom_killed = bool(state and state.get("OOMKilled"))
            log = await self._containers.log_tail(death.container_id)
        reason = describe_exit(death.exit_code, oom_killed=oom_killed, log=log)
        return SandboxExit(sandbox_id, reason, death.exit_code, oom_killed)

    def _observed(self, seen: Seen) -> ObservedSandbox:
        return ObservedSandbox(
            sandbox_id=seen.sandbox_id,
            template=seen.labels.get(labels.TEMPLATE, ""),
            running=seen.running,
            endpoint=self._endpoint(seen.sandbox_id, seen.users),
            labels=labels.caller_labels(seen.labels),
            exit_code=seen.exit_code,
            oom_killed=seen.oom_killed,
        )

    def _endpoint(self, sandbox_id: str, users: SandboxUsers | None) -> Endpoint:
        peer = NOBODY if users is None else users.supervisor
        return Endpoint(self._directories.inner(sandbox_id), SOCKET_NAME, peer)
