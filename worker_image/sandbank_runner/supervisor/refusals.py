"""Why something cannot begin, although it was accepted: reasons of the public API."""

from __future__ import annotations

from dataclasses import dataclass

from sandbank.v1.execution_pb2 import ExecutionError

from sandbank_runner.supervisor.operations import Notice


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reason, a sentence for the user, and what it is about."""

    reason: str
    message: str
    names: tuple[str, ...] = ()

    def error(self) -> ExecutionError:
        """Return it as the error of an operation: the reason's name in CamelCase."""
        name = "".join(part.capitalize() for part in self.reason.split("_"))
        return ExecutionError(type_name=name, message=self.message)

    def notices(self) -> list[Notice]:
        """Return the warnings that go with it."""
        return [Notice("THREADS", self.message, self.names)] if self.reason == "THREADS_RUNNING" else []


SNAPSHOTS_DISABLED = Refusal(
    "SNAPSHOTS_DISABLED", "the session was created without snapshots, which this needs"
)


def transaction_open(transaction_id: str) -> Refusal:
    """Another transaction is open."""
    return Refusal(
        "TRANSACTION_OPEN",
        f"transaction {transaction_id} is open: name it, or commit or roll it back first",
        (transaction_id,),
    )


def no_such_transaction(transaction_id: str, committed: bool | None = None) -> Refusal:
    """The transaction is not open; ``committed`` says how it ended, where that is known."""
    how = {None: "is not open", True: "was committed", False: "was rolled back"}[committed]
    return Refusal("NO_SUCH_TRANSACTION", f"transaction {transaction_id} {how}", (transaction_id,))


def threads_running(names: tuple[str, ...]) -> Refusal:
    """Threads of user code are at work."""
    which = f": {', '.join(names)}" if names else ""
    return Refusal(
        "THREADS_RUNNING", f"threads of user code are at work, which a snapshot cannot hold{which}", names
    )


def no_snapshot(why: str) -> Refusal:
    """The system has no room for a snapshot."""
    return Refusal("SNAPSHOT_GONE", f"no snapshot could be taken: {why}")


def files_too_large(why: str) -> Refusal:
    """The workspace is over the bound for `include_files`."""
    return Refusal("FILES_TOO_LARGE", why)


def snapshot_gone(operation_id: str) -> Refusal:
    """There is no way back to the state after an operation."""
    return Refusal(
        "SNAPSHOT_GONE",
        f"no snapshot of the state right after operation {operation_id} is kept",
        (operation_id,),
    )


def queue_full(limit: int) -> Refusal:
    """Too much waits already."""
    return Refusal("OPERATION_QUEUE_FULL", f"{limit} operations are queued already")


def replaced(why: str) -> Refusal:
    """Likewise, for what may be tried again."""
    return Refusal("SESSION_BUSY", f"cancelled by a {why} of the session")


def swept_away(why: str) -> Refusal:
    """A reset or a rewind came before its turn."""
    return Refusal("NO_SUCH_TRANSACTION", f"cancelled by a {why} of the session")
