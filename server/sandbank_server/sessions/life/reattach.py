"""Finding a sandbox again whose link broke.

A supervisor closes its link when the control plane reads too slowly; it listens on, and is found again at once. When
nobody listens any more the sandbox is dead: a supervisor never stops listening while it lives.
"""

from __future__ import annotations

from sandbank_server.clock import Clock
from sandbank_server.runners.frames import RunnerViolation
from sandbank_server.runners.link import RunnerLink
from sandbank_server.runtimes.base import Endpoint
from sandbank_server.runtimes.dial import ImpostorEndpoint, NotListening, open_socket

ANSWER_SECONDS = 10.0
"""How long a supervisor that listens may take to say Hello (its CPUs may be busy)."""

STABLE_SECONDS = 30.0
"""A link that lasted so long has nothing to do with the break before it."""

BREAKS = 12
"""Breaks in a row, none of them :data:`STABLE_SECONDS` after the one before, that end the attempts."""

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0


class Breaks:
    """Counts how often a link broke of late: a supervisor that hangs up again and again must not keep us dialling."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._count = 0
        self._last = clock.monotonic()

    def note(self) -> bool:
        """Count a break; return False when that was one too many."""
        now = self._clock.monotonic()
        if now - self._last >= STABLE_SECONDS:
            self._count = 0
        self._last = now
        self._count += 1
        return self._count <= BREAKS

    async def pause(self) -> None:
        """Wait before dialling: not at all the first time, then longer each time."""
        if self._count > 1:
            await self._clock.sleep(
                min(_FIRST_PAUSE_SECONDS * 2 ** (self._count - 2), _LONGEST_PAUSE_SECONDS)
            )


async def find_again(endpoint: Endpoint, sandbox_id: str, boot_id: str) -> RunnerLink | None:
    """Return a new link to the same start of the same supervisor, or None when that is gone.

    OSError for troubles of our own (no descriptors left): they say nothing about the sandbox.
    """
    try:
        open_socket(endpoint).close()
        link = await RunnerLink.connect(endpoint, sandbox_id, ANSWER_SECONDS)
    except (NotListening, ImpostorEndpoint, TimeoutError, RunnerViolation) as error:
        if isinstance(error.__cause__, BlockingIOError):
            raise OSError("its queue of connections is full") from error  # so somebody listens
        return None
    except ConnectionError:
        return None
    if link.hello.boot_id != boot_id:
        await link.close()
        return None
    return link
