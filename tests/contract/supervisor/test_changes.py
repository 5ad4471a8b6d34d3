"""Change reports, from a real interpreter through the supervisor into Finished."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from sandbank.v1.execution_pb2 import Operation
from sandbank.v1.transaction_pb2 import (
    ISOLATION_NAMESPACE,
    TX_POLICY_COMMIT_ON_SUCCESS,
    TX_POLICY_EXPLICIT,
    TX_POLICY_ROLLBACK_ON_FAILURE,
)
from sandbank.v1.variable_pb2 import VariableChange

from tests.contract.supervisor.conftest import Start
from tests.fakes.control_plane import Connection, seconds

ADDED, MODIFIED, REMOVED = 1, 2, 3


def kinds(operation: Operation) -> dict[str, int]:
    """Return what became of each name."""
    return {change.name: change.kind for change in operation.changes}


async def ran(session: Connection, operation_id: str, code: str, **fields: object) -> dict[str, int]:
    """Run code that succeeds, and return what became of each name."""
    session.submit(operation_id, code, **{"report_changes": True, **fields})
    operation = await session.finished(operation_id)
    assert operation.state == Operation.STATE_SUCCEEDED, operation
    return kinds(operation)


async def test_an_operation_tells_what_it_did(session: Connection) -> None:
    """Each field of each change."""
    session.submit("a", "x = [1]; gone = 'here'", report_changes=True)
    await session.finished("a")
    session.submit("b", "x = 2.5; y = {'k': [1]}; del gone", report_changes=True)
    found = {change.name: change for change in (await session.finished("b")).changes}
    assert found.pop("x") == VariableChange(
        name="x",
        kind=MODIFIED,
        type_name="float",
        size_bytes=24,
        serializable=True,
        preview="2.5",
        previous_type_name="list",
    )
    added = found.pop("y")
    assert 200 < added.size_bytes < 1000
    assert (added.kind, added.type_name, added.preview, added.previous_type_name) == (
        ADDED, "dict", "{'k': [1]}", "",
    )  # fmt: skip
    assert found == {"gone": VariableChange(name="gone", kind=REMOVED, previous_type_name="str")}


async def test_who_does_not_ask_is_told_nothing(session: Connection) -> None:
    """What happened unreported is not blamed on a later operation either."""
    assert await ran(session, "a", "x = 1; xs = []") == {"x": ADDED, "xs": ADDED}
    assert await ran(session, "b", "x = 2; xs.append(1)", report_changes=False) == {}
    assert await ran(session, "c", "y = x") == {"y": ADDED}
    assert await ran(session, "d", "xs.append(2)") == {"xs": MODIFIED}


async def test_code_that_fails_tells_what_it_had_done(session: Connection) -> None:
    """Under NONE what ran before the error stays."""
    session.submit("a", "x = 1\n1 / 0", report_changes=True)
    assert kinds(await session.finished("a")) == {"x": ADDED}


@pytest.mark.parametrize("policy", [TX_POLICY_COMMIT_ON_SUCCESS, TX_POLICY_ROLLBACK_ON_FAILURE])
async def test_what_is_rolled_back_has_changed_nothing(session: Connection, policy: int) -> None:
    """Neither is it told then, nor of the next."""
    assert await ran(session, "a", "xs = [1]") == {"xs": ADDED}
    session.submit("b", "xs.append(2); y = 1\n1 / 0", report_changes=True, tx_policy=policy)
    operation = await session.finished("b")
    assert operation.outcome == Operation.OUTCOME_ROLLED_BACK
    assert not operation.changes
    assert await ran(session, "c", "z = 1") == {"z": ADDED}
    assert await ran(session, "d", "xs.append(3)", tx_policy=policy) == {"xs": MODIFIED}


async def test_after_a_transaction_is_rolled_back_its_changes_are_gone(session: Connection) -> None:
    """The interpreter that wakes knows what it knew; what is told of the member is taken back."""
    assert await ran(session, "a", "xs = [1]") == {"xs": ADDED}
    begin = {"transaction_id": "t", "idle_timeout": seconds(60)}
    fields = {"tx_policy": TX_POLICY_EXPLICIT, "transaction_id": "t"}
    assert await ran(session, "b", "xs.append(2); y = 1", begin=begin, **fields) == {
        "xs": MODIFIED,
        "y": ADDED,
    }
    await session.ask(end_transaction={"transaction_id": "t", "commit": False})
    now = Operation.FromString((await session.ask(get_operation={"operation_id": "b"})).operation)
    assert now.outcome == Operation.OUTCOME_ROLLED_BACK
    assert not now.changes
    assert await ran(session, "c", "xs.append(2)") == {"xs": MODIFIED}


async def test_after_the_interpreter_died(session: Connection) -> None:
    """The one that takes over compares with what it has itself."""
    assert await ran(session, "a", "xs = [1]; x = 1") == {"x": ADDED, "xs": ADDED}
    session.submit(
        "b", "x = 2; import os; os._exit(1)", report_changes=True, tx_policy=TX_POLICY_COMMIT_ON_SUCCESS
    )
    assert not (await session.finished("b")).changes
    assert await ran(session, "c", "xs.append(len(xs)); x") == {"xs": MODIFIED}


async def test_without_snapshots(start: Start) -> None:
    """Slower, perhaps, but no less exact."""
    async with start() as sandbox:
        session = await sandbox.session(snapshots_disabled=True)
        assert await ran(session, "a", "xs = [1]; ys = [xs]") == {"xs": ADDED, "ys": ADDED}
        assert await ran(session, "b", "xs") == {}
        assert await ran(session, "c", "ys[0].append(1)") == {"xs": MODIFIED, "ys": MODIFIED}
        assert await ran(session, "d", "ys.clear()", isolation=ISOLATION_NAMESPACE) == {"ys": MODIFIED}


async def test_operations_beside_each_other_tell_their_own(session: Connection) -> None:
    """What each bound, deleted, or was seen to change in place; not what the other did."""
    assert await ran(session, "a", "import os; xs = []; old = 1") == {"old": ADDED, "os": ADDED, "xs": ADDED}
    wait = "while not os.path.exists('go'): pass\n"
    session.submit("b", f"mine = 1; xs.append(1)\n{wait}", report_changes=True, isolation=ISOLATION_NAMESPACE)
    session.submit("c", "yours = 2; del old", report_changes=True, isolation=ISOLATION_NAMESPACE)
    assert kinds(await session.finished("c")) == {"yours": ADDED, "old": REMOVED}
    session.submit("d", "open('go', 'w').close()", report_changes=True, isolation=ISOLATION_NAMESPACE)
    assert kinds(await session.finished("d")) == {}
    assert kinds(await session.finished("b")) == {"mine": ADDED, "xs": MODIFIED}
    assert await ran(session, "e", "mine") == {}


@pytest.fixture
async def narrow(start: Start) -> AsyncIterator[Connection]:
    """A session with small bounds."""
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(start())
        yield await sandbox.session(change_count=3, preview_chars=10)


async def test_bounds(narrow: Connection) -> None:
    """So many changes, and so long previews, as the session says."""
    narrow.submit("a", "a = b = c = 'x' * 1000", report_changes=True)
    operation = await narrow.finished("a")
    assert not operation.changes_truncated
    assert [change.preview for change in operation.changes] == ["'xxxxxxxx…"] * 3
    narrow.submit("b", "d = e = f = g = 1", report_changes=True)
    operation = await narrow.finished("b")
    assert operation.changes_truncated
    assert list(kinds(operation)) == ["d", "e", "f"]


async def test_user_code_is_not_asked(session: Connection) -> None:
    """Nothing that a class defines is called for a report."""
    code = """
class Deadly:
    def die(*_, **__): import os; os._exit(1)
    __eq__ = __repr__ = __getstate__ = __reduce__ = __reduce_ex__ = __sizeof__ = __len__ = __iter__ = die
    __hash__ = __getattr__ = __getattribute__ = __bool__ = __del__ = __class_getitem__ = die
    value = property(die)
class Meta(type):
    def die(*_, **__): import os; os._exit(1)
    __eq__ = __hash__ = __repr__ = __instancecheck__ = __subclasscheck__ = die
class Strange(metaclass=Meta): pass
"""
    found = await ran(session, "a", code)
    assert set(found) == {"Deadly", "Meta", "Strange"}
    made = await ran(session, "b", "d = object.__new__(Deadly); ds = [d, (d, {'d': d})]; s = [Strange()]")
    assert made == {"d": ADDED, "ds": ADDED, "s": ADDED}
    assert await ran(session, "c", "object.__setattr__(d, 'x', 1)") == {"d": MODIFIED, "ds": MODIFIED}
