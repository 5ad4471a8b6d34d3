"""Values far larger than a message, and what does not go as planned on their way; through the whole path."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from sandbank import Client, Session, reasons
from sandbank.events import Finished, Started
from sandbank.v1 import session_pb2, state_pb2

from tests.raw_api import Api
from tests.sandboxes import kill_sandbox
from tests.server_process import ServerProcess

MEGABYTE = 1 << 20
BUFFERS_BYTES = 96 * MEGABYTE
"""What gRPC may take from a fast client before anybody asks for it, and as much again for the allocator's sake."""
JSON = state_pb2.VALUE_FORMAT_JSON


class Flow:
    """A value that goes on until it is released; ``begun`` once more has gone than lies in any buffer on the way."""

    def __init__(self, session: Session, name: str) -> None:
        self._header = state_pb2.ImportVariableHeader(session_id=session.session_id, name=name, format=JSON)
        self.begun, self.release = threading.Event(), threading.Event()

    def messages(self) -> Iterator[state_pb2.ImportVariableRequest]:
        """Return what a client sends."""
        yield state_pb2.ImportVariableRequest(header=self._header)
        yield state_pb2.ImportVariableRequest(chunk=b'"')
        for _ in range(48):
            yield state_pb2.ImportVariableRequest(chunk=b"y" * MEGABYTE)
        self.begun.set()
        self.release.wait(60)
        yield state_pb2.ImportVariableRequest(chunk=b'"')


def memory_of(server: ServerProcess, field: str) -> int:
    """Return a figure of the control plane's memory in bytes: VmRSS, or its peak, VmHWM."""
    assert server.process is not None
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(field)


def forget_peak(server: ServerProcess) -> int:
    """Have the peak counted anew; return the memory now."""
    assert server.process is not None
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")
    return memory_of(server, "VmRSS")


def pass_through(server: ServerProcess, session: Session, file: Path, value_format: str) -> tuple[int, int]:
    """Have x leave and come back as y; return by how much the control plane grew at most, each way."""
    before = forget_peak(server)
    session.export_variable("x", file, format=value_format)
    out = memory_of(server, "VmHWM") - before
    before = forget_peak(server)
    session.import_variable("y", file, format=value_format)
    return out, memory_of(server, "VmHWM") - before


def test_memory_of_the_control_plane_stays_flat(
    session: Session, server: ServerProcess, tmp_path: Path
) -> None:
    """192 MB pass through it, out and in; what it holds of them is what lies in buffers."""
    if server.runtime == "docker":
        pytest.skip("a sandbox of `slim` does not hold as much; a larger one does in the long suite")
    file = tmp_path / "x.json"
    session.run("x = 'w' * 16_000_000")
    pass_through(server, session, file, "json")  # what is needed for any value is there then
    session.run("x = 'x' * 192_000_000")
    out, back = pass_through(server, session, file, "json")
    assert file.stat().st_size == 192_000_002
    assert session.run("x == y and len(y)").value == 192_000_000
    assert max(out, back) < BUFFERS_BYTES, (out, back)


@pytest.mark.long
def test_a_table_of_a_gigabyte_passes(client: Client, server: ServerProcess, tmp_path: Path) -> None:
    """Out of one session and into another, with the same bound for the control plane."""
    template = "data" if server.runtime == "docker" else "slim"
    file = tmp_path / "x.arrow"
    with client.session(template=template) as session:
        session.run("import numpy, pyarrow\nx = pyarrow.table({'x': numpy.arange(1000)})")
        pass_through(server, session, file, "arrow")
        session.run("x = pyarrow.table({name: numpy.arange(32 << 20) for name in 'abcd'}); del y")
        before = forget_peak(server)
        session.export_variable("x", file)
        assert file.stat().st_size > 1 << 30
        assert memory_of(server, "VmHWM") - before < BUFFERS_BYTES
        total = session.run("int(x['d'][-1].as_py())").value
    with client.session(template=template) as other:
        before = forget_peak(server)
        change = other.import_variable("y", file)
        assert change is not None
        assert (change.type_name, change.size_bytes > 1 << 30) == ("pyarrow.lib.Table", True)
        assert memory_of(server, "VmHWM") - before < BUFFERS_BYTES
        assert other.run("[y.num_rows, int(y['d'][-1].as_py())]").value == [32 << 20, total]


def test_a_client_that_goes_away_in_the_middle_binds_nothing(session: Session, api: Api) -> None:
    """And the session goes on at once."""
    session.run("x = 'before'")
    flow = Flow(session, "x")
    call = api.state.ImportVariable.future(flow.messages())
    assert flow.begun.wait(60)
    call.cancel()
    flow.release.set()
    assert session.run("x", timeout=30).value == "before"


def test_a_client_that_stops_listening_holds_nobody_up(session: Session, api: Api) -> None:
    """What it was sent for is ended; others read, export and run meanwhile."""
    session.run("x = 'x' * 40_000_000; y = 1")
    request = state_pb2.ExportVariableRequest(session_id=session.session_id, name="x", format=JSON)
    calls = [api.state.ExportVariable(request) for _ in range(2)]  # as many as a sandbox makes at once
    for call in calls:
        assert next(call).header.mime_type == "application/json"
        assert len(next(call).chunk) == MEGABYTE
    assert session.run("y + 1").value == 2
    assert session.get("y").value == 1
    for call in calls:
        call.cancel()
    assert session.export_variable("y", format="json").value == 1


def test_an_import_that_waits_is_withdrawn_with_its_call(session: Session, api: Api) -> None:
    """Its turn comes and nothing happens: also not later."""
    session.files.upload(b"", "wait")
    running = iter(session.execute("import os, time\nwhile os.path.exists('wait'): time.sleep(.005)"))
    assert isinstance(next(running), Started)
    request = state_pb2.SetVariableRequest(session_id=session.session_id, name="x", json="1")
    for _ in range(17):  # more than the connections that nobody has named yet
        with pytest.raises(grpc.RpcError) as caught:
            api.state.SetVariable(request, timeout=0.2)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    with ThreadPoolExecutor(4) as pool:
        others = [pool.submit(session.set, f"y{number}", number) for number in range(4)]
        session.files.delete("wait")
        assert isinstance(list(running)[-1], Finished)
        for other in others:
            other.result(60)
    began = time.monotonic()
    assert session.run("['x' in globals(), y0, y1, y2, y3]").value == [False, 0, 1, 2, 3]
    assert time.monotonic() - began < 20


def test_a_reset_ends_what_is_on_its_way(session: Session, api: Api) -> None:
    """The import is refused, and binds nothing in the pristine interpreter."""
    flow = Flow(session, "x")
    call = api.state.ImportVariable.future(flow.messages())
    assert flow.begun.wait(60)
    session.reset()
    flow.release.set()
    error = call.exception(timeout=60)
    assert error is not None
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert session.run("'x' in globals()").value is False


def test_a_sandbox_that_dies_in_the_middle_is_told(client: Client, server: ServerProcess, api: Api) -> None:
    """To who exports and to who imports; neither hangs."""
    with client.session(template="slim", recovery_policy="manual") as session:
        session.run("x = 'x' * 40_000_000")
        request = state_pb2.ExportVariableRequest(session_id=session.session_id, name="x", format=JSON)
        export = api.state.ExportVariable(request)
        next(export)
        flow = Flow(session, "y")
        call = api.state.ImportVariable.future(flow.messages())
        assert flow.begun.wait(60)
        kill_sandbox(server, session.refresh().sandbox_id)
        error = call.exception(timeout=60)
        flow.release.set()
        assert error is not None
        assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.FAILED_PRECONDITION)
        with pytest.raises(grpc.RpcError) as caught:
            for _ in export:
                pass
        assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.FAILED_PRECONDITION)
        for event in session.events():
            if event.session_changed.state == session_pb2.Session.STATE_CRASHED:
                break
        with pytest.raises(reasons.SessionCrashed):
            session.set("x", 1)
