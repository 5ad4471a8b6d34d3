"""A build beside the event loop: its progress, its result, its end when it is cancelled."""

from __future__ import annotations

import asyncio
import threading

import pytest
from sandbank_server.templates import background
from sandbank_server.templates.background import build_in_background
from sandbank_server.templates.errors import ImageEngineError, TemplateBuildError
from sandbank_server.templates.model import TemplateSpec
from sandbank_server.templates.options import BuildOptions
from sandbank_server.templates.progress import BuildPhase, BuildWatch

SPEC = TemplateSpec("t")


class Engine:
    """Knows only whether it was closed."""

    def __init__(self):
        self.closed = threading.Event()

    def close(self):
        """Take note."""
        self.closed.set()


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run a stand-in for the build; it gets the watch that the real one has."""

    def start(work, **arguments):
        def build(engine, spec, options, *, on_progress, cancel):
            return work(BuildWatch(spec.name, on_progress, cancel))

        monkeypatch.setattr(background, "build_template", build)
        return build_in_background(SPEC, BuildOptions(tmp_path), **{"connect": Engine, **arguments})

    return start


async def test_the_result_and_the_progress_arrive_in_the_loop(run):
    """Callers need no locks: both come in the loop's own thread."""
    seen = []

    def work(watch):
        watch.enter(BuildPhase.BASE, "x")
        return "image"

    def note(progress):
        seen.append((progress.phase, progress.detail, threading.current_thread()))

    engine = Engine()
    assert await run(work, on_progress=note, connect=lambda: engine) == "image"
    assert seen == [(BuildPhase.BASE, "x", threading.main_thread())]
    assert engine.closed.is_set()


async def test_a_failed_build_raises_where_it_is_awaited(run):
    """Not in a thread that nobody looks at."""

    def work(watch):
        raise TemplateBuildError("no")

    with pytest.raises(TemplateBuildError, match="no"):
        await run(work)


async def test_a_missing_engine_raises_where_it_is_awaited(run):
    """The connection is made in the thread: it may block."""

    def refuse():
        raise ImageEngineError("none")

    with pytest.raises(ImageEngineError):
        await run(lambda watch: None, connect=refuse)


async def test_cancelling_tells_the_build_and_waits_for_its_end(run):
    """When the task is over, so is the build: nothing is left of it that could get in the way of the next."""
    running, ended = asyncio.Event(), threading.Event()

    def work(watch):
        watch.note("running")
        watch.cancel.wait(30)
        ended.set()
        watch.check()

    engine = Engine()
    task = asyncio.create_task(run(work, on_progress=lambda _: running.set(), connect=lambda: engine))
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
    assert engine.closed.is_set()


async def test_a_build_that_does_not_stop_does_not_hold_up_the_loop(run, monkeypatch):
    """After a while it is left to its daemon thread."""
    monkeypatch.setattr(background, "_STOP_SECONDS", 0.05)
    running, release = asyncio.Event(), threading.Event()

    def work(watch):
        watch.note("running")
        release.wait(30)

    task = asyncio.create_task(run(work, on_progress=lambda _: running.set()))
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not release.is_set()
    release.set()
