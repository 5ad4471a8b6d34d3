"""The fake server's side of one Interact stream."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sandbank.v1 import execution_pb2 as ex

from tests.fakes.api_acts import FakeError, Refuse, rejection

if TYPE_CHECKING:
    from tests.fakes.api_server import FakeServer


class Conversation:
    """Runs operations one after the other; answers and cancels are heard while one runs.

    A Refuse queued as sabotage of `Interact.execute` or `Interact.input` refuses the next such request.
    """

    def __init__(self, server: FakeServer, requests: Iterator[ex.InteractRequest]) -> None:
        self._server = server
        self._requests = requests
        self._waiting: queue.SimpleQueue[tuple[int, ex.InteractRequest] | None] = queue.SimpleQueue()
        self._refusals: queue.SimpleQueue[ex.OperationEvent] = queue.SimpleQueue()

    def events(self) -> Iterator[ex.OperationEvent]:
        """Answer until the client has said all and all of that is over."""
        threading.Thread(target=self._listen, daemon=True).start()
        while (taken := self._waiting.get()) is not None:
            index, request = taken
            try:
                self._interfere("Interact.execute")
                for event in self._server.Execute(request.execute):
                    while not self._refusals.empty():
                        yield self._refusals.get()
                    yield event
            except FakeError as error:
                yield rejection(index, error.act)

    def _listen(self) -> None:
        with contextlib.suppress(Exception):  # the stream broke: grpc says so with a bare Exception here
            for index, request in enumerate(self._requests, 1):
                self._server.calls.append(("Interact", request))
                if request.HasField("execute"):
                    self._waiting.put((index, request))
                    continue
                try:
                    self._answer(request)
                except FakeError as error:
                    self._refusals.put(rejection(index, error.act))
        self._waiting.put(None)

    def _answer(self, request: ex.InteractRequest) -> None:
        if request.HasField("input"):
            try:
                self._interfere("Interact.input")
            finally:  # a refused answer too: the code goes on, so that its stream does
                self._server.ProvideInput(request.input)
        else:
            self._server.CancelOperation(request.cancel)

    def _interfere(self, name: str) -> None:
        acts = self._server.sabotage[name]
        act = acts.popleft() if acts else None
        if isinstance(act, Refuse):
            raise FakeError(act)
