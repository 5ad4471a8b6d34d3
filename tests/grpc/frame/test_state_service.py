"""StateService: what a request must be before a session is looked for, and what is not built yet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.message import Message
from sandbank.v1 import state_pb2
from sandbank_server.blobs.directory import DirectoryBlobs
from sandbank_server.catalog.base import CheckpointRecord
from sandbank_server.catalog.sql import SqlCatalog
from sandbank_server.checkpoints.chunks import name_of
from sandbank_server.checkpoints.library import CheckpointLibrary
from sandbank_server.checkpoints.manifest import ManifestBuilder
from sandbank_server.clock import SystemClock
from sandbank_server.errors import SessionNotFoundError
from sandbank_server.grpc_api.limits import RequestLimits
from sandbank_server.grpc_api.paging import PageTokens
from sandbank_server.grpc_api.state_service import StateService

from tests.grpc.frame.conftest import Details, Serve, Served, details_of

STATE = state_pb2.DESCRIPTOR.services_by_name["StateService"]


class NoSessions:
    """A manager without any session."""

    async def usable(self, _tenant: str, session_id: str) -> Any:
        """Find none."""
        raise SessionNotFoundError("no session", resource=session_id)

    async def wake_from(self, _tenant: str, _checkpoint_id: str) -> None:
        """Wake none."""


@pytest.fixture
async def library(tmp_path: Path) -> AsyncIterator[CheckpointLibrary]:
    """An empty library."""
    catalog = SqlCatalog(f"sqlite:///{tmp_path}/catalog.sqlite3")
    await catalog.start()
    blobs = DirectoryBlobs(tmp_path / "blobs")
    yield CheckpointLibrary(blobs, catalog, SystemClock())
    await blobs.close()
    await catalog.close()


@pytest.fixture
async def served(serve: Serve, library: CheckpointLibrary) -> Served:
    """A server without sessions."""
    sessions: Any = NoSessions()
    return await serve({STATE: StateService(sessions, library, RequestLimits(), PageTokens(b"key"))})


def kept(checkpoint_id: str, minute: int = 0) -> CheckpointRecord:
    """Return a checkpoint of session ``s``."""
    return CheckpointRecord(
        tenant="default",
        checkpoint_id=checkpoint_id,
        session_id="s",
        create_time=datetime(2026, 5, 4, 12, minute, tzinfo=UTC),
        wall_time=timedelta(milliseconds=1),
        size_bytes=1,
        new_bytes=1,
        execution_count=1,
        last_operation_id="op",
        python_version="3.13.5",
    )


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
    "no variable to set": ("SetVariable", state_pb2.SetVariableRequest(session_id="s", json="1"), "name"),
    "a keyword": ("SetVariable", state_pb2.SetVariableRequest(session_id="s", name="for", json="1"), "name"),
    "no value": ("SetVariable", state_pb2.SetVariableRequest(session_id="s", name="x"), "value"),
    "an unknown table": (
        "SetVariable",
        state_pb2.SetVariableRequest(session_id="s", name="x", arrow=b"", arrow_as=99),  # type: ignore[arg-type]
        "arrow_as",
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


async def test_checkpoints_are_listed_by_pages_and_read_whole(
    served: Served, library: CheckpointLibrary
) -> None:
    """The newest first; variables and files only where one is read."""
    builder = ManifestBuilder()
    variable = {
        "name": "x",
        "type": "int",
        "size": 1,
        "fidelity": "EXACT",
        "reason": "",
        "digest": "",
        "shares": "g",
    }
    chunk = [name_of(b"1"), 1]
    builder.add_group({"id": "g", "variables": [variable], "uses": [], "pickle": [chunk], "buffers": []})
    manifest = builder.finish({"ambient": {}, "packages": {}, "python": "3.13.5", "execution_count": 1})
    for number in range(3):
        await library.keep(kept(f"cp-{number}", number), manifest)
    seen = []
    token = ""
    while True:
        page = state_pb2.ListCheckpointsRequest(session_id="s", page_size=2, page_token=token)
        raw = await served.unary("/sandbank.v1.StateService/ListCheckpoints")(page.SerializeToString())
        answer = state_pb2.ListCheckpointsResponse.FromString(raw)
        seen += [each.checkpoint_id for each in answer.checkpoints]
        assert not any(each.variables for each in answer.checkpoints)
        token = answer.next_page_token
        if not token:
            break
    assert seen == ["cp-2", "cp-1", "cp-0"]
    request = state_pb2.GetCheckpointRequest(checkpoint_id="cp-1")
    raw = await served.unary("/sandbank.v1.StateService/GetCheckpoint")(request.SerializeToString())
    whole = state_pb2.GetCheckpointResponse.FromString(raw).checkpoint
    assert [each.name for each in whole.variables] == ["x"]


async def test_a_checkpoint_that_is_not_there_is_not_found(
    served: Served, library: CheckpointLibrary
) -> None:
    """Nor one that was deleted."""
    await library.keep(kept("cp-1"), ManifestBuilder().manifest)
    delete = state_pb2.DeleteCheckpointRequest(checkpoint_id="cp-1")
    await served.unary("/sandbank.v1.StateService/DeleteCheckpoint")(delete.SerializeToString())
    for method, request in (
        ("DeleteCheckpoint", delete),
        ("GetCheckpoint", state_pb2.GetCheckpointRequest(checkpoint_id="cp-1")),
    ):
        assert (await refused(served, method, request)).info.reason == "CHECKPOINT_NOT_FOUND"


async def test_what_is_no_id_is_refused(served: Served) -> None:
    """Of a session, a checkpoint, a request."""
    for method, request in (
        ("Checkpoint", state_pb2.CheckpointRequest(session_id="no id")),
        ("Checkpoint", state_pb2.CheckpointRequest(session_id="s", request_id="no id")),
        ("Restore", state_pb2.RestoreRequest(session_id="s", checkpoint_id="no id")),
        ("GetCheckpoint", state_pb2.GetCheckpointRequest()),
    ):
        assert (await refused(served, method, request)).info.reason == "BAD_ID"
