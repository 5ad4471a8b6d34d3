"""The manifest of a checkpoint: what there is, in which chunks. Made from what a hostile writer says, so checked here.

Kept as JSON, compressed. The ambient state in it is the loader's, in the sandbox, and is handed back as it came.
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

_DEPTH_TO_SPARE: Final = 100
"""It is kept, and sent again, from within other calls than it came in."""

_NAME_CHARACTERS: Final = 1000
_PATH_CHARACTERS: Final = 16 * 1024
_REASON_CHARACTERS: Final = 500
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_FIDELITIES: Final = {
    "EXACT": checkpoint_pb2.FIDELITY_EXACT,
    "RECOMPUTED": checkpoint_pb2.FIDELITY_RECOMPUTED,
    "LOST": checkpoint_pb2.FIDELITY_LOST,
}

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

    def chunks(self, *, with_files: bool = True) -> Iterator[Chunk]:
        """Yield the chunks in the order in which a restore reads them, each once per use."""
        if with_files:
            for file in self.files:
                yield from file["chunks"]
        for group in self.groups:
            yield from group["pickle"]
            for buffer in group["buffers"]:
                yield from buffer

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
                fidelity=_FIDELITIES[variable["fidelity"]],
                reason=variable["reason"],
                group_id=variable["shares"],
            )
            for group in self.groups
            for variable in group["variables"]
        ]
        yield from sorted(found, key=lambda variable: variable.name)

    def file_messages(self) -> Iterator[checkpoint_pb2.CheckpointFile]:
        """Yield the regular files as clients see them, and what could not be saved."""
        for file in self.files:
            if file["sha256"] or lost(file):
                yield checkpoint_pb2.CheckpointFile(
                    path=escaped(file["path"]),
                    size_bytes=file["size"],
                    sha256=file["sha256"],
                    fidelity=checkpoint_pb2.FIDELITY_LOST if lost(file) else checkpoint_pb2.FIDELITY_EXACT,
                    reason=lost(file),
                )

    def lost_variables(self) -> list[str]:
        """Return the names of the variables that could not be saved."""
        return [each.name for each in self.variables() if each.fidelity == checkpoint_pb2.FIDELITY_LOST]

    def lost_files(self) -> list[str]:
        """Return the paths, as clients see them, of what could not be saved in the workspace."""
        return [escaped(file["path"]) for file in self.files if lost(file)]

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
    """Takes what a writer says, frame by frame. :class:`RunnerViolation` for what no honest one says.

    ``base``: the manifest that it was told of, from which it may keep groups and files.
    """

    def __init__(self, base: Manifest | None = None) -> None:
        self.manifest = Manifest()
        self._kept_groups = {group["id"]: group for group in base.groups} if base else {}
        self._kept_files = {file["path"]: file for file in base.files} if base else {}
        self._chunks = 0
        self._names: set[str] = set()
        self._ids: set[str] = set()
        self._paths: set[str] = set()

    def add_group(self, header: Mapping[str, Any]) -> None:
        """Take a ``group``."""
        group_id = _text(header, "id", 128)
        if group_id in self._ids or len(self._ids) >= GROUPS:
            raise RunnerViolation("a group twice, or too many")
        self._ids.add(group_id)
        if header.get("kept") is True:
            header = _kept(self._kept_groups, group_id)
        self.manifest.groups.append(
            {
                "id": group_id,
                "variables": [self._variable(each) for each in _list(header, "variables", VARIABLES)],
                "uses": [_line(name) for name in _list(header, "uses", VARIABLES)],
                "pickle": self._chunk_list(header.get("pickle")),
                "buffers": [self._chunk_list(each) for each in _list(header, "buffers", CHUNKS)],
            }
        )

    def add_file(self, header: Mapping[str, Any]) -> None:
        """Take a ``file``."""
        path = _path(header, "path")
        if path in self._paths or len(self._paths) >= FILES:
            raise RunnerViolation("a file twice, or too many")
        self._paths.add(path)
        if header.get("kept") is True:
            header = _kept(self._kept_files, path)
        link, digest = header.get("link"), _text(header, "sha256", 64)
        why = _text({"lost": lost(header)}, "lost", _REASON_CHARACTERS)
        chunks = self._chunk_list(header.get("chunks"))
        if why and (chunks or digest):
            raise RunnerViolation("a file that is lost, and is not")
        if link is not None:
            _path(header, "link")
        if digest and _HASH.fullmatch(digest) is None:
            raise RunnerViolation("not a hash")
        self.manifest.files.append(
            {
                "path": path,
                "mode": _number(header, "mode"),
                "mtime_ns": _number(header, "mtime_ns"),
                "size": _number(header, "size"),
                "sha256": digest,
                "link": link,
                "chunks": chunks,
                "signature": [_whole(each) for each in _list(header, "signature", 16)],
                "lost": why,
            }
        )

    def finish(self, header: Mapping[str, Any]) -> Manifest:
        """Take ``manifest``, the end of the description."""
        manifest = self.manifest
        ambient, packages = header.get("ambient"), header.get("packages")
        if not isinstance(ambient, dict) or _size_of(ambient) > AMBIENT_BYTES:
            raise RunnerViolation("an ambient state that is none, or too large")
        if not isinstance(packages, dict) or not all(
            isinstance(version, str) and len(name) + len(version) < 300 for name, version in packages.items()
        ):
            raise RunnerViolation("packages without versions")
        manifest.ambient, manifest.packages = ambient, packages
        manifest.python = _text(header, "python", 64)
        manifest.execution_count = _number(header, "execution_count")
        return manifest

    def _variable(self, variable: Any) -> dict[str, Any]:
        if not isinstance(variable, dict):
            raise RunnerViolation("a variable that is none")
        name = _text(variable, "name", _NAME_CHARACTERS)
        fidelity = _text(variable, "fidelity", 20)
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
            "shares": _text(variable, "shares", 128),
            "begins": None if variable.get("begins") is None else _pair(variable["begins"]),
        }

    def _chunk_list(self, chunks: Any) -> list[Chunk]:
        found = chunk_list(chunks)
        self._chunks += len(found)
        if self._chunks > CHUNKS:
            raise RunnerViolation("too many chunks")
        return found


def _kept(base: Mapping[str, dict[str, Any]], key: str) -> Mapping[str, Any]:
    found = base.get(key)
    if found is None:
        raise RunnerViolation("kept, but not in the base")
    # The base came through here too; its chunks are tuples since, or lists again from its JSON.
    return found


def chunk_list(chunks: Any) -> list[Chunk]:
    """Return chunks that a writer names. :class:`RunnerViolation`."""
    if not isinstance(chunks, list):
        raise RunnerViolation("chunks that are none")
    return [_chunk(each) for each in chunks]


def _chunk(chunk: Any) -> Chunk:
    if isinstance(chunk, list | tuple) and len(chunk) == 2:
        name, length = chunk
        if (
            isinstance(name, str)
            and _HASH.fullmatch(name)
            and type(length) is int
            and 0 <= length <= CHUNK_BYTES
        ):
            return name, length
    raise RunnerViolation("a chunk that is none")


def _size_of(value: Any) -> int:
    """Return how many bytes it has as JSON. :class:`RunnerViolation` where it is so deep that who keeps it may fail."""
    for _ in range(_DEPTH_TO_SPARE):
        value = [value]
    try:
        return len(json.dumps(value)) - 2 * _DEPTH_TO_SPARE
    except RecursionError:
        raise RunnerViolation("an ambient state without an end") from None


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
    return _whole(fields.get(key))


def _whole(value: Any) -> int:
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise RunnerViolation("not a number")
    return value


def _path(fields: Mapping[str, Any], key: str) -> str:
    """Return a path; bytes in it that are no UTF-8 are lone surrogates."""
    value = fields.get(key)
    if not isinstance(value, str) or len(value) > _PATH_CHARACTERS:
        raise RunnerViolation(f"{key} is no path, or too long")
    return value


def _pair(value: Any) -> list[int]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise RunnerViolation("not a pair")
    return [_whole(each) for each in value]


def _line(value: Any) -> str:
    return _text({"": value}, "", _NAME_CHARACTERS)


def _list(fields: Mapping[str, Any], key: str, most: int) -> list[Any]:
    value = fields.get(key)
    if not isinstance(value, list) or len(value) > most:
        raise RunnerViolation(f"{key} is no list, or too long")
    return value


def lost(file: Mapping[str, Any]) -> str:
    """Return why a file could not be saved, empty where it is; manifests of before have no word of it."""
    why: str = file.get("lost", "")
    return why


def escaped(path: str) -> str:
    """Return a path as clients see it: what is no UTF-8 in it is backslash-escaped."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
