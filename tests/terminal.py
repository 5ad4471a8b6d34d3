"""A command at a real terminal: what is typed reaches it as keys, Ctrl-C as a signal."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping

CONTROL_C, CONTROL_D = "\x03", "\x04"
SECONDS = 30.0

# In the child: a session of its own, whose controlling terminal is its standard input, and Ctrl-C as a shell leaves it:
# whoever runs the tests in the background may have had it ignored.
_TAKE_TERMINAL = (
    "import fcntl, os, signal, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "signal.signal(signal.SIGINT, signal.SIG_DFL);"
    "os.execv(sys.argv[1], sys.argv[1:])"
)


class Terminal:
    """The far side of a terminal that a command runs at."""

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self._master, self.process = master, process
        self._unread = ""
        self.seen = ""

    def type(self, text: str) -> None:
        """Press keys; a line ends with Return."""
        os.write(self._master, text.encode())

    def line(self, text: str) -> None:
        """Type a line."""
        self.type(text + "\r")

    def expect(self, text: str) -> str:
        """Wait until `text` is shown, and return what was shown before it."""
        deadline = time.monotonic() + SECONDS
        while text not in self._unread:
            if not self._read(deadline):
                raise AssertionError(f"{text!r} was not shown; shown was:\n{self.seen}")
        before, _, self._unread = self._unread.partition(text)
        return before

    def interrupt(self, text: str) -> str:
        """Press Ctrl-C at a line editor until `text` is shown, and return what was shown before it.

        One that comes just before Python's line editor begins to wait goes unnoticed until the next key.
        """
        deadline = time.monotonic() + SECONDS
        self.type(CONTROL_C)
        while text not in self._unread and time.monotonic() < deadline:
            if not self._read(time.monotonic() + 1.0):
                self.type(CONTROL_C)
        return self.expect(text)

    def end(self) -> int:
        """Wait for the command's end and return its exit code."""
        deadline = time.monotonic() + SECONDS
        while self._read(deadline):
            pass
        return self.process.wait(SECONDS)

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # nobody has the other side open any more
            return False
        text = data.decode("utf-8", "replace").replace("\r\n", "\n")
        self._unread += text
        self.seen += text
        return bool(data)


@contextlib.contextmanager
def at_terminal(*arguments: str, environment: Mapping[str, str]) -> Iterator[Terminal]:
    """Run the command line at a terminal; it is ended with the block if it has not ended by itself."""
    master, slave = pty.openpty()
    command = [sys.executable, "-c", _TAKE_TERMINAL, sys.executable, "-m", "sandbank", *arguments]
    process = subprocess.Popen(
        command,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        # Without the sequences that line editors use elsewhere, what is shown can be compared.
        env={**os.environ, "TERM": "dumb", **environment},
    )
    os.close(slave)
    try:
        yield Terminal(master, process)
    finally:
        os.close(master)  # a hang-up, should it still run
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
