"""What a servicer knows of the call that it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import structlog

from sandbank_server.tenants.resolver import Caller

_NO_METADATA: Final[Mapping[str, str | bytes]] = MappingProxyType({})
_NOBODY: Final = Caller()
_log = structlog.get_logger("sandbank.call")


class CallContext:
    """One call. Made by the frame, filled by its steps, read by servicers; says nothing of grpc.

    - ``method``: the full one, ``/sandbank.v1.SessionService/GetSession``.
    - ``metadata``: what the client sent beside the request, keys in lower case.
    - ``request_id``: the client's `x-request-id`, or one made here; in every log line.
    - ``caller``: who calls; ``tenant`` is its name.
    - ``started`` and ``deadline``: seconds on ``clock``, which never goes back; ``deadline`` is None when
      the client set none. When it passes the call is cancelled like any other.
    - ``traceparent``: the W3C trace context to hand on; empty when tracing is off.
    """

    __slots__ = (
        "_on_cancelled",
        "_peer",
        "_slots",
        "caller",
        "clock",
        "deadline",
        "metadata",
        "method",
        "request_id",
        "started",
        "traceparent",
    )

    def __init__(
        self,
        method: str,
        *,
        metadata: Mapping[str, str | bytes] = _NO_METADATA,
        request_id: str = "",
        caller: Caller = _NOBODY,
        clock: Callable[[], float],
        deadline: float | None = None,
        peer: Callable[[], str] | None = None,
    ) -> None:
        self.method = method
        self.metadata = metadata
        self.request_id = request_id
        self.caller = caller
        self.clock = clock
        self.started = clock()
        self.deadline = deadline
        self.traceparent = ""
        self._peer = peer
        self._on_cancelled: list[Callable[[], None]] | None = None
        self._slots: dict[object, Any] | None = None

    @property
    def tenant(self) -> str:
        """The tenant whose data this call may touch."""
        return self.caller.tenant

    @property
    def peer(self) -> str:
        """The client's address as grpc writes it, ``ipv4:127.0.0.1:40000``; empty once the call is over."""
        return self._peer() if self._peer is not None else ""

    @property
    def logger(self) -> Any:
        """A logger; the ids of the call are in the context already."""
        return _log

    def remaining(self) -> float | None:
        """Return the seconds until the deadline, at least 0, or None without one."""
        return None if self.deadline is None else max(0.0, self.deadline - self.clock())

    def on_cancelled(self, callback: Callable[[], None]) -> None:
        """Call back when the call ends because the client left, cancelled, or let the deadline pass.

        A server cannot tell these apart. The servicer gets CancelledError after that.
        """
        if self._on_cancelled is None:
            self._on_cancelled = []
        self._on_cancelled.append(callback)

    def run_cancelled_callbacks(self) -> None:
        """Run the callbacks of :meth:`on_cancelled`, once; for the frame."""
        callbacks, self._on_cancelled = self._on_cancelled, None
        for callback in callbacks or ():
            try:
                callback()
            except Exception:  # noqa: BLE001 - the others must run too
                _log.exception("a callback of a cancelled call failed", method=self.method)

    def forget_peer(self) -> None:
        """Let go of grpc's call; for the frame, at the end. Asking grpc later would crash the process."""
        self._peer = None

    def keep(self, owner: object, value: Any) -> None:
        """Keep something that a step needs again when the call ends."""
        if self._slots is None:
            self._slots = {}
        self._slots[owner] = value

    def kept(self, owner: object) -> Any:
        """Return what the step kept, or None."""
        return None if self._slots is None else self._slots.get(owner)
