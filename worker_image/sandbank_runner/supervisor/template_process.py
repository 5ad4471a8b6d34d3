"""The supervisor's side of the template process: what it can be asked for.

Requests are answered in order. The template is the supervisor's own, but packages of a user's choice are preloaded in
it: an answer that is late or of the wrong kind counts as its death.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sandbank_runner.channel import Message
from sandbank_runner.supervisor.endpoint import Endpoint
from sandbank_runner.supervisor.interpreter_messages import escaped

REQUEST_SECONDS = 30.0
"""How long the template may take for an answer: it shares its processor with user code that may be hogging it."""


class TemplateDied(Exception):
    """The template is gone or beyond use, and no interpreter can be had any more. The text is for operators."""


class ForkFailed(Exception):
    """The template could not fork: memory or the process limit."""


@dataclass(frozen=True, slots=True)
class TemplateReady:
    """What the template says once it has preloaded."""

    python_version: str
    preload_ms: int
    failed: dict[str, str]
    """Modules that could not be preloaded, with the message of the error."""
    missing_walls: tuple[str, ...]


class TemplateProcess:
    """One template. ``on_death`` is told once when it is gone."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, pid: int, on_death: Callable[[str], None]
    ) -> None:
        self.pid = pid
        self._loop = loop
        self._on_death = on_death
        self._dead = ""
        self._waiting: deque[asyncio.Future[Message]] = deque()
        self._endpoint = Endpoint(loop, sock, self._answered, lambda: self.died("closed its channel"))
        self._ready = self._expect()
        self._endpoint.listen_to(pid)

    async def ready(self, seconds: float) -> TemplateReady:
        """Wait until everything is preloaded."""
        header = (await self._answer(self._ready, "ready", seconds)).header
        failed, walls = header.get("failed", {}), header.get("missing_walls", [])
        milliseconds = header.get("preload_ms", 0)
        return TemplateReady(
            python_version=escaped(str(header.get("python_version", ""))[:64]),
            preload_ms=int(milliseconds) if isinstance(milliseconds, (int, float)) else 0,
            failed={str(key): str(value) for key, value in failed.items()}
            if isinstance(failed, dict)
            else {},
            missing_walls=tuple(str(wall) for wall in walls) if isinstance(walls, list) else (),
        )

    async def fork(self, give: tuple[int, int, int]) -> int:
        """Fork an interpreter that gets the descriptors (channel, stdout, stderr); return its pid.

        The descriptors are closed here in every case. Raises :class:`ForkFailed`.
        """
        return _pid(await self.request({"type": "fork"}, "forked", give))

    async def files(self, give: int) -> int:
        """Fork a file helper that serves one request on the socket ``give``, which is closed here; return its pid."""
        return _pid(await self.request({"type": "files"}, "forked", (give,)))

    async def keeper(self, give: int) -> int:
        """Fork a keeper of the workspace that lives as long as the socket ``give``, likewise."""
        return _pid(await self.request({"type": "keeper"}, "forked", (give,)))

    async def sweep(self, *, keep_sleepers: bool = False) -> None:
        """Kill every process of the user, or all but those that sleep."""
        await self.request({"type": "sweep", "keep_sleepers": keep_sleepers}, "swept")

    async def sweep_others(self, keep: Sequence[tuple[int, int]]) -> None:
        """Kill every process of the user but those (pid, start time) and those that sleep."""
        await self.request({"type": "sweep_others", "keep": keep}, "swept")

    async def protect(self, pid: int, value: int) -> None:
        """Set the out-of-memory score of a process of the user."""
        await self.request({"type": "protect", "pid": pid, "value": value}, "protected")

    async def request(self, header: dict[str, object], expected: str, give: tuple[int, ...] = ()) -> Message:
        """Ask and wait. Raises :class:`ForkFailed` where the template says `failed`, else :class:`TemplateDied`."""
        answer = self._expect()
        self._endpoint.send(header, give=give)
        return await self._answer(answer, expected, REQUEST_SECONDS)

    def died(self, how: str) -> None:
        """The template is gone; the first report counts."""
        if self._dead:
            return
        self._dead = f"the template process {how}"
        for answer in self._waiting:
            if not answer.done():
                answer.set_exception(TemplateDied(self._dead))
                answer.exception()  # nobody may be waiting any more
        self._waiting.clear()
        self._on_death(self._dead)

    def close(self) -> None:
        """Close the channel, at whose end the template exits."""
        self._dead = self._dead or "the template process was ended"
        self._endpoint.close()

    def _expect(self) -> asyncio.Future[Message]:
        answer: asyncio.Future[Message] = self._loop.create_future()
        if self._dead:
            answer.set_exception(TemplateDied(self._dead))
        else:
            self._waiting.append(answer)
        return answer

    async def _answer(self, answer: asyncio.Future[Message], expected: str, seconds: float) -> Message:
        try:
            # Not wait_for(), which in Python 3.11 loses a cancellation that comes together with the answer.
            async with asyncio.timeout(seconds):
                # Shielded: an answer that nobody waits for any more still takes its place in the order.
                message = await asyncio.shield(answer)
        except TimeoutError:
            self.died(f"did not answer within {seconds:.0f} s")
            raise TemplateDied(self._dead) from None
        if message.header.get("type") == "failed":
            raise ForkFailed(escaped(str(message.header.get("message", ""))[:500]))
        if message.header.get("type") != expected:
            self.died(f"did not answer {expected!r}")
            raise TemplateDied(self._dead)
        return message

    def _answered(self, message: Message) -> None:
        if self._waiting:
            answer = self._waiting.popleft()
            if not answer.done():
                answer.set_result(message)


def _pid(message: Message) -> int:
    pid = message.header.get("pid")
    if type(pid) is not int or pid <= 1:
        raise ForkFailed("no process id")
    return pid
