"""What the log says before a session goes on in another sandbox, so that a kill at any moment leaves no doubt.

The catalog decides: once its row has the next generation the session is there, whoever was killed since; before that it
is where it was, and what was planned means nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

KIND = "p"


@dataclass(frozen=True, slots=True)
class PlannedMove:
    """``checkpoint_id``: of the state there; None: a pristine one, as somebody wanted. ``losing``: nobody wanted it."""

    generation: int
    checkpoint_id: str | None = None
    execution_count: int = 0
    losing: bool = False

    def fields(self) -> dict[str, object]:
        """Return what a line of the log holds."""
        fields: dict[str, object] = {"k": KIND, "g": self.generation}
        if self.checkpoint_id is not None:
            fields |= {"cp": self.checkpoint_id, "n": self.execution_count}
        if self.losing:
            fields["l"] = 1
        return fields

    @classmethod
    def of_fields(cls, fields: Mapping[str, object]) -> PlannedMove:
        """Return what a line says. TypeError or KeyError for one that says nothing."""
        generation, count, checkpoint_id = fields["g"], fields.get("n", 0), fields.get("cp")
        if not isinstance(generation, int) or not isinstance(count, int):
            raise TypeError("not a number")
        return cls(generation, None if checkpoint_id is None else str(checkpoint_id), count, "l" in fields)
