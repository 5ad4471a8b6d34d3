"""Checkpoints, restores and recovery on four states, beside dill and cloudpickle in the same sandbox's Python."""

from __future__ import annotations

import io
import json
import os
import signal
import time
import zipfile
from dataclasses import dataclass
from functools import partial
from importlib import util
from pathlib import Path
from typing import Any, Final

from sandbank import Client, Session
from sandbank.v1 import checkpoint_pb2, session_pb2, state_pb2

from tests.benchmarks.report import Figure, Report, Times
from tests.raw_api import Api, connected
from tests.sandboxes import supervisor_pid, wait_ready
from tests.server_process import ServerProcess

MEMORY: Final = {"slim": "512MiB", "data": "8GiB"}
"""Of the templates here: the baselines hold the 1 GB state three times."""

_SECONDS: Final = 600.0
_TRIES: Final = 10
_SMALL: Final = "for i in range(100): globals()[f'v{i}'] = [i, str(i), {i: i}]"
_ARRAYS: Final = (
    "import numpy as np\nfor i in range(100): globals()[f'a{i}'] = np.random.default_rng(i).random(1_310_720)"
)
_MODELS: Final = """
import numpy as np, pandas as pd
from sklearn.ensemble import RandomForestRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
rng = np.random.default_rng(1)
table = pd.DataFrame(rng.random((50_000, 8)), columns=list('abcdefgh'))
table['kind'] = pd.Categorical(rng.choice(['x', 'y', 'z'], 50_000))
means = table.groupby('kind', observed=True).mean()
model = make_pipeline(StandardScaler(), RandomForestRegressor(20, max_depth=8, random_state=0))
model = model.fit(table[list('abc')], table['d'])
"""
_OBJECTS: Final = """
class Point:
    def __init__(self, x, y): self.x, self.y = x, y
points = [Point(i, -i) for i in range(1_000_000)]
"""

_BASELINE: Final = """
import gc, json, sys, time, types
sys.path.insert(0, '/workspace/baselines.zip')
import cloudpickle, dill
class Sink:
    size = 0
    def write(self, data):
        Sink.size += len(bytes(data))  # what would be written is copied, as a file would
        return memoryview(data).nbytes
def _timed(call):
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1e3
_own = {'_BASE', 'Sink', '_timed', '_own', 'gc', 'json', 'sys', 'time', 'types', 'cloudpickle', 'dill', '_names'}
_names = {name: value for name, value in globals().items() if name not in _own and not name.startswith('__')}
json.dumps({'cloudpickle': min(_timed(lambda: cloudpickle.dump(_names, Sink())) for _ in range(COUNT)),
            'dill': min(_timed(lambda: dill.dump_module(Sink())) for _ in range(COUNT))})
"""


@dataclass(frozen=True)
class State:
    """What a session holds; ``change`` touches one of its variables, ``bytes`` says whether throughput is told."""

    label: str
    code: str
    change: str
    count: int
    checkpoint_target: float | None = None
    change_target: float | None = None
    restore_target: float | None = None
    is_large: bool = False
    template: str = "data"


STATES: Final = (
    State("100 small variables", _SMALL, "v7[0] += 1", 50, 15, 15, 30, template="slim"),
    State("100 small variables", _SMALL, "v7[0] += 1", 50),
    State("100 arrays of 10 MB", _ARRAYS, "a7[5] += 1", 5, None, 100, None, is_large=True),
    State("pandas and scikit-learn", _MODELS, "table.loc[0, 'a'] += 1", 10),
    State("a million small objects", _OBJECTS, "points[5].x += 1", 2),
)


def state(report: Report, server: ServerProcess) -> None:
    """All rows; the server has sandboxes of :data:`MEMORY`."""
    with Client(server.address) as client, connected(server.address) as api:
        for each in STATES:
            wait_ready(client, each.template, 2)
            with client.session(template=each.template, checkpoint_policy="none") as session:
                session.run(each.code, timeout=_SECONDS)
                _Rows(report, server, client, api, session, each).measure()
        _killed(report, server, client, api)
        _full_rate(report, client)


class _Rows:
    """The rows of one state."""

    def __init__(
        self, report: Report, server: ServerProcess, client: Client, api: Api, session: Session, of: State
    ) -> None:
        self._report = report
        self._server = server
        self._client = client
        self._api = api
        self._session = session
        self._of = of

    def measure(self) -> None:
        """The baseline comes last: it needs a file in the workspace."""
        of = self._of
        before = _peak_bytes(self._server)
        first, saved = self._timed_checkpoint()
        grown = _peak_bytes(self._server) - before
        whole = sum(each.size_bytes for each in saved.variables)
        changes, new = self._changes()
        restores = self._restores(saved.checkpoint_id)
        delay = self._delay()
        base = self._baseline()
        told = f"dill {base['dill']:.3g} ms, cloudpickle {base['cloudpickle']:.3g} ms"
        self._row("checkpoint, all new", Times([first]), None, told)
        self._row("checkpoint after changing one variable", changes, of.change_target, told)
        self._row("restore", restores, of.restore_target, "")
        if of.is_large:
            self._throughput("checkpoint, all new", whole, first, None)
            self._throughput("restore", whole, restores.p50, 400)
            ratio = new / (whole / 100)
            name = f"new bytes after changing one variable, {of.label}"
            self._report.add(Figure(name, new / 1e6, "MB", "the variable", ratio, "≤ 1.1 ×", ratio <= 1.1))
            name = f"growth of the control plane's VmHWM while it passes, {of.label}"
            self._report.add(Figure(name, grown / 1e6, "MB"))
        self._row("operation while a checkpoint is written, more than without", delay, 5, "")

    def _timed_checkpoint(self) -> tuple[float, checkpoint_pb2.Checkpoint]:
        request = state_pb2.CheckpointRequest(session_id=self._session.session_id)
        began = time.perf_counter()
        saved = self._api.state.Checkpoint(request, timeout=_SECONDS).checkpoint
        return (time.perf_counter() - began) * 1e3, saved

    def _changes(self) -> tuple[Times, float]:
        times, new = [], 0
        for _ in range(self._of.count):
            self._session.run(self._of.change, timeout=_SECONDS)
            took, saved = self._timed_checkpoint()
            times.append(took)
            new = saved.new_bytes
        return Times(times), float(new)

    def _restores(self, checkpoint_id: str) -> Times:
        times = []
        for _ in range(min(self._of.count, 20)):
            request = state_pb2.RestoreRequest(
                session_id=self._session.session_id, checkpoint_id=checkpoint_id
            )
            began = time.perf_counter()
            self._api.state.Restore(request, timeout=_SECONDS)
            times.append((time.perf_counter() - began) * 1e3)
        return Times(times)

    def _delay(self) -> Times:
        """How much longer an operation takes that comes right behind a checkpoint.

        Where it comes before it, the checkpoint is refused (there is nothing from before the operation to save), and
        the pair does not count.
        """
        session, plain, beside = self._session, [], []
        wanted = min(self._of.count, 20)
        for _ in range(5 * wanted):
            session.run(self._of.change, timeout=_SECONDS)
            plain.append(_milliseconds(lambda: session.run("1 + 1", timeout=_SECONDS)))
            session.run(self._of.change, timeout=_SECONDS)
            request = state_pb2.CheckpointRequest(session_id=session.session_id)
            writing = self._api.state.Checkpoint.future(request, timeout=_SECONDS)
            took = _milliseconds(lambda: session.run("1 + 1", timeout=_SECONDS))
            if writing.exception() is None:
                beside.append(took)
            if len(beside) == wanted:
                break
        usual = Times(plain).p50
        return Times([each - usual for each in beside])

    def _baseline(self) -> dict[str, float]:
        self._session.files.upload(_baselines(), "baselines.zip")
        code = _BASELINE.replace("COUNT", "5" if self._of.count >= 10 else "1")
        told: dict[str, float] = json.loads(self._session.run(code, timeout=_SECONDS).value)
        return told

    def _row(self, name: str, times: Times, target: float | None, baseline: str) -> None:
        title = f"{name}, {self._of.label} ({self._of.template}, {MEMORY[self._of.template]})"
        text, met = ("", None) if target is None else (f"p50 ≤ {target:g} ms", times.p50 <= target)
        self._report.add(
            Figure(title, times.p50, "ms", baseline, None, text, met, len(times.values), times.p50, times.p99)
        )

    def _throughput(self, name: str, size: int, milliseconds: float, target: float | None) -> None:
        rate = size / milliseconds / 1e3
        text, met = ("", None) if target is None else (f"≥ {target:g} MB/s", rate >= target)
        self._report.add(Figure(f"{name}, {self._of.label}", rate, "MB/s", "", None, text, met))


def _killed(report: Report, server: ServerProcess, client: Client, api: Api) -> None:
    """Container killed to next result."""
    times = []
    for _ in range(8):
        wait_ready(client, "slim", 2)
        with client.session(template="slim", checkpoint_policy="none") as session:
            session.run(_SMALL)
            api.state.Checkpoint(state_pb2.CheckpointRequest(session_id=session.session_id))
            told = api.sessions.GetSession(
                session_pb2.GetSessionRequest(session_id=session.session_id)
            ).session
            container = supervisor_pid(server, told.sandbox_id)
            times.append(_milliseconds(partial(_after_kill, container, session)))
    found = Times(times)
    report.add(
        Figure(
            "container killed to next result, 100 small variables", found.p50, "ms", "session lost", None,
            "p50 ≤ 150 ms", found.p50 <= 150, len(times), found.p50, found.p99,
        )
    )  # fmt: skip


def _after_kill(container: int, session: Session) -> None:
    """Kill a container and run code; what was on its way into it ends CRASHED, and is sent again.

    Not by `docker kill`, which comes back long after the death.
    """
    os.kill(container, signal.SIGKILL)
    states = (session.run("len(v7)", check=False).state for _ in range(_TRIES))
    assert "SUCCEEDED" in states


def _full_rate(report: Report, client: Client) -> None:
    """`x = x + 1` at full rate, with a checkpoint after changes and without."""
    middles = {}
    for policy in ("none", "after_change"):
        wait_ready(client, "slim", 1)
        with client.session(template="slim", checkpoint_policy=policy) as session:
            session.run("x = 0")
            times = [_milliseconds(lambda: session.run("x = x + 1")) for _ in range(1500)]
            middles[policy] = sum(times) / len(times)
    ratio = middles["after_change"] / middles["none"]
    report.add(
        Figure(
            "x = x + 1 at full rate under AFTER_CHANGE, mean", middles["after_change"], "ms", "without", ratio,
            "≤ 1.1 × without", ratio <= 1.1, 1500,
        )
    )  # fmt: skip


def restart(report: Report, server: ServerProcess, count: int) -> None:
    """From kill -9 of the control plane to the next result of each of ``count`` sessions.

    Once while the pool starts ``count`` sandboxes anew, with the processors that the sessions want, and once at rest.
    """
    with Client(server.address) as client:
        wait_ready(client, "slim", count)
        sessions = [client.session(template="slim") for _ in range(count)]
        for number, session in enumerate(sessions):
            session.run(f"x = {number}")
        ids = [session.session_id for session in sessions]
    _restarted(report, server, ids, "while the pool refills")
    with Client(server.address) as client:
        wait_ready(client, "slim", count)
    _restarted(report, server, ids, "at rest")


def _restarted(report: Report, server: ServerProcess, ids: list[str], when: str) -> None:
    server.kill()
    began = time.perf_counter()
    server.start()
    with Client(server.address) as client:
        first = None
        for number, session_id in enumerate(ids):
            assert client.attach(session_id).run("x").value == number
            first = first or (time.perf_counter() - began) * 1e3
        whole = (time.perf_counter() - began) * 1e3
    count = len(ids)
    report.add(Figure(f"control plane killed to first result, {count} sessions, {when}", first or 0.0, "ms"))
    report.add(
        Figure(
            f"control plane killed to a result of each of {count} sessions, {when}", whole, "ms",
            target="≤ 2000 ms", met=whole <= 2000, n=count,
        )
    )  # fmt: skip


def _baselines() -> bytes:
    """Return dill and cloudpickle as they are installed here, to be imported from a file in a sandbox."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for package in ("dill", "cloudpickle"):
            found = util.find_spec(package)
            assert found is not None
            assert found.origin is not None
            top = Path(found.origin).parent
            for path in top.rglob("*.py"):
                archive.write(path, f"{package}/{path.relative_to(top)}")
    return buffer.getvalue()


def _peak_bytes(server: ServerProcess) -> int:
    assert server.process is not None
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise LookupError("no VmHWM")


def _milliseconds(call: Any) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1e3
