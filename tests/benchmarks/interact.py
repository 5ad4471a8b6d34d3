"""`1+1` on an Interact stream that stays open."""

from __future__ import annotations

import contextlib
import itertools
import queue
from collections.abc import Callable, Iterator

from sandbank.v1 import execution_pb2

from tests.raw_api import Api


@contextlib.contextmanager
def stream(api: Api, session_id: str) -> Iterator[Callable[[], None]]:
    """Open a stream; what is yielded runs `1+1` on it and reads up to Finished."""
    requests: queue.SimpleQueue[execution_pb2.InteractRequest | None] = queue.SimpleQueue()
    events = api.execution.Interact(iter(requests.get, None))
    numbers = itertools.count()

    def run() -> None:
        execute = execution_pb2.ExecuteRequest(
            session_id=session_id, operation_id=f"interact-{next(numbers)}", code="1+1"
        )
        requests.put(execution_pb2.InteractRequest(execute=execute))
        for event in events:
            if event.HasField("finished"):
                return

    try:
        yield run
    finally:
        requests.put(None)
        events.cancel()
