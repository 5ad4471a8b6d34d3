"""Restored files lie ready in a directory of the workspace until all is there, then take the place of what was."""

from __future__ import annotations

import os
import stat
import sys
from typing import Any

from sandbank_runner.files.removal import remove_tree
from sandbank_runner.files.restores import KEPT, LAID, NEW, OLD
from sandbank_runner.interpreter.checkpoints.frames import CHUNK_BYTES, Connection
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_modules = sys.modules


class Laid:
    """The files of one restore."""

    def __init__(self, workspace: str) -> None:
        self._workspace = workspace
        for name in os.listdir(workspace):
            if name.startswith(LAID):  # of a restore that was broken off
                self._remove(name)
        self._name = LAID + os.urandom(4).hex()
        self._home = f"{workspace}/{self._name}"
        os.mkdir(self._home, 0o700)
        self.top = f"{self._home}/{NEW}"
        """Where the workspace lies for the time being."""
        os.mkdir(self.top)
        os.mkdir(f"{self._home}/{OLD}")
        self._directories: list[dict[str, Any]] = []

    def lay(self, connection: Connection, files: list[dict[str, Any]]) -> None:
        """Write all files, whose contents come on the connection. OSError, ``Broken``."""
        self._directories = [entry for entry in files if stat.S_ISDIR(entry["mode"])]
        buffer = memoryview(bytearray(CHUNK_BYTES))
        for entry in files:
            path = self._at(entry["path"])
            if stat.S_ISDIR(entry["mode"]):
                os.mkdir(path, 0o700)
            elif entry["link"] is not None:
                os.symlink(entry["link"], path)
                os.utime(path, ns=(entry["mtime_ns"], entry["mtime_ns"]), follow_symlinks=False)
            else:
                self._write(connection, path, entry, buffer)

    def place(self) -> None:
        """Move what lies ready to where it belongs, and away what was there; or, raising OSError, neither."""
        self._dress_directories()
        moved: list[tuple[str, str]] = []
        try:
            for name in os.listdir(self._workspace):
                if name != self._name:
                    self._move(moved, f"{self._workspace}/{name}", f"{self._home}/{OLD}/{name}")
            # From here on what lies in the workspace is new: whoever has to undo this must know.
            self._move(moved, f"{self._home}/{OLD}", f"{self._home}/{KEPT}")
            for name in os.listdir(self.top):
                self._move(moved, f"{self.top}/{name}", f"{self._workspace}/{name}")
        except OSError:
            for source, target in reversed(moved):
                os.rename(target, source)
            raise
        self.remove()

    def remove(self) -> None:
        """Take away what is left of it."""
        os.chdir(self._workspace)
        self._remove(self._name)

    def settle_modules(self) -> None:
        """Make modules that were imported from here know where they will be."""
        for module in list(_modules.values()):
            names = getattr(module, "__dict__", {})
            file = names.get("__file__")
            if isinstance(file, str) and file.startswith(self.top):
                self._settle(names)

    def _settle(self, names: dict[str, Any]) -> None:
        def there(path: Any) -> Any:
            return self._workspace + path.removeprefix(self.top) if isinstance(path, str) else path

        for name in ("__file__", "__cached__"):
            if name in names:
                names[name] = there(names[name])
        if isinstance(names.get("__path__"), list):
            names["__path__"][:] = map(there, names["__path__"])
        spec = names.get("__spec__")
        if spec is not None:
            spec.origin, spec.cached = there(spec.origin), there(spec.cached)
            if isinstance(spec.loader, object) and hasattr(spec.loader, "path"):
                spec.loader.path = there(spec.loader.path)

    def _at(self, path: str) -> str:
        parts = path.split("/")
        if not path or any(part in ("", ".", "..") for part in parts):
            raise OSError(f"a file of the checkpoint has the path {path!r}")
        return f"{self.top}/{path}"

    def _write(self, connection: Connection, path: str, entry: dict[str, Any], buffer: memoryview) -> None:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            for _, length in entry["chunks"]:
                piece = buffer[:length]
                connection.take_into(piece)
                while piece:
                    piece = piece[os.write(descriptor, piece) :]
            os.fchmod(descriptor, stat.S_IMODE(entry["mode"]))
            os.utime(descriptor, ns=(entry["mtime_ns"], entry["mtime_ns"]))
        finally:
            os.close(descriptor)

    def _dress_directories(self) -> None:
        for entry in sorted(self._directories, key=lambda each: each["path"], reverse=True):
            path = self._at(entry["path"])
            os.utime(path, ns=(entry["mtime_ns"], entry["mtime_ns"]))
            os.chmod(path, stat.S_IMODE(entry["mode"]))

    def _move(self, moved: list[tuple[str, str]], source: str, target: str) -> None:
        os.rename(source, target)
        moved.append((source, target))

    def _remove(self, name: str) -> None:
        parent = os.open(self._workspace, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            remove_tree(parent, os.fsencode(name))
        finally:
            os.close(parent)
