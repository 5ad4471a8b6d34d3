"""What Ctrl-C does while code runs in a sandbox: it cancels that, not this program."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from sandbank.cli.command import Cli
from sandbank.errors import SandbankError
from sandbank.sync.execution import Execution


class Interrupts:
    """Lets Ctrl-C cancel an operation; the one after `patience` of them is a KeyboardInterrupt here."""

    def __init__(self, cli: Cli, execution: Execution, patience: int) -> None:
        self._cli, self._execution, self._patience = cli, execution, patience
        self._asking = False
        self.count = 0

    @property
    def gave_up(self) -> bool:
        """Whether the user does not want to wait any longer."""
        return self.count > self._patience

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        """Catch Ctrl-C until the end of the block."""
        if threading.current_thread() is not threading.main_thread():  # where signals cannot be caught
            yield
            return
        before = signal.signal(signal.SIGINT, self._on_interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Let Ctrl-C end what is typed here as well, by KeyboardInterrupt, until the end of the block."""
        self._asking = True
        try:
            yield
        finally:
            self._asking = False

    def _on_interrupt(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self.gave_up:
            raise KeyboardInterrupt
        # In a thread: this runs in the middle of whatever the main thread waits for.
        threading.Thread(target=self._cancel, daemon=True).start()
        if self._asking:
            raise KeyboardInterrupt

    def _cancel(self) -> None:
        try:
            self._execution.cancel()
        except SandbankError as error:
            self._cli.fail(f"could not cancel: {error}")
