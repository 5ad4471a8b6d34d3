"""What the supervisor itself says of an operation: errors where no code of the user's raised one, and warnings."""

from __future__ import annotations

from sandbank.v1.execution_pb2 import ExecutionError

from sandbank_runner.supervisor.interpreters import Death, Restored
from sandbank_runner.supervisor.operations import Kind, Notice, Operation, Stop

_NAMES = 256
"""Files that a warning names."""
_SHOWN = 8
"""Files that its message names."""


def queue_full(limit: int) -> ExecutionError:
    """Return why an operation was not even queued."""
    return ExecutionError(
        type_name="OperationQueueFull", message=f"{limit} operations are queued already; it did not run"
    )


def cancelled_in_queue() -> ExecutionError:
    """Return why a queued operation never ran."""
    return ExecutionError(type_name="OperationCancelled", message="cancelled before it began")


def cancelled_by(what: str) -> ExecutionError:
    """Return why an operation ended although nobody cancelled it alone: a reset or a rewind."""
    return ExecutionError(type_name="OperationCancelled", message=f"cancelled by a {what} of the session")


def killed(stop: Stop, timeout: float, grace: float, consequence: str) -> ExecutionError:
    """Return why the interpreter was killed under an operation."""
    return ExecutionError(
        type_name=_type_name(stop),
        message=f"{_cause(stop, timeout)}; it did not react to an interrupt within {grace:g} s, "
        f"so the interpreter was killed and {consequence}",
    )


def died(cause: str, consequence: str) -> ExecutionError:
    """Return why an operation crashed; ``cause`` is one of ``process_death``."""
    return ExecutionError(
        type_name="InterpreterDied", message=f"the interpreter died ({cause}) and {consequence}"
    )


def killed_for_another(stopped: Operation) -> str:
    """Return why an interpreter was killed under operations beside the one that had to be stopped."""
    assert stopped.stop is not None
    why = "timed out" if stopped.stop is Stop.TIMEOUT else "was cancelled"
    return (
        f"killed because operation {stopped.operation_id} beside it {why} and did not react to an interrupt"
    )


def consequence(operation: Operation, restored: Restored | None) -> str:
    """Say what the session has after an interpreter that ``operation`` ran in."""
    if restored is None:
        return "its variables are gone"
    mark = restored.point.mark
    if mark.state == operation.base:
        return "the session is as it was before the operation"
    if mark.operation_id:
        return f"the session is as it was after operation {mark.operation_id}"
    return "the session is as it was at its beginning"


def notices(operation: Operation, death: Death, *, exactly: bool) -> list[Notice]:
    """Return the warnings of an operation that went with its interpreter.

    ``exactly``: the session is where it was to be.
    """
    restored = death.restored
    found: list[Notice] = []
    if not exactly and operation.kind is not Kind.NONE:
        where = consequence(operation, restored)
        found.append(Notice("SNAPSHOT_GONE", f"the snapshot before the operation was gone, and {where}"))
    return found + carried(death)


def carried(death: Death) -> list[Notice]:
    """Return what a snapshot that took over has to say, whoever is to hear it."""
    restored = death.restored
    if restored is None:
        return []
    found = list(restored.woken.warnings)
    if restored.woken.files and not death.with_files:
        names = tuple(path for path, _ in restored.woken.files[:_NAMES])
        more = "" if len(names) == len(restored.woken.files) and not restored.woken.files_truncated else ", …"
        which = ", ".join(names[:_SHOWN]) + (more if len(names) <= _SHOWN else ", …")
        found.append(Notice("FILES_NOT_ROLLED_BACK", f"files were not rolled back: {which}", names))
    return found


def explain_interrupt(error: ExecutionError, stop: Stop, timeout: float) -> None:
    """Say in the KeyboardInterrupt that stopped the code why it came; anything else it raised speaks for itself."""
    if error.type_name == "KeyboardInterrupt" and not error.message:
        error.message = _cause(stop, timeout)


def _type_name(stop: Stop) -> str:
    return "OperationTimedOut" if stop is Stop.TIMEOUT else "OperationCancelled"


def _cause(stop: Stop, timeout: float) -> str:
    return f"timed out after {timeout:g} s" if stop is Stop.TIMEOUT else "cancelled"
