"""Ids, injected: random for real, counted in tests.

All match the public rule ``[A-Za-z0-9._-]{1,128}``. A session's id is also what a stranger would have to
guess, hence 20 characters (103 bits) for everything but sandboxes, whose ids never give access to anything.
"""

from __future__ import annotations

import secrets
import string
from typing import Protocol

ALPHABET = string.ascii_lowercase + string.digits
_EVEN = 256 - 256 % len(ALPHABET)
_CHARACTERS = bytes(ord(ALPHABET[value % len(ALPHABET)]) for value in range(256))
_BIASED = bytes(range(_EVEN, 256))


class IdFactory(Protocol):
    """Makes ids that no one else has."""

    def sandbox_id(self) -> str:
        """Return ``sb-`` and 12 characters of ``[a-z0-9]``: also a container's name and a directory's."""

    def session_id(self) -> str:
        """Return ``ses-`` and 20 characters."""

    def operation_id(self) -> str:
        """Return ``op-`` and 20 characters."""

    def transaction_id(self) -> str:
        """Return ``tx-`` and 20 characters."""

    def checkpoint_id(self) -> str:
        """Return ``cp-`` and 20 characters."""

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

    def transaction_id(self) -> str:
        """See :class:`IdFactory`."""
        return _random("tx-", 20)

    def checkpoint_id(self) -> str:
        """See :class:`IdFactory`."""
        return _random("cp-", 20)

    def request_id(self) -> str:
        """See :class:`IdFactory`."""
        return _random("req-", 20)


def _random(prefix: str, length: int) -> str:
    # An id is made for every call: choosing its characters one by one costs 25 us, more than all else around a
    # call. Bytes from 252 on are dropped, or some characters would come more often than others.
    text = b""
    while len(text) < length:
        text += secrets.token_bytes(length + 8).translate(_CHARACTERS, _BIASED)
    return prefix + text[:length].decode("ascii")
