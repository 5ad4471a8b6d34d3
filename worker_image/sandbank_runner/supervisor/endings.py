"""How an operation ended whose interpreter is gone: by itself, by its policy, or with what it ran in."""

from __future__ import annotations

from collections.abc import Iterable

from sandbank.v1.execution_pb2 import ExecutionError

from sandbank_runner.supervisor import verdicts
from sandbank_runner.supervisor.going_back import Arrival
from sandbank_runner.supervisor.interpreters import Death
from sandbank_runner.supervisor.operations import End, Operation
from sandbank_runner.supervisor.reporting import Running


def stopped(ended: Iterable[Running], death: Death) -> Operation | None:
    """Return the operation that the interpreter was killed for, where it was killed to stop one."""
    why = death.interpreter.killed_for
    for operation in (running.record.operation for running in ended):
        if operation.stop is not None and operation.stop.value == why:
            return operation
    return None


def with_interpreter(
    running: Running, arrival: Arrival, grace: float, stopped_one: Operation | None = None
) -> tuple[End, ExecutionError | None]:
    """Note in the operation what there is to say of it, and return how it ended and with what error.

    ``stopped_one`` is the one that the interpreter was killed for, where it was killed to stop one.
    """
    operation, death, done = running.record.operation, arrival.death, running.done
    restored = death.restored
    if restored is not None:
        operation.state_after = restored.point.mark.state
    if not death.was_reset:
        operation.warnings += verdicts.notices(operation, death, exactly=arrival.exactly)
    if death.with_files:
        operation.files_changed, operation.files_changed_truncated = (), False
    elif done is None and restored is not None and restored.point.mark.state == operation.base:
        woken = restored.woken
        operation.files_changed, operation.files_changed_truncated = woken.files, woken.files_truncated
    if done is not None:
        return End.RETURNED if done.ok else End.RAISED, done.error
    if operation.stop is not None and arrival.swept_away_by:
        return End.KILLED, verdicts.cancelled_by(arrival.swept_away_by)
    consequence = verdicts.consequence(operation, restored)
    if operation.stop is not None and death.interpreter.killed_for:
        return End.KILLED, verdicts.killed(operation.stop, operation.timeout, grace, consequence)
    cause = death.cause if stopped_one is None else verdicts.killed_for_another(stopped_one)
    return End.DIED, verdicts.died(cause, consequence)
