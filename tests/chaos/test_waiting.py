"""Operations that wait for input, and streams, when the control plane or the sandbox goes."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from sandbank import Client
from sandbank.v1 import execution_pb2 as ex

from tests.conftest import RUNTIMES
from tests.interact_stream import Stream, interacting
from tests.raw_api import Api, connected, refusal, refused
from tests.sandboxes import kill_sandbox
from tests.server_process import ServerProcess, serving

Operation = ex.Operation


@pytest.fixture(params=RUNTIMES)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A control plane of the test's own, to be killed."""
    process = ServerProcess(
        request.param, tmp_path_factory.mktemp("server"), ("--min-ready", "slim=1,data=0")
    )
    with serving(process):
        yield process


@pytest.fixture
def session_id(server: ServerProcess) -> str:
    """A session that outlives its control plane."""
    with Client(server.address) as client:
        return client.session(template="slim").session_id


def _ask(api: Api, session_id: str, operation_id: str, code: str) -> tuple[grpc.Call, ex.InputRequest]:
    request = ex.ExecuteRequest(session_id=session_id, operation_id=operation_id, code=code, allow_input=True)
    events = api.execution.Execute(request)
    for event in events:
        if event.WhichOneof("event") == "input_request":
            return events, event.input_request
    raise AssertionError("it did not ask")


def _provide(api: Api, session_id: str, operation_id: str, input_id: str, text: str) -> None:
    api.execution.ProvideInput(
        ex.ProvideInputRequest(session_id=session_id, operation_id=operation_id, input_id=input_id, text=text)
    )


def test_a_question_outlives_the_control_plane(server: ServerProcess, session_id: str) -> None:
    """The next one shows the operation waiting, replays the question and takes the answer, once."""
    with connected(server.address) as api:
        _, asked = _ask(api, session_id, "a", "print('before')\ninput('name? ')")
    server.kill()
    server.start()
    with connected(server.address) as api:
        watch = api.execution.WatchOperation(
            ex.WatchOperationRequest(session_id=session_id, operation_id="a"), timeout=60
        )
        kinds = [next(watch).WhichOneof("event") for _ in range(3)]
        assert kinds == ["started", "output", "input_request"]
        request = ex.GetOperationRequest(session_id=session_id, operation_id="a")
        assert api.execution.GetOperation(request).operation.state == Operation.STATE_WAITING_FOR_INPUT
        _provide(api, session_id, "a", asked.input_id, "Ada")
        finished = next(watch)
        assert finished.sequence == 4
        assert finished.finished.operation.result["text/plain"] == b"'Ada'"
        with refused("FAILED_PRECONDITION", "NOT_WAITING_FOR_INPUT"):
            _provide(api, session_id, "a", asked.input_id, "again")


def test_a_stream_to_the_next_control_plane_goes_on(server: ServerProcess, session_id: str) -> None:
    """A stream broke in the middle: the same requests on a new one replay, and nothing runs twice."""
    with connected(server.address) as api, interacting(api, session_id) as stream:
        stream.execute("a", "n = globals().get('n', 0) + 1\ninput('go? ')\nn", allow_input=True)
        asked = stream.until("input_request").input_request
        server.kill()
        with pytest.raises(grpc.RpcError):
            stream.next()
    server.start()
    with connected(server.address) as api, interacting(api, session_id) as stream:
        stream.execute("a", "n = globals().get('n', 0) + 1\ninput('go? ')\nn", allow_input=True)
        assert stream.until("input_request").input_request == asked
        stream.answer("a", asked.input_id, text="")
        operation = stream.until("finished").finished.operation
        assert operation.result["text/plain"] == b"1"
        assert [event.sequence for event in stream.seen] == [1, 2, 3]


def test_a_question_of_a_sandbox_that_died(server: ServerProcess, session_id: str) -> None:
    """Its operation has ended: the answer is refused, and the stream tells the end."""
    with connected(server.address) as api, interacting(api, session_id) as stream:
        stream.execute("a", "input()", allow_input=True)
        asked = stream.until("input_request").input_request
        with Client(server.address) as client:
            (sandbox,) = [each for each in client.sandboxes() if each.session_id == session_id]
        kill_sandbox(server, sandbox.sandbox_id)
        operation = stream.until("finished").finished.operation
        assert operation.state == Operation.STATE_CRASHED
        stream.answer("a", asked.input_id, text="")
        assert stream.until("rejected").rejected.reason == "NOT_WAITING_FOR_INPUT"
        stream.execute("b", "1")
        assert stream.until("rejected").rejected.reason == "SESSION_CRASHED"
        assert stream.rest() == []


def test_a_server_that_drains_lets_streams_finish(server: ServerProcess, session_id: str) -> None:
    """What is under way on them ends first; new work is rejected; then they end, idle ones at once."""
    with connected(server.address) as api, interacting(api, session_id) as busy:
        busy.execute("a", "input()", allow_input=True)
        asked = busy.until("input_request").input_request
        idle = Stream(api, session_id)
        idle.send(cancel=ex.CancelOperationRequest(session_id=session_id, operation_id="nonesuch"))
        assert idle.next().rejected.reason == "OPERATION_NOT_FOUND"
        assert server.process is not None
        server.process.terminate()
        with pytest.raises(grpc.RpcError) as caught:
            idle.next()
        assert refusal(caught.value).reason == "DRAINING"
        busy.execute("b", "1")
        assert busy.until("rejected").rejected.reason == "DRAINING"
        busy.answer("a", asked.input_id, text="done")
        assert busy.until("finished", "a").finished.operation.result["text/plain"] == b"'done'"
        with refused("UNAVAILABLE", "DRAINING"):
            busy.next()
        idle.done()
    assert server.process.wait(60) == 0
    server.process = None
