"""What code can do to a session's state, how it can end, and what becomes of it: the table of policies as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sandbank.v1 import execution_pb2, transaction_pb2

Operation = execution_pb2.Operation

SETUP: Final = """
import asyncio, builtins, colorsys, os, random, signal, sys, types, warnings
from array import array

class Thing:
    shared = [0]
    def __init__(self): self.value = 1
    def __eq__(self, other): raise RuntimeError('nobody asked')

def counting():
    n = 0
    def count():
        nonlocal n
        n += 1
        return n
    return count

number = 1
items = [1, [2]]
alias = items[1]
table = {'a': 1}
names = {1, 2}
thing = Thing()
numbers = array('q', [1, 2, 3])
buffer = bytearray(b'abc')
view = memoryview(buffer)
steps = (n for n in range(100))
next(steps)
count = counting()
count()
module = types.ModuleType('made')
module.value = 1
doomed = 1
random.seed(7)

def probe():
    # Never changes what it looks at: generators by their frame, random by its state.
    return repr([
        number, items, alias is items[1], table, sorted(names), thing.value, Thing.shared, numbers.tolist(),
        bytes(buffer), bytes(view), steps.gi_frame.f_locals['n'], count.__closure__[0].cell_contents,
        module.value, 'doomed' in globals(), 'added' in globals(), 'bound_in_function' in globals(),
        hash(random.getstate()), os.getcwd(), os.environ.get('SANDBANK_TEST'), sys.path, 'wave' in sys.modules,
        hasattr(colorsys, 'patched'), hasattr(builtins, 'patched'), len(warnings.filters), sys.getrecursionlimit(),
    ])
"""
"""Binds everything that :data:`CHANGES` changes, and `probe`, which tells it all in one line."""

CHANGES: Final = """
import wave
added = 2
number += 1
items.append(3)
alias.append(4)
table['b'] = 2
names.add(3)
thing.value = 2
thing.extra = thing
Thing.shared.append(1)
numbers[1] = 7
view[0] = 120
next(steps)
count()
module.value = 2
del doomed
def bind():
    global bound_in_function
    bound_in_function = 1
bind()
random.random()
os.mkdir('elsewhere') if not os.path.isdir('elsewhere') else None
os.chdir('elsewhere')
os.environ['SANDBANK_TEST'] = 'set'
sys.path.append('/elsewhere')
colorsys.patched = builtins.patched = True
warnings.simplefilter('ignore')
sys.setrecursionlimit(2345)
"""
"""An import, bindings, mutation in place of all kinds, and what lives in the process beside the namespace."""


@dataclass(frozen=True)
class Ending:
    """How the code goes on after :data:`CHANGES`. ``soft``: it can be interrupted, so its effects can stay."""

    code: str
    state: Operation.State
    timeout: float = 30.0
    soft: bool = True
    dies: bool = False


ENDINGS: Final = {
    "succeeds": Ending("number", Operation.STATE_SUCCEEDED),
    "raises": Ending("raise ValueError('no')", Operation.STATE_FAILED),
    "rejected await": Ending(
        "async def refuse():\n    await asyncio.sleep(0)\n    raise ValueError('no')\nawait refuse()",
        Operation.STATE_FAILED,
    ),
    "SystemExit": Ending("raise SystemExit(3)", Operation.STATE_FAILED),
    "timeout in Python": Ending("while True: pass", Operation.STATE_TIMED_OUT, 0.3),
    "timeout in await": Ending("await asyncio.sleep(60)", Operation.STATE_TIMED_OUT, 0.3),
    "timeout in C": Ending("sum(range(10**12))", Operation.STATE_TIMED_OUT, 0.3, soft=False),
    "swallowed interrupt": Ending(
        "while True:\n    try:\n        while True: os.getpid()\n    except KeyboardInterrupt: pass",
        Operation.STATE_TIMED_OUT,
        0.3,
        soft=False,
    ),
    "blocked signals": Ending(
        "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))\nwhile True: pass",
        Operation.STATE_TIMED_OUT,
        0.3,
        soft=False,
    ),
    "segfault": Ending("import ctypes; ctypes.string_at(0)", Operation.STATE_CRASHED, dies=True),
    "os._exit": Ending("os._exit(3)", Operation.STATE_CRASHED, dies=True),
    "killed by itself": Ending("os.kill(os.getpid(), signal.SIGKILL)", Operation.STATE_CRASHED, dies=True),
}

OUT_OF_MEMORY: Final = Ending(
    "hog = []\nwhile True: hog.append(bytearray(1 << 24))", Operation.STATE_CRASHED, dies=True
)
"""Ends the interpreter only where there is a memory limit, and where that is not answered with MemoryError."""

POLICIES: Final = (
    transaction_pb2.TX_POLICY_NONE,
    transaction_pb2.TX_POLICY_COMMIT_ON_SUCCESS,
    transaction_pb2.TX_POLICY_ROLLBACK_ON_FAILURE,
    transaction_pb2.TX_POLICY_EXPLICIT,
)


def expected_outcome(policy: transaction_pb2.TxPolicy, ending: Ending) -> Operation.Outcome:
    """The table of the design, cell by cell."""
    good = ending.state == Operation.STATE_SUCCEEDED
    raised = ending.state == Operation.STATE_FAILED
    if policy == transaction_pb2.TX_POLICY_EXPLICIT:
        return Operation.OUTCOME_PENDING if good or raised else Operation.OUTCOME_ROLLED_BACK
    if good:
        return Operation.OUTCOME_COMMITTED
    if policy == transaction_pb2.TX_POLICY_NONE and ending.soft and not ending.dies:
        return Operation.OUTCOME_PARTIAL
    return Operation.OUTCOME_ROLLED_BACK
