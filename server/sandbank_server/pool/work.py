"""The slow part: starting, greeting and destroying sandboxes. Results go back to the core as events."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic

import structlog

from sandbank_server.clock import Clock
from sandbank_server.pool import events as ev
from sandbank_server.pool.jobs import Jobs
from sandbank_server.pool.labels import labels_of
from sandbank_server.pool.link import LinkT
from sandbank_server.pool.reasons import describe
from sandbank_server.runtimes.base import LaunchedSandbox, LaunchFailed, SandboxRuntime, SandboxSpec
from sandbank_server.templates.model import TemplateSpec

_log = structlog.get_logger("sandbank.pool")

GREETINGS_AT_ONCE = 32
"""Runners found at boot that are asked at the same time: they share the processors with each other."""

CLOSE_SECONDS = 10.0
"""How long closing waits for jobs that were cancelled."""


class SandboxWork(Generic[LinkT]):
    """The jobs of one pool's sandboxes, and their links."""

    def __init__(
        self,
        runtime: SandboxRuntime,
        connect: Callable[[LaunchedSandbox], Awaitable[LinkT]],
        image_of: Callable[[TemplateSpec], Awaitable[str]],
        template: TemplateSpec | None,
        clock: Clock,
        feed: Callable[[ev.Event], None],
        on_closed: Callable[[str, LinkT], None],
    ) -> None:
        self._runtime = runtime
        self._connect = connect
        self._image_of = image_of
        self._template = template
        self._clock = clock
        self._feed = feed
        self._on_closed = on_closed
        self._greetings = asyncio.Semaphore(GREETINGS_AT_ONCE)
        self.links: dict[str, LinkT] = {}
        self.found: dict[str, LaunchedSandbox] = {}
        self.jobs = Jobs()

    def launch(self, sandbox_id: str, image: str) -> None:
        """Begin to start a sandbox."""
        self.jobs.start("start", sandbox_id, self._launch(sandbox_id, image))

    def greet(self, sandbox_id: str, session_id: str) -> None:
        """Begin to ask the runner of a sandbox in ``found``, which must serve ``session_id``."""
        self.jobs.start("start", sandbox_id, self._greet(sandbox_id, session_id))

    def destroy(self, sandbox_id: str, attempt: int) -> None:
        """Begin to destroy a sandbox, whatever is being done with it."""
        self.jobs.start("destroy", sandbox_id, self._destroy(sandbox_id, attempt))

    def resolve_image(self) -> None:
        """Begin to find or build the image."""
        self.jobs.start("image", "", self._resolve_image())

    async def close(self) -> None:
        """Stop working and let go of all links; sandboxes run on."""
        await self.jobs.close(CLOSE_SECONDS)
        for sandbox_id in list(self.links):
            self._close_link(sandbox_id)
        await self.jobs.close(CLOSE_SECONDS, finish=True)

    async def _launch(self, sandbox_id: str, image: str) -> None:
        assert self._template is not None
        spec = SandboxSpec(sandbox_id, self._template, image, labels_of(image, self._clock.now()))
        try:
            launched = await self._runtime.launch(spec)
            if launched.sandbox_id != sandbox_id:
                raise LaunchFailed("the runtime started another sandbox than it was asked for")
            self._feed(ev.Launched(sandbox_id))
            link = await self._connect(launched)
        except Exception as error:  # noqa: BLE001 - whatever it was, it is a failed start
            self._failed("a sandbox did not start", sandbox_id, error)
            self._feed(ev.StartFailed(sandbox_id, describe(error)))
        else:
            self._linked(sandbox_id, link)

    async def _greet(self, sandbox_id: str, session_id: str) -> None:
        try:
            async with self._greetings:
                link = await self._connect(self.found[sandbox_id])
        except Exception as error:  # noqa: BLE001 - see above
            self._failed("a sandbox found at boot does not answer", sandbox_id, error)
            self._feed(ev.StartFailed(sandbox_id, f"its runner does not answer: {describe(error)}"))
            return
        finally:
            self.found.pop(sandbox_id, None)
        if link.session_id != session_id:
            self.links[sandbox_id] = link
            self._feed(ev.StartFailed(sandbox_id, "its runner serves another session than the catalog says"))
        else:
            self._linked(sandbox_id, link)

    def _linked(self, sandbox_id: str, link: LinkT) -> None:
        self.links[sandbox_id] = link
        self._feed(ev.StartSucceeded(sandbox_id))
        # Last: it calls back at once when the link has ended already.
        link.add_close_callback(lambda _link: self._on_closed(sandbox_id, link))

    async def _destroy(self, sandbox_id: str, attempt: int) -> None:
        starting = self.jobs.cancel("start", sandbox_id)
        # The runtime cleans up what it was making; two at the same sandbox would race. Only once: a start
        # that does not end must not keep the sandbox from being destroyed for ever.
        if starting is not None and attempt == 1:
            await asyncio.wait({starting})
        self._close_link(sandbox_id)
        try:
            await self._runtime.destroy(sandbox_id)
        except Exception as error:  # noqa: BLE001 - whatever it was, the sandbox may still be there
            self._failed("a sandbox was not destroyed", sandbox_id, error)
            self._feed(ev.DestroyFailed(sandbox_id, describe(error)))
        else:
            self._close_link(sandbox_id)
            self._feed(ev.Destroyed(sandbox_id))

    async def _resolve_image(self) -> None:
        assert self._template is not None
        try:
            image = await self._image_of(self._template)
        except Exception as error:  # noqa: BLE001 - builds fail in many ways; it is tried again
            self._failed("no image", "", error)
            self._feed(ev.ImageFailed(describe(error)))
        else:
            self._feed(ev.ImageReady(image))

    def _close_link(self, sandbox_id: str) -> None:
        """Close a link beside everything else: a peer that is being killed must not hold that up."""
        link = self.links.pop(sandbox_id, None)
        if link is not None:
            self.jobs.start("close", sandbox_id, _close(link))

    def _failed(self, what: str, sandbox_id: str, error: Exception) -> None:
        template = self._template.name if self._template else ""
        _log.debug(what, sandbox_id=sandbox_id, template=template, exc_info=error)


async def _close(link: LinkT) -> None:
    await link.close()
