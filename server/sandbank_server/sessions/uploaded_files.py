"""The files that came in through the API, by name, so that a recovery can list them when they are lost."""

from __future__ import annotations

UPLOADS_KEPT = 10_000
"""Names remembered, the newest."""


class UploadedFiles:
    """Names of files in a workspace, oldest first."""

    def __init__(self) -> None:
        self.names: dict[str, None] = {}
        self.last_lost: list[str] = []
        """What was in the workspace that was lost last."""

    def add(self, path: str) -> None:
        """Remember one."""
        self.names[path] = None
        if len(self.names) > UPLOADS_KEPT:
            del self.names[next(iter(self.names))]

    def remove(self, path: str) -> bool:
        """Forget a file, or a directory with all in it; return whether any was known."""
        gone = [name for name in self.names if name == path or name.startswith(f"{path}/")]
        for name in gone:
            del self.names[name]
        return bool(gone)

    def clear(self) -> None:
        """Forget all: they cannot be lost any more."""
        self.names.clear()

    def lose(self) -> list[str]:
        """Forget all because they went with their sandbox, and return them."""
        self.last_lost = list(self.names)
        self.names.clear()
        return self.last_lost

    def replay(self, kind: object, path: str) -> None:
        """Do what a line of the operation log says; other kinds of lines are none of ours."""
        if kind == "f":
            self.add(path)
        elif kind == "g":
            self.remove(path)
        elif kind == "x":
            self.clear()
        elif kind == "y":
            self.lose()
