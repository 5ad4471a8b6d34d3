"""Removing trees that were built to be hard to remove."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sandbank_server.runtimes.removal import remove_tree

from tests.other_users import let_through


def deep(path: Path, depth: int) -> None:
    """Build a chain of directories that no path reaches."""
    here = os.open(path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d" * 100, dir_fd=here)
        below = os.open("d" * 100, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)


def test_deep_tree_goes(tmp_path: Path) -> None:
    """Deeper than a path is long and than Python recurses, with few descriptors open."""
    tree = tmp_path / "tree"
    tree.mkdir()
    deep(tree, 1200)
    assert remove_tree(str(tree)) is True
    assert os.listdir(tmp_path) == []


def test_wide_tree_goes_and_nothing_else(tmp_path: Path) -> None:
    """Files, links, fifos and odd names go; what links point to stays."""
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o750)
    (outside / "file").touch()
    tree = tmp_path / "tree"
    for sub in ("a/b/c", ".hidden/.more", "new\nline", "\udcff"):
        (tree / sub).mkdir(parents=True)
        (tree / sub / "file").touch()
        (tree / sub / "link").symlink_to(outside)
        (tree / sub / "up").symlink_to("../..")
        os.mkfifo(tree / sub / "fifo")
    (tree / "link").symlink_to(outside)
    assert remove_tree(str(tree)) is True
    assert sorted(os.listdir(tmp_path)) == ["outside"]
    assert os.listdir(outside) == ["file"]
    assert outside.stat().st_mode & 0o777 == 0o750


def test_link_in_the_place_of_the_tree_is_not_followed(tmp_path: Path) -> None:
    """Whatever the path is by now, only a directory is emptied."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    (tmp_path / "tree").symlink_to(outside)
    assert remove_tree(str(tmp_path / "tree")) is False
    assert os.listdir(outside) == ["file"]


def test_missing_tree_is_removed(tmp_path: Path) -> None:
    """Removing what is not there is done."""
    assert remove_tree(str(tmp_path / "tree")) is True


_LOCKED = """
import os, sys
from pathlib import Path
from sandbank_server.runtimes.removal import remove_tree
if os.getuid() == 0:
    os.chown(sys.argv[1], 54321, 54321); os.setresgid(54321, 54321, 54321); os.setresuid(54321, 54321, 54321)
tree = Path(sys.argv[1], "tree")
(tree / "a" / "b" / "c").mkdir(parents=True)
(tree / "a" / "file").touch()
for path in (tree / "a" / "b" / "c", tree / "a" / "b", tree / "a", tree):
    path.chmod(0)
print(remove_tree(str(tree)), tree.exists())
"""


@pytest.mark.skipif(os.getuid() != 0, reason="changes its user to one that permissions hold for")
def test_permissions_that_user_code_took_away_are_given_back(tmp_path: Path) -> None:
    """Directories without any permission go too, for their owner, who is not root."""
    let_through(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", _LOCKED, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "True False"
