"""Random programs with random failures leave the state that a model with deep copies says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from sandbank.v1 import execution_pb2, session_pb2

from tests.raw_api import Api, connected
from tests.rollback_model import SETUP, Begin, End, Model, Operation, Run, Step, programs
from tests.server_process import ServerProcess

_SETTINGS = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    "print_blob": True,
}


class Player:
    """Plays programs in one session, which is reset in between, and compares with the model after each step."""

    def __init__(self, api: Api, session_id: str) -> None:
        self._api = api
        self._session_id = session_id
        self._transaction_id = ""

    def play(self, program: list[Step]) -> None:
        """Play one program from a pristine session on."""
        self._api.sessions.ResetSession(session_pb2.ResetSessionRequest(session_id=self._session_id))
        self._transaction_id = ""
        model = Model()
        assert self._run(SETUP).state == Operation.STATE_SUCCEEDED
        for step in program:
            self._step(step, model)
            told = self._run("canonical()")
            assert told.state == Operation.STATE_SUCCEEDED, told.error.traceback_text
            assert told.result["text/plain"].decode() == repr(model.state.canonical()), step

    def _step(self, step: Step, model: Model) -> None:
        if isinstance(step, Run):
            operation = self._run(step.code, step.policy)
            expected = model.run(step)
            assert (operation.state, operation.outcome) == expected, (step, operation)
            if model.base is None:
                self._transaction_id = ""
        elif isinstance(step, Begin) and model.base is None:
            request = execution_pb2.BeginTransactionRequest(session_id=self._session_id)
            begun = self._api.execution.BeginTransaction(request)
            self._transaction_id = begun.transaction.transaction_id
            model.begin()
        elif isinstance(step, End) and model.base is not None:
            fields = {"session_id": self._session_id, "transaction_id": self._transaction_id}
            if step.commit:
                self._api.execution.CommitTransaction(execution_pb2.CommitTransactionRequest(**fields))
            else:
                self._api.execution.RollbackTransaction(execution_pb2.RollbackTransactionRequest(**fields))
            self._transaction_id = ""
            model.end(commit=step.commit)

    def _run(self, code: str, policy: int = 0) -> Operation:
        request = execution_pb2.ExecuteRequest(
            session_id=self._session_id,
            code=code,
            tx_policy=policy,  # type: ignore[arg-type]
            transaction_id=self._transaction_id,
        )
        operation = self._api.execution.Run(execution_pb2.RunRequest(execute=request)).operation
        assert isinstance(operation, Operation)
        return operation


@pytest.fixture(scope="module")
def player(server: ServerProcess) -> Iterator[Player]:
    """A session with a snapshot after each operation, so that a crash goes back to the operation before."""
    with connected(server.address) as api:
        request = session_pb2.CreateSessionRequest(
            template="slim", snapshot_policy=session_pb2.SnapshotPolicy(history_count=1)
        )
        session_id = api.sessions.CreateSession(request).session.session_id
        yield Player(api, session_id)
        api.sessions.DeleteSession(session_pb2.DeleteSessionRequest(session_id=session_id))


@settings(max_examples=100, **_SETTINGS)  # type: ignore[arg-type]
@given(program=programs)
def test_state_equals_the_model(player: Player, program: list[Step]) -> None:
    """After each step, whatever the policy and however it ended: values, sharing, order, and the outcome."""
    player.play(program)


@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(max_examples=1000, **_SETTINGS)  # type: ignore[arg-type]
@given(program=programs)
def test_state_equals_the_model_over_many_programs(player: Player, program: list[Step]) -> None:
    """The same, ten times as many."""
    player.play(program)
