"""Runs the commands that a build needs: bounded in time and output, ended with all their children."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from sandbank_server.templates.errors import TemplateBuildError
from sandbank_server.templates.progress import BuildWatch, LogTail

_GRACE_SECONDS = 10.0
_CHUNK_BYTES = 1 << 16


def run_command(
    argv: Sequence[str],
    *,
    what: str,
    watch: BuildWatch,
    timeout: float,
    environment: Mapping[str, str] | None = None,
    tidy: Callable[[str], str] = str,
) -> None:
    """Run ``argv`` to its end; every line of its output, shortened by ``tidy``, is a note of progress.

    Raises :class:`TemplateBuildError` with the last lines when it fails, cannot be started or takes longer
    than ``timeout`` seconds, and :class:`TemplateBuildCancelledError` when told to stop; either way nothing
    of it runs on.
    """
    watch.check()
    try:
        # A session of its own: the whole family can be ended, and a terminal's Ctrl-C reaches only us.
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    except OSError as error:
        raise TemplateBuildError(f"{what}: cannot run {argv[0]}: {error.strerror}") from error
    log = LogTail()
    deadline = time.monotonic() + timeout
    with process:
        try:
            for line in _lines(process, deadline, watch):
                if kept := log.add(line):
                    watch.note(tidy(kept))
            watch.check()
            code = process.wait(timeout=max(0.1, deadline - time.monotonic()))
        except (TimeoutError, subprocess.TimeoutExpired):
            raise TemplateBuildError(f"{what}: not done after {timeout:.0f} s", log.lines()) from None
        finally:
            _end(process)
    if code != 0:
        raise TemplateBuildError(f"{what}: {Path(argv[0]).name} ended with {code}", log.lines())


def _lines(process: subprocess.Popen[bytes], deadline: float, watch: BuildWatch) -> Iterator[str]:
    """Yield lines until the output ends or the build is cancelled. Raises TimeoutError at the deadline."""
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    rest = b""
    while not watch.cancel.is_set():
        if time.monotonic() > deadline:
            raise TimeoutError
        if not select.select([descriptor], [], [], 0.1)[0]:
            continue
        chunk = os.read(descriptor, _CHUNK_BYTES)
        if not chunk:
            yield rest.decode("utf-8", "replace")
            return
        *whole, rest = re.split(rb"[\r\n]", rest[-_CHUNK_BYTES:] + chunk)
        yield from (line.decode("utf-8", "replace") for line in whole)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what still runs, politely first: mmdebstrap unmounts and removes its folder when asked to stop."""
    if process.poll() is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_GRACE_SECONDS)
        os.killpg(process.pid, signal.SIGKILL)
