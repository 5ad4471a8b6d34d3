"""Ids, injected: random for real, counted in tests.

All match the public rule ``[A-Za-z0-9._-]{1,128}``. A session's id is also what a stranger would have to
guess, hence 20 characters (103 bits) for everything but sandboxes, whose ids never give access to anything.
"""

from __future__ import annotations

import secrets
import string
from typing import Protocol

ALPHABET = string.ascii_lowercase + string.digits


class IdFactory(Protocol):
    """Makes ids that no one else has."""

    def sandbox_id(self) -> str:
        """Return ``sb-`` and 12 characters of ``[a-z0-9]``: also a container's name and a directory's."""

    def session_id(self) -> str:
        """Return ``ses-`` and 20 characters."""

    def operation_id(self) -> str:
        """Return ``op-`` and 20 characters."""

    def request_id(self) -> str:
        """Return ``req-`` and 20 characters."""


class SecureIds:
    """Ids from the operating system's randomness."""

    def sandbox_id(self) -> str:
        """See :class:`IdFactory`."""
        return _random("sb-", 12)

    def session_id(self) -> str:
        """See :class:`IdFactory`."""
        return _random("ses-", 20)

    def operation_id(self) -> str:
        """See :class:`IdFactory`."""
        return _random("op-", 20)

    def request_id(self) -> str:
        """See :class:`IdFactory`."""
        return _random("req-", 20)


def _random(prefix: str, length: int) -> str:
    return prefix + "".join(secrets.choice(ALPHABET) for _ in range(length))
