"""The keeper: a process forked from the template that keeps bases of the workspace and brings it back to them.

One for a sandbox, from the first need on. It has the walls of a file helper: user code can neither signal nor trace it.
It speaks on a stream socket, in the frames of ``protocol.py``, one JSON answer to each request:

``base`` {``number``, ``limit``}
    Take a base under this number; ``limit`` is what all copies together may come to, in bytes. Answers {``entries``,
    ``copied_bytes``, ``kept_bytes``, ``touched``: modes were changed and changed back, which shows in times}, or a
    failure FILES_TOO_LARGE: nothing is kept then, and what was before is as it was.
``restore`` {``number``}
    Bring the workspace back to a base, which stays. Answers {``written_bytes``}.
``drop`` {``number``}
    Forget a base; one that is not known is no error. Answers {}. The copies of the newest are kept until there is a
    newer one, as far as they are small, so that this one copies only what was changed.
"""

from __future__ import annotations

import socket
from contextlib import closing
from typing import Any

from sandbank_runner.files.base import Base, Taking, TooLarge
from sandbank_runner.files.copies import Copies
from sandbank_runner.files.openings import Openings
from sandbank_runner.files.problems import BUG, FILES_TOO_LARGE, FileProblem, from_error
from sandbank_runner.files.protocol import HEADER, FileProtocolError, FrameSocket, pack_header, parse_header
from sandbank_runner.files.restore import Restoring
from sandbank_runner.files.workspace import Workspace

IDLE_BYTES = 64 * 1024 * 1024
"""What may be kept for the next base while there is none."""
_ATTEMPTS = 3


class Keeper:
    """The bases of one workspace."""

    def __init__(self, workspace: str) -> None:
        self._path = workspace
        self._copies = Copies(0)
        self._openings = Openings()
        self._bases: dict[int, Base] = {}
        self._newest: Base | None = None
        """What the workspace was when it was last looked at; one of the bases, or kept for the next."""

    def take(self, number: int, limit: int) -> dict[str, Any]:
        """Take a base. Raises ``TooLarge``, OSError."""
        self._copies.limit = limit
        before = self._copies.copied_bytes
        self._suspect()
        try:
            with closing(Workspace(self._path)) as workspace:
                taking = Taking(workspace, self._copies, self._newest, self._openings)
                base = taking.take()
        except TooLarge:
            if self._newest is None or self._newest in self._bases.values():
                raise
            self._forget_idle()  # the room that it takes may be what is missing
            return self.take(number, limit)
        self.drop(number)
        self._forget_idle()
        self._bases[number] = self._newest = base
        return {
            "entries": len(base.directories) + len(base.files) - 1,
            "copied_bytes": self._copies.copied_bytes - before,
            "kept_bytes": self._copies.kept_bytes,
            "touched": taking.touched,
        }

    def restore(self, number: int) -> dict[str, Any]:
        """Bring a base back. Raises OSError, KeyError where there is none."""
        base = self._bases[number]
        self._suspect()
        for attempt in range(_ATTEMPTS):
            try:
                with closing(Workspace(self._path)) as workspace:
                    restoring = Restoring(workspace, self._copies, base)
                    restoring.run()
                break
            except OSError:  # an upload has changed something meanwhile
                if attempt == _ATTEMPTS - 1:
                    raise
        self._openings.take(())  # what was told of this very work
        base.suspects.clear()
        self._forget_idle()
        self._newest = base
        return {"written_bytes": restoring.places.written_bytes}

    def drop(self, number: int) -> None:
        """Forget a base."""
        base = self._bases.pop(number, None)
        if base is not None and base is not self._newest:
            base.release(self._copies)
        if not self._bases and self._copies.kept_bytes > IDLE_BYTES:
            self._forget_idle()

    def close(self) -> None:
        """Let go of everything that is kept."""
        self._openings.close()
        self._copies.close()

    def _suspect(self) -> None:
        known = [*self._bases.values(), *([self._newest] if self._newest is not None else [])]
        self._openings.take([base.suspects for base in known])

    def _forget_idle(self) -> None:
        """Let go of what is kept only for the next base."""
        idle, self._newest = self._newest, None
        if idle is not None and all(idle is not base for base in self._bases.values()):
            idle.release(self._copies)


def serve(connection: socket.socket, workspace: str) -> None:
    """Answer requests until the supervisor closes ``connection``."""
    frames = FrameSocket(connection)
    with closing(Keeper(workspace)) as keeper:
        while True:
            try:
                kind, body = frames.receive()
            except (EOFError, ConnectionError):
                return
            if kind != HEADER:
                raise FileProtocolError("a keeper is asked by headers only")
            frames.send(pack_header(_answer(keeper, parse_header(body))))


def _answer(keeper: Keeper, request: dict[str, Any]) -> dict[str, Any]:
    try:
        number: int = request["number"]
        match request["request"]:
            case "base":
                return keeper.take(number, request["limit"])
            case "restore":
                return keeper.restore(number)
            case "drop":
                keeper.drop(number)
                return {}
            case other:
                problem = FileProblem(BUG, f"no such request: {other!r}")
    except TooLarge as error:
        problem = FileProblem(FILES_TOO_LARGE, str(error))
    except OSError as error:
        problem = from_error(error, "")
    except KeyError as error:
        problem = FileProblem(BUG, f"there is no {error}")
    return {"failure": {"reason": problem.reason, "message": problem.message}}
