"""What tests of recovery have in common: sessions that are saved, deaths, and what is told after them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from sandbank import Session
from sandbank.v1 import execution_pb2, session_pb2

from tests.raw_api import Api
from tests.sandboxes import kill_sandbox
from tests.server_process import ServerProcess

Operation = execution_pb2.Operation
State = session_pb2.Session

WAITING = "import os, time\nprint('on', flush=True)\nwhile not os.path.exists('go'): time.sleep(.005)\n"
"""Code that says it runs, and goes on when a file comes in."""


def outcomes(session: Session, *names: str) -> list[str]:
    """Return the outcomes of operations as they are now."""
    return [
        Operation.Outcome.Name(session.operation(name).outcome).removeprefix("OUTCOME_") for name in names
    ]


def lost(recovery: session_pb2.Recovery) -> tuple[list[str], list[str], list[str]]:
    """Return the operations, variables and files that a recovery lists."""
    return list(recovery.lost_operation_ids), list(recovery.lost_variables), list(recovery.lost_files)


def die(server: ServerProcess, session: Session) -> None:
    """End a session's sandbox from outside, and return once the session goes on in another one."""
    before = session.refresh()
    kill_sandbox(server, before.sandbox_id)
    wait_generation(session, before.generation + 1)


def wait_generation(session: Session, generation: int) -> None:
    """Wait until a session goes on in its so-manieth sandbox."""
    wait_state(session, lambda now: now.generation >= generation)


def wait_crashed(session: Session) -> session_pb2.Session:
    """Wait until a session has been given up, and return it."""
    wait_state(session, lambda now: now.state == State.STATE_CRASHED)
    return session.refresh()


def wait_state(session: Session, condition) -> None:  # type: ignore[no-untyped-def]
    """Wait until what watchers are told of a session meets a condition."""
    for event in session.events():
        if event.HasField("session_changed") and condition(event.session_changed):
            return
    raise AssertionError("the session ended")


@contextmanager
def running(api: Api, session_id: str, operation_id: str, code: str = WAITING) -> Iterator[grpc.Call]:
    """Have code run, from its first output on; the block may end what it runs in."""
    stream = submit(api, session_id, operation_id, code)
    while not next(stream).output.data:
        pass
    yield stream
    stream.cancel()


def submit(api: Api, session_id: str, operation_id: str, code: str) -> grpc.Call:
    """Send code and return its stream, once the server has recorded it."""
    request = execution_pb2.ExecuteRequest(session_id=session_id, operation_id=operation_id, code=code)
    stream = api.execution.Execute(request)
    listing = execution_pb2.ListOperationsRequest(session_id=session_id)
    while operation_id not in {
        each.operation_id for each in api.execution.ListOperations(listing).operations
    }:
        assert stream.is_active(), stream.code()
    return stream
