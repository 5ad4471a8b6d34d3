"""A restored session goes on as the original does, and both as if nothing had been saved: on each runtime."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from sandbank.v1 import execution_pb2, session_pb2, state_pb2

from tests.raw_api import Api, connected
from tests.server_process import ServerProcess
from tests.state_programs import CANONICAL, SETUP, Restore, Run, Save, Step, canonical_after, programs

Operation = execution_pb2.Operation

RICH = """
import collections, contextlib, dataclasses, datetime, decimal, enum, functools, itertools, os, random, re, sys
import threading, weakref, zoneinfo
random.seed(11)
class Color(enum.Flag):
    RED = 1
    BLUE = 2
@dataclasses.dataclass(order=True)
class Item:
    name: str
    price: decimal.Decimal
    tags: list = dataclasses.field(default_factory=list)
    def total(self): return self.price * factor
class Cart(list):
    opened = 0
    def __init__(self): super().__init__(); Cart.opened += 1
    @functools.cached_property
    def first(self): return self[0]
    def __iadd__(self, item): self.append(item); return self
factor = 2
shared = ['tag']
cart = Cart()
cart += Item('tea', decimal.Decimal('1.10'), shared)
cart += Item('mug', decimal.Decimal('7.25'), shared)
cart.first
index = {item.name: item for item in cart}
def account(balance):
    def add(n):
        nonlocal balance
        balance += n
        return balance
    return add, lambda: balance
deposit, balance = account(100)
@functools.lru_cache
def slow(n): return n + 1
slow(3)
def rename(old, new):
    global last
    index[new] = index.pop(old); index[new].name = last = new
history = collections.deque(maxlen=3)
numbers = itertools.count(5)
letters = iter(['a', 'b', 'c', 'd']); next(letters)
buffer = bytearray(b'0123456789'); window = memoryview(buffer)[2:5]
when = datetime.datetime(2024, 3, 30, 12, tzinfo=zoneinfo.ZoneInfo('UTC'))
pattern = re.compile(r'(?P<key>\\w+)=(\\d+)')
seen = weakref.ref(cart[0])
rng = random.Random(3); rng.random()
words = {'alpha', 'beta', 'gamma'}
os.environ['MODE'] = 'test'
os.makedirs('data/in'); os.chdir('data')
open('in/log.txt', 'w').write('one\\n')
generator = (n for n in range(9)); lock = threading.Lock()
"""
NEXT = (
    "[random.random(), rng.gauss(0, 1), random.sample(range(50), 3), rng.choice(sorted(words))]",
    "deposit(5); [deposit(-20), balance()]",
    "rename('tea', 'chai'); [last, cart[0].name, cart[0] is index['chai'], cart.first is cart[0]]",
    "factor = 3; [str(item.total()) for item in cart] + [slow(3), slow.cache_info().maxsize]",
    "shared.append('new'); history.extend('wxyz'); [cart[1].tags, cart[0].tags is shared, list(history)]",
    "window[0] = 65; [bytes(buffer).decode(), bytes(window).decode(), next(numbers), next(letters), list(letters)]",
    "open('in/log.txt', 'a').write('two\\n'); print(os.path.basename(os.getcwd())); open('in/log.txt').read()",
    (
        "class Gift(Item):\n    def total(self): return -super().total()\n"
        "cart += Gift('pen', decimal.Decimal(1)); "
        "[str(cart[-1].total()), isinstance(cart[-1], Item), cart[0] < cart[1]]"
    ),
    (
        "[Cart().opened, seen() is cart[0], Color.RED | Color.BLUE, pattern.match('k=5').groupdict(), "
        "os.environ['MODE'], (when + datetime.timedelta(1)).isoformat(), sorted(words), "
        "Color(3) is Color.RED | Color.BLUE]"
    ),
    "cart[9]",
    "sorted(name for name in globals() if not name.startswith('_') and name not in ('generator', 'lock'))",
)

_SETTINGS = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    "print_blob": True,
}


def create(api: Api, **fields: object) -> str:
    """Make a session."""
    request = session_pb2.CreateSessionRequest(template="slim", **fields)  # type: ignore[arg-type]
    return str(api.sessions.CreateSession(request).session.session_id)


def delete(api: Api, *ids: str) -> None:
    """End sessions."""
    for each in ids:
        api.sessions.DeleteSession(session_pb2.DeleteSessionRequest(session_id=each))


def run(api: Api, session_id: str, code: str) -> tuple[Operation, bytes]:
    """Run code, whatever becomes of it; return what it printed, too."""
    request = execution_pb2.ExecuteRequest(session_id=session_id, code=code)
    response = api.execution.Run(execution_pb2.RunRequest(execute=request))
    return response.operation, response.stdout


def save(api: Api, session_id: str) -> str:
    """Make a checkpoint."""
    request = state_pb2.CheckpointRequest(session_id=session_id)
    return str(api.state.Checkpoint(request).checkpoint.checkpoint_id)


def told(api: Api, session_id: str, code: str) -> tuple[object, ...]:
    """Run code; return all that it shows of itself."""
    operation, stdout = run(api, session_id, code)
    error = operation.error
    return (
        operation.state, operation.execution_count, operation.result["text/plain"], stdout, error.type_name,
        error.message, error.traceback_text,
    )  # fmt: skip


def test_the_next_operations_give_the_same_in_the_original_and_in_the_copies(api: Api) -> None:
    """A copy from a checkpoint, a fork, and the session itself gone back: values, output and errors are the same."""
    original = create(api)
    operation, _ = run(api, original, RICH)
    assert operation.state == Operation.STATE_SUCCEEDED, operation.error.traceback_text
    checkpoint_id = save(api, original)
    copy = create(api, from_checkpoint_id=checkpoint_id)
    forked = session_pb2.ForkSessionRequest(session_id=original)
    fork = api.sessions.ForkSession(forked).sessions[0].session_id
    expected = [told(api, original, code) for code in NEXT]
    states = [each[0] for each in expected]
    assert states == [Operation.STATE_SUCCEEDED] * 9 + [Operation.STATE_FAILED, Operation.STATE_SUCCEEDED]
    assert [told(api, copy, code) for code in NEXT] == expected
    assert [told(api, fork, code) for code in NEXT] == expected
    api.state.Restore(state_pb2.RestoreRequest(session_id=original, checkpoint_id=checkpoint_id))
    assert [told(api, original, code) for code in NEXT] == expected
    delete(api, original, copy, fork)


class Player:
    """Plays programs in one session, which is reset in between."""

    def __init__(self, api: Api, session_id: str) -> None:
        self._api = api
        self._session_id = session_id

    def play(self, program: list[Step]) -> None:
        """Do all steps, and compare with what the same operations make that were never saved; then fork."""
        self._api.sessions.ResetSession(session_pb2.ResetSessionRequest(session_id=self._session_id))
        for code in (SETUP, CANONICAL):
            assert run(self._api, self._session_id, code)[0].state == Operation.STATE_SUCCEEDED
        history: list[str] = []
        saved: tuple[str, list[str]] | None = None
        for step in program:
            if isinstance(step, Run):
                run(self._api, self._session_id, step.code)
                history.append(step.code)
            elif isinstance(step, Save):
                saved = save(self._api, self._session_id), list(history)
            elif isinstance(step, Restore) and saved is not None:
                request = state_pb2.RestoreRequest(session_id=self._session_id, checkpoint_id=saved[0])
                self._api.state.Restore(request)
                history = list(saved[1])
            self._compare(self._session_id, history)
        request = session_pb2.ForkSessionRequest(session_id=self._session_id)
        fork = self._api.sessions.ForkSession(request).sessions[0].session_id
        self._compare(fork, history)
        delete(self._api, fork)

    def _compare(self, session_id: str, history: list[str]) -> None:
        operation, _ = run(self._api, session_id, "canonical()")
        assert operation.state == Operation.STATE_SUCCEEDED, operation.error.traceback_text
        assert operation.result["text/plain"].decode() == repr(canonical_after(history))


@pytest.fixture(scope="module")
def player(server: ServerProcess) -> Iterator[Player]:
    """A session that programs are played in."""
    with connected(server.address) as api:
        session_id = create(api)
        yield Player(api, session_id)
        delete(api, session_id)


@settings(max_examples=8, **_SETTINGS)  # type: ignore[arg-type]
@given(program=programs)
def test_state_equals_what_was_never_saved(player: Player, program: list[Step]) -> None:
    """Random programs with checkpoints and restores in between, through the whole path; and a fork at the end."""
    player.play(program)


@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(max_examples=200, **_SETTINGS)  # type: ignore[arg-type]
@given(program=programs)
def test_state_equals_what_was_never_saved_over_many_programs(player: Player, program: list[Step]) -> None:
    """The same, many more."""
    player.play(program)
