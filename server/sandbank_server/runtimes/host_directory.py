"""The host's directory of each sandbox.

``DATA_DIR/sandboxes/ID`` has mode 0700: strangers on the host fail there. Below it ``host``, mode 0777, is
what the sandbox sees: its supervisor, a user that this host does not know, makes its socket there. In the
sandbox it lies under a directory that only the supervisor may enter, so user code does not get there either.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from sandbank_server.runtimes.base import RuntimeUnavailable
from sandbank_server.runtimes.identity import check_sandbox_id, is_sandbox_id
from sandbank_server.runtimes.removal import remove_tree


class HostDirectories:
    """All of one installation's directories."""

    def __init__(self, data_dir: Path) -> None:
        self._root = data_dir / "sandboxes"

    def prepare(self) -> None:
        """Make what all share. Raises :class:`RuntimeUnavailable`."""
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._root.chmod(0o700)
        except OSError as error:
            raise RuntimeUnavailable(f"cannot keep sandboxes in {self._root}: {error.strerror}") from error

    def inner(self, sandbox_id: str) -> str:
        """Return the path of the directory that the sandbox sees, whether it exists or not."""
        return str(self._root / check_sandbox_id(sandbox_id) / "host")

    def make(self, sandbox_id: str) -> str:
        """Make a sandbox's directories and return the inner one. FileExistsError when they are there."""
        inner = Path(self.inner(sandbox_id))
        inner.parent.mkdir(mode=0o700)
        inner.mkdir()
        inner.chmod(0o777)  # whatever the umask is
        return str(inner)

    def remove(self, sandbox_id: str) -> bool:
        """Remove a sandbox's directories once its processes are gone; nothing when there are none.

        Files in the inner directory belong to the supervisor's user; they can be removed because the
        directory is ours. What a supervisor put into a directory of its own cannot, unless the control plane
        is root: then False is returned, and what is left is moved out of the way, to ``sandboxes/.left``.
        """
        outer = self._root / check_sandbox_id(sandbox_id)
        if remove_tree(str(outer)):
            return True
        left = self._root / ".left"
        left.mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(OSError):
            outer.rename(left / sandbox_id)
        return False

    def list_ids(self) -> set[str]:
        """Return the sandboxes that have directories."""
        try:
            return {name for name in os.listdir(self._root) if is_sandbox_id(name)}
        except FileNotFoundError:
            return set()
