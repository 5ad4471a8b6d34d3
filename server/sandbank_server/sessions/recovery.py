"""Saying what died, and what went with it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sandbank.v1 import session_pb2

NAMES_BYTES: Final = 256 * 1024
"""What the names in one recovery may take: it is part of every answer that has the session in it."""


def recovery_message(
    reason: str,
    generation: int,
    time: datetime,
    operations: Sequence[str],
    files: Sequence[str],
    from_checkpoint_id: str = "",
) -> session_pb2.Recovery:
    """Return a recovery that lost the effects of ``operations``, oldest first, and ``files``.

    Where they are too many the newest are named and the others counted; the operation log has all of them as LOST.
    """
    kept_operations, more_operations = newest_names(operations)
    kept_files, more_files = newest_names(files)
    if more_operations:
        reason += f"; {more_operations} older operations are not named here, ListOperations has them"
    if more_files:
        reason += f"; {more_files} more files are not named here"
    message = session_pb2.Recovery(
        reason=reason,
        from_checkpoint_id=from_checkpoint_id,
        generation=generation,
        lost_operation_ids=kept_operations,
        lost_files=kept_files,
    )
    message.time.FromDatetime(time)
    return message


def tells_of(recovery: bytes, operations: Sequence[str], files: Sequence[str]) -> bool:
    """Whether a serialized recovery is the one that lost ``operations`` and ``files``."""
    told = session_pb2.Recovery.FromString(recovery)
    return (list(told.lost_operation_ids), list(told.lost_files)) == (
        list(newest_names(operations)[0]),
        list(newest_names(files)[0]),
    )


def newest_names(names: Sequence[str]) -> tuple[Sequence[str], int]:
    """Return as many of the newest names as fit into an answer, and how many more there are."""
    size = 0
    for count, name in enumerate(reversed(names)):
        size += len(name.encode()) + 4
        if size > NAMES_BYTES:
            return names[len(names) - count :], len(names) - count
    return names, 0
