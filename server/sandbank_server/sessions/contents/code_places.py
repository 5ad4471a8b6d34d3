"""Questions about a place in code, answered inside the sandbox by a copy of the interpreter."""

from __future__ import annotations

from dataclasses import dataclass

from sandbank.v1 import state_pb2
from sandbank_runner.v1 import runner_pb2

from sandbank_server.runners.places import check_completion, check_description
from sandbank_server.sessions.contents.variables import read_state
from sandbank_server.sessions.life.session import Session


@dataclass(frozen=True, slots=True)
class CodePlace:
    """A place in code, in code points. ``transaction_id``: whose member would see what is asked about."""

    code: str
    cursor: int
    transaction_id: str


class CodePlaces:
    """Questions of one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def complete(self, place: CodePlace) -> state_pb2.CompleteResponse:
        """Return what could come next."""
        complete = runner_pb2.Read.Complete(code=place.code, cursor_position=place.cursor)
        read = runner_pb2.Read(transaction_id=place.transaction_id, complete=complete)
        return await read_state(self._session, read, lambda result: check_completion(result, place.cursor))

    async def inspect(self, place: CodePlace, detail_level: int) -> state_pb2.InspectResponse:
        """Return what is known of the thing there."""
        inspect = runner_pb2.Read.Inspect(
            code=place.code, cursor_position=place.cursor, detail_level=detail_level
        )
        read = runner_pb2.Read(transaction_id=place.transaction_id, inspect=inspect)
        return await read_state(self._session, read, check_description)
