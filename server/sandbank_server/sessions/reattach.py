"""Finding a sandbox again whose link broke.

A supervisor closes its link when the control plane reads too slowly; it listens on, and is found again at once. When
nobody listens any more the sandbox is dead: a supervisor never stops listening while it lives.
"""

from __future__ import annotations

from sandbank_server.runners.frames import RunnerViolation
from sandbank_server.runners.link import RunnerLink
from sandbank_server.runtimes.dial import NotListening, open_socket

ANSWER_SECONDS = 10.0
"""How long a supervisor that listens may take to say Hello (its CPUs may be busy)."""


async def find_again(old: RunnerLink, sandbox_id: str) -> RunnerLink | None:
    """Return a new link to the same start of the same supervisor, or None when that is gone."""
    try:
        open_socket(old.endpoint).close()
        link = await RunnerLink.connect(old.endpoint, sandbox_id, ANSWER_SECONDS)
    except (NotListening, OSError, TimeoutError, RunnerViolation):
        return None
    if link.hello.boot_id != old.hello.boot_id:
        await link.close()
        return None
    return link
