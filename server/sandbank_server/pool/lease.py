"""A sandbox in somebody's hand."""

from __future__ import annotations

from typing import Generic, Protocol

from sandbank_server.pool.link import LinkT


class LeaseKeeper(Protocol):
    """Who gave a lease out."""

    def confirm(self, sandbox_id: str, lease_id: int) -> None:
        """Raise :class:`SandboxLostBeforeStartError` when the lease holds no more."""

    def release(self, sandbox_id: str, lease_id: int, reason: str, *, used: bool) -> None:
        """Take the sandbox back."""


class Lease(Generic[LinkT]):
    """A sandbox handed over.

    Whoever holds it either calls :meth:`confirm` once the session has the sandbox (from then on
    :meth:`PoolManager.retire` ends it), or :meth:`release`. A lease that is neither confirmed nor released
    within the pool's ``lease_deadline`` is taken back. Whether the sandbox may be handed to somebody else
    depends on whether :attr:`link` was ever read: then something may have been sent.
    """

    def __init__(
        self, keeper: LeaseKeeper, sandbox_id: str, template: str, session_id: str, link: LinkT, lease_id: int
    ) -> None:
        self._keeper = keeper
        self._link = link
        self._lease_id = lease_id
        self._used = False
        self.sandbox_id = sandbox_id
        self.template = template
        self.session_id = session_id

    def __repr__(self) -> str:
        return f"<Lease {self._lease_id} of {self.sandbox_id} for {self.session_id}>"

    @property
    def link(self) -> LinkT:
        """The open link to the runner. Reading it makes the sandbox used: released, it is destroyed."""
        self._used = True
        return self._link

    def confirm(self) -> None:
        """Note that the session has the sandbox; both end together now.

        Raises :class:`SandboxLostBeforeStartError` when the sandbox has died or was taken back meanwhile:
        nothing was recorded, another may be acquired.
        """
        self._keeper.confirm(self.sandbox_id, self._lease_id)

    async def release(self, reason: str) -> None:
        """Give the sandbox back: unused it is READY again, else it is destroyed. Idempotent, never waits."""
        self._keeper.release(self.sandbox_id, self._lease_id, reason, used=self._used)
