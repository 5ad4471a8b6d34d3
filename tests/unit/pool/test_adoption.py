"""What an earlier control plane left: taken over, or removed."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sandbank_server.errors import PoolDegradedError
from sandbank_server.pool.labels import CREATED, IMAGE, age_of, labels_of
from sandbank_server.pool.state import PoolState, SandboxState

from tests.fakes.clock import ManualClock, settle
from tests.fakes.runtime_saboteur import Trouble
from tests.unit.pool.conftest import Rig


def labels(rig: Rig, image: str = "image-1", age: float = 100.0) -> dict[str, str]:
    """Return the labels of a sandbox made ``age`` seconds ago."""
    return labels_of(image, rig.clock.now() - timedelta(seconds=age))


async def test_an_unassigned_runner_of_todays_image_is_ready_again(rig: Rig) -> None:
    """A restart starts nothing that is there already."""
    rig.runtime.put("sb-old000000001", labels=labels(rig))
    rig.runtime.put("sb-old000000002", labels=labels(rig))
    await rig.start(min_ready=2)
    assert rig.ids(SandboxState.READY) == ["sb-old000000001", "sb-old000000002"]
    assert rig.runtime.calls["launch"] == 0
    oldest = rig.manager.sandboxes("slim")[0]
    assert (rig.clock.now() - oldest.create_time).total_seconds() == pytest.approx(100.0)


async def test_a_runner_of_another_image_is_destroyed(rig: Rig) -> None:
    """The template was built anew meanwhile."""
    rig.runtime.put("sb-old000000001", labels=labels(rig, image="image-0"))
    await rig.start(min_ready=1)
    await rig.advance(1.0)
    assert "sb-old000000001" not in rig.runtime.sandboxes
    assert rig.pool.ready_count == 1


async def test_runners_wait_for_the_image_that_is_still_built(rig: Rig) -> None:
    """Whether one is of today's image is known only then; however long that takes, it is not given up."""
    rig.image_gate.clear()
    rig.runtime.put("sb-old000000001", labels=labels(rig))
    rig.runtime.put("sb-old000000002", labels=labels(rig, image="image-0"))
    await rig.start(min_ready=1)
    await rig.advance(120.0)
    assert rig.pool.starting_count == 2
    rig.image_gate.set()
    await rig.advance(1.0)
    assert rig.ids(SandboxState.READY) == ["sb-old000000001"]
    assert set(rig.runtime.sandboxes) == {"sb-old000000001"}


async def test_runners_that_nobody_wants_are_not_kept(rig: Rig) -> None:
    """With min_ready 0 no image is built just to compare."""
    rig.runtime.put("sb-old000000001", labels=labels(rig))
    await rig.start(min_ready=0)
    await rig.advance(1.0)
    assert rig.runtime.sandboxes == {}
    assert rig.image_calls == 0


async def test_a_sessions_sandbox_is_assigned_again(rig: Rig) -> None:
    """Claimed, running, and its runner serves that session: a confirmed lease, whatever the image."""
    rig.runtime.put("sb-old000000001", labels=labels(rig, image="image-0"))
    rig.greeter.serves["sb-old000000001"] = "ses-1"
    manager = rig.make(min_ready=1)
    leases = await manager.start({"ses-1": "sb-old000000001"})
    rig.started = True
    lease = leases["ses-1"]
    assert lease.link.session_id == "ses-1"
    lease.confirm()
    (sandbox,) = [each for each in manager.sandboxes() if each.state is SandboxState.ASSIGNED]
    assert (sandbox.session_id, sandbox.template) == ("ses-1", "slim")
    assert rig.lost == []


async def test_an_adopted_sandbox_that_dies_later_is_reported(rig: Rig) -> None:
    """As any other."""
    rig.runtime.put("sb-old000000001", labels=labels(rig))
    rig.greeter.serves["sb-old000000001"] = "ses-1"
    await rig.start(min_ready=0, claims={"ses-1": "sb-old000000001"})
    rig.runtime.kill("sb-old000000001")
    await settle()
    assert rig.lost == [("ses-1", "sb-old000000001", "killed by SIGKILL")]


async def test_claims_whose_sandbox_is_gone_or_dead_are_reported(rig: Rig) -> None:
    """The sessions are told why; what is left of the sandboxes is removed."""
    rig.runtime.put("sb-old000000002", labels=labels(rig), running=False, exit_code=139)
    await rig.start(min_ready=0, claims={"ses-1": "sb-old000000001", "ses-2": "sb-old000000002"})
    assert sorted(rig.lost) == [
        ("ses-1", "sb-old000000001", "it was gone when the control plane came back"),
        ("ses-2", "sb-old000000002", "ended with code 139"),
    ]
    await rig.advance(1.0)
    assert rig.runtime.sandboxes == {}


@pytest.mark.parametrize("serves", ["", "ses-other"])
async def test_a_claimed_runner_that_serves_another_session_is_destroyed(rig: Rig, serves: str) -> None:
    """The control plane died between the catalog and the runner, or somebody lies: nobody gets it."""
    rig.runtime.put("sb-old000000001", labels=labels(rig))
    rig.greeter.serves["sb-old000000001"] = serves
    await rig.start(min_ready=0, claims={"ses-1": "sb-old000000001"})
    assert [lost[:2] for lost in rig.lost] == [("ses-1", "sb-old000000001")]
    await rig.advance(1.0)
    assert rig.runtime.sandboxes == {}


async def test_an_unclaimed_runner_that_serves_a_session_is_destroyed(rig: Rig) -> None:
    """Its session has ended, or was never recorded: it is no fresh sandbox."""
    rig.runtime.put("sb-old000000001", labels=labels(rig))
    rig.greeter.serves["sb-old000000001"] = "ses-gone"
    await rig.start(min_ready=1)
    await rig.advance(1.0)
    assert "sb-old000000001" not in rig.runtime.sandboxes
    assert rig.pool.ready_count == 1


async def test_a_claimed_runner_that_does_not_answer_is_lost_at_the_deadline(rig: Rig) -> None:
    """Starting up does not wait for it for ever, and the others do not wait at all."""
    for number in (1, 2):
        rig.runtime.put(f"sb-old00000000{number}", labels=labels(rig))
        rig.greeter.serves[f"sb-old00000000{number}"] = f"ses-{number}"
    rig.greeter.trouble = Trouble(hang=1)
    manager = rig.make(min_ready=1)
    starting = asyncio.create_task(manager.start({"ses-1": "sb-old000000001", "ses-2": "sb-old000000002"}))
    await rig.advance(5.0)
    assert rig.pool.ready_count == 1
    assert rig.pool.assigned_count == 1
    await rig.advance(20.0)
    rig.started = True
    assert set(await starting) == {"ses-2"}
    assert [lost[0] for lost in rig.lost] == ["ses-1"]


async def test_a_session_keeps_its_sandbox_when_its_template_is_removed(rig: Rig) -> None:
    """Configuration is about new sessions."""
    rig.runtime.put("sb-old000000001", "removed", labels=labels(rig))
    rig.runtime.put("sb-old000000002", "removed", labels=labels(rig))
    rig.greeter.serves["sb-old000000001"] = "ses-1"
    manager = rig.make(min_ready=1)
    leases = await manager.start({"ses-1": "sb-old000000001"})
    rig.started = True
    await settle()
    assert leases["ses-1"].template == "removed"
    assert "sb-old000000002" not in rig.runtime.sandboxes
    assert [pool.template for pool in manager.pools()] == ["slim"]
    await manager.retire("sb-old000000001", "the session ended")
    await settle()
    assert "sb-old000000001" not in rig.runtime.sandboxes


async def test_what_is_dead_or_unknown_is_removed_at_boot(rig: Rig) -> None:
    """Strays of a control plane that was killed between create and start, and dead containers."""
    rig.runtime.put("sb-old000000001", running=False)
    rig.runtime.put("sb-old000000002", "", running=False)
    await rig.start(min_ready=1)
    await rig.advance(1.0)
    assert set(rig.runtime.sandboxes) == set(rig.ids(SandboxState.READY))


async def test_more_than_max_total_is_adopted_for_sessions_and_shed_otherwise(rig: Rig) -> None:
    """A smaller configuration ends no session; nothing is started until there is room."""
    claims = {}
    for number in range(1, 5):
        sandbox_id = f"sb-old00000000{number}"
        rig.runtime.put(sandbox_id, labels=labels(rig))
        if number < 4:
            claims[f"ses-{number}"] = sandbox_id
            rig.greeter.serves[sandbox_id] = f"ses-{number}"
    await rig.start(min_ready=1, max_total=2, claims=claims)
    await rig.advance(1.0)
    assert (rig.pool.assigned_count, rig.pool.ready_count) == (3, 0)
    assert rig.runtime.calls["launch"] == 0


async def test_a_runtime_that_does_not_answer_at_boot_is_asked_again(rig: Rig) -> None:
    """The pools are DEGRADED with the reason meanwhile, and callers are told at once."""
    rig.runtime.put("sb-old000000001", labels=labels(rig))
    rig.runtime.list_trouble = Trouble(fail=3)
    manager = rig.make(min_ready=1)
    starting = asyncio.create_task(manager.start())
    await settle()
    assert rig.pool.state is PoolState.DEGRADED
    assert rig.pool.degraded_reason == "the engine does not answer"
    with pytest.raises(PoolDegradedError):
        await rig.acquire()
    assert rig.runtime.calls["launch"] == 0
    await rig.advance(10.0)
    await starting
    rig.started = True
    assert rig.ids(SandboxState.READY) == ["sb-old000000001"]
    assert rig.pool.state is PoolState.HEALTHY


async def test_callers_may_come_before_the_first_listing(rig: Rig) -> None:
    """The service listens at once: they wait, and get what is adopted."""
    rig.runtime.put("sb-old000000001", labels=labels(rig))
    rig.runtime.list_gate.clear()
    manager = rig.make(min_ready=1, max_total=2)
    starting = asyncio.create_task(manager.start())
    waiter = rig.begin()
    await settle()
    assert not waiter.done()
    rig.runtime.list_gate.set()
    await starting
    rig.started = True
    lease = await waiter
    assert lease.sandbox_id == "sb-old000000001"
    lease.confirm()


async def test_a_hundred_sessions_are_adopted_together(rig: Rig) -> None:
    """Bounded, but not one after the other."""
    claims = {}
    for number in range(100):
        sandbox_id = f"sb-old{number:09d}"
        rig.runtime.put(sandbox_id, labels=labels(rig))
        rig.greeter.serves[sandbox_id] = f"ses-{number}"
        claims[f"ses-{number}"] = sandbox_id
    manager = rig.make(min_ready=1, max_total=110)
    leases = await manager.start(claims)
    rig.started = True
    assert leases.keys() == claims.keys()
    assert rig.lost == []


async def test_starting_can_be_given_up(rig: Rig) -> None:
    """Cancelled in the middle of boot: nothing of the manager is left running."""
    rig.runtime.list_gate.clear()
    manager = rig.make(min_ready=1)
    starting = asyncio.create_task(manager.start())
    await settle()
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await manager.close()


def test_the_age_of_a_sandbox_is_read_from_its_label() -> None:
    """What makes no sense is age 0, never an error: labels survive versions."""
    now = ManualClock().now()
    assert age_of(labels_of("image", now - timedelta(seconds=5)), now) == 5.0
    assert age_of({IMAGE: "image"}, now) == 0.0
    assert age_of({CREATED: "yesterday"}, now) == 0.0
    assert age_of({CREATED: "2029-12-31T23:59:00"}, now) == 60.0
    assert age_of({CREATED: "2031-01-01T00:00:00+00:00"}, now) == 0.0
