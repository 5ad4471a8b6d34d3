"""What is known of a thing in code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbank.v1 import state_pb2, variable_pb2


@dataclass(frozen=True)
class Description:
    """What Inspect found at a place in code; false where there is nothing known.

    `data` is the description by MIME type, and `as_of` says which operation's effects are included and whether a later
    one has finished or is running (`as_of.stale`). Signatures, documentation and source were written by user code.
    """

    found: bool
    data: Mapping[str, bytes]
    as_of: variable_pb2.AsOf

    def __bool__(self) -> bool:
        return self.found

    @property
    def text(self) -> str:
        """It in words; empty where nothing was found."""
        return self.data.get("text/plain", b"").decode("utf-8", "replace")

    @property
    def facts(self) -> dict[str, Any]:
        """It as data: `name`, `kind`, `type_name`, and what else is known.

        That may be `signature`, `documentation`, `preview`, `shape`, `dtype`, `length`, `file`, `line`, and `source`
        where it was asked for.
        """
        try:
            found = json.loads(self.data.get("application/json", b"{}"))
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    @classmethod
    def of(cls, answer: state_pb2.InspectResponse) -> Description:
        """Return what Inspect answered."""
        return cls(answer.found, dict(answer.data), answer.as_of)


def cursor_in(code: str, cursor: int | None) -> int:
    """Return a position in code points: the end where none is given."""
    return len(code) if cursor is None else cursor
