"""The way into a Sandbank server from asyncio programs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Self, Unpack

from sandbank import calls, requests, rpc
from sandbank.aio.opening import Opening
from sandbank.aio.session import AsyncSession
from sandbank.aio.transport import Transport
from sandbank.facade import ClientBase
from sandbank.v1 import checkpoint_pb2, info_pb2, pool_pb2, session_pb2


class AsyncClient(ClientBase):
    """A connection to a server, of the event loop that first uses it.

    `address` is `host:port` (else the environment's SANDBANK_ADDRESS, else 127.0.0.1:50051); the other
    arguments are those of `Connection`. Close it, or use it as a context manager.
    """

    def __init__(self, address: str | None = None, **options: Any) -> None:
        super().__init__(address, **options)
        self._transport = Transport(self.connection)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection. Sessions and operations go on."""
        await self._transport.close()

    def session(self, **options: Unpack[requests.SessionOptions]) -> Opening[AsyncSession]:
        """Create a session: `await` it, or use it with `async with`, which deletes the session at the end."""
        call = calls.create_session(options)

        async def create() -> AsyncSession:
            info, restored = await self._transport.call(call)
            return AsyncSession(self._transport, info, owned=True, restored=restored)

        return Opening(create)

    def attach(self, session_id: str) -> Opening[AsyncSession]:
        """Use a session that exists: `await` it, or use it with `async with`, after which it stays."""

        async def use() -> AsyncSession:
            return AsyncSession(self._transport, await self.get_session(session_id), owned=False)

        return Opening(use)

    async def get_session(self, session_id: str) -> session_pb2.Session:
        """Describe a session, in every state."""
        return await self._transport.call(calls.get_session(session_id))

    def sessions(
        self,
        *,
        labels: Mapping[str, str] | None = None,
        states: Iterable[str | int] = (),
        page_size: int = 0,
    ) -> AsyncIterator[session_pb2.Session]:
        """Describe all sessions that have these labels and states, fetched page by page."""
        return self._transport.pages(calls.list_sessions(labels, states, page_size))

    async def delete_session(self, session_id: str) -> None:
        """End a session; one that has ended already is no error."""
        await self._transport.call(calls.delete_session(session_id))

    async def info(self) -> info_pb2.GetServerInfoResponse:
        """Describe the server: version, runtime, limits, features."""
        return await self._transport.call(calls.server_info())

    async def templates(self) -> list[info_pb2.Template]:
        """Describe all templates that sessions can be created from."""
        return await self._transport.call(calls.list_templates())

    async def template(self, name: str = "") -> info_pb2.Template:
        """Describe one template; the default one without a name."""
        return await self._transport.call(calls.get_template(name))

    async def pool(self, template: str = "") -> pool_pb2.Pool:
        """Read the pool of one template; of the default one without a name."""
        return await self._transport.call(calls.get_pool(template))

    async def pools(self) -> list[pool_pb2.Pool]:
        """Read all pools."""
        return await self._transport.call(calls.list_pools())

    async def resize_pool(
        self, template: str = "", *, min_ready: int = 0, max_total: int = 0
    ) -> pool_pb2.Pool:
        """Change a pool's size; 0 means as configured."""
        return await self._transport.call(calls.resize_pool(template, min_ready, max_total))

    def checkpoints(self, *, page_size: int = 0) -> AsyncIterator[checkpoint_pb2.Checkpoint]:
        """Iterate over all checkpoints, newest first, those of sessions that have ended too."""
        return self._transport.pages(calls.list_checkpoints("", page_size))

    async def checkpoint(self, checkpoint_id: str) -> checkpoint_pb2.Checkpoint:
        """Describe a checkpoint with its variables and files."""
        return await self._transport.call(calls.get_checkpoint(checkpoint_id))

    async def delete_checkpoint(self, checkpoint_id: str) -> None:
        """Forget a checkpoint."""
        await self._transport.call(calls.delete_checkpoint(checkpoint_id))

    def sandboxes(self, template: str = "", *, page_size: int = 0) -> AsyncIterator[pool_pb2.Sandbox]:
        """Describe the sandboxes of one template's pool, or of all, fetched page by page."""
        return self._transport.pages(calls.list_sandboxes(template, page_size))

    def watch_pool(self, template: str = "") -> AsyncIterator[pool_pb2.PoolEvent]:
        """Iterate over the changes of one template's pool, or of all, from its state now on."""
        return self._transport.stream(rpc.WATCH_POOL, pool_pb2.WatchPoolRequest(template=template))
