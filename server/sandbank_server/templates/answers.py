"""Reads the engine's answer to a long request, message by message, and ends it early when it must."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import requests

from sandbank_server.templates.errors import TemplateBuildError
from sandbank_server.templates.interruption import interrupting
from sandbank_server.templates.progress import BuildWatch, LogTail

_NOISE = ("---> ", "Removing intermediate container ")


class AnswerStream:
    """Follows one request at a time. ``faults`` are what the engine's library raises, ``reason`` their text."""

    def __init__(
        self, *, faults: tuple[type[BaseException], ...], reason: Callable[[BaseException], str]
    ) -> None:
        self._faults = faults
        self._reason = reason
        self._answer: requests.Response | None = None

    def remember(self, answer: requests.Response, **_: object) -> None:
        """Take note of the answer that is being read: a hook of the HTTP session, called when it begins."""
        self._answer = answer

    def follow(
        self, what: str, start: Callable[[], Iterable[Any]], watch: BuildWatch, timeout: float
    ) -> None:
        """Start a long request and read its messages to the end.

        The engine is silent while a step runs, so the wish to stop cannot wait for the next message: the
        connection is shut down, on which the engine gives the request up. Raises
        :class:`TemplateBuildError` with the end of the log, and when it took longer than ``timeout`` seconds.
        """
        watch.check()
        log = LogTail()
        fault: TemplateBuildError | None = None
        self._answer = None
        with interrupting(watch, timeout, self._shut_down) as late:
            try:
                for message in start():
                    _read(message, log, watch)
            except TemplateBuildError as error:
                fault = error
            except self._faults as error:
                fault = TemplateBuildError(f"{what}: {self._reason(error)}", log.lines())
        self._hang_up()
        watch.check()
        if late.is_set():
            raise TemplateBuildError(f"{what}: not done after {timeout:.0f} s", log.lines())
        if fault is not None:
            raise fault

    def _shut_down(self) -> bool:
        """Make a read of the running answer end; False while the request is still being sent."""
        if self._answer is None:
            return False
        with contextlib.suppress(ValueError, RuntimeError, OSError):
            self._answer.raw.shutdown()
        return True

    def _hang_up(self) -> None:
        """Close the connection: a build whose client is gone is given up."""
        if self._answer is not None:
            self._answer.close()
            self._answer = None


def _read(message: Mapping[str, Any], log: LogTail, watch: BuildWatch) -> None:
    """Take in one message of a build or a pull."""
    if "error" in message:
        raise TemplateBuildError(log.add(str(message["error"])), log.lines())
    for line in str(message.get("stream") or message.get("status") or "").splitlines():
        if line.lstrip().startswith(_NOISE):
            continue
        if kept := log.add(line):
            watch.note(kept)
