"""The steps around every call, but for metrics and traces, which live in modules of their own."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from sandbank_server.errors import DrainingError, QuotaExceededError
from sandbank_server.grpc_api.call import CallContext
from sandbank_server.grpc_api.chain import CallResult
from sandbank_server.observability.context import set_context
from sandbank_server.tenants.resolver import Caller, TenantResolver

_log = structlog.get_logger("sandbank.call")
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
REQUEST_ID_KEY: Final = "x-request-id"


class RequestId:
    """Takes the client's request id where it is fit to be logged, and makes one otherwise."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id

    def enter(self, call: CallContext) -> None:
        """Set ``request_id``."""
        given = call.metadata.get(REQUEST_ID_KEY)
        usable = isinstance(given, str) and _REQUEST_ID.fullmatch(given) is not None
        call.request_id = str(given) if usable else self._new_id()
        set_context({"request_id": call.request_id})

    def leave(self, call: CallContext, result: CallResult) -> None:
        """Nothing to do: the task of the call ends, and its context with it."""


class CallLog:
    """Logs how calls end: failures at the level of the error table, the rest for debugging.

    ``threshold``: levels below it are not worth building a line for.
    """

    def __init__(self, threshold: int = logging.INFO) -> None:
        self._threshold = threshold

    def enter(self, call: CallContext) -> None:
        """Nothing to do."""

    def leave(self, call: CallContext, result: CallResult) -> None:
        """Log one line."""
        failure = result.failure
        level = logging.DEBUG if failure is None else failure.level
        if level < self._threshold:
            return
        facts: dict[str, object] = {
            "method": call.method,
            "code": result.code.name,
            "seconds": call.clock() - call.started,
        }
        if failure is not None:
            facts |= {"reason": failure.reason, "message": failure.message}
        _log.log(level, "call ended", **facts)


class Authentication:
    """Finds out who calls."""

    def __init__(self, resolver: TenantResolver) -> None:
        self._resolver = resolver

    def enter(self, call: CallContext) -> Awaitable[None] | None:
        """Set ``caller``. Raises BadCredentialsError or NotAllowedError."""
        found = self._resolver.resolve(call.method, call.metadata)
        if isinstance(found, Caller):
            self._set(call, found)
            return None
        return self._wait(call, found)

    def leave(self, call: CallContext, result: CallResult) -> None:
        """Nothing to do."""

    async def _wait(self, call: CallContext, pending: Awaitable[Caller]) -> None:
        self._set(call, await pending)

    @staticmethod
    def _set(call: CallContext, caller: Caller) -> None:
        call.caller = caller
        set_context({"request_id": call.request_id, "tenant": caller.tenant})


class CallsInFlight:
    """Bounds how many calls of one tenant are open at a time, streams included."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: dict[str, int] = {}

    def enter(self, call: CallContext) -> None:
        """Count the call. Raises QuotaExceededError."""
        tenant = call.tenant
        count = self._open.get(tenant, 0)
        if count >= self._limit:
            raise QuotaExceededError(
                f"{self._limit} calls are open already",
                subject=f"tenant:{tenant}",
                metadata={"limit": str(self._limit)},
                retry_delay=0.5,
            )
        self._open[tenant] = count + 1

    def leave(self, call: CallContext, result: CallResult) -> None:
        """Uncount it."""
        left = self._open[call.tenant] - 1
        if left:
            self._open[call.tenant] = left
        else:
            del self._open[call.tenant]

    @property
    def open_count(self) -> int:
        """How many calls are open."""
        return sum(self._open.values())


class DrainGate:
    """Refuses new work once the server drains; reading what was, ending and cancelling still work."""

    OPEN_WHILE_DRAINING: Final = frozenset(
        {
            "/sandbank.v1.SessionService/GetSession",
            "/sandbank.v1.SessionService/UpdateSession",
            "/sandbank.v1.SessionService/ListSessions",
            "/sandbank.v1.SessionService/DeleteSession",
            "/sandbank.v1.ExecutionService/GetOperation",
            "/sandbank.v1.ExecutionService/ListOperations",
            "/sandbank.v1.ExecutionService/CancelOperation",
            "/sandbank.v1.PoolService/GetPool",
            "/sandbank.v1.PoolService/ListPools",
            "/sandbank.v1.PoolService/ListSandboxes",
            "/sandbank.v1.InfoService/GetServerInfo",
            "/sandbank.v1.InfoService/ListTemplates",
            "/sandbank.v1.InfoService/GetTemplate",
        }
    )

    def __init__(self) -> None:
        self.draining = False

    def enter(self, call: CallContext) -> None:
        """Raise DrainingError for new work."""
        if self.draining and call.method not in self.OPEN_WHILE_DRAINING:
            raise DrainingError("the server is shutting down")

    def leave(self, call: CallContext, result: CallResult) -> None:
        """Nothing to do."""
