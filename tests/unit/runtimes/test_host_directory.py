"""The host's directories of sandboxes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from sandbank_server.runtimes.base import RuntimeUnavailable
from sandbank_server.runtimes.host_directory import HostDirectories

from tests.other_users import let_through

SANDBOX = "sb-0123456789ab"


@pytest.fixture
def directories(tmp_path: Path) -> HostDirectories:
    """Directories of an installation."""
    made = HostDirectories(tmp_path / "data")
    made.prepare()
    return made


def mode(path: str | Path) -> int:
    """Return permission bits."""
    return stat.S_IMODE(os.stat(path).st_mode)


def test_strangers_fail_at_the_parent(directories: HostDirectories, tmp_path: Path) -> None:
    """The inner directory is open to the sandbox's users, which the host does not know; its parents to nobody."""
    before = os.umask(0o077)
    try:
        inner = directories.make(SANDBOX)
    finally:
        os.umask(before)
    assert mode(inner) == 0o777
    assert mode(Path(inner).parent) == 0o700
    assert mode(tmp_path / "data" / "sandboxes") == 0o700
    assert directories.list_ids() == {SANDBOX}


def test_made_once(directories: HostDirectories) -> None:
    """A second sandbox of the same id is noticed here."""
    directories.make(SANDBOX)
    with pytest.raises(FileExistsError):
        directories.make(SANDBOX)


def test_removed_with_what_the_sandbox_left(directories: HostDirectories, tmp_path: Path) -> None:
    """Sockets, fifos, trees and links go; what a link points to stays."""
    outside = tmp_path / "precious"
    outside.mkdir()
    (outside / "file").touch()
    inner = Path(directories.make(SANDBOX))
    (inner / "deep" / "er").mkdir(parents=True)
    (inner / "link").symlink_to(outside)
    (inner / "deep" / "link").symlink_to("/")
    os.mkfifo(inner / "fifo")
    assert directories.remove(SANDBOX) is True
    assert directories.remove(SANDBOX) is True
    assert directories.list_ids() == set()
    assert (outside / "file").exists()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to make files of other users")
def test_without_root_the_sandboxes_files_go_but_not_its_directories(tmp_path: Path) -> None:
    """A control plane without root removes files of the sandbox's users; their directories it moves out of the way."""
    tmp_path.chmod(0o777)
    let_through(tmp_path)
    script = """
import os, sys
from pathlib import Path
from sandbank_server.runtimes.host_directory import HostDirectories
os.setresuid(54321, 54321, 0)
made = HostDirectories(Path(sys.argv[1]) / "data")
made.prepare()
first, second = made.make("sb-aaaaaaaaaaaa"), made.make("sb-bbbbbbbbbbbb")
# What the sandbox does, as its own user, through the mount of the inner directory.
os.setresuid(0, 0, 0)
for path in (first, second):
    Path(path, "runner.sock").touch(); os.chown(f"{path}/runner.sock", 54322, 54322)
Path(second, "mine").mkdir(mode=0o700); Path(second, "mine", "file").touch()
os.chown(f"{second}/mine", 54322, 54322)
os.setresgid(54321, 54321, 54321); os.setresuid(54321, 54321, 54321)
print(made.remove("sb-aaaaaaaaaaaa"), made.remove("sb-bbbbbbbbbbbb"), sorted(made.list_ids()))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "True False []"
    assert (tmp_path / "data" / "sandboxes" / ".left" / "sb-bbbbbbbbbbbb").is_dir()


def test_unusable_data_directory_is_told(tmp_path: Path) -> None:
    """A data directory that cannot be made is the operator's to mend."""
    (tmp_path / "data").write_text("a file")
    with pytest.raises(RuntimeUnavailable, match="cannot keep sandboxes"):
        HostDirectories(tmp_path / "data").prepare()


@pytest.mark.parametrize("name", ["..", "sb-../../../etc", "", "sb-0123456789AB"])
def test_only_sandbox_ids_become_paths(directories: HostDirectories, name: str) -> None:
    """Nothing else is made or removed."""
    with pytest.raises(ValueError, match="no sandbox id"):
        directories.make(name)
    with pytest.raises(ValueError, match="no sandbox id"):
        directories.remove(name)
