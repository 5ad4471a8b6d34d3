"""Deaths as the engine tells them: each once, across interruptions."""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from typing import Any, Self

from sandbank_server.runtimes.docker.engine import Engine
from sandbank_server.runtimes.docker.events import Death, DeathWatch
from sandbank_server.runtimes.docker.settings import DockerSettings

from tests.fakes.docker_api import Handler, fake_engine

FILTERS = {"type": "container", "event": "die", "label": "sandbank.installation=test"}
SECONDS = 20.0


def die(container: str, nanoseconds: int, **attributes: str) -> dict[str, Any]:
    """Return a death as the engine words it."""
    return {
        "Type": "container",
        "Action": "die",
        "Actor": {"ID": container, "Attributes": attributes},
        "timeNano": nanoseconds,
    }


class Watching:
    """A watch of an engine at a path, and what it told."""

    def __init__(self, path: Path) -> None:
        self.told: queue.Queue[Death] = queue.Queue()
        engine = Engine(DockerSettings("test", path.parent, engine_url=f"unix://{path}", call_seconds=5))
        self.watch = DeathWatch(engine.connect, FILTERS, 12.5, self.told.put)

    def __enter__(self) -> Self:
        self.watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.watch.stop()
        self.watch.join(SECONDS)

    def next(self) -> Death:
        """Wait for a death."""
        return self.told.get(timeout=SECONDS)


def test_death_is_told_with_code_and_labels(tmp_path: Path) -> None:
    """Exit code and labels come with the event; the engine is asked for what happened since, filtered."""

    def answer(handler: Handler, path: str) -> None:
        handler.begin_stream()
        handler.chunk(die("one", 13 * 10**9, exitCode="137", **{"sandbank.sandbox": "sb-1"}))
        handler.chunk(die("two", 14 * 10**9))
        handler.server.over.wait(SECONDS)

    with fake_engine(tmp_path / "engine", answer) as engine, Watching(tmp_path / "engine") as watching:
        first, second = watching.next(), watching.next()
    assert (first.container_id, first.exit_code, first.labels["sandbank.sandbox"]) == ("one", 137, "sb-1")
    assert (second.container_id, second.exit_code) == ("two", None)
    (asked,) = {path for path in engine.requests if "/events" in path}
    assert "since=12.500000000" in asked
    assert "sandbank.installation%3Dtest" in asked


def test_interrupted_watch_goes_on_where_it_was(tmp_path: Path) -> None:
    """After a broken stream the engine is asked from the last event on; what it tells again is told once."""
    streams = 0

    def answer(handler: Handler, path: str) -> None:
        nonlocal streams
        streams += 1
        handler.begin_stream()
        handler.chunk(die("one", 13_000_000_001))
        if streams == 1:
            handler.wfile.write(b"zz\r\nbroken")
            handler.close_connection = True
        else:
            handler.chunk(die("two", 14_000_000_000))
            handler.server.over.wait(SECONDS)

    with fake_engine(tmp_path / "engine", answer) as engine, Watching(tmp_path / "engine") as watching:
        assert [watching.next().container_id, watching.next().container_id] == ["one", "two"]
        assert watching.told.empty()
    assert "since=13.000000001" in [path for path in engine.requests if "/events" in path][1]


def test_restarted_engine_is_found_again(tmp_path: Path) -> None:
    """While the engine is away the watch tries again, and hears the next death once it is back."""

    def answer(handler: Handler, path: str) -> None:
        handler.begin_stream()
        handler.chunk(die(name, 13 * 10**9))
        handler.server.over.wait(SECONDS)

    with Watching(tmp_path / "engine") as watching:
        for name in ("one", "two"):
            with fake_engine(tmp_path / "engine", answer):
                assert watching.next().container_id == name


def test_nonsense_is_an_interruption(tmp_path: Path) -> None:
    """Events without what every event has, or no JSON at all, do not end the watch."""
    streams = 0

    def answer(handler: Handler, path: str) -> None:
        nonlocal streams
        streams += 1
        if streams == 1:
            handler.json({"message": "starting up"}, 503)
            return
        handler.begin_stream()
        handler.chunk({"Action": "die"} if streams == 2 else die("one", 13 * 10**9))
        if streams > 2:
            handler.server.over.wait(SECONDS)

    with fake_engine(tmp_path / "engine", answer), Watching(tmp_path / "engine") as watching:
        assert watching.next().container_id == "one"


def test_watch_ends_while_it_listens(tmp_path: Path) -> None:
    """Stopping does not wait for the next event: the thread is gone soon, and nothing is told any more."""
    listening = threading.Event()

    def answer(handler: Handler, path: str) -> None:
        handler.begin_stream()
        listening.set()
        handler.server.over.wait(SECONDS)

    with fake_engine(tmp_path / "engine", answer):
        watching = Watching(tmp_path / "engine")
        watching.watch.start()
        assert listening.wait(SECONDS)
        watching.watch.stop()
        watching.watch.join(SECONDS)
        assert not any(thread.name == "engine-events" for thread in threading.enumerate())
        assert watching.told.empty()
