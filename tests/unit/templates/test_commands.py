"""Commands of a build are bounded and leave nothing running."""

from __future__ import annotations

import os
import sys
import threading
import time

import pytest
from sandbank_server.templates.commands import run_command
from sandbank_server.templates.errors import TemplateBuildCancelledError, TemplateBuildError
from sandbank_server.templates.progress import LOG_LINE_LENGTH, LOG_LINES, BuildWatch


def run(script, *, timeout=20.0, on_progress=None, cancel=None):
    """Run a Python script as a build would."""
    watch = BuildWatch("t", on_progress, cancel)
    run_command([sys.executable, "-c", script], what="trying", watch=watch, timeout=timeout)


def alive(pid):
    """Whether a process runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_every_line_is_progress():
    """Carriage returns end a line, too: that is how progress bars redraw."""
    notes = []
    run(
        "print('one\\rtwo'); print('three', end='')",
        on_progress=lambda progress: notes.append(progress.detail),
    )
    assert notes == ["one", "two", "three"]


def test_a_failure_shows_the_end_of_the_log():
    """Bounded in lines and in their length, without control characters."""
    with pytest.raises(TemplateBuildError) as caught:
        run("for i in range(500): print(i, '\\x1b[31m' + 'x' * 5000)\nraise SystemExit(3)")
    assert "trying: " in str(caught.value)
    assert "ended with 3" in str(caught.value)
    assert len(caught.value.log_tail) == LOG_LINES
    assert caught.value.log_tail[-1].startswith("499 xxx")
    assert max(map(len, caught.value.log_tail)) <= LOG_LINE_LENGTH
    assert "\x1b" not in str(caught.value)


def test_what_takes_too_long_is_ended_with_its_children():
    """A child that ignores the polite signal, too."""
    script = (
        "import os, signal, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', "
        "'import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(600)'])\n"
        "print(child.pid, flush=True); time.sleep(600)"
    )
    notes = []
    with pytest.raises(TemplateBuildError, match="not done after 2 s"):
        run(script, timeout=2.0, on_progress=lambda progress: notes.append(progress.detail))
    child = next(int(note) for note in notes if note != "1")
    deadline = time.monotonic() + 5
    while alive(child) and time.monotonic() < deadline:
        os.sched_yield()
    assert not alive(child)


def test_a_cancelled_command_ends_at_once():
    """Cancelling needs no cooperation of the command."""
    cancel = threading.Event()
    started = time.monotonic()
    with pytest.raises(TemplateBuildCancelledError):
        run(
            "import time; print(1, flush=True); time.sleep(600)",
            cancel=cancel,
            on_progress=lambda _: cancel.set(),
        )
    assert time.monotonic() - started < 10


def test_a_cancelled_build_starts_nothing_more(tmp_path):
    """The wish to stop is asked for before each command."""
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(TemplateBuildCancelledError):
        run(f"open({str(tmp_path / 'ran')!r}, 'w')", cancel=cancel)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_command_is_named():
    """Not a traceback: a sentence with the command in it."""
    with pytest.raises(TemplateBuildError, match="cannot run /no/such/command: No such file"):
        run_command(["/no/such/command"], what="trying", watch=BuildWatch("t"), timeout=1.0)
