"""The errors that the supervisor itself gives an operation, where no code of the user's raised one."""

from __future__ import annotations

from sandbank.v1.execution_pb2 import ExecutionError

from sandbank_runner.supervisor.operations import Stop


def queue_full(limit: int) -> ExecutionError:
    """Return why an operation was not even queued."""
    return ExecutionError(
        type_name="OperationQueueFull", message=f"{limit} operations are queued already; it did not run"
    )


def cancelled_in_queue() -> ExecutionError:
    """Return why a queued operation never ran."""
    return ExecutionError(type_name="OperationCancelled", message="cancelled before it began")


def killed(stop: Stop, timeout: float, grace: float, reset: bool) -> ExecutionError:
    """Return why the interpreter was killed under an operation."""
    if reset:
        return ExecutionError(type_name="OperationCancelled", message="cancelled by a reset of the session")
    return ExecutionError(
        type_name=_type_name(stop),
        message=f"{_cause(stop, timeout)}; it did not react to an interrupt within {grace:g} s, "
        "so the interpreter was killed and its variables are gone",
    )


def died(cause: str) -> ExecutionError:
    """Return why an operation crashed; ``cause`` is one of ``process_death``."""
    return ExecutionError(
        type_name="InterpreterDied", message=f"the interpreter died ({cause}) and its variables are gone"
    )


def explain_interrupt(error: ExecutionError, stop: Stop, timeout: float) -> None:
    """Say in the KeyboardInterrupt that stopped the code why it came; anything else it raised speaks for itself."""
    if error.type_name == "KeyboardInterrupt" and not error.message:
        error.message = _cause(stop, timeout)


def _type_name(stop: Stop) -> str:
    return "OperationTimedOut" if stop is Stop.TIMEOUT else "OperationCancelled"


def _cause(stop: Stop, timeout: float) -> str:
    return f"timed out after {timeout:g} s" if stop is Stop.TIMEOUT else "cancelled"
