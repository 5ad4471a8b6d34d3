"""Walls cannot be taken down again, so each is tried in a child of the test's process."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")


def in_child(work: Callable[[], Result]) -> Result:
    """Run ``work`` in a forked child and return what it returned, by JSON; what it raised is an AssertionError here."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        signal.alarm(60)
        try:
            answer = json.dumps({"value": work()})
        except BaseException:
            answer = json.dumps({"error": traceback.format_exc()})
        os.write(write_end, answer.encode())
        os._exit(0)
    os.close(write_end)
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # whatever it left behind holds the pipe
    with os.fdopen(read_end, "rb") as pipe:
        data = pipe.read()
    assert data, f"the child said nothing and ended with status {status}"
    answer: dict[str, Any] = json.loads(data)
    assert "error" not in answer, answer["error"]
    return answer["value"]


def error_of(work: Callable[[], Any]) -> int:
    """Return the errno of the OSError that ``work`` raises, 0 when it raises none."""
    try:
        work()
    except OSError as error:
        return error.errno or -1
    return 0
