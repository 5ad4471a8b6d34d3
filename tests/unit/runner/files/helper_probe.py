"""A file helper on a real workspace, in a thread of the test's process."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from pathlib import Path
from typing import Any

from sandbank_runner.files import helper
from sandbank_runner.files.protocol import (
    CHUNK_BYTES,
    DATA,
    HEADER,
    LAST,
    FrameSocket,
    pack,
    pack_header,
    parse_header,
)


class FileFailure(Exception):
    """The helper answered with a failure."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason


class HelperProbe:
    """Asks one helper after the other, as the supervisor does."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace

    def start(self) -> tuple[socket.socket, threading.Thread]:
        """Return the supervisor's end of a fresh helper's connection, and the helper."""
        ours, theirs = socket.socketpair()
        ours.settimeout(20)
        thread = threading.Thread(target=self._serve, args=(theirs,))
        thread.start()
        return ours, thread

    def ask(
        self, request: str, path: str = "", *, chunks: tuple[bytes, ...] = (), **fields: Any
    ) -> dict[str, Any]:
        """Ask and return the answer. FileFailure when it is one."""
        return self.exchange(request, path, chunks=chunks, **fields)[0]

    def exchange(
        self, request: str, path: str = "", *, chunks: tuple[bytes, ...] = (), **fields: Any
    ) -> tuple[dict[str, Any], bytes]:
        """Ask and return the answer and the content of a download."""
        ours, thread = self.start()
        with ours:
            frames = FrameSocket(ours)
            frames.send(pack_header({"request": request, "path": path, **fields}))
            with contextlib.suppress(BrokenPipeError):  # it may have answered early
                if request == "upload":
                    for chunk in chunks:
                        frames.send(pack(DATA, chunk))
                    frames.send(pack(LAST, b""))
            try:
                return self._answer(frames, request)
            finally:
                thread.join(20)
                assert not thread.is_alive()

    def upload(self, path: str, content: bytes = b"x", **fields: Any) -> dict[str, Any]:
        """Upload ``content`` with nothing announced that ``fields`` do not say."""
        cuts = tuple(content[at : at + CHUNK_BYTES] for at in range(0, len(content), CHUNK_BYTES))
        announced = {"mode": 0, "size_bytes": -1, "sha256": "", **fields}
        return self.ask("upload", path, chunks=cuts, **announced)["entry"]

    def download(
        self, path: str, offset_bytes: int = 0, length_bytes: int = 0
    ) -> tuple[dict[str, Any], bytes]:
        """Return a file's entry and content."""
        header, content = self.exchange(
            "download", path, offset_bytes=offset_bytes, length_bytes=length_bytes
        )
        return header["entry"], content

    def names(self) -> list[str]:
        """Return every path of the workspace, hidden ones too."""
        found = []
        for directory, directories, files in os.walk(self.workspace):
            found += [
                os.path.relpath(os.path.join(directory, name), self.workspace) for name in directories + files
            ]
        return sorted(found)

    def _answer(self, frames: FrameSocket, request: str) -> tuple[dict[str, Any], bytes]:
        kind, body = frames.receive()
        assert kind == HEADER
        header = _checked(body)
        content = []
        while request == "download":
            kind, body = frames.receive()
            if kind == HEADER:
                _checked(body)
            content.append(body)
            if kind == LAST:
                break
        return header, b"".join(content)

    def _serve(self, connection: socket.socket) -> None:
        with (
            connection,
            contextlib.suppress(EOFError, ConnectionError),
        ):  # how a helper ends that is broken off
            helper.serve(connection, str(self.workspace))


def _checked(body: bytes) -> dict[str, Any]:
    header = parse_header(body)
    if "failure" in header:
        raise FileFailure(**header["failure"])
    return header
