"""Four users for every sandbox, shared by no two that live: limits that count per user would be shared too."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import NamedTuple

from sandbank_server.runtimes.base import LaunchFailed

HIGHEST_UID = 2**31 - 1


class SandboxUsers(NamedTuple):
    """Numbers that are user and group at once."""

    supervisor: int
    template: int
    interpreter: int
    snapshot: int

    @classmethod
    def parse(cls, text: str) -> SandboxUsers | None:
        """Return the users that :meth:`__str__` wrote, or None."""
        parts = text.split(",")
        if len(parts) != len(cls._fields) or not all(part.isdecimal() and len(part) < 11 for part in parts):
            return None
        return cls(*map(int, parts))

    def __str__(self) -> str:
        return ",".join(map(str, self))


class UserRange:
    """Gives out users from a range; what containers carry in their labels counts as given.

    Freed users are not given again soon: what the last one to have them left behind is gone by then. The
    range is used in order from a random place, so that two installations on one engine seldom ask for the
    same ones before they have seen each other's containers.
    """

    def __init__(self, first_uid: int, uid_count: int, randomness: random.Random) -> None:
        """Raise ValueError for a range without room or beyond the kernel's numbers."""
        size = len(SandboxUsers._fields)
        if first_uid < 1 or uid_count < size or first_uid + uid_count > HIGHEST_UID:
            raise ValueError(f"{uid_count} users from {first_uid} on are no usable range")
        self._first, self._blocks = first_uid, uid_count // size
        self._next = randomness.randrange(self._blocks)
        self._own: dict[str, SandboxUsers] = {}
        self._others: frozenset[int] = frozenset()

    def take(self, sandbox_id: str) -> SandboxUsers:
        """Return users that nobody has. Raises :class:`LaunchFailed` when there are none left."""
        taken = self._others.union(*self._own.values())
        for step in range(self._blocks):
            block = (self._next + step) % self._blocks
            first = self._first + block * len(SandboxUsers._fields)
            users = SandboxUsers(*range(first, first + len(SandboxUsers._fields)))
            if taken.isdisjoint(users):
                self._next = (block + 1) % self._blocks
                self._own[sandbox_id] = users
                return users
        raise LaunchFailed(
            f"all {self._blocks} groups of users from {self._first} on are in use: "
            "widen the range, or remove containers that no control plane runs any more"
        )

    def adopt(self, sandbox_id: str, users: SandboxUsers) -> None:
        """Note what an existing sandbox of this installation has."""
        self._own[sandbox_id] = users

    def note_others(self, users: Iterable[SandboxUsers]) -> None:
        """Note what the containers of other installations have; replaces what was noted before."""
        self._others = frozenset(uid for one in users for uid in one)

    def release(self, sandbox_id: str) -> None:
        """Take back what a removed sandbox had; nothing for an unknown one."""
        self._own.pop(sandbox_id, None)
