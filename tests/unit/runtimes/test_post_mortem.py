"""Why a sandbox ended, in words."""

from __future__ import annotations

import pytest
from sandbank_server.runtimes.post_mortem import describe_exit


@pytest.mark.parametrize(
    ("exit_code", "oom_killed", "log", "reason"),
    [
        (None, False, b"", "ended"),
        (0, False, b"", "exited with code 0"),
        (137, False, b"ignored", "killed by SIGKILL"),
        (137, True, b"", "killed: out of memory"),
        # User code was killed for memory some time; the supervisor ended by itself.
        (0, True, b"", "exited with code 0"),
        (139, False, b"", "killed by SIGSEGV"),
        (255, False, b"", "exited with code 255"),
        (70, False, b"trace\nno module named nope\n\n", "exited with code 70: no module named nope"),
        (70, False, b"bad \x1b[31m\xff\x00 bytes", "exited with code 70: bad ?[31m\ufffd? bytes"),
    ],
)
def test_reason(exit_code: int | None, oom_killed: bool, log: bytes, reason: str) -> None:
    """Signals by name, memory only when it was the supervisor, else the last line that was written, printable."""
    assert describe_exit(exit_code, oom_killed=oom_killed, log=log) == reason


def test_reason_is_bounded() -> None:
    """A long line is cut."""
    assert len(describe_exit(1, oom_killed=False, log=b"x" * 100_000)) < 300
