"""StateService: what a request must be before a session is looked for, and what is not built yet."""

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.message import Message
from sandbank.v1 import state_pb2
from sandbank_server.errors import SessionNotFoundError
from sandbank_server.grpc_api.limits import RequestLimits
from sandbank_server.grpc_api.paging import PageTokens
from sandbank_server.grpc_api.state_service import StateService

from tests.grpc.frame.conftest import Details, Serve, Served, details_of

STATE = state_pb2.DESCRIPTOR.services_by_name["StateService"]
BUILT = ("ListVariables", "GetVariable")
UNBUILT = [method.name for method in STATE.methods if method.name not in BUILT]


class NoSessions:
    """A manager without any session."""

    async def usable(self, _tenant: str, session_id: str) -> Any:
        """Find none."""
        raise SessionNotFoundError("no session", resource=session_id)


@pytest.fixture
async def served(serve: Serve) -> Served:
    """A server without sessions."""
    service = StateService(NoSessions(), RequestLimits(), PageTokens(b"key"))  # type: ignore[arg-type]
    return await serve({STATE: service})


async def refused(served: Served, method: str, request: Message) -> Details:
    """Call what will be refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.unary(f"/sandbank.v1.StateService/{method}")(request.SerializeToString())
    return details_of(caught.value)


BAD: dict[str, tuple[str, Message, str]] = {
    "no session": ("ListVariables", state_pb2.ListVariablesRequest(), "session_id"),
    "a bad transaction": (
        "ListVariables",
        state_pb2.ListVariablesRequest(session_id="s", transaction_id="a b"),
        "transaction_id",
    ),
    "a negative page": (
        "ListVariables",
        state_pb2.ListVariablesRequest(session_id="s", page_size=-1),
        "page_size",
    ),
    "a forged token": (
        "ListVariables",
        state_pb2.ListVariablesRequest(session_id="s", page_token="AAAA"),
        "page_token",
    ),
    "a long prefix": (
        "ListVariables",
        state_pb2.ListVariablesRequest(session_id="s", name_prefix="x" * 1001),
        "name_prefix",
    ),
    "no name": ("GetVariable", state_pb2.GetVariableRequest(session_id="s"), "name"),
    "a long name": ("GetVariable", state_pb2.GetVariableRequest(session_id="s", name="x" * 1001), "name"),
    "an unknown format": (
        "GetVariable",
        state_pb2.GetVariableRequest(session_id="s", name="x", format=99),  # type: ignore[arg-type]
        "format",
    ),
    "a negative bound": (
        "GetVariable",
        state_pb2.GetVariableRequest(session_id="s", name="x", max_bytes=-1),
        "max_bytes",
    ),
    "a bound over the message limit": (
        "GetVariable",
        state_pb2.GetVariableRequest(session_id="s", name="x", max_bytes=1 << 30),
        "max_bytes",
    ),
}


@pytest.mark.parametrize(("method", "request_", "field"), BAD.values(), ids=BAD)
async def test_a_bad_field_is_named(served: Served, method: str, request_: Message, field: str) -> None:
    """Before the session is looked for."""
    details = await refused(served, method, request_)
    assert details.info.reason in ("BAD_FIELD", "BAD_ID")
    assert details.bad_request is not None
    assert [violation.field for violation in details.bad_request.field_violations] == [field]


async def test_a_session_that_is_not_there_is_not_found(served: Served) -> None:
    """By both."""
    for method, request in (
        ("ListVariables", state_pb2.ListVariablesRequest(session_id="s")),
        ("GetVariable", state_pb2.GetVariableRequest(session_id="s", name="x")),
    ):
        assert (await refused(served, method, request)).info.reason == "SESSION_NOT_FOUND"


async def test_arrow_is_not_built_yet(served: Served) -> None:
    """It says so."""
    request = state_pb2.GetVariableRequest(session_id="s", name="x", format=state_pb2.VALUE_FORMAT_ARROW)
    details = await refused(served, "GetVariable", request)
    assert (details.info.reason, details.info.metadata["field"]) == ("NOT_SUPPORTED", "format")


@pytest.mark.parametrize("method", UNBUILT)
async def test_what_is_not_built_yet_says_so(served: Served, method: str) -> None:
    """Each answers NOT_SUPPORTED; none is silent."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.unary(f"/sandbank.v1.StateService/{method}")(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    details = details_of(caught.value)
    assert details.info.reason == "NOT_SUPPORTED"
    assert details.info.metadata["method"].endswith(method)
