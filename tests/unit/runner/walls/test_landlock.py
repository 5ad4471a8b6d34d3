"""Landlock: what may be written and read behind it."""

from __future__ import annotations

import errno
import os
import signal
import socket
import struct
from pathlib import Path

import pytest
from sandbank_runner.walls import capabilities, landlock, process_flags

from tests.unit.runner.walls.in_child import error_of, in_child

pytestmark = pytest.mark.skipif(landlock.version() == 0, reason="this kernel has no Landlock")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """``open/`` to write, ``read/`` to read, ``closed/`` for neither."""
    for name in ("open", "read", "closed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    return tmp_path


def enter(tree: Path, abi: int | None = None) -> None:
    """Put the calling process behind a ruleset for ``tree``."""
    ruleset = landlock.make_ruleset(
        landlock.version() if abi is None else abi,
        writable=(str(tree / "open"), "/no/such/directory"),
        readable=(str(tree / "read"), "/proc", "/usr", "/lib", "/lib64"),
        devices=("/dev/null",),
    )
    process_flags.give_up_new_privileges()
    ruleset.enter()
    os.close(ruleset.descriptor)


@pytest.mark.parametrize("abi", range(1, landlock.version() + 1))
def test_files_are_open_readable_or_closed_as_the_rules_say(tree: Path, abi: int):
    """With each version that this kernel can act as; root or not."""

    def work() -> dict[str, int]:
        enter(tree, abi)
        return {
            "write_open": error_of(lambda: (tree / "open/file").write_text("x")),
            "make_open": error_of((tree / "open/new").mkdir),
            "link_open": error_of(lambda: (tree / "open/link").symlink_to("file")),
            "fifo_open": error_of(lambda: os.mkfifo(tree / "open/fifo")),
            "read_read": error_of((tree / "read/file").read_text),
            "write_read": error_of(lambda: (tree / "read/file").write_text("x")),
            "make_read": error_of((tree / "read/new").mkdir),
            "delete_read": error_of((tree / "read/file").unlink),
            "read_closed": error_of((tree / "closed/file").read_text),
            "list_closed": error_of(lambda: os.listdir(tree / "closed")),
            "write_null": error_of(lambda: Path("/dev/null").write_text("x")),
        }

    denied = dict.fromkeys(
        ("write_read", "make_read", "delete_read", "read_closed", "list_closed"), errno.EACCES
    )
    allowed = dict.fromkeys(
        ("write_open", "make_open", "link_open", "fifo_open", "read_read", "write_null"), 0
    )
    assert in_child(work) == denied | allowed


def test_truncation_and_moves_are_confined_too(tree: Path):
    """What came with versions 2 and 3."""
    if landlock.version() < 3:
        pytest.skip("this kernel's Landlock is older than version 3")

    def work() -> dict[str, int]:
        enter(tree)
        (tree / "open/below").mkdir()
        return {
            "truncate": error_of(lambda: os.truncate(tree / "read/file", 0)),
            "move_in": error_of(lambda: os.rename(tree / "read/file", tree / "open/taken")),
            "move_within": error_of(lambda: os.rename(tree / "open/file", tree / "open/below/file")),
        }

    result = in_child(work)
    assert result["truncate"] == errno.EACCES
    assert result["move_in"] in (errno.EACCES, errno.EXDEV)
    assert result["move_within"] == 0


def test_nobody_inside_lowers_an_out_of_memory_score(tree: Path):
    """``/proc`` is readable only, the process's own files too."""

    def work() -> tuple[int, int]:
        enter(tree)
        score = Path("/proc/self/oom_score_adj")
        return error_of(score.read_text), error_of(lambda: score.write_text("0"))

    assert in_child(work) == [0, errno.EACCES]


def test_signals_and_abstract_sockets_stay_inside(tree: Path):
    """Version 6: neither the parent nor its abstract socket can be reached; own children can."""
    if landlock.version() < 6:
        pytest.skip("this kernel's Landlock is older than version 6")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0sandbank-test-" + os.urandom(8).hex())
        listener.listen()
        address = listener.getsockname()

        def work() -> dict[str, int]:
            enter(tree)
            child = os.fork()
            if child == 0:
                signal.pause()
            with socket.socket(socket.AF_UNIX) as caller:
                return {
                    "signal": error_of(lambda: os.kill(os.getppid(), 0)),
                    "connect": error_of(lambda: caller.connect(address)),
                    "child": error_of(lambda: os.kill(child, signal.SIGKILL)),
                }

        assert in_child(work) == {"signal": errno.EPERM, "connect": errno.EPERM, "child": 0}


def test_those_outside_cannot_be_looked_into(tree: Path):
    """Tracing rights are confined: not even a process of the same user shows its memory or environment."""

    def work() -> list[int]:
        enter(tree)
        capabilities.keep_only()  # a root that may profile processes is not asked any further
        return [
            error_of(lambda n=name: Path(f"/proc/{os.getppid()}/{n}").read_bytes())
            for name in ("mem", "environ")
        ]

    assert all(in_child(work))


@pytest.mark.parametrize(
    ("abi", "names"),
    [
        (0, ["landlock"]),
        (1, ["landlock-rename", "landlock-truncate", "landlock-ioctl", "landlock-scope"]),
        (4, ["landlock-ioctl", "landlock-scope"]),
        (6, []),
        (9, []),
    ],
)
def test_what_a_version_lacks_is_named(abi: int, names: list[str]):
    """Never skipped in silence."""
    assert landlock.missing_parts(abi) == names


def test_a_future_version_is_asked_for_no_more_than_is_known(tree: Path):
    """A kernel that knows more takes what we know."""
    ruleset = landlock.make_ruleset(landlock.version() + 5, writable=(str(tree),), readable=())
    os.close(ruleset.descriptor)
    assert struct.calcsize("QQQ") == 24
