"""Sandbank: run untrusted Python in hardened containers, from Python.

    from sandbank import Client

    with Client("127.0.0.1:50051") as client, client.session() as session:
        print(session.run("1 + 1").value)

Names are loaded on first use: whoever needs only the messages (`sandbank.v1.execution_pb2`), as the process
inside a sandbox does, never imports grpc.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbank.aio.client import AsyncClient
    from sandbank.aio.session import AsyncSession
    from sandbank.aio.transaction import AsyncTransaction
    from sandbank.connection import Connection
    from sandbank.errors import ExecutionFailed, SandbankError
    from sandbank.results import Result
    from sandbank.retrying import RetryPolicy
    from sandbank.sync.client import Client
    from sandbank.sync.session import Session
    from sandbank.sync.transaction import Transaction

# Where each name lives. Everything else of `errors`, `reasons` and `events` is imported from there.
_HOMES = {
    "AsyncClient": "sandbank.aio.client",
    "AsyncSession": "sandbank.aio.session",
    "AsyncTransaction": "sandbank.aio.transaction",
    "Client": "sandbank.sync.client",
    "Connection": "sandbank.connection",
    "ExecutionFailed": "sandbank.errors",
    "Result": "sandbank.results",
    "RetryPolicy": "sandbank.retrying",
    "SandbankError": "sandbank.errors",
    "Session": "sandbank.sync.session",
    "Transaction": "sandbank.sync.transaction",
}

__all__ = [
    "AsyncClient",
    "AsyncSession",
    "AsyncTransaction",
    "Client",
    "Connection",
    "ExecutionFailed",
    "Result",
    "RetryPolicy",
    "SandbankError",
    "Session",
    "Transaction",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is not None:
        return getattr(importlib.import_module(home), name)
    for module in ("sandbank.errors", "sandbank.reasons"):
        found = getattr(importlib.import_module(module), name, None)
        if isinstance(found, type) and issubclass(found, Exception):
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
