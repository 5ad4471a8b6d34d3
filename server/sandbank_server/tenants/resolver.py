"""The seam between a call's credentials and the tenant whose data it may touch.

Every row, log line, metric and lookup carries the tenant. Until there are keys everyone is ``default``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Protocol

DEFAULT_TENANT = "default"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a call. ``tenant`` matches ``[A-Za-z0-9._-]{1,128}``."""

    tenant: str = DEFAULT_TENANT


class TenantResolver(Protocol):
    """Says who makes a call."""

    def resolve(self, method: str, metadata: Mapping[str, str | bytes]) -> Caller | Awaitable[Caller]:
        """Return the caller by the call's metadata (``authorization``), at once or after a look-up.

        ``method`` is the full one, ``/sandbank.v1.SessionService/GetSession``. Raises
        ``BadCredentialsError`` or ``NotAllowedError``.
        """


class EveryoneIsDefault:
    """Knows no keys: every caller is the tenant ``default``."""

    _caller = Caller()

    def resolve(self, method: str, metadata: Mapping[str, str | bytes]) -> Caller:
        """Return the default tenant."""
        return self._caller
