"""What every catalog promises of checkpoints."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sandbank_server.catalog.base import Catalog, CheckpointKey, CheckpointRecord
from sandbank_server.errors import RequestIdReusedError

from tests.contract.catalog.conftest import NOON, Reopen, session


def checkpoint(checkpoint_id: str = "cp-1", tenant: str = "default", **changes: Any) -> CheckpointRecord:
    """Return a checkpoint; ``minute`` moves its creation."""
    values: dict[str, Any] = {
        "tenant": tenant,
        "checkpoint_id": checkpoint_id,
        "session_id": "ses-1",
        "create_time": NOON + timedelta(minutes=changes.pop("minute", 0)),
        "wall_time": timedelta(milliseconds=12),
        "size_bytes": 5_000_000_000,
        "new_bytes": 17,
        "execution_count": 3,
        "last_operation_id": "op-1",
        "python_version": "3.13.5",
    }
    return CheckpointRecord(**(values | changes))


async def test_a_checkpoint_comes_back_as_it_was_put(catalog: Catalog) -> None:
    """Every field, also after it was changed."""
    whole = checkpoint(
        parent_checkpoint_id="cp-0", request_id="r", labels={"a": "ü"}, verified=True, automatic=True
    )
    await catalog.put_checkpoint(whole)
    assert await catalog.get_checkpoint("default", "cp-1") == whole
    assert await catalog.get_checkpoint_by_request("default", "r") == whole
    changed = replace(whole, labels={}, verified=False)
    await catalog.put_checkpoint(changed)
    assert await catalog.get_checkpoint("default", "cp-1") == changed


async def test_another_tenants_checkpoint_is_not_there(catalog: Catalog) -> None:
    """Nor by its request, nor in lists."""
    await catalog.put_checkpoint(checkpoint(tenant="other", request_id="r"))
    assert await catalog.get_checkpoint("default", "cp-1") is None
    assert await catalog.get_checkpoint_by_request("default", "r") is None
    assert await catalog.list_checkpoints("default", "ses-1", limit=10) == []
    assert await catalog.get_checkpoint_by_request("other", "") is None


async def test_a_request_id_belongs_to_one_checkpoint(catalog: Catalog) -> None:
    """Of one tenant."""
    await catalog.put_checkpoint(checkpoint(request_id="r"))
    with pytest.raises(RequestIdReusedError):
        await catalog.put_checkpoint(checkpoint("cp-2", request_id="r"))
    await catalog.put_checkpoint(checkpoint("cp-2", tenant="other", request_id="r"))


async def test_pages_go_from_the_newest_to_the_oldest(catalog: Catalog) -> None:
    """None is skipped or told twice, also of the same moment; other sessions' only where all are asked for."""
    for number in range(7):
        await catalog.put_checkpoint(checkpoint(f"cp-{number}", minute=number // 2))
    await catalog.put_checkpoint(checkpoint("cp-x", session_id="ses-2", minute=-1))
    seen: list[str] = []
    after = None
    while page := await catalog.list_checkpoints("default", "ses-1", limit=3, after=after):
        seen += [each.checkpoint_id for each in page]
        after = CheckpointKey(page[-1].create_time, page[-1].checkpoint_id)
    assert seen == [f"cp-{number}" for number in (6, 5, 4, 3, 2, 1, 0)]
    every = await catalog.list_checkpoints("default", "", limit=100)
    assert [each.checkpoint_id for each in every] == [*seen, "cp-x"]


async def test_deleting_twice_is_fine_and_the_session_may_go_first(catalog: Catalog, reopen: Reopen) -> None:
    """A checkpoint outlives its session, and the catalog's closing."""
    await catalog.put_session(session())
    await catalog.put_checkpoint(checkpoint())
    await catalog.delete_session("default", "ses-1")
    again = await reopen()
    assert await again.get_checkpoint("default", "cp-1") == checkpoint()
    assert await again.checkpoint_tenants() == ["default"]
    await again.delete_checkpoint("default", "cp-1")
    await again.delete_checkpoint("default", "cp-1")
    assert await again.get_checkpoint("default", "cp-1") is None
