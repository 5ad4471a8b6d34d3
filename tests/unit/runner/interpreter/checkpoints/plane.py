"""The control plane's side of the state protocol: keeps chunks and manifests in memory, checks what it is told."""

from __future__ import annotations

import hashlib
import json
import os
import select
import socket
import struct
from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbank_runner.channel import encode

from tests.unit.runner.interpreter.harness import SECONDS, Interpreter

_PREFIX = struct.Struct(">Ic")
CHUNK_BYTES = 1 << 20


class Ended(Exception):
    """The other side has closed."""


class Peer:
    """One end of a connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.settimeout(SECONDS)

    def say(self, kind: str, **fields: Any) -> None:
        body = json.dumps({"type": kind, **fields}).encode()
        self.sock.sendall(_PREFIX.pack(len(body), b"J") + body)

    def give(self, data: bytes) -> None:
        self.sock.sendall(_PREFIX.pack(len(data), b"D") + data)

    def frame(self) -> tuple[bytes, bytes]:
        length, kind = _PREFIX.unpack(self._exactly(_PREFIX.size))
        assert kind in (b"J", b"D")
        assert length <= (8 << 20 if kind == b"J" else CHUNK_BYTES)
        return kind, self._exactly(length)

    def hear(self) -> dict[str, Any]:
        kind, body = self.frame()
        assert kind == b"J", (kind, body[:100])
        return json.loads(body)

    def _exactly(self, count: int) -> bytes:
        data = bytearray(count)
        view = memoryview(data)
        while view:
            received = self.sock.recv_into(view)
            if not received:
                raise Ended
            view = view[received:]
        return bytes(data)


@dataclass
class Manifest:
    """What a checkpoint is."""

    checkpoint_id: str
    groups: list[dict[str, Any]] = field(default_factory=list)
    files: list[dict[str, Any]] = field(default_factory=list)
    rest: dict[str, Any] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    """Groups that were taken over from the base."""
    kept_files: set[str] = field(default_factory=set)
    new_bytes: int = 0
    at: list[str] = field(default_factory=list)
    offered: list[dict[str, int]] = field(default_factory=list)
    """Chunks that were given before the end of the description, and their lengths."""

    @property
    def variables(self) -> dict[str, dict[str, Any]]:
        return {
            each["name"]: {**each, "group": group["id"]}
            for group in self.groups
            for each in group["variables"]
        }

    @property
    def lost(self) -> dict[str, str]:
        return {name: each["reason"] for name, each in self.variables.items() if each["fidelity"] == "LOST"}

    @property
    def exact(self) -> set[str]:
        return {name for name, each in self.variables.items() if each["fidelity"] == "EXACT"}

    def file(self, path: str) -> dict[str, Any]:
        (found,) = [each for each in self.files if each["path"] == path]
        return found


@dataclass
class Loaded:
    """How a restore ended: what was said on the connection, and to the supervisor."""

    said: dict[str, Any]
    told: dict[str, Any]

    @property
    def ok(self) -> bool:
        return self.said["type"] == "loaded" and self.told["type"] == "loaded"

    @property
    def lost(self) -> dict[str, str]:
        return {each["name"]: each["reason"] for each in self.said["lost"]}


class Plane:
    """A store of checkpoints."""

    def __init__(self) -> None:
        self.chunks: dict[str, bytes] = {}
        self.manifests: dict[str, Manifest] = {}
        self.at_offer: Callable[[], object] = lambda: None
        """Called while a writer waits for the answer to what it has offered."""

    def checkpoint(
        self, interpreter: Interpreter, checkpoint_id: str = "one", *, durable: bool = True, **options: Any
    ) -> Manifest:
        """Have a checkpoint written, as the supervisor and the control plane do."""
        peer, pid = begin_writing(interpreter, checkpoint_id)
        manifest = self.hear_checkpoint(peer, checkpoint_id, **options)
        peer.sock.close()
        pidfd = os.pidfd_open(pid)
        assert select.select([pidfd], [], [], SECONDS)[0], "the writer lives on"
        os.close(pidfd)
        assert os.waitstatus_to_exitcode(interpreter.template.wait(pid)) == 0
        interpreter.send({"type": "checkpoint_ended", "checkpoint_id": checkpoint_id, "durable": durable})
        if durable:
            self.manifests[checkpoint_id] = manifest
        return manifest

    def hear_checkpoint(self, peer: Peer, checkpoint_id: str, **options: Any) -> Manifest:
        """Talk to a writer until it has sent all."""
        manifest = Manifest(checkpoint_id)
        base = self.manifests.get(peer.hear()["base"])
        peer.say("begin", known=base is not None, **{"skip": [], "digests": False, **options})
        groups = {each["id"]: each for each in base.groups} if base else {}
        files = {each["path"]: each for each in base.files} if base else {}
        if base is not None:
            for group in base.groups:
                peer.say("group", **without_type(group))
            for file in saved_files(base):
                peer.say("file", **without_type(file))
            peer.say("known_ends")
        while (header := peer.hear())["type"] != "manifest":
            kind = header["type"]
            if kind == "group":
                if header.get("kept"):
                    manifest.kept.add(header["id"])
                    header = groups[header["id"]]
                manifest.groups.append(header)
            elif kind == "file":
                if header.get("kept"):
                    manifest.kept_files.add(header["path"])
                    header = files[header["path"]]
                manifest.files.append(header)
            elif kind == "offer":
                manifest.offered.append(dict(header["chunks"]))
                self.at_offer()
                wanted = [name for name, _ in header["chunks"] if name not in self.chunks]
                peer.say("need", chunks=wanted)
                self._receive(peer, manifest, wanted, manifest.offered[-1])
            else:
                assert kind == "at", header
                manifest.at += header["names"]
        manifest.rest = header
        self._fetch(peer, manifest)
        peer.say("stored")
        check(manifest)
        return manifest

    def _fetch(self, peer: Peer, manifest: Manifest) -> None:
        wanted = dict.fromkeys(name for name, _ in chunks_of(manifest) if name not in self.chunks)
        lengths = dict(chunks_of(manifest))
        peer.say("need", chunks=list(wanted))
        peer.say("needed")
        self._receive(peer, manifest, wanted, lengths)

    def _receive(
        self, peer: Peer, manifest: Manifest, names: Iterable[str], lengths: Mapping[str, int]
    ) -> None:
        for name in names:
            kind, data = peer.frame()
            assert kind == b"D", data[:500]
            assert hashlib.sha256(data).hexdigest() == name
            assert len(data) == lengths[name]
            self.chunks[name] = data
            manifest.new_bytes += len(data)

    def load(
        self, interpreter: Interpreter, manifest: Manifest, *, place: bool = True, **options: Any
    ) -> Loaded:
        """Have a checkpoint loaded by a fresh interpreter."""
        ours, theirs = socket.socketpair()
        send_with(interpreter, {"type": "load", "execution_count": manifest.rest["execution_count"]}, theirs)
        peer = Peer(ours)
        assert peer.hear()["type"] == "loader"
        begin = {**without_type(manifest.rest), "allow_lost": False, "verify": False, **options}
        peer.say("begin", **begin)
        for group in manifest.groups:
            peer.say("group", **without_type(group))
        for file in saved_files(manifest):
            peer.say("file", **without_type(file))
        peer.say("chunks_follow")
        verify = begin["verify"]
        try:
            for name, _ in chunks_of(manifest, files=not verify):
                peer.give(self.chunks[name])
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has refused
        said = peer.hear()
        told = interpreter.receive_any().header
        ours.close()
        if place and told["type"] == "loaded" and told["files"]:
            interpreter.send({"type": "place"})
            assert interpreter.receive_any().header == {"type": "placed"}
        interpreter.count = manifest.rest["execution_count"]
        return Loaded(said, told)


def saved_files(manifest: Manifest) -> list[dict[str, Any]]:
    """Return the files that are not lost."""
    return [file for file in manifest.files if not file["lost"]]


def without_type(header: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a header."""
    return {key: value for key, value in header.items() if key != "type"}


def chunks_of(manifest: Manifest, *, files: bool = True) -> list[tuple[str, int]]:
    """Return all chunks in the order of loading."""
    found = [tuple(chunk) for file in manifest.files for chunk in file["chunks"]] if files else []
    for group in manifest.groups:
        found += [tuple(chunk) for chunk in group["pickle"]]
        found += [tuple(chunk) for buffer in group["buffers"] for chunk in buffer]
    return found


def check(manifest: Manifest) -> None:
    """Check what holds for every manifest."""
    seen: set[str] = set()
    ids = [group["id"] for group in manifest.groups]
    assert len(ids) == len(set(ids))
    for group in manifest.groups:
        names = [each["name"] for each in group["variables"]]
        assert not seen.intersection(names)
        assert seen.issuperset(group["uses"]), (group, seen)
        seen.update(names)
        for variable in group["variables"]:
            assert variable["fidelity"] in ("EXACT", "RECOMPUTED", "LOST")
            assert bool(variable["reason"]) == (variable["fidelity"] != "EXACT")
    directories = {""}
    for file in manifest.files:
        assert file["path"].rpartition("/")[0] in directories
        if file["mode"] & 0o170000 == 0o040000:
            directories.add(file["path"])


def send_with(interpreter: Interpreter, header: dict[str, Any], theirs: socket.socket) -> None:
    """Send a message with a descriptor, which is closed here."""
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [theirs.fileno()]))
    interpreter._sock.sendmsg([encode(header)[0]], [rights])
    theirs.close()


def begin_writing(interpreter: Interpreter, checkpoint_id: str) -> tuple[Peer, int]:
    """Have a writer forked; return its connection and pid."""
    ours, theirs = socket.socketpair()
    send_with(interpreter, {"type": "checkpoint", "checkpoint_id": checkpoint_id}, theirs)
    told = interpreter.receive("writing").header
    assert told["checkpoint_id"] == checkpoint_id
    return Peer(ours), told["pid"]
