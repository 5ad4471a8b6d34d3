"""Every child is reaped, and who watches one is told, however fast it died."""

from __future__ import annotations

import asyncio
import os
import select
import signal

import pytest
from sandbank_runner.supervisor import reaper as reaper_module
from sandbank_runner.supervisor.reaper import Reaper, held, is_living_child


def child(code: int | None = 0) -> int:
    """Fork a child that exits with ``code``, or waits for a signal."""
    pid = os.fork()
    if pid == 0:
        if code is None:
            signal.pause()
        os._exit(code or 0)
    return pid


@pytest.fixture
async def reaper():
    """A reaper on the test's loop."""
    reaper = Reaper(asyncio.get_running_loop())
    reaper.start()
    yield reaper
    reaper.stop()


def wait_unreaped(pid: int) -> None:
    """Return when ``pid`` is dead; leave it to be reaped."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def exists(pid: int) -> bool:
    """Say whether there is such a process, be it dead."""
    return os.path.exists(f"/proc/{pid}/stat")


async def told(reaper: Reaper, pid: int) -> int:
    """Watch ``pid`` and return the exit code that is told."""
    future = asyncio.get_running_loop().create_future()
    reaper.watch(pid, future.set_result)
    async with asyncio.timeout(10):
        return os.waitstatus_to_exitcode(await future)


async def test_a_death_is_told_with_its_status(reaper: Reaper):
    """Exit codes and signals."""
    pid = child(None)
    waiting = asyncio.create_task(told(reaper, pid))
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGUSR1)
    assert await waiting == -signal.SIGUSR1
    assert await told(reaper, child(3)) == 3


async def test_who_died_before_it_was_watched_is_told_all_the_same(reaper: Reaper):
    """Reaped already, or still waiting to be."""
    pid = child(5)
    wait_unreaped(pid)
    assert await told(reaper, pid) == 5
    pid = child(6)
    wait_unreaped(pid)
    reaper.collect()
    assert await told(reaper, pid) == 6


async def test_an_old_status_is_not_taken_for_a_living_process(reaper: Reaper, monkeypatch):
    """Numbers are used again: a status remembered from an earlier process says nothing of this one."""
    pid = child(None)
    reaper._unclaimed[pid] = 0
    waiting = asyncio.create_task(told(reaper, pid))
    await asyncio.sleep(0)
    assert not waiting.done()
    os.kill(pid, signal.SIGKILL)
    assert await waiting == -signal.SIGKILL


async def test_a_flood_of_orphans_is_reaped_and_not_remembered_for_ever(reaper: Reaper, monkeypatch):
    """Bounded, and none is left a zombie."""
    monkeypatch.setattr(reaper_module, "_REMEMBERED", 10)
    pids = [child() for _ in range(40)]
    for pid in pids:
        wait_unreaped(pid)
        assert not is_living_child(pid)
    reaper.collect()
    assert reaper.reaped >= 40
    assert len(reaper._unclaimed) <= 10
    assert not any(exists(pid) for pid in pids)


async def test_a_process_that_nobody_remembers_counts_as_dead(reaper: Reaper):
    """Better a death without a reason than one that is never told."""
    assert await told(reaper, 2**22 - 1) == 0


def test_a_held_process_can_be_waited_for():
    """By a descriptor that becomes readable; a process that is gone has none."""
    pid = child(None)
    with held(pid) as descriptor:
        assert descriptor is not None
        assert select.select([descriptor], [], [], 0)[0] == []
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        assert select.select([descriptor], [], [], 10)[0] == [descriptor]
    os.waitpid(pid, 0)
    with held(pid) as descriptor:
        assert descriptor is None
