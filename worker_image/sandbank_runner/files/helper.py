"""The file helper: a process forked from the template that serves one request, as user code's user, and ends.

It has the walls of user code and fewer files in reach: only the workspace. User code can neither signal nor
trace it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

from sandbank_runner.files import paths
from sandbank_runner.files.download import Download, digest
from sandbank_runner.files.entries import entry
from sandbank_runner.files.listing import Listing
from sandbank_runner.files.problems import BUG, FileProblem, from_error
from sandbank_runner.files.protocol import (
    DATA,
    HEADER,
    LAST,
    FileProtocolError,
    FrameSocket,
    pack,
    pack_header,
    parse_header,
)
from sandbank_runner.files.removal import clear, delete
from sandbank_runner.files.restores import undo_restores
from sandbank_runner.files.upload import Upload
from sandbank_runner.files.workspace import Workspace

STALL_SECONDS = 300.0
"""How long one step of the supervisor may take; it has shorter limits of its own."""


def serve(connection: socket.socket, workspace: str) -> None:
    """Serve the one request that comes on ``connection``. What is wrong with it is answered, not raised.

    EOFError, TimeoutError or ConnectionError when the supervisor breaks off: nothing is left half-done then.
    """
    connection.settimeout(STALL_SECONDS)
    frames = FrameSocket(connection)
    kind, body = frames.receive()
    if kind != HEADER:
        raise FileProtocolError("a request must come first")
    request = parse_header(body)
    try:
        _answer(frames, Workspace(workspace), request)
    except FileProblem as problem:
        _fail(frames, problem)
    except (ConnectionError, TimeoutError):
        raise
    except OSError as error:
        _fail(frames, from_error(error, str(request.get("path", ""))))
    except (KeyError, TypeError, FileProtocolError) as error:
        _fail(frames, FileProblem(BUG, f"the file helper does not understand the request: {error}"))


def _answer(frames: FrameSocket, workspace: Workspace, request: dict[str, Any]) -> None:
    path: str = request.get("path", "")
    match request["request"]:
        case "upload":
            upload = Upload(workspace, path, request["mode"], request["size_bytes"], request["sha256"])
            frames.send(pack_header({"entry": upload.write(_chunks(frames))}))
        case "download":
            download = Download(workspace, path, request["offset_bytes"], request["length_bytes"])
            frames.send(pack_header({"entry": download.entry}))
            for chunk in download.chunks():
                frames.send(pack(DATA, chunk))
            frames.send(pack(LAST, b""))
        case "stat":
            frames.send(pack_header({"entry": _describe(workspace, path, request["with_sha256"])}))
        case "list":
            listing = Listing(workspace, path, request["recursive"], request["after_path"], request["limit"])
            entries, more = listing.page()
            frames.send(pack_header({"list": entries, "more": more}))
        case "delete":
            delete(workspace, path, request["recursive"])
            frames.send(pack_header({}))
        case "clear":
            clear(workspace)
            frames.send(pack_header({}))
        case "undo_restores":
            undo_restores(workspace)
            frames.send(pack_header({}))
        case "make_directory":
            parts = paths.split(path, allow_workspace=True)
            os.close(workspace.make_directories(parts)[0])
            frames.send(pack_header({"entry": entry(paths.shown(parts), workspace.describe(parts))}))
        case other:
            raise FileProtocolError(f"no such request: {other!r}")


def _describe(workspace: Workspace, path: str, with_sha256: bool) -> dict[str, Any]:
    parts = paths.split(path, allow_workspace=True)
    status = workspace.describe(parts)
    sha256 = ""
    if with_sha256 and (status.st_mode & 0o170000) == 0o100000:
        descriptor = workspace.open_file(parts)
        try:
            sha256, _ = digest(descriptor)
            status = os.fstat(descriptor)
        finally:
            os.close(descriptor)
    return entry(paths.shown(parts), status, sha256)


def _chunks(frames: FrameSocket) -> Iterator[bytes]:
    """Yield the pieces of an upload. EOFError when it is cut off."""
    while True:
        kind, body = frames.receive()
        if kind not in (DATA, LAST):
            raise FileProtocolError("an upload goes on with pieces of the file")
        yield body
        if kind == LAST:
            return


def _fail(frames: FrameSocket, problem: FileProblem) -> None:
    frames.send(pack_header({"failure": {"reason": problem.reason, "message": problem.message}}))
