"""Saying what died, and what went with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sandbank.v1 import session_pb2

NAMES_BYTES: Final = 256 * 1024
"""What its ids of operations, and names of files, may take: it is part of every answer that has the session in it."""

VARIABLES_BYTES: Final = 64 * 1024
"""What its names of variables may take."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What went: operations and variables in the order of what was done, and files."""

    operations: Sequence[str] = ()
    variables: Sequence[str] = ()
    files: Sequence[str] = ()
    more: bool = False
    """There were more variables than the log keeps names of."""

    @classmethod
    def told_in(cls, recovery: session_pb2.Recovery) -> Loss:
        """Return what a recovery tells."""
        return cls(
            list(recovery.lost_operation_ids), list(recovery.lost_variables), list(recovery.lost_files)
        )

    def __bool__(self) -> bool:
        """Whether anything went."""
        return bool(self.operations or self.variables or self.files or self.more)

    def __add__(self, later: Loss) -> Loss:
        """Return both, each name once."""
        return Loss(
            _both(self.operations, later.operations),
            _both(self.variables, later.variables),
            _both(self.files, later.files),
            self.more or later.more,
        )


def recovery_message(
    reason: str, generation: int, time: datetime, loss: Loss, from_checkpoint_id: str = ""
) -> session_pb2.Recovery:
    """Return a recovery; where the names are too many the newest are told and the others counted."""
    message = session_pb2.Recovery(from_checkpoint_id=from_checkpoint_id, generation=generation)
    message.time.FromDatetime(time)
    tell_loss(message, reason, loss)
    return message


def tell_loss(message: session_pb2.Recovery, reason: str, loss: Loss) -> None:
    """Write into a recovery why it was and what went; the operation log has all of the operations as LOST."""
    operations, more_operations = newest_names(loss.operations)
    variables, more_variables = newest_names(loss.variables, VARIABLES_BYTES)
    files, more_files = newest_names(loss.files)
    if more_operations:
        reason += f"; {more_operations} older operations are not named here, ListOperations has them"
    if more_variables:
        reason += f"; {more_variables} more variables are not named here"
    elif loss.more:
        reason += "; not all variables are named here: there were too many"
    if more_files:
        reason += f"; {more_files} more files are not named here"
    message.reason = reason
    for field, names in (
        (message.lost_operation_ids, operations),
        (message.lost_variables, variables),
        (message.lost_files, files),
    ):
        del field[:]
        field.extend(names)


def tells_of(
    recovery: bytes, operations: Sequence[str], files: Sequence[str], variables: Sequence[str] = ()
) -> bool:
    """Whether a serialized recovery is the one that lost all these, or has them in it."""
    told = session_pb2.Recovery.FromString(recovery)
    if sum(len(name.encode()) + 4 for name in told.lost_variables) > VARIABLES_BYTES // 2:
        variables = ()  # others may have left no room for these, and it would be told again and again
    return (
        set(told.lost_operation_ids).issuperset(newest_names(operations)[0])
        and set(told.lost_files).issuperset(newest_names(files)[0])
        and set(told.lost_variables).issuperset(newest_names(variables, VARIABLES_BYTES // 2)[0])
    )


def _both(first: Sequence[str], second: Sequence[str]) -> Sequence[str]:
    return list(dict.fromkeys((*first, *second))) if first else second


def newest_names(names: Sequence[str], most: int = NAMES_BYTES) -> tuple[Sequence[str], int]:
    """Return as many of the newest names as fit into an answer, and how many more there are."""
    size = 0
    for count, name in enumerate(reversed(names)):
        size += len(name.encode()) + 4
        if size > most:
            return names[len(names) - count :], len(names) - count
    return names, 0
