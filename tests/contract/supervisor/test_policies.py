"""The table of the transaction policies, cell by cell, against real interpreters and real snapshots."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from sandbank.v1.execution_pb2 import Operation
from sandbank.v1.transaction_pb2 import (
    TX_POLICY_COMMIT_ON_SUCCESS,
    TX_POLICY_NONE,
    TX_POLICY_ROLLBACK_ON_FAILURE,
)

from tests.contract.supervisor.conftest import Start
from tests.fakes.control_plane import Connection, seconds

ATOMIC = [TX_POLICY_COMMIT_ON_SUCCESS, TX_POLICY_ROLLBACK_ON_FAILURE]

BEFORE = """
import os, random, sys
class Thing: kind = 'before'
thing = Thing(); thing.attribute = 1
numbers, table, group = [1], {'a': 1}, {1}
steps = iter(range(10)); next(steps)
random.seed(7)
"""

DURING = """
import colorsys
new = 1
numbers.append(2); table['b'] = 2; group.add(2); thing.attribute = 2; Thing.kind = 'after'
next(steps); random.random(); os.getcwd_before = os.getcwd; os.getcwd = None
os.environ['ADDED'] = 'yes'; sys.path.append('/added'); os.chdir('/')
numbers = 'rebound'
"""

LOOK = """
[numbers, sorted(table), sorted(group), thing.attribute, Thing.kind, next(steps), 'new' in globals(),
 'colorsys' in sys.modules, random.random() == random.Random(7).random(), os.getcwd is None, 'ADDED' in os.environ,
 '/added' in sys.path]
"""
AS_BEFORE = b'[[1],["a"],[1],1,"before",1,false,false,true,false,false,false]'
AS_DURING = b'["rebound",["a","b"],[1,2],2,"after",2,true,true,false,true,true,true]'

ENDINGS = {
    "success": ("None", {}, Operation.STATE_SUCCEEDED),
    "an error": ("1 / 0", {}, Operation.STATE_FAILED),
    "an exit": ("raise SystemExit(3)", {}, Operation.STATE_FAILED),
    "a timeout in Python": ("while True: pass", {"timeout": 0.3}, Operation.STATE_TIMED_OUT),
    "a timeout in C": (
        "import signal, time\nsignal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})\ntime.sleep(600)",
        {"timeout": 0.3},
        Operation.STATE_TIMED_OUT,
    ),
    "a timeout in one long C call": ("sum(range(10**12))", {"timeout": 0.3}, Operation.STATE_TIMED_OUT),
    "a swallowed interrupt": (
        "import time\nwhile True:\n    try:\n        time.sleep(600)\n    except KeyboardInterrupt: pass",
        {"timeout": 0.3},
        Operation.STATE_TIMED_OUT,
    ),
    "a segfault": ("import ctypes\nctypes.string_at(0)", {}, Operation.STATE_CRASHED),
    "an end of the process": ("os._exit(3)", {}, Operation.STATE_CRASHED),
}
KILLING = {
    "a timeout in C",
    "a timeout in one long C call",
    "a swallowed interrupt",
    "a segfault",
    "an end of the process",
}


@pytest.fixture
async def hasty(start: Start) -> AsyncIterator[Connection]:
    """A session that has little patience with what does not react to an interrupt."""
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(start())
        yield await sandbox.session(interrupt_grace=seconds(0.2))


@pytest.mark.parametrize("policy", ATOMIC)
@pytest.mark.parametrize("ending", ENDINGS)
async def test_an_atomic_operation_is_all_or_nothing(hasty: Connection, policy: int, ending: str):
    """COMMIT_ON_SUCCESS and ROLLBACK_ON_FAILURE: committed on success, else the state before it, whatever it did."""
    code, bounds, state = ENDINGS[ending]
    before = await hasty.run("before", BEFORE)
    operation = await hasty.run("during", DURING + code, tx_policy=policy, **bounds)
    assert (operation.state, operation.tx_policy) == (state, policy)
    look = await hasty.run("look", LOOK)
    if ending == "success":
        assert operation.outcome == Operation.OUTCOME_COMMITTED
        assert look.result["application/json"] == AS_DURING
        assert look.execution_count == 3
    else:
        assert operation.outcome == Operation.OUTCOME_ROLLED_BACK
        assert look.result["application/json"] == AS_BEFORE
        assert look.execution_count == before.execution_count + 1
    replaced = hasty.all_told("interpreter_replaced")
    assert len(replaced) == (ending in KILLING)
    for each in replaced:
        assert (each.restored_operation_id, list(each.lost_operation_ids), each.state_lost) == (
            "before",
            [],
            False,
        )


@pytest.mark.parametrize("ending", ENDINGS)
async def test_without_a_policy_what_ran_stays_unless_the_interpreter_goes(hasty: Connection, ending: str):
    """NONE: PARTIAL where the code raised or the interrupt worked; else ROLLED_BACK, to the newest restore point."""
    code, bounds, state = ENDINGS[ending]
    await hasty.run("before", BEFORE)
    await hasty.run("restore-point", "pass", tx_policy=TX_POLICY_ROLLBACK_ON_FAILURE)
    operation = await hasty.run("during", DURING + code, tx_policy=TX_POLICY_NONE, **bounds)
    assert operation.state == state
    look = await hasty.run("look", LOOK)
    if ending in KILLING:
        assert operation.outcome == Operation.OUTCOME_ROLLED_BACK
        assert look.result["application/json"] == AS_BEFORE
        (replaced,) = hasty.all_told("interpreter_replaced")
        assert (replaced.operation_id, replaced.state_lost) == ("during", False)
    else:
        assert operation.outcome == (
            Operation.OUTCOME_COMMITTED if ending == "success" else Operation.OUTCOME_PARTIAL
        )
        assert look.result["application/json"] == AS_DURING
        assert hasty.all_told("interpreter_replaced") == []
