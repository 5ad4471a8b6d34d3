"""What every catalog promises of sessions."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sandbank.v1 import session_pb2
from sandbank_server.catalog.base import Catalog, SessionKey
from sandbank_server.errors import RequestIdReusedError, StoreUnavailableError

from tests.contract.catalog.conftest import NOON, Reopen, session

ACTIVE, IDLE, CRASHED, TERMINATED = (
    int(getattr(session_pb2.Session, f"STATE_{name}")) for name in ("ACTIVE", "IDLE", "CRASHED", "TERMINATED")
)


async def test_a_session_comes_back_as_it_was_put(catalog: Catalog) -> None:
    """Every field, to the microsecond, with any text."""
    full = session(
        request_id="req-1",
        request_digest="abc",
        state_detail="it was 💥 \n killed",
        sandbox_id="sb-1",
        generation=3,
        labels={"team": "a", "ключ": "значение", "empty": ""},
        end_time=NOON + timedelta(hours=2, microseconds=1),
        recovery_policy=2,
        idle_action=1,
        execution_count=2**40,
        env={"PATH": "/usr/bin", "X": "a=b;'\"--"},
        has_secret_env=True,
        python_version="3.13.5",
        last_recovery=bytes(range(256)),
        event_sequence=2**62,
        idle_timeout=timedelta(microseconds=1),
    )
    await catalog.put_session(full)
    assert await catalog.get_session("default", "ses-1") == full
    least = session("ses-2")
    await catalog.put_session(least)
    assert await catalog.get_session("default", "ses-2") == least


async def test_a_second_put_replaces_the_first(catalog: Catalog) -> None:
    """The whole record, labels included; nothing of the old one stays findable."""
    await catalog.put_session(session(labels={"a": "1", "b": "2"}))
    changed = session(labels={"b": "3"}, state=IDLE, execution_count=7)
    await catalog.put_session(changed)
    assert await catalog.get_session("default", "ses-1") == changed
    assert await catalog.list_sessions("default", limit=10, labels={"a": "1"}) == []
    assert await catalog.list_sessions("default", limit=10, labels={"b": "3"}) == [changed]
    await catalog.put_session(replace(changed, labels={}))
    assert await catalog.list_sessions("default", limit=10, labels={"b": "3"}) == []


async def test_another_tenants_session_is_not_there(catalog: Catalog) -> None:
    """Not by id, not by request, not in a list, not to delete; the same ids may exist beside each other."""
    ours = session(request_id="r", labels={"k": "v"})
    theirs = session(request_id="r", tenant="other", labels={"k": "v"}, generation=9)
    await catalog.put_session(ours)
    assert await catalog.get_session("other", "ses-1") is None
    assert await catalog.get_session_by_request("other", "r") is None
    assert await catalog.list_sessions("other", limit=10, labels={"k": "v"}) == []
    await catalog.put_session(theirs)
    await catalog.delete_session("other", "ses-1")
    assert await catalog.get_session("default", "ses-1") == ours
    assert await catalog.list_sessions("default", limit=10, labels={"k": "v"}) == [ours]


async def test_a_request_id_finds_its_session(catalog: Catalog) -> None:
    """Also after it ended; the empty one finds nothing, whoever has it."""
    record = session(request_id="req-1", state=TERMINATED, end_time=NOON)
    await catalog.put_session(record)
    await catalog.put_session(session("ses-2"))
    await catalog.put_session(session("ses-3"))
    assert await catalog.get_session_by_request("default", "req-1") == record
    assert await catalog.get_session_by_request("default", "") is None


async def test_a_request_id_belongs_to_one_session(catalog: Catalog) -> None:
    """Two sessions of a tenant never share one, also in a race; the loser changes nothing."""
    results = await asyncio.gather(
        *(catalog.put_session(session(f"ses-{n}", request_id="req")) for n in range(10)),
        catalog.put_session(session("ses-other", request_id="another")),
        return_exceptions=True,
    )
    assert results.count(None) == 2
    assert results[-1] is None
    assert sum(isinstance(result, RequestIdReusedError) for result in results) == 9
    assert len(await catalog.list_sessions("default", limit=100)) == 2


async def test_a_list_is_newest_first_and_filtered(catalog: Catalog) -> None:
    """By state and by all labels given; without states, those that have not terminated."""
    first = session("ses-a", labels={"x": "1"})
    second = session("ses-b", minute=1, state=CRASHED, labels={"x": "1", "y": "2"})
    third = session("ses-c", minute=2, state=TERMINATED, labels={"x": "1", "y": "2"})
    for record in (second, third, first):
        await catalog.put_session(record)
    assert await catalog.list_sessions("default", limit=10) == [second, first]
    assert await catalog.list_sessions("default", limit=10, states=[TERMINATED, ACTIVE]) == [third, first]
    assert await catalog.list_sessions("default", limit=10, labels={"x": "1", "y": "2"}) == [second]
    assert await catalog.list_sessions("default", limit=10, labels={"x": "2"}) == []
    assert await catalog.list_sessions("default", limit=1) == [second]


async def test_pages_neither_skip_nor_repeat(catalog: Catalog) -> None:
    """Sessions of the same moment are told apart by id; what is made or ends meanwhile disturbs nothing."""
    records = [session(f"ses-{n:02}", minute=n // 4) for n in range(20)]
    await asyncio.gather(*(catalog.put_session(record) for record in records))
    seen: list[str] = []
    after = None
    while page := await catalog.list_sessions("default", limit=3, after=after):
        seen += [record.session_id for record in page]
        after = SessionKey(page[-1].create_time, page[-1].session_id)
        await catalog.put_session(session(f"ses-new-{len(seen)}", minute=100))
        await catalog.delete_session("default", page[-1].session_id)
    assert seen == [f"ses-{n:02}" for n in reversed(range(20))]


async def test_live_sessions_are_those_of_all_tenants_that_have_not_ended(catalog: Catalog) -> None:
    """Oldest first."""
    live = [session("ses-1"), session("ses-2", tenant="other", minute=1, state=CRASHED)]
    await catalog.put_session(live[1])
    await catalog.put_session(live[0])
    await catalog.put_session(session("ses-3", state=TERMINATED, end_time=NOON))
    assert await catalog.live_sessions() == live


async def test_purging_forgets_what_ended_long_ago(catalog: Catalog) -> None:
    """Each is named, once; what ended later or has not ended stays; the request id is free again."""
    old = [session(f"ses-{n}", state=TERMINATED, end_time=NOON, labels={"a": "b"}) for n in range(1200)]
    recent = session("ses-recent", state=TERMINATED, end_time=NOON + timedelta(hours=1), request_id="kept")
    gone = session("ses-gone", tenant="other", state=TERMINATED, end_time=NOON, request_id="freed")
    live = session("ses-live")
    await asyncio.gather(*(catalog.put_session(record) for record in (*old, recent, gone, live)))
    purged = await catalog.purge_sessions(NOON + timedelta(seconds=1))
    assert sorted(purged) == sorted(
        [("default", record.session_id) for record in old] + [("other", "ses-gone")]
    )
    assert await catalog.purge_sessions(NOON + timedelta(seconds=1)) == []
    assert await catalog.get_session("other", "ses-gone") is None
    assert await catalog.list_sessions("default", limit=10, states=[ACTIVE, TERMINATED]) == [recent, live]
    await catalog.put_session(session("ses-again", tenant="other", request_id="freed"))


async def test_deleting_twice_is_fine(catalog: Catalog) -> None:
    """Also what never was."""
    await catalog.put_session(session(labels={"a": "b"}))
    for _ in range(2):
        await catalog.delete_session("default", "ses-1")
    assert await catalog.get_session("default", "ses-1") is None
    await catalog.put_session(session(labels={"a": "c"}))
    assert len(await catalog.list_sessions("default", limit=5, labels={"a": "c"})) == 1


async def test_everything_is_there_after_opening_again(reopen: Reopen) -> None:
    """A put that returned is kept."""
    catalog = await reopen()
    records = [session(f"ses-{n}", minute=n, labels={"n": str(n)}) for n in range(50)]
    await asyncio.gather(*(catalog.put_session(record) for record in records))
    catalog = await reopen()
    assert await catalog.live_sessions() == records


async def test_closing_finishes_what_was_begun(reopen: Reopen) -> None:
    """Puts that wait when it is closed are done, not dropped."""
    catalog = await reopen()
    puts = [asyncio.ensure_future(catalog.put_session(session(f"ses-{n}"))) for n in range(100)]
    await asyncio.sleep(0)
    await catalog.close()
    await asyncio.gather(*puts)
    catalog = await reopen()
    assert len(await catalog.live_sessions()) == 100


async def test_a_closed_catalog_is_unavailable(catalog: Catalog) -> None:
    """A domain error, also for closing twice nothing."""
    await catalog.close()
    await catalog.close()
    with pytest.raises(StoreUnavailableError):
        await catalog.get_session("default", "ses-1")


async def test_a_cancelled_put_disturbs_no_other(catalog: Catalog) -> None:
    """Its caller is gone; those of the same batch get their answers."""
    puts = [asyncio.ensure_future(catalog.put_session(session(f"ses-{n}"))) for n in range(20)]
    await asyncio.sleep(0)
    for put in puts[::2]:
        put.cancel()
    results = await asyncio.gather(*puts, return_exceptions=True)
    assert [result for result in results[1::2] if result is not None] == []
    assert await catalog.get_session("default", "ses-1") is not None
