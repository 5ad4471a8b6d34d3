"""The seam behind which sandboxes run.

A runtime starts and destroys sandboxes and says which exist. It knows nothing of sessions: labels are opaque
to it. Observed truth comes from :meth:`SandboxRuntime.list_sandboxes`; :meth:`SandboxRuntime.exits` only
makes it faster.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from sandbank_server.templates.model import TemplateSpec


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a supervisor listens.

    ``directory`` and ``name`` of a Unix socket: the sandbox can write to ``directory``, so it is opened
    beneath it without following links. ``peer_uid`` is the only user that may answer there.
    """

    directory: str
    name: str
    peer_uid: int


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """What to start. ``sandbox_id`` is chosen by the caller: ``sb-`` and 12 characters of ``[a-z0-9]``."""

    sandbox_id: str
    template: TemplateSpec
    image: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LaunchedSandbox:
    """A sandbox whose process runs; its supervisor may still be starting."""

    sandbox_id: str
    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class ObservedSandbox:
    """A sandbox of this installation as the runtime sees it now: also a dead one that is not yet removed."""

    sandbox_id: str
    template: str
    running: bool
    endpoint: Endpoint
    labels: Mapping[str, str]
    exit_code: int | None = None
    oom_killed: bool = False


@dataclass(frozen=True, slots=True)
class SandboxExit:
    """A sandbox died. ``reason`` is a short sentence for operators."""

    sandbox_id: str
    reason: str
    exit_code: int | None = None
    oom_killed: bool = False


@dataclass(frozen=True, slots=True)
class SandboxStats:
    """What a sandbox uses now; 0 where it cannot be known."""

    memory_bytes: int
    process_count: int


class RuntimeUnavailable(Exception):
    """The runtime cannot be used now (no engine, missing OCI runtime, no permission).

    The text says what to do. Every method may raise it.
    """


class LaunchFailed(Exception):
    """A sandbox could not be started; what was made of it has been removed. The text is for operators."""


class SandboxRuntime(ABC):
    """Starts, lists and destroys the sandboxes of one installation."""

    name: str
    isolation: str
    """What keeps sandboxes from the host: ``container``, or ``none``."""

    @abstractmethod
    async def start(self) -> None:
        """Check that sandboxes can run here. Raises :class:`RuntimeUnavailable`."""

    @abstractmethod
    async def launch(self, spec: SandboxSpec) -> LaunchedSandbox:
        """Start a sandbox. Raises :class:`LaunchFailed`; when cancelled, nothing of it stays behind.

        ValueError for what is no sandbox id, or for labels of the runtime's own.
        """

    @abstractmethod
    async def destroy(self, sandbox_id: str) -> None:
        """End a sandbox and remove all that belongs to it. Idempotent, safe on half-made and unknown ones."""

    @abstractmethod
    async def list_sandboxes(self) -> list[ObservedSandbox]:
        """Return every sandbox of this installation, including what an earlier control plane left."""

    @abstractmethod
    def exits(self) -> AsyncIterator[SandboxExit]:
        """Yield deaths from the call on, as they are noticed; may miss some, never invents one.

        Those that :meth:`destroy` brings about are not told. Ends with :meth:`close`.
        """

    @abstractmethod
    async def stats(self, sandbox_id: str) -> SandboxStats:
        """Return current use; zeros for an unknown sandbox."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of connections and tasks. Sandboxes run on."""
