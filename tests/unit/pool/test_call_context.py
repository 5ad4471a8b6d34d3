"""What the pool does by itself is not part of the call that set it off."""

from __future__ import annotations

import asyncio

from sandbank_server.clock import SystemClock
from sandbank_server.observability.context import current_context, set_context
from sandbank_server.runtimes.base import LaunchedSandbox

from tests.fakes.pool_links import FakeLink, Greeter
from tests.fakes.runtime_saboteur import SaboteurRuntime
from tests.unit.pool.conftest import Rig


class NotingGreeter(Greeter):
    """Notes in which context runners are greeted."""

    def __init__(self, runtime: SaboteurRuntime) -> None:
        super().__init__(runtime)
        self.seen: list[dict[str, str]] = []

    async def __call__(self, launched: LaunchedSandbox) -> FakeLink:
        """Greet."""
        self.seen.append(dict(current_context()))
        return await super().__call__(launched)


async def test_a_sandbox_started_for_a_call_carries_no_id_of_it(rig: Rig) -> None:
    """It lives long after, and serves whoever comes; its log lines are its own."""
    greeter = rig.greeter = NotingGreeter(rig.runtime)
    await rig.start(min_ready=0)
    set_context({"request_id": "req-of-the-call"})
    (await rig.acquire()).confirm()
    assert greeter.seen == [{}]


async def test_a_timer_carries_no_id_of_the_call_that_set_it() -> None:
    """What falls due later is nobody's call."""
    set_context({"request_id": "req-of-the-call"})
    called: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()
    SystemClock().call_later(0, lambda: called.set_result(dict(current_context())))
    assert await called == {}
