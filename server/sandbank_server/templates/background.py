"""Builds a template's image beside an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import Callable
from typing import Any

from sandbank_server.templates.build import build_template
from sandbank_server.templates.engine import ImageEngine
from sandbank_server.templates.images import TemplateImage
from sandbank_server.templates.model import TemplateSpec
from sandbank_server.templates.options import BuildOptions
from sandbank_server.templates.progress import BuildProgress

_STOP_SECONDS = 15.0


async def build_in_background(
    spec: TemplateSpec,
    options: BuildOptions,
    *,
    on_progress: Callable[[BuildProgress], None] | None = None,
    connect: Callable[[], ImageEngine] = ImageEngine.connect,
) -> TemplateImage:
    """Do what :func:`build_template` does in a thread; ``on_progress`` is called in the event loop.

    When cancelled, the build is told to stop and waited for, up to 15 seconds; its thread never keeps the
    process from ending.
    """
    build = _Build(asyncio.get_running_loop(), on_progress)
    work = functools.partial(build.work, connect, spec, options)
    threading.Thread(target=work, daemon=True, name=f"build-{spec.name}").start()
    try:
        return await asyncio.shield(build.outcome)
    except asyncio.CancelledError:
        build.cancel.set()
        # Its end is waited for, not its result: nobody is left to want that, or its error.
        await asyncio.wait([build.outcome], timeout=_STOP_SECONDS)
        if build.outcome.done():
            build.outcome.exception()
        raise


class _Build:
    """One build in a thread, and the way back from there into the event loop."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, on_progress: Callable[[BuildProgress], None] | None
    ) -> None:
        self._loop = loop
        self._on_progress = on_progress
        self.outcome: asyncio.Future[TemplateImage] = loop.create_future()
        self.cancel = threading.Event()

    def work(self, connect: Callable[[], ImageEngine], spec: TemplateSpec, options: BuildOptions) -> None:
        """Build; runs in the thread."""
        try:
            engine = connect()
            try:
                image = build_template(engine, spec, options, on_progress=self._report, cancel=self.cancel)
            finally:
                engine.close()
        except Exception as error:  # noqa: BLE001 (whatever it was belongs to whoever awaits the image)
            self._in_loop(self.outcome.set_exception, error)
        else:
            self._in_loop(self.outcome.set_result, image)

    def _report(self, progress: BuildProgress) -> None:
        if self._on_progress is not None:
            self._in_loop(self._on_progress, progress)

    def _in_loop(self, function: Callable[[Any], object], argument: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop may have ended before a build that was given up
            self._loop.call_soon_threadsafe(function, argument)
