"""The manifest of a checkpoint: what there is, in which chunks. Made from what a hostile writer says, so checked here.

Kept as JSON, compressed. The ambient state in it belongs to the loader in the sandbox and is handed back to it as it came.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import zstandard
from sandbank.v1 import checkpoint_pb2

from sandbank_server.checkpoints.chunks import CHUNK_BYTES
from sandbank_server.errors import CheckpointCorruptError
from sandbank_server.runners.frames import RunnerViolation

FORMAT: Final = 1
CHUNKS: Final = 1_000_000
GROUPS: Final = 100_000
FILES: Final = 100_000
VARIABLES: Final = 100_000
AMBIENT_BYTES: Final = 4 << 20
MANIFEST_BYTES: Final = 256 << 20

_NAME_CHARACTERS: Final = 1000
_PATH_CHARACTERS: Final = 16 * 1024
_REASON_CHARACTERS: Final = 500
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_FIDELITIES: Final = (
    checkpoint_pb2.FIDELITY_EXACT,
    checkpoint_pb2.FIDELITY_RECOMPUTED,
    checkpoint_pb2.FIDELITY_LOST,
)

Chunk = tuple[str, int]
"""Name and length."""


@dataclass(slots=True)
class Manifest:
    """A checkpoint's content: ``groups`` and ``files`` as the state protocol has them, checked."""

    groups: list[dict[str, Any]] = field(default_factory=list)
    files: list[dict[str, Any]] = field(default_factory=list)
    ambient: dict[str, Any] = field(default_factory=dict)
    python: str = ""
    packages: dict[str, str] = field(default_factory=dict)
    execution_count: int = 0
    operation: str = ""

    def chunks(self) -> Iterator[Chunk]:
        """Yield all chunks in the order in which a restore reads them, each once per use."""
        for group in self.groups:
            yield from _chunks_of_group(group)
        for file in self.files:
            yield from file["chunks"]

    @property
    def size_bytes(self) -> int:
        """What a restore reads."""
        return sum(length for _, length in self.chunks())

    def variables(self) -> Iterator[checkpoint_pb2.CheckpointVariable]:
        """Yield the variables as clients see them, by name."""
        found = [
            checkpoint_pb2.CheckpointVariable(
                name=variable["name"],
                type_name=variable["type"],
                size_bytes=variable["size"],
                fidelity=variable["fidelity"],
                reason=variable["reason"],
                group_id=group["id"],
            )
            for group in self.groups
            for variable in group["variables"]
        ]
        yield from sorted(found, key=lambda variable: variable.name)

    def file_messages(self) -> Iterator[checkpoint_pb2.CheckpointFile]:
        """Yield the regular files as clients see them."""
        for file in self.files:
            if file["sha256"]:
                yield checkpoint_pb2.CheckpointFile(
                    path=file["path"], size_bytes=file["size"], sha256=file["sha256"]
                )

    def pack(self) -> bytes:
        """Return it for keeping."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        data = json.dumps({"format": FORMAT, **fields}, separators=(",", ":")).encode()
        return zstandard.ZstdCompressor(level=3).compress(data)

    @classmethod
    def unpack(cls, packed: bytes) -> Manifest:
        """Read a kept one. :class:`CheckpointCorruptError` where it is damaged or of a later format."""
        try:
            data = zstandard.ZstdDecompressor().decompress(packed, max_output_size=MANIFEST_BYTES)
            fields = json.loads(data)
            if fields.pop("format") != FORMAT:
                raise ValueError("another format")
            return cls(**fields)
        except (zstandard.ZstdError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise CheckpointCorruptError(
                "the checkpoint's manifest is damaged; nothing was changed"
            ) from error


class ManifestBuilder:
    """Takes what a writer says, frame by frame. :class:`RunnerViolation` for what no honest one says."""

    def __init__(self) -> None:
        self.manifest = Manifest()
        self._chunks = 0
        self._names: set[str] = set()
        self._ids: set[str] = set()

    def add_group(self, header: Mapping[str, Any]) -> bool:
        """Take a ``group``; return whether it is one of the base's, taken over as it was."""
        group = {
            "id": _text(header, "id", 128),
            "variables": [self._variable(each) for each in _list(header, "variables", VARIABLES)],
            "pickle": self._chunk_list(header.get("pickle")),
            "buffers": [self._chunk_list(each) for each in _list(header, "buffers", CHUNKS)],
        }
        if group["id"] in self._ids or len(self.manifest.groups) >= GROUPS:
            raise RunnerViolation("a group twice, or too many")
        self._ids.add(group["id"])
        self.manifest.groups.append(group)
        return header.get("kept") is True

    def add_file(self, header: Mapping[str, Any]) -> None:
        """Take a ``file``."""
        link = header.get("link")
        if link is not None and not isinstance(link, str):
            raise RunnerViolation("a link that is none")
        file = {
            "path": _text(header, "path", _PATH_CHARACTERS),
            "mode": _number(header, "mode"),
            "mtime_ns": _number(header, "mtime_ns"),
            "size": _number(header, "size"),
            "sha256": _text(header, "sha256", 64),
            "link": link,
            "chunks": self._chunk_list(header.get("chunks")),
        }
        if file["sha256"] and _HASH.fullmatch(file["sha256"]) is None:
            raise RunnerViolation("not a hash")
        if len(self.manifest.files) >= FILES:
            raise RunnerViolation("too many files")
        # What more the writer says of a file is the loader's: a tenth of the bound at most.
        self.manifest.files.append(file)

    def finish(self, header: Mapping[str, Any]) -> Manifest:
        """Take ``manifest``, the end of the description."""
        manifest = self.manifest
        ambient, packages = header.get("ambient"), header.get("packages")
        if not isinstance(ambient, dict) or len(json.dumps(ambient)) > AMBIENT_BYTES:
            raise RunnerViolation("an ambient state that is none, or too large")
        if not isinstance(packages, dict) or not all(
            isinstance(version, str) and len(name) + len(version) < 300 for name, version in packages.items()
        ):
            raise RunnerViolation("packages without versions")
        manifest.ambient, manifest.packages = ambient, packages
        manifest.python = _text(header, "python", 64)
        manifest.execution_count = _number(header, "execution_count")
        manifest.operation = _text(header, "operation", 128)
        return manifest

    def _variable(self, variable: Any) -> dict[str, Any]:
        if not isinstance(variable, dict):
            raise RunnerViolation("a variable that is none")
        name = _text(variable, "name", _NAME_CHARACTERS)
        fidelity = variable.get("fidelity")
        if name in self._names or fidelity not in _FIDELITIES or len(self._names) >= VARIABLES:
            raise RunnerViolation("a variable twice, too many, or of no fidelity")
        self._names.add(name)
        return {
            "name": name,
            "type": _text(variable, "type", _NAME_CHARACTERS),
            "size": _number(variable, "size"),
            "fidelity": fidelity,
            "reason": _text(variable, "reason", _REASON_CHARACTERS),
            "digest": _text(variable, "digest", 200),
        }

    def _chunk_list(self, chunks: Any) -> list[Chunk]:
        if not isinstance(chunks, list):
            raise RunnerViolation("chunks that are none")
        self._chunks += len(chunks)
        if self._chunks > CHUNKS:
            raise RunnerViolation("too many chunks")
        return [_chunk(each) for each in chunks]


def _chunks_of_group(group: Mapping[str, Any]) -> Iterator[Chunk]:
    yield from group["pickle"]
    for buffer in group["buffers"]:
        yield from buffer


def _chunk(chunk: Any) -> Chunk:
    if isinstance(chunk, list) and len(chunk) == 2:
        name, length = chunk
        if (
            isinstance(name, str)
            and _HASH.fullmatch(name)
            and type(length) is int
            and 0 <= length <= CHUNK_BYTES
        ):
            return name, length
    raise RunnerViolation("a chunk that is none")


def _text(fields: Mapping[str, Any], key: str, most: int) -> str:
    value = fields.get(key)
    if not isinstance(value, str) or len(value) > most:
        raise RunnerViolation(f"{key} is no text, or too long")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise RunnerViolation(f"{key} cannot be encoded") from None
    return value


def _number(fields: Mapping[str, Any], key: str) -> int:
    value = fields.get(key)
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise RunnerViolation(f"{key} is no number")
    return value


def _list(fields: Mapping[str, Any], key: str, most: int) -> list[Any]:
    value = fields.get(key)
    if not isinstance(value, list) or len(value) > most:
        raise RunnerViolation(f"{key} is no list, or too long")
    return value
