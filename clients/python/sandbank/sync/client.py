"""The way into a Sandbank server from ordinary programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self, Unpack

from sandbank import calls, requests, rpc
from sandbank.facade import ClientBase
from sandbank.sync.session import Session
from sandbank.sync.transport import Transport
from sandbank.v1 import checkpoint_pb2, info_pb2, pool_pb2, session_pb2


class Client(ClientBase):
    """A connection to a server; safe to share between threads.

    `address` is `host:port` (else the environment's SANDBANK_ADDRESS, else 127.0.0.1:50051); the other
    arguments are those of `Connection`. Close it, or use it as a context manager.
    """

    def __init__(self, address: str | None = None, **options: Any) -> None:
        super().__init__(address, **options)
        self._transport = Transport(self.connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection. Sessions and operations go on."""
        self._transport.close()

    def session(self, **options: Unpack[requests.SessionOptions]) -> Session:
        """Create a session. As a context manager it is deleted at the end of the block."""
        info, restored = self._transport.call(calls.create_session(options))
        return Session(self._transport, info, owned=True, restored=restored)

    def attach(self, session_id: str) -> Session:
        """Use a session that exists already. As a context manager it stays."""
        return Session(self._transport, self.get_session(session_id), owned=False)

    def get_session(self, session_id: str) -> session_pb2.Session:
        """Describe a session, in every state."""
        return self._transport.call(calls.get_session(session_id))

    def sessions(
        self,
        *,
        labels: Mapping[str, str] | None = None,
        states: Iterable[str | int] = (),
        page_size: int = 0,
    ) -> Iterator[session_pb2.Session]:
        """Describe all sessions that have these labels and states, fetched page by page."""
        return self._transport.pages(calls.list_sessions(labels, states, page_size))

    def delete_session(self, session_id: str) -> None:
        """End a session; one that has ended already is no error."""
        self._transport.call(calls.delete_session(session_id))

    def info(self) -> info_pb2.GetServerInfoResponse:
        """Describe the server: version, runtime, limits, features."""
        return self._transport.call(calls.server_info())

    def templates(self) -> list[info_pb2.Template]:
        """Describe all templates that sessions can be created from."""
        return self._transport.call(calls.list_templates())

    def template(self, name: str = "") -> info_pb2.Template:
        """Describe one template; the default one without a name."""
        return self._transport.call(calls.get_template(name))

    def pool(self, template: str = "") -> pool_pb2.Pool:
        """Read the pool of one template; of the default one without a name."""
        return self._transport.call(calls.get_pool(template))

    def pools(self) -> list[pool_pb2.Pool]:
        """Read all pools."""
        return self._transport.call(calls.list_pools())

    def resize_pool(self, template: str = "", *, min_ready: int = 0, max_total: int = 0) -> pool_pb2.Pool:
        """Change a pool's size; 0 means as configured."""
        return self._transport.call(calls.resize_pool(template, min_ready, max_total))

    def checkpoints(self, *, page_size: int = 0) -> Iterator[checkpoint_pb2.Checkpoint]:
        """Iterate over all checkpoints, newest first, those of sessions that have ended too."""
        return self._transport.pages(calls.list_checkpoints("", page_size))

    def checkpoint(self, checkpoint_id: str) -> checkpoint_pb2.Checkpoint:
        """Describe a checkpoint with its variables and files."""
        return self._transport.call(calls.get_checkpoint(checkpoint_id))

    def delete_checkpoint(self, checkpoint_id: str) -> None:
        """Forget a checkpoint."""
        self._transport.call(calls.delete_checkpoint(checkpoint_id))

    def sandboxes(self, template: str = "", *, page_size: int = 0) -> Iterator[pool_pb2.Sandbox]:
        """Describe the sandboxes of one template's pool, or of all, fetched page by page."""
        return self._transport.pages(calls.list_sandboxes(template, page_size))

    def watch_pool(self, template: str = "") -> Iterator[pool_pb2.PoolEvent]:
        """Iterate over the changes of one template's pool, or of all, from its state now on."""
        return self._transport.stream(rpc.WATCH_POOL, pool_pb2.WatchPoolRequest(template=template))
