"""What is asked of the engine about sandboxes: start one, remove one, see them all."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from docker import APIClient
from docker.errors import NotFound

from sandbank_server.runtimes.base import LaunchFailed, RuntimeUnavailable, SandboxSpec, SandboxStats
from sandbank_server.runtimes.docker import labels
from sandbank_server.runtimes.docker.container import container_body, container_name
from sandbank_server.runtimes.docker.engine import Engine, EngineRefused
from sandbank_server.runtimes.docker.settings import DockerSettings
from sandbank_server.runtimes.docker.users import SandboxUsers
from sandbank_server.runtimes.identity import is_sandbox_id

Answer = TypeVar("Answer")

_ALIVE = {"running", "paused"}
_REMOVE_PAUSES_SECONDS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.0)


@dataclass(frozen=True, slots=True)
class Seen:
    """A container of some installation, as the engine lists it; ``users`` is None where its label is broken."""

    installation: str
    sandbox_id: str
    container_id: str
    labels: Mapping[str, str]
    users: SandboxUsers | None
    running: bool
    exit_code: int | None = None
    oom_killed: bool = False


class Containers:
    """The containers of one installation."""

    def __init__(self, engine: Engine, settings: DockerSettings) -> None:
        self._engine = engine
        self._settings = settings

    async def start(
        self, spec: SandboxSpec, users: SandboxUsers, directory: str, profile: str, stop: threading.Event
    ) -> str:
        """Create and start a sandbox's container, and return its id.

        One call from one thread: when ``stop`` is set meanwhile, it ends with whatever it has made by then.
        Raises :class:`LaunchFailed` or :class:`RuntimeUnavailable`; removing is the caller's part.
        """
        body = container_body(spec, self._settings, users, directory, profile)
        name = self._name(spec.sandbox_id)

        def create_and_start(client: Any) -> str:  # the call is not typed
            if stop.is_set():
                raise LaunchFailed(f"{spec.sandbox_id} was given up before it began")
            container_id = str(client.create_container_from_config(body, name)["Id"])
            if not stop.is_set():
                client.start(container_id)
            return container_id

        try:
            return await self._engine.call(f"starting {spec.sandbox_id}", create_and_start)
        except EngineRefused as error:
            if error.not_found and "image" in error.explanation.lower():
                build = f"sandbank templates build {spec.template.name}"
                raise LaunchFailed(f"there is no image {spec.image}: build it with `{build}`") from error
            raise LaunchFailed(str(error)) from error

    async def remove(self, sandbox_id: str) -> None:
        """End and remove a sandbox's container; nothing when there is none. Raises RuntimeUnavailable."""
        refusal: EngineRefused | None = None
        for pause in (0.0, *_REMOVE_PAUSES_SECONDS):
            await asyncio.sleep(pause)
            try:
                await self._engine.call(
                    f"removing {sandbox_id}",
                    lambda client: client.remove_container(self._name(sandbox_id), v=True, force=True),
                )
            except EngineRefused as error:
                if error.not_found:
                    return
                # Somebody else removes it at this moment (409), or its mounts are still being let go of
                # (500): either way it is soon not found.
                refusal = error
            else:
                return
        raise RuntimeUnavailable(f"{refusal}; its processes or mounts may hang")

    async def engine_info(self) -> Mapping[str, Any]:
        """Return what the engine says of itself."""

        def ask(client: APIClient) -> Mapping[str, Any]:
            told: Mapping[str, Any] = client.info()
            return told

        return await self._ask("asking what it can", ask)

    async def all_installations(self) -> list[Seen]:
        """Return the sandboxes of every installation on this engine, dead ones included."""

        def ask(client: APIClient) -> list[Seen]:
            listed = client.containers(all=True, filters={"label": [labels.INSTALLATION]})
            return [seen for summary in listed if (seen := self._seen(client, summary)) is not None]

        return await self._ask("listing the sandboxes", ask)

    async def state(self, container: str) -> Mapping[str, Any] | None:
        """Return the engine's ``State`` of a container, by id or sandbox; None when there is none."""

        def ask(client: APIClient) -> Mapping[str, Any] | None:
            return _state(client, self._name(container) if is_sandbox_id(container) else container)

        return await self._ask(f"inspecting {container}", ask)

    async def log_tail(self, container_id: str) -> bytes:
        """Return the end of what the supervisor wrote; empty when it cannot be had."""

        def ask(client: APIClient) -> bytes:
            try:
                return bytes(client.logs(container_id, tail=5))
            except NotFound:
                return b""

        return await self._ask("reading a log", ask)

    async def container_id(self, sandbox_id: str) -> str | None:
        """Return the id of a sandbox's container, or None."""

        def ask(client: APIClient) -> str | None:
            try:
                return str(client.inspect_container(self._name(sandbox_id))["Id"])
            except NotFound:
                return None

        return await self._ask(f"inspecting {sandbox_id}", ask)

    async def usage(self, container_id: str) -> SandboxStats:
        """Return a container's use in the engine's words, for hosts whose control groups cannot be seen."""

        def ask(client: APIClient) -> SandboxStats:
            try:
                # one_shot: not two samples a second apart, for a CPU figure that nobody wants here.
                answer = client.stats(container_id, stream=False, one_shot=True)
            except NotFound:
                return SandboxStats(0, 0)
            memory = answer.get("memory_stats") or {}
            detail = memory.get("stats") or {}
            droppable = detail.get("total_inactive_file", detail.get("inactive_file", 0))
            used = max(0, int(memory.get("usage", 0)) - int(droppable))
            return SandboxStats(used, int((answer.get("pids_stats") or {}).get("current", 0)))

        return await self._ask("reading what a sandbox uses", ask)

    async def _ask(self, what: str, ask: Callable[[APIClient], Answer]) -> Answer:
        try:
            return await self._engine.call(what, ask)
        except EngineRefused as error:
            raise RuntimeUnavailable(str(error)) from error

    def _name(self, sandbox_id: str) -> str:
        return container_name(self._settings.installation, sandbox_id)

    def _seen(self, client: APIClient, summary: Mapping[str, Any]) -> Seen | None:
        of_container: Mapping[str, str] = summary.get("Labels") or {}
        sandbox_id = of_container.get(labels.SANDBOX, "")
        installation = of_container[labels.INSTALLATION]
        if not is_sandbox_id(sandbox_id):
            return (
                None  # carries a label of ours and is none of ours: an image's build, somebody's experiment
            )
        seen = Seen(
            installation=installation,
            sandbox_id=sandbox_id,
            container_id=str(summary["Id"]),
            labels=of_container,
            users=SandboxUsers.parse(of_container.get(labels.USERS, "")),
            running=summary.get("State") in _ALIVE,
        )
        if seen.running or installation != self._settings.installation:
            return seen
        state = _state(client, seen.container_id)
        if state is None:
            return None  # removed since it was listed
        return replace(seen, exit_code=_exit_code(state), oom_killed=bool(state.get("OOMKilled")))


def _state(client: APIClient, container: str) -> Mapping[str, Any] | None:
    try:
        state: Mapping[str, Any] = client.inspect_container(container)["State"]
    except NotFound:
        return None
    return state


def _exit_code(state: Mapping[str, Any]) -> int | None:
    """Return the exit code of an inspected container that has run, None of one that never did."""
    finished = str(state.get("FinishedAt", ""))
    if finished.startswith("0001-"):
        return None
    code = state.get("ExitCode")
    return code if isinstance(code, int) else None
