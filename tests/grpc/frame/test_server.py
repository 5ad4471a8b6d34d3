"""The server around the services: ports, health, reflection, draining, and the steps of every call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from sandbank.v1 import session_pb2
from sandbank_server.errors import BadCredentialsError
from sandbank_server.grpc_api.binding import bind
from sandbank_server.grpc_api.call import CallContext
from sandbank_server.grpc_api.chain import Chain
from sandbank_server.grpc_api.server import ApiServer, TlsFiles
from sandbank_server.grpc_api.steps import Authentication, DrainGate
from sandbank_server.listen import ListenError, is_loopback, refuse_open_listener
from sandbank_server.observability.context import current_context
from sandbank_server.tenants.resolver import Caller

from tests.grpc.frame.conftest import Serve, details_of

SESSIONS = session_pb2.DESCRIPTOR.services_by_name["SessionService"]
NAME = "sandbank.v1.SessionService"
GET = f"/{NAME}/GetSession"
CREATE = f"/{NAME}/CreateSession"
WATCH = f"/{NAME}/WatchSession"
HealthCheckResponse = health_pb2.HealthCheckResponse


class Sessions:
    """Keeps the last call and its log context."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.entered = asyncio.Event()

    async def GetSession(
        self, request: session_pb2.GetSessionRequest, call: CallContext
    ) -> session_pb2.GetSessionResponse:
        self.call, self.context, self.peer = call, dict(current_context()), call.peer
        return session_pb2.GetSessionResponse()

    async def CreateSession(
        self, request: session_pb2.CreateSessionRequest, call: CallContext
    ) -> session_pb2.CreateSessionResponse:
        return session_pb2.CreateSessionResponse()

    async def WatchSession(
        self, request: session_pb2.WatchSessionRequest, call: CallContext
    ) -> AsyncIterator[session_pb2.SessionEvent]:
        yield session_pb2.SessionEvent(sequence=1)
        self.entered.set()
        await self.release.wait()
        yield session_pb2.SessionEvent(sequence=2)


async def health_of(channel: grpc.aio.Channel, service: str) -> int:
    """Return the health of one service."""
    request = health_pb2.HealthCheckRequest(service=service)
    return (await health_pb2_grpc.HealthStub(channel).Check(request)).status


async def test_health_is_kept_per_service_and_ends_with_draining(serve: Serve) -> None:
    """SERVING for the whole and for each service; one can be taken out; draining takes out all."""
    served = await serve({SESSIONS: Sessions()})
    assert await health_of(served.channel, "") == HealthCheckResponse.SERVING
    await served.server.health.set_serving(NAME, False)
    assert await health_of(served.channel, NAME) == HealthCheckResponse.NOT_SERVING
    assert await health_of(served.channel, "") == HealthCheckResponse.SERVING
    await served.server.health.set_serving(NAME, True)
    assert await health_of(served.channel, NAME) == HealthCheckResponse.SERVING
    with pytest.raises(KeyError):
        await served.server.health.set_serving("nothing", True)
    await served.server.drain()
    assert await health_of(served.channel, NAME) == HealthCheckResponse.NOT_SERVING
    assert await health_of(served.channel, "") == HealthCheckResponse.NOT_SERVING


async def test_draining_refuses_new_work_and_lets_open_calls_end(serve: Serve) -> None:
    """CreateSession: UNAVAILABLE DRAINING with RetryInfo; reading works; a stream that is open goes on."""
    sessions = Sessions()
    served = await serve({SESSIONS: sessions})
    watch = served.channel.unary_stream(WATCH)(b"")
    await watch.read()
    await sessions.entered.wait()
    await served.server.drain()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.unary(CREATE)(b"")
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    details = details_of(caught.value)
    assert details.info.reason == "DRAINING"
    assert details.retry is not None
    await served.unary(GET)(b"")
    sessions.release.set()
    assert session_pb2.SessionEvent.FromString(await watch.read()).sequence == 2
    assert await watch.read() is grpc.aio.EOF


async def test_reflection_lists_the_services_and_knows_their_files(serve: Serve) -> None:
    """A tool without the protos can find out what is served."""
    served = await serve({SESSIONS: Sessions()})
    stub = reflection_pb2_grpc.ServerReflectionStub(served.channel)
    requests = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=NAME),
    ]
    answers = [answer async for answer in stub.ServerReflectionInfo(iter(requests))]
    names = {service.name for service in answers[0].list_services_response.service}
    assert {NAME, "grpc.health.v1.Health"} <= names
    assert answers[1].file_descriptor_response.file_descriptor_proto


async def test_a_call_has_its_ids_in_the_log_context(serve: Serve) -> None:
    """The client's request id where it is fit to be logged; one made here otherwise."""
    sessions = Sessions()
    served = await serve({SESSIONS: sessions})
    await served.unary(GET)(b"", metadata=[("x-request-id", "mine-1")])
    assert sessions.context == {"request_id": "mine-1", "tenant": "default"}
    await served.unary(GET)(b"", metadata=[("x-request-id", "bad id!")])
    assert sessions.context["request_id"] == "made-1"
    assert sessions.peer.startswith("ipv4:127.0.0.1:")
    assert sessions.call.peer == ""  # grpc's call is gone: asking it would crash
    assert sessions.call.remaining() is None


async def test_credentials_decide_the_tenant(serve: Serve) -> None:
    """A resolver that has to look keys up is waited for; what it refuses never reaches the servicer."""

    class Keys:
        async def resolve(self, method: str, metadata: Mapping[str, str | bytes]) -> Caller:
            await asyncio.sleep(0)
            if metadata.get("authorization") != "Bearer right":
                raise BadCredentialsError("no such key")
            return Caller("acme")

    sessions = Sessions()
    served = await serve({SESSIONS: sessions}, authentication=Authentication(Keys()))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.unary(GET)(b"")
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert details_of(caught.value).info.reason == "BAD_CREDENTIALS"
    assert not hasattr(sessions, "call")
    await served.unary(GET)(b"", metadata=[("authorization", "Bearer right")])
    assert sessions.call.tenant == "acme"
    assert sessions.context["tenant"] == "acme"


async def test_open_calls_are_bounded(serve: Serve) -> None:
    """One more than the limit is RESOURCE_EXHAUSTED QUOTA_EXCEEDED; when one ends there is room again."""
    sessions = Sessions()
    served = await serve({SESSIONS: sessions}, calls=1)
    watch = served.channel.unary_stream(WATCH)(b"")
    await watch.read()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.unary(GET)(b"")
    details = details_of(caught.value)
    assert details.info.reason == "QUOTA_EXCEEDED"
    assert details.quota is not None
    assert details.quota.violations[0].subject == "tenant:default"
    assert details.retry is not None
    sessions.release.set()
    while await watch.read() is not grpc.aio.EOF:
        pass
    await served.unary(GET)(b"")


def api() -> ApiServer:
    """Return a server that serves nothing yet."""
    return ApiServer(
        bind(Chain([], clock=time.monotonic), {}, message_bytes=1024), message_bytes=1024, gate=DrainGate()
    )


async def test_a_taken_port_is_a_clear_error() -> None:
    """Two servers never share a port."""
    first, second = api(), api()
    port = first.listen("127.0.0.1:0")
    assert port > 0
    with pytest.raises(ListenError, match="cannot listen on"):
        second.listen(f"127.0.0.1:{port}")


@pytest.mark.parametrize(
    "address", ["", "50051", "localhost", "host:port", "::1:50051", "1.2.3.4:70000", "x:-1"]
)
async def test_what_is_no_address_is_a_clear_error(address: str) -> None:
    """The text shows how one looks."""
    with pytest.raises(ListenError, match="is no address"):
        api().listen(address)


async def test_missing_tls_files_are_a_clear_error(tmp_path) -> None:
    """The text names the file."""
    tls = TlsFiles(certificate=tmp_path / "cert.pem", key=tmp_path / "key.pem")
    with pytest.raises(ListenError, match=r"key\.pem"):
        api().listen("127.0.0.1:0", tls)


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("127.0.0.1:1", True),
        ("127.8.9.1:0", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("10.0.0.1:1", False),
        ("no-such-host.invalid:1", False),
    ],
)
def test_the_local_runtime_listens_on_loopback_only(address: str, inside: bool) -> None:
    """Its sandboxes are no walls: others may reach them only when the operator says so."""
    assert is_loopback(address) is inside
    refuse_open_listener(address, runtime="docker", allowed=False)
    refuse_open_listener(address, runtime="local", allowed=True)
    if inside:
        refuse_open_listener(address, runtime="local", allowed=False)
    else:
        with pytest.raises(ListenError, match="--allow-non-loopback-local"):
            refuse_open_listener(address, runtime="local", allowed=False)
