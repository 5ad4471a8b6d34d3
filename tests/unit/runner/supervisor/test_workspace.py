"""Bases of the workspace, with a keeper that may say anything: it acts as user code's user and is not believed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest
from sandbank_runner.files.helper_link import FileHelper
from sandbank_runner.files.protocol import DATA, FrameSocket, pack, pack_header, parse_header
from sandbank_runner.supervisor import workspace as workspaces
from sandbank_runner.supervisor.template_process import ForkFailed
from sandbank_runner.supervisor.workspace import Workspace

Keeper = Callable[[FrameSocket, dict[str, Any]], None]


class Files:
    """Starts keepers that answer by a function, in threads; ``None`` in the place of one: there is no room for it."""

    def __init__(self, *keepers: Keeper | None) -> None:
        self.touches = 0
        self.killed = 0
        self.asked: list[dict[str, Any]] = []
        self._keepers = list(keepers)
        self._threads: list[asyncio.Future[None]] = []

    async def start_keeper(self) -> FileHelper:
        """Start the next one."""
        keeper = self._keepers.pop(0)
        if keeper is None:
            raise ForkFailed("no room")
        ours, theirs = socket.socketpair()
        loop = asyncio.get_running_loop()
        self._threads.append(loop.run_in_executor(None, self._serve, theirs, keeper))
        return FileHelper(ours, self._kill)

    async def ended(self) -> None:
        """Wait until all keepers have ended."""
        await asyncio.gather(*self._threads)

    def _serve(self, connection: socket.socket, keeper: Keeper) -> None:
        with connection:
            frames = FrameSocket(connection)
            try:
                while True:
                    request = parse_header(frames.receive()[1])
                    self.asked.append(request)
                    keeper(frames, request)
            except (EOFError, OSError):
                return

    def _kill(self) -> None:
        self.killed += 1


def says(**answer: Any) -> Keeper:
    """Return a keeper that always says the same."""
    return lambda frames, _: frames.send(pack_header(answer))


def dies(_: FrameSocket, __: dict[str, Any]) -> None:
    """Hang up."""
    raise EOFError


HONEST = says(entries=1, touched=False)


async def take(workspace: Workspace, newest: int = 0) -> int | None:
    """Take a base."""
    done: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
    workspace.take(newest, done.set_result)
    async with asyncio.timeout(20):
        return await done


@pytest.fixture
async def make():
    """Make workspaces; their keepers end with the test."""
    made: list[tuple[Workspace, Files]] = []

    def begin(*keepers: Keeper | None) -> tuple[Workspace, Files]:
        files = Files(*keepers)
        made.append((Workspace(asyncio.get_running_loop(), files), files))  # type: ignore[arg-type]
        return made[-1]

    yield begin
    for workspace, files in made:
        workspace.close()
        await files.ended()


async def test_a_base_stands_until_something_happens(make):
    """Another effect, an upload, or its own return."""
    workspace, files = make(HONEST)
    number = await take(workspace, 5)
    assert workspace.standing(5) == number
    assert workspace.standing(6) is None
    files.touches += 1
    assert workspace.standing(5) is None
    files.touches -= 1
    assert await workspace.bring_back(number)
    assert workspace.standing(5) is None
    assert [request["request"] for request in files.asked] == ["base", "restore"]
    assert files.asked[0]["limit"] == workspaces.WORKSPACE_COPY_BYTES


async def test_what_nobody_needs_is_dropped(make):
    """And is no base any more."""
    workspace, files = make(HONEST)
    first, second = await take(workspace), await take(workspace)
    workspace.pinned = lambda: {second}
    workspace.tidy()
    assert not await workspace.bring_back(first)
    assert await workspace.bring_back(second)
    await take(workspace)  # the keeper is asked for one thing after the other
    assert {"request": "drop", "number": first} in files.asked


async def test_too_large_is_a_refusal(make):
    """With the keeper's sentence, cut and escaped; it lives on."""
    failure = {"reason": "FILES_TOO_LARGE", "message": "\ud800" + "x" * 10_000}
    workspace, files = make(says(failure=failure))
    assert await take(workspace) is None
    assert workspace.refusal is not None
    assert workspace.refusal.reason == "FILES_TOO_LARGE"
    assert len(workspace.refusal.message) < 600
    workspace.refusal.message.encode()
    assert files.killed == 0
    workspace.forget_refusal()
    assert workspace.refusal is None


async def test_a_keeper_that_died_is_replaced_once(make):
    """What it kept is gone; the base is taken by the next."""
    workspace, files = make(dies, HONEST)
    number = await take(workspace)
    assert number is not None
    assert files.killed == 1
    assert await workspace.bring_back(number)


async def test_with_its_keeper_all_bases_are_gone(make):
    """Whoever wants to go back to one is told that it cannot be."""

    def once(frames: FrameSocket, request: dict[str, Any]) -> None:
        if request["request"] == "restore":
            raise EOFError
        frames.send(pack_header({}))

    workspace, _ = make(once, HONEST)
    number = await take(workspace)
    assert not await workspace.bring_back(number)
    assert not await workspace.bring_back(number)
    assert workspace.standing(0) is None


@pytest.mark.parametrize(
    "keeper",
    [
        says(failure={"reason": "BUG", "message": "no"}),
        says(failure="no"),
        says(failure={"reason": 5}),
        lambda frames, _: frames.send(pack(DATA, b"data")),
        lambda frames, _: frames.send(pack(b"X", b"")),
        lambda frames, _: frames.send(b"\xff" * 100),
        lambda frames, _: frames.send(pack(b"J", b"[1]")),
        dies,
        None,
    ],
)
async def test_a_keeper_that_fails_is_a_refusal(make, keeper: Keeper | None):
    """Whatever it says: nothing is begun whose files could not come back."""
    workspace, _ = make(keeper, keeper, keeper)
    assert await take(workspace) is None
    assert workspace.refusal is not None
    assert workspace.refusal.reason == "SNAPSHOT_GONE"
    assert "the workspace cannot be kept" in workspace.refusal.message


async def test_a_keeper_that_says_nothing_is_ended(make, monkeypatch: pytest.MonkeyPatch):
    """After its time."""
    monkeypatch.setattr(workspaces, "REQUEST_SECONDS", 0.05)
    workspace, files = make(lambda *_: None, lambda *_: None)
    assert await take(workspace) is None
    assert workspace.refusal is not None
    assert files.killed == 2


async def test_news_are_told_once(make):
    """An upload, and modes that the keeper changed for a moment, which shows in times."""
    workspace, files = make(says(touched=True))
    assert not workspace.has_news()
    files.touches += 3
    assert [workspace.has_news(), workspace.has_news()] == [True, False]
    await take(workspace)
    assert [workspace.has_news(), workspace.has_news()] == [True, False]
