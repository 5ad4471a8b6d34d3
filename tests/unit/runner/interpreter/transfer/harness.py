"""The control plane's and the supervisor's side of imports and exports."""

from __future__ import annotations

import io
import json
import os
import select
import socket
from array import array
from typing import Any

import pyarrow as pa
from sandbank_runner.channel import encode

from tests.unit.runner.interpreter.checkpoints.plane import Ended, Peer, send_with
from tests.unit.runner.interpreter.harness import SECONDS, Interpreter

PIECE_BYTES = 1 << 20


def begin_import(interpreter: Interpreter, name: str, form: str = "json", **fields: Any) -> Peer:
    """Have an import begin; return the connection, which the interpreter waits on."""
    ours, theirs = socket.socketpair()
    header = {"type": "import", "name": name, "format": form, "arrow_as": "table", "preview_characters": 50}
    send_with(interpreter, {**header, **fields}, theirs)
    return Peer(ours)


def bind(
    interpreter: Interpreter,
    name: str,
    data: bytes,
    form: str = "json",
    piece: int = PIECE_BYTES,
    **fields: Any,
) -> dict[str, Any]:
    """Have a variable bound to what ``data`` says; return what the interpreter told of it."""
    peer = begin_import(interpreter, name, form, **fields)
    try:
        assert peer.hear() == {"type": "importer"}
        for at in range(0, len(data), piece):
            peer.give(data[at : at + piece])
        peer.say("end")
    except (BrokenPipeError, ConnectionResetError, Ended):
        pass  # it has refused
    told: dict[str, Any] = interpreter.receive_any().header
    peer.sock.close()
    return told


def arrow(table: Any, rows: int | None = None) -> bytes:
    """Return the stream of a table."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)
    return sink.getvalue()


def export(
    interpreter: Interpreter, name: str, form: str = "arrow", max_bytes: int = 0, sleeper: Any = None
) -> tuple[dict[str, Any], bytes, dict[str, Any]]:
    """Have a variable sent; return the first header, all pieces, and the last header."""
    ours, theirs = socket.socketpair()
    header = {
        "type": "export",
        "read": -1,
        "name": name,
        "format": form,
        "max_bytes": max_bytes,
        "characters": 50,
    }
    if sleeper is None:
        send_with(interpreter, header, theirs)
    else:
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [theirs.fileno()]))
        sleeper.sock.sendmsg([encode(header)[0]], [rights])
        theirs.close()
    told = interpreter.receive("reading").header if sleeper is None else sleeper.receive("reading")
    peer = Peer(ours)
    first = peer.hear()
    pieces = []
    last = first
    if first["type"] == "header":
        while True:
            kind, body = peer.frame()
            if kind == b"J":
                last = _parsed(body)
                break
            pieces.append(body)
    pidfd = os.pidfd_open(told["pid"])
    assert select.select([pidfd], [], [], SECONDS)[0], "it lives on"
    os.close(pidfd)
    assert os.waitstatus_to_exitcode(interpreter.template.wait(told["pid"])) == 0
    ours.close()
    assert all(len(piece) == PIECE_BYTES for piece in pieces[:-1])
    return first, b"".join(pieces), last


def _parsed(body: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(body)
    return found
