"""Reading variables through the whole path, on each runtime."""

from __future__ import annotations

import json
import time

import pytest
from sandbank import Client, Session
from sandbank.v1 import execution_pb2, state_pb2, transaction_pb2, variable_pb2
from sandbank_runner.walls import landlock

from tests.raw_api import Api, refused
from tests.sandboxes import kill_sandbox
from tests.server_process import ServerProcess

WAITS = "\nimport os, time\nprint('waits', flush=True)\nwhile os.path.exists('wait'): time.sleep(.005)\n"


def listing(api: Api, session: Session, **fields: object) -> state_pb2.ListVariablesResponse:
    """List variables."""
    request = state_pb2.ListVariablesRequest(session_id=session.session_id, **fields)
    answer: state_pb2.ListVariablesResponse = api.state.ListVariables(request)
    return answer


def previews(api: Api, session: Session, **fields: object) -> dict[str, str]:
    """List variables; return their previews by name."""
    return {variable.name: variable.preview for variable in listing(api, session, **fields).variables}


def value(api: Api, session: Session, name: str, **fields: object) -> state_pb2.GetVariableResponse:
    """Read one."""
    request = state_pb2.GetVariableRequest(session_id=session.session_id, name=name, **fields)
    answer: state_pb2.GetVariableResponse = api.state.GetVariable(request)
    return answer


def as_of(answer: state_pb2.ListVariablesResponse) -> tuple[str, bool]:
    """Return what an answer says of the state that it saw."""
    return answer.as_of.operation_id, answer.as_of.stale


def start(api: Api, session: Session, code: str, **fields: object) -> str:
    """Begin an operation that waits for a file to go; return its id once it waits."""
    session.files.upload(b"", "wait")
    request = execution_pb2.ExecuteRequest(session_id=session.session_id, code=code, **fields)
    events = api.execution.Execute(request)
    for event in events:
        if event.WhichOneof("event") == "output":
            return str(event.operation_id)
    raise AssertionError("it ended")


def finish(api: Api, session: Session, operation_id: str) -> execution_pb2.Operation:
    """Let it go on; wait for its end."""
    session.files.delete("wait")
    request = execution_pb2.WatchOperationRequest(session_id=session.session_id, operation_id=operation_id)
    for event in api.execution.WatchOperation(request):
        if event.WhichOneof("event") == "finished":
            return event.finished.operation
    raise AssertionError("no end")


def test_variables_are_listed_and_read(session: Session, api: Api) -> None:
    """By name, with type, size, extent and the beginning of their text; the value in the format asked for."""
    assert listing(api, session).variables == []
    operation = session.run("n = 1\ntable = {'k': [1, 2.5, None]}\n_hidden = 2").operation
    answer = listing(api, session)
    assert [(each.name, each.type_name, each.preview) for each in answer.variables] == [
        ("n", "int", "1"),
        ("table", "dict", "{'k': [1, 2.5, None]}"),
    ]
    assert answer.variables[0].size_bytes == 28
    assert (answer.variables[1].length, answer.variables[0].HasField("length")) == (1, False)
    assert as_of(answer) == (operation.operation_id, False)
    assert previews(api, session, include_private=True, name_prefix="_") == {"_hidden": "2"}
    found = value(api, session, "table")
    assert (found.data, found.mime_type) == (b"{'k': [1, 2.5, None]}", "text/plain")
    assert found.variable == answer.variables[1]
    found = value(api, session, "table", format="VALUE_FORMAT_JSON")
    assert (json.loads(found.data), found.mime_type) == ({"k": [1, 2.5, None]}, "application/json")


def test_pages_go_on_where_the_last_ended(session: Session, api: Api) -> None:
    """All of them, each once; a token belongs to its listing."""
    session.run("globals().update({f'v{n:04}': n for n in range(2345)})")
    names: list[str] = []
    token = ""
    while True:
        answer = listing(api, session, page_size=1000, page_token=token, name_prefix="v")
        names += [each.name for each in answer.variables]
        token = answer.next_page_token
        if not token:
            break
    assert names == [f"v{n:04}" for n in range(2345)]
    first = listing(api, session, page_size=10, name_prefix="v")
    with refused("INVALID_ARGUMENT", "BAD_FIELD", "page_token"):
        listing(api, session, page_token=first.next_page_token, name_prefix="v1")


def test_what_cannot_be_had_says_why(session: Session, api: Api) -> None:
    """Each row of the table of errors that is a read's."""
    session.run("n = {1: 2}\nlong = 'x' * 10_000")
    with refused("NOT_FOUND", "VARIABLE_NOT_FOUND"):
        value(api, session, "absent")
    with refused("FAILED_PRECONDITION", "FORMAT_UNAVAILABLE"):
        value(api, session, "n", format="VALUE_FORMAT_JSON")
    with refused("RESOURCE_EXHAUSTED", "TOO_LARGE") as found:
        value(api, session, "long", max_bytes=1000)
    assert found[0].metadata["limit_bytes"] == "1000"
    with refused("FAILED_PRECONDITION", "NO_SUCH_TRANSACTION"):
        listing(api, session, transaction_id="never-was")
    with refused("FAILED_PRECONDITION", "FORMAT_UNAVAILABLE"):
        value(api, session, "n", format="VALUE_FORMAT_ARROW")


def test_a_running_operation_is_read_by_the_state_before_it(session: Session, api: Api) -> None:
    """At once, and `stale` says that something runs."""
    first = session.run("n = 1").operation.operation_id
    running = start(api, session, "n = 2" + WAITS, tx_policy=transaction_pb2.TX_POLICY_ROLLBACK_ON_FAILURE)
    answer = listing(api, session)
    assert ({each.name: each.preview for each in answer.variables}["n"], as_of(answer)) == (
        "1",
        (first, True),
    )
    assert value(api, session, "n").data == b"1"
    finish(api, session, running)
    answer = listing(api, session)
    assert ({each.name: each.preview for each in answer.variables}["n"], as_of(answer)) == (
        "2",
        (running, False),
    )


def test_without_a_snapshot_a_running_session_is_busy(client: Client, api: Api) -> None:
    """SESSION_BUSY with a delay after which to try again."""
    with client.session(template="slim", snapshots=False) as session:
        session.run("n = 1")
        running = start(api, session, "n = 2" + WAITS)
        with refused("UNAVAILABLE", "SESSION_BUSY") as found:
            listing(api, session)
        assert found[0].retry_seconds
        finish(api, session, running)
        assert previews(api, session)["n"] == "2"


def test_a_transaction_is_seen_by_who_names_it(session: Session, api: Api) -> None:
    """Everybody else sees the state before it until it commits."""
    first = session.run("n = 1").operation.operation_id
    with session.transaction() as transaction:
        member = transaction.run("n = 2").operation.operation_id
        name = transaction.transaction_id
        outside, inside = listing(api, session), listing(api, session, transaction_id=name)
        assert (previews(api, session)["n"], as_of(outside)) == ("1", (first, True))
        assert (previews(api, session, transaction_id=name)["n"], as_of(inside)) == ("2", (member, False))
    assert previews(api, session)["n"] == "2"


def test_hostile_variables_cost_their_own_preview(session: Session, api: Api) -> None:
    """A loop, a hang in C, a crash, an error and a gigabyte: the rest is described, and the session lives on."""
    session.run(
        "import os, ctypes\n"
        "def hostile(body):\n    return type('Hostile', (), {'__repr__': lambda self: body()})()\n"
        "def forever():\n    while True: pass\n"
        "a = hostile(forever)\nb = hostile(lambda: str(sum(range(10 ** 13))))\n"
        "c = hostile(lambda: ctypes.string_at(0))\nd = hostile(lambda: 1 / 0)\n"
        "e = hostile(lambda: 'x' * (1 << 30))\nz = [1, 2, 3]"
    )
    found = previews(api, session)
    assert found["z"] == "[1, 2, 3]"
    assert found["a"] == "<preview unavailable: repr took too long>"
    assert found["b"] == "<preview unavailable: repr took too long>"
    assert found["c"] == "<preview unavailable: repr ended its process: killed by SIGSEGV>"
    assert found["d"] == "<repr failed: ZeroDivisionError: division by zero>"
    assert found["e"] == "<repr failed: MemoryError>"
    with refused("FAILED_PRECONDITION", "FORMAT_UNAVAILABLE"):
        value(api, session, "c")
    assert session.run("z").value == [1, 2, 3]


def test_a_reader_starts_nothing_and_changes_nothing(
    session: Session, api: Api, server: ServerProcess
) -> None:
    """Neither variables, files nor processes: what its code does, it does to a copy that has nobody beside it."""
    session.run(
        "import os, threading\nn = 0\n"
        "class Counts:\n    def __repr__(self):\n        global n\n        n += 1\n        return str(n)\n"
        "class Writes:\n    def __repr__(self):\n        open('made', 'w').close()\n        return 'wrote'\n"
        "class Forks:\n    def __repr__(self):\n        if os.fork() == 0:\n            import time; time.sleep(600)\n"
        "        return 'forked'\n"
        "class Threads:\n    def __repr__(self):\n        threading.Thread(target=print).start()\n"
        "        return 'threaded'\n"
        "class Kills:\n    def __repr__(self):\n        os.kill(-1, 9)\n        return 'killed'\n"
        "c, w = Counts(), Writes()"
    )
    assert previews(api, session)["c"] == "1"
    assert previews(api, session)["c"] == "1"
    if server.runtime == "docker":  # there user code is no root, and the kernel has what it takes
        interpreter = session.run("f, t, k = Forks(), Threads(), Kills()\nos.getpid()").value
        found = previews(api, session)
        assert found["w"].startswith("<repr failed: PermissionError")
        assert found["f"].startswith("<repr failed: BlockingIOError")
        assert found["t"].startswith("<repr failed: RuntimeError")
        if (
            landlock.version() >= 6
        ):  # before, a copy can signal the interpreter as any process of the user can
            assert session.run("os.getpid()").value == interpreter
        assert session.run("os.path.exists('made')").value is False
    assert session.run("n").value == 0


def test_arrays_and_tables_are_described(client: Client, api: Api, server: ServerProcess) -> None:
    """Shape, element type, and size with their buffers."""
    if server.runtime != "docker":
        pytest.skip("the local runtime has no template with NumPy")
    with client.session(template="data") as session:
        session.run(
            "import numpy, pandas\na = numpy.zeros((1000, 1000))\nv = a[::2]\n"
            "t = pandas.DataFrame({'x': range(1000), 'y': 'text'})"
        )
        found = {each.name: each for each in listing(api, session).variables}
        assert (list(found["a"].shape), found["a"].dtype, found["a"].length) == (
            [1000, 1000],
            "float64",
            1000,
        )
        assert 8_000_000 <= found["v"].size_bytes <= 8_001_000
        assert (list(found["t"].shape), found["t"].dtype, found["t"].length) == ([1000, 2], "", 1000)
        assert found["t"].size_bytes > 16_000
        table = value(api, session, "t", format="VALUE_FORMAT_MIME")
        assert (table.mime_type, b"<table" in table.data) == ("text/html", True)


def test_a_crashed_session_cannot_be_read(client: Client, api: Api, server: ServerProcess) -> None:
    """SESSION_CRASHED, and after its end SESSION_TERMINATED."""
    with client.session(template="slim", checkpoint_policy="none") as session:
        session.run("n = 1")
        kill_sandbox(server, session.refresh().sandbox_id)
        give_up = time.monotonic() + 30
        while session.refresh().state != session.refresh().STATE_CRASHED:
            assert time.monotonic() < give_up
        with refused("FAILED_PRECONDITION", "SESSION_CRASHED"):
            listing(api, session)
        name = session.session_id
    with refused("FAILED_PRECONDITION", "SESSION_TERMINATED"):
        api.state.ListVariables(state_pb2.ListVariablesRequest(session_id=name))


def test_a_read_is_a_use_of_the_session(session: Session, api: Api) -> None:
    """`last_active_time` moves."""
    before = session.refresh().last_active_time.ToNanoseconds()
    assert listing(api, session).as_of == variable_pb2.AsOf()
    assert session.refresh().last_active_time.ToNanoseconds() > before
