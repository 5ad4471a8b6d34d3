"""Builds of one thing wait for each other."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
from sandbank_server.templates.errors import TemplateBuildCancelledError, TemplateBuildError
from sandbank_server.templates.exclusion import exclusive
from sandbank_server.templates.progress import BuildPhase, BuildWatch


def test_a_second_build_waits_and_says_so(tmp_path):
    """In the order in which they came; the waiting one is shown as waiting."""
    order, waiting = [], threading.Event()
    watch = BuildWatch("t", lambda progress: waiting.set() if progress.phase is BuildPhase.WAITING else None)

    def second():
        with exclusive(tmp_path / "lock", watch):
            order.append("second")

    thread = threading.Thread(target=second)
    with exclusive(tmp_path / "lock", BuildWatch("t")):
        thread.start()
        assert waiting.wait(10)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_waiting_can_be_cancelled(tmp_path):
    """The other build may take minutes."""
    cancel = threading.Event()
    watch = BuildWatch("t", lambda _: cancel.set(), cancel)
    with (
        exclusive(tmp_path / "lock", BuildWatch("t")),
        pytest.raises(TemplateBuildCancelledError),
        exclusive(tmp_path / "lock", watch),
    ):
        pytest.fail("got a lock that another one holds")


def test_a_killed_holder_blocks_nobody(tmp_path):
    """The lock is the kernel's and goes with its holder; the file that stays means nothing."""
    path = tmp_path / "lock"
    script = (
        "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX)\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        holder.kill()
    with exclusive(path, BuildWatch("t")):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    """A cache directory below a file is a mistake in the settings."""
    (tmp_path / "file").touch()
    with (
        pytest.raises(TemplateBuildError, match=r"cannot open the lock .*/file/lock"),
        exclusive(tmp_path / "file" / "lock", BuildWatch("t")),
    ):
        pytest.fail("opened a lock below a file")
