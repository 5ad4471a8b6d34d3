"""Deaths of containers as the engine tells them: a thread listens, and comes back when the engine went away."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from docker import APIClient

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 5.0
_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Death:
    """A container's end as the engine saw it."""

    container_id: str
    exit_code: int | None
    labels: Mapping[str, str]


class DeathWatch:
    """Calls ``on_death`` from its own thread, once for each death since ``since`` (seconds of the epoch).

    The engine keeps the last 256 events: after an interruption the watch asks for those it missed. More, or a
    restarted engine, means deaths that are only seen by listing.
    """

    def __init__(
        self,
        connect: Callable[[], APIClient],
        filters: Mapping[str, Any],
        since: float,
        on_death: Callable[[Death], None],
    ) -> None:
        self._connect = connect
        self._filters = dict(filters)
        self._since = f"{since:.9f}"
        self._on_death = on_death
        self._told: OrderedDict[str, None] = OrderedDict()
        self._closed = threading.Event()
        self._stream: Any = None
        # A daemon: an engine that hangs while it is being asked must not hold up the end of the process.
        self._thread = threading.Thread(target=self._run, name="engine-events", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End soon; nothing is told any more once this has returned."""
        self._closed.set()
        stream = self._stream
        if stream is not None:
            with contextlib.suppress(Exception):  # it may be ending by itself at this moment
                stream.close()

    def join(self, seconds: float) -> None:
        """Wait for the thread."""
        self._thread.join(seconds)

    def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._closed.is_set():
            # Whatever goes wrong, a broken line included, is an interruption like any other.
            with contextlib.suppress(Exception):
                for event in self._listen():
                    pause = FIRST_PAUSE_SECONDS
                    self._take(event)
            self._closed.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _listen(self) -> Any:
        client: Any = self._connect()  # a moment as text is not in its types
        answers: list[Any] = []
        client.hooks["response"].append(lambda answer, **_: answers.append(answer))
        try:
            self._stream = client.events(since=self._since, filters=self._filters, decode=True)
            if not self._closed.is_set():
                yield from self._stream
        finally:
            self._stream = None
            for answer in answers:
                answer.close()  # a stream that broke off is not closed by its client
            client.close()

    def _take(self, event: Mapping[str, Any]) -> None:
        actor = event["Actor"]
        # The next try begins where this one ended; what the engine tells twice is told once.
        moment = int(event["timeNano"])
        self._since = f"{moment // 10**9}.{moment % 10**9:09d}"
        container_id = actor["ID"]
        if event.get("Action") != "die" or container_id in self._told or self._closed.is_set():
            return
        self._told[container_id] = None
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        labels = actor.get("Attributes") or {}
        code = labels.get("exitCode", "")
        self._on_death(Death(container_id, int(code) if code.isdecimal() else None, labels))
