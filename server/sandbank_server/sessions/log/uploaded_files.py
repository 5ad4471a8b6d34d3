"""The files that came in through the API, by name, so that a recovery can list them when they are lost."""

from __future__ import annotations

from collections.abc import Collection, Mapping

UPLOADS_KEPT = 10_000
"""Names remembered, the newest."""


class UploadedFiles:
    """Names of files in a workspace, oldest first, each with its number: what a checkpoint has is known by that."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._saved: dict[str, int] = {}
        self._newest_saved = 0
        self.newest = 0
        """The number of the newest upload."""
        self.last_lost: list[str] = []
        """What was in the workspace that was lost last and is not in that of today."""

    @property
    def names(self) -> Collection[str]:
        """All that are remembered."""
        return self._numbers.keys()

    def is_news(self, path: str) -> bool:
        """Whether a file is not yet known as one that no checkpoint has."""
        return self._numbers.get(path, 0) <= self._newest_saved

    def add(self, path: str) -> None:
        """Remember one."""
        self.newest += 1
        self._numbers.pop(path, None)
        self._numbers[path] = self.newest
        if len(self._numbers) > UPLOADS_KEPT:
            del self._numbers[next(iter(self._numbers))]

    def remove(self, path: str) -> bool:
        """Forget a file, or a directory with all in it; return whether any was known."""
        gone = [name for name in self._numbers if name == path or name.startswith(f"{path}/")]
        for name in gone:
            del self._numbers[name]
        return bool(gone)

    def clear(self) -> None:
        """Forget all: they cannot be lost any more."""
        self._numbers.clear()

    def save(self, checkpoint_id: str, newest: int) -> None:
        """Note that a checkpoint has all files up to a number."""
        self._saved[checkpoint_id] = max(newest, self._saved.get(checkpoint_id, 0))
        self._newest_saved = max(self._newest_saved, newest)

    def missing_in(self, checkpoint_id: str) -> list[str]:
        """Return those that a checkpoint does not have."""
        kept = self._saved.get(checkpoint_id, 0)
        return [name for name, number in self._numbers.items() if number > kept]

    def lose(self, checkpoint_id: str = "") -> list[str]:
        """Forget those that went with their sandbox and are not in the checkpoint; return them."""
        lost = self.missing_in(checkpoint_id)
        for name in lost:
            del self._numbers[name]
        return lost

    def go_back(self, checkpoint_id: str) -> None:
        """The workspace is as a checkpoint has it: what came in after it is gone, as somebody wanted or was told."""
        kept = self._saved.get(checkpoint_id, 0)
        self._numbers = {name: number for name, number in self._numbers.items() if number <= kept}

    def replay(self, kind: object, fields: Mapping[str, object]) -> None:
        """Do what a line of the operation log says; other kinds of lines are none of ours."""
        text = str(fields.get("p", ""))
        if kind == "f":
            self.add(text)
        elif kind == "g":
            self.remove(text)
        elif kind == "x":
            self.clear()
        elif kind == "y":
            self.lose(text)
