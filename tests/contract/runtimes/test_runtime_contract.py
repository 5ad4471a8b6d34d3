"""What every runtime promises, held by the real ones with the real runner."""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from sandbank_server.runtimes.base import LaunchFailed, SandboxExit, SandboxStats
from sandbank_server.runtimes.dial import NotListening, open_socket

from tests.contract.runtimes.conftest import Subject, preloading, processes_of, run_code

WAIT_SECONDS = 60.0


async def next_exit(exits: AsyncIterator[SandboxExit]) -> SandboxExit:
    """Wait for the next death that is told."""
    async with asyncio.timeout(WAIT_SECONDS):
        return await anext(exits)


async def test_launched_sandbox_greets_at_its_endpoint(subject: Subject) -> None:
    """The endpoint leads to the supervisor of this sandbox, which says so in its Hello."""
    launched = await subject.launch()
    async with subject.greeted(launched) as link:
        assert link.hello.sandbox_id == launched.sandbox_id
        assert link.hello.python_version.startswith("3.")
        assert link.hello.session_id == ""


async def test_listing_shows_sandboxes_with_their_labels(subject: Subject) -> None:
    """A listing gives the template, the caller's labels, no others, and the same endpoint as launch."""
    first = await subject.launch(**{"sandbank.tenant": "default", "sandbank.pool": "slim/1"})
    second = await subject.launch()
    listed = {seen.sandbox_id: seen for seen in await subject.runtime.list_sandboxes()}
    assert listed.keys() == {first.sandbox_id, second.sandbox_id}
    seen = listed[first.sandbox_id]
    assert (seen.template, seen.running, seen.exit_code, seen.oom_killed) == ("slim", True, None, False)
    assert seen.labels == {"sandbank.tenant": "default", "sandbank.pool": "slim/1"}
    assert seen.endpoint == first.endpoint
    assert listed[second.sandbox_id].labels == {}


async def test_destroy_leaves_nothing(subject: Subject) -> None:
    """No process, container, directory or mount of the sandbox is left, and its socket is gone."""
    launched = await subject.launch()
    async with subject.greeted(launched):
        assert processes_of(launched.sandbox_id) != []
        assert subject.traces() != []
    await subject.runtime.destroy(launched.sandbox_id)
    assert processes_of(launched.sandbox_id) == []
    assert subject.traces() == []
    assert await subject.runtime.list_sandboxes() == []
    with pytest.raises(NotListening):
        open_socket(launched.endpoint)


SCATTER = """
import os, subprocess, time
# A child, a daemon that left its session and its parent, and one that ignores polite signals.
subprocess.Popen(["sleep", "1000"])
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execlp("sleep", "sleep", "1000")
    os._exit(0)
subprocess.Popen(["sh", "-c", "trap '' TERM INT HUP; sleep 1000; sleep 1000"], start_new_session=True)
open("deep", "w").close()
os.makedirs("/".join(["d"] * 600))
os.chmod("d", 0)
"""


@pytest.mark.parametrize("supervisor", ["alive", "killed"])
async def test_destroy_ends_all_that_user_code_started(subject: Subject, supervisor: str) -> None:
    """Daemons and stubborn processes end too, whether their supervisor still lives or was killed before."""
    launched = await subject.launch()
    async with subject.greeted(launched) as link:
        await run_code(link, SCATTER)
        assert len(processes_of(launched.sandbox_id)) >= 5
        if supervisor == "killed":
            subject.kill(launched.sandbox_id)
    await subject.runtime.destroy(launched.sandbox_id)
    assert processes_of(launched.sandbox_id) == []
    assert subject.traces() == []


async def test_interpreter_dies_with_its_supervisor(subject: Subject) -> None:
    """No template and no interpreter outlives a killed supervisor, even before anybody cleans up."""
    launched = await subject.launch()
    async with subject.greeted(launched):
        watched = [os.pidfd_open(pid) for pid in processes_of(launched.sandbox_id)]
        assert len(watched) >= 2
        subject.kill(launched.sandbox_id)
    for descriptor in watched:
        ended, _, _ = await asyncio.to_thread(select.select, [descriptor], [], [], WAIT_SECONDS)
        os.close(descriptor)
        assert ended


async def test_destroy_is_idempotent(subject: Subject) -> None:
    """Destroying again, also at the same time, is no error; neither is destroying what never was."""
    launched = await subject.launch()
    destroy = subject.runtime.destroy
    await asyncio.gather(*(destroy(launched.sandbox_id) for _ in range(3)))
    await destroy(launched.sandbox_id)
    await destroy("sb-neverexisted")
    assert subject.traces() == []


@pytest.mark.parametrize(
    "name", ["", "sb-", "../../etc", "sb-0000000000/0", "sb-ABCDEFGHIJKL", "sb-0000000000000"]
)
async def test_other_names_are_refused(subject: Subject, name: str) -> None:
    """Only a sandbox id may become part of a path or of a container's name."""
    with pytest.raises(ValueError, match="no sandbox id"):
        await subject.runtime.destroy(name)
    with pytest.raises(ValueError, match="no sandbox id"):
        await subject.runtime.launch(replace(subject.spec(), sandbox_id=name))


async def test_an_id_is_launched_once(subject: Subject) -> None:
    """A second launch of the same id fails and does the first no harm."""
    spec = subject.spec()
    launched = await subject.runtime.launch(spec)
    with pytest.raises(LaunchFailed, match="already"):
        await subject.runtime.launch(spec)
    async with subject.greeted(launched):
        pass


@pytest.mark.parametrize("milliseconds", [0, 1, 5, 10, 20, 50, 100, 150, 200])
async def test_cancelled_launch_leaves_nothing(subject: Subject, milliseconds: int) -> None:
    """Whenever a launch is cancelled, all that it has made is gone once the cancellation is through."""
    spec = subject.spec()
    launching = asyncio.create_task(subject.runtime.launch(spec))
    done, _ = await asyncio.wait({launching}, timeout=milliseconds / 1000)
    if not done:
        launching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await launching
        assert subject.traces() == []
        assert processes_of(spec.sandbox_id) == []
    # The runtime serves on, and the id is free unless the launch was through.
    await subject.runtime.destroy(spec.sandbox_id)
    async with subject.greeted(await subject.runtime.launch(spec)):
        pass


async def test_death_is_told_and_seen(subject: Subject) -> None:
    """A killed sandbox is told of once, and listed as dead until it is destroyed."""
    exits = subject.runtime.exits()
    launched = await subject.launch()
    async with subject.greeted(launched):
        subject.kill(launched.sandbox_id)
    told = await next_exit(exits)
    assert (told.sandbox_id, told.exit_code, told.oom_killed) == (launched.sandbox_id, 137, False)
    assert told.reason == "killed by SIGKILL"
    seen = await subject.observe(launched.sandbox_id)
    assert seen is not None
    assert (seen.running, seen.exit_code) == (False, 137)
    assert await subject.runtime.stats(launched.sandbox_id) == SandboxStats(0, 0)
    await subject.runtime.destroy(launched.sandbox_id)
    assert subject.traces() == []


async def test_destroyed_sandboxes_are_not_told_as_deaths(subject: Subject) -> None:
    """What the caller ended itself is no news: the next death told is another's."""
    exits = subject.runtime.exits()
    destroyed, killed = await subject.launch(), await subject.launch()
    await subject.runtime.destroy(destroyed.sandbox_id)
    subject.kill(killed.sandbox_id)
    assert (await next_exit(exits)).sandbox_id == killed.sandbox_id


async def test_death_tells_its_cause(subject: Subject) -> None:
    """A sandbox that cannot start says why: a module to preload that is not there is named."""
    exits = subject.runtime.exits()
    await subject.runtime.launch(preloading(subject.spec(), "no_such_module"))
    told = await next_exit(exits)
    assert told.exit_code == 70
    assert "no_such_module" in told.reason


async def test_exits_end_with_close(subject: Subject) -> None:
    """Whoever waits for deaths is let go when the runtime closes."""
    exits = subject.runtime.exits()
    waiting = asyncio.create_task(anext(exits, None))
    await asyncio.sleep(0)
    await subject.restart()
    async with asyncio.timeout(WAIT_SECONDS):
        assert await waiting is None


async def test_sandboxes_outlive_the_control_plane(subject: Subject) -> None:
    """A new runtime object finds them, reaches the same supervisors, hears of their deaths and ends them."""
    first = await subject.launch(**{"sandbank.tenant": "default"})
    second = await subject.launch()
    async with subject.greeted(first) as link:
        boot_id = link.hello.boot_id
    await subject.restart()
    exits = subject.runtime.exits()
    seen = await subject.observe(first.sandbox_id)
    assert seen is not None
    assert (seen.running, seen.template, seen.endpoint) == (True, "slim", first.endpoint)
    assert seen.labels == {"sandbank.tenant": "default"}
    async with subject.greeted(first) as link:
        assert link.hello.boot_id == boot_id
    subject.kill(first.sandbox_id)
    assert (await next_exit(exits)).sandbox_id == first.sandbox_id
    await subject.runtime.destroy(first.sandbox_id)
    await subject.runtime.destroy(second.sandbox_id)
    assert subject.traces() == []
    assert processes_of(second.sandbox_id) == []


async def test_death_without_a_control_plane_is_seen_by_the_next(subject: Subject) -> None:
    """What died meanwhile is listed as dead."""
    launched = await subject.launch()
    async with subject.greeted(launched):
        pass
    await subject.runtime.close()
    subject.kill(launched.sandbox_id)
    await subject.restart()
    seen = await subject.observe(launched.sandbox_id)
    assert seen is not None
    assert seen.running is False


async def test_half_made_sandbox_is_listed_and_can_be_destroyed(subject: Subject) -> None:
    """A control plane killed in the middle of a launch leaves a directory: the next one finds and removes it."""
    launched = await subject.launch()
    await subject.runtime.destroy(launched.sandbox_id)
    await subject.restart()
    parent = next(path for path in subject.data_dir.iterdir() if path.is_dir())
    (parent / "sb-halfmade0000").mkdir()
    (seen,) = await subject.runtime.list_sandboxes()
    assert (seen.sandbox_id, seen.running, seen.template, seen.labels) == ("sb-halfmade0000", False, "", {})
    await subject.runtime.destroy(seen.sandbox_id)
    assert subject.traces() == []


async def test_stats_count_memory_and_processes(subject: Subject) -> None:
    """A running sandbox uses some MiB and has a supervisor and a template at least; an unknown one has nothing."""
    launched = await subject.launch()
    async with subject.greeted(launched):
        stats = await subject.runtime.stats(launched.sandbox_id)
    assert stats.process_count >= 2
    assert 4 << 20 < stats.memory_bytes < 400 << 20
    assert await subject.runtime.stats("sb-neverexisted") == SandboxStats(0, 0)


async def test_many_at_once(subject: Subject) -> None:
    """Launches and ends do not get into each other's way."""
    launched = await asyncio.gather(*(subject.launch() for _ in range(4)))
    assert len({each.endpoint.directory for each in launched}) == 4
    ended, kept = launched[:2], launched[2:]
    more, *_ = await asyncio.gather(
        subject.launch(), *(subject.runtime.destroy(each.sandbox_id) for each in ended)
    )
    running = {seen.sandbox_id for seen in await subject.runtime.list_sandboxes() if seen.running}
    assert running == {each.sandbox_id for each in (*kept, more)}
