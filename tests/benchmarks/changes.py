"""What reports of changed variables cost: operations with a report, in turn with the same operations without one."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable

from google.protobuf.duration_pb2 import Duration
from sandbank import Client
from sandbank.v1 import execution_pb2, session_pb2

from tests.benchmarks.report import Figure, Report, Times
from tests.raw_api import Api, connected
from tests.sandboxes import wait_ready
from tests.server_process import ServerProcess

Operation = execution_pb2.Operation
CALLS = 150
WARM_UP = 10
"""Operations until what does not change is known not to."""
QUIET_SECONDS = 0.12
"""Longer than the quiet time: then a snapshot sleeps, without which there is no evidence of pages."""

SESSION = """
import pickle, time
class Point:
    def __init__(self, n): self.x, self.y, self.tags = n, str(n), [n, n + 1]
def milliseconds(call):
    times = []
    for _ in range(5):
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * 1e3)
    return sorted(times)[2]
"""
BUILTINS = """
for n in range(1_000):
    globals()[f'v{n}'] = [n * 1000, f'text {n}', [n, n + 1, 'x'], {'k': n, 'l': [n]}, (n, str(n), 2.5)][n % 5]
"""
OBJECTS = "for n in range(1_000): globals()[f'v{n}'] = Point(n)"
ALL = "[globals()[f'v{n}'] for n in range(1_000)]"
TABLES = """
import numpy as np, pandas as pd
for n in range(20):
    globals()[f't{n}'] = pd.DataFrame({'a': np.arange(1_000) + n, 'b': np.ones(1_000), 'c': [str(n)] * 1_000})
for n in range(100): globals()[f'v{n}'] = np.arange(1_000.) + n
"""
BIG = "import numpy as np\nbig = np.ones(125_000_000)"
TOUCHED = "import numpy as np\nbig = np.ones(25_000_000)"
TOUCHED_BYTES = 200_000_000
HASH = "import xxhash; milliseconds(lambda: xxhash.xxh3_128_digest(big))"


class Bench:
    """One session in which the same code runs with and without a report."""

    def __init__(self, api: Api, template: str, *code: str) -> None:
        self._api = api
        # What saving in the background costs is a row of its own.
        request = session_pb2.CreateSessionRequest(
            template=template, checkpoint_policy=session_pb2.CHECKPOINT_POLICY_NONE
        )
        self.session_id = api.sessions.CreateSession(request).session.session_id
        for each in (SESSION, *code):
            self.run(each)

    def run(self, code: str, *, report: bool = True) -> Operation:
        """Run code that must not fail."""
        request = execution_pb2.ExecuteRequest(
            session_id=self.session_id, code=code, report_changes=report, timeout=Duration(seconds=60)
        )
        operation = self._api.execution.Run(execution_pb2.RunRequest(execute=request)).operation
        assert isinstance(operation, Operation)
        assert operation.state == Operation.STATE_SUCCEEDED, operation.error.traceback_text
        return operation

    def value(self, code: str) -> float:
        """Return the number that an expression gives."""
        return float(json.loads(self.run(code).result["application/json"]))

    def difference(self, code: Callable[[int], str], changes: int, count: int = CALLS) -> Times:
        """Return what reports of ``changes`` changes add to operations: each beside one that has none."""
        numbers = itertools.count(1)
        for _ in range(WARM_UP):
            self.run(code(next(numbers)))
        time.sleep(QUIET_SECONDS)
        more = []
        for _ in range(count):
            began = time.perf_counter()
            told = self.run(code(next(numbers)))
            middle = time.perf_counter()
            self.run(code(next(numbers)), report=False)
            end = time.perf_counter()
            assert len(told.changes) == changes, told.changes
            more.append(((middle - began) - (end - middle)) * 1e3)
            self.run("1")  # the look at what the unreported one has left is not measured
        return Times(more)

    def close(self) -> None:
        """End the session."""
        self._api.sessions.DeleteSession(session_pb2.DeleteSessionRequest(session_id=self.session_id))


def changes(report: Report, server: ServerProcess) -> None:
    """All of it; the server has ``slim`` and ``data`` sandboxes ready."""
    with Client(server.address) as client, connected(server.address) as api:
        for template in ("slim", "data"):
            wait_ready(client, template, 1)
        bench = Bench(api, "slim")
        _add(report, "change report, 1 + 1 in an empty session", bench.difference(lambda _: "1 + 1", 0), 0.15)
        bench.close()
        for label, code, touch, target in (
            ("builtin values", BUILTINS, "v2.append({n})", 0.3),
            ("objects of user classes", OBJECTS, "v2.x = -{n}", 3.0),
        ):
            bench = Bench(api, "slim", code)
            pickled = bench.value(f"milliseconds(lambda: pickle.dumps({ALL}, 5))")
            times = bench.difference(lambda n, touch=touch: touch.format(n=n), 1)  # type: ignore[misc]
            name = f"change report, 1,000 small variables, one touched: {label}"
            _add(report, name, times, target, f"pickle of all {pickled:.3g} ms")
            bench.close()
        bench = Bench(api, "data", TABLES)
        times = bench.difference(lambda n: f"one = {n}", 1)
        _add(report, "change report beside 20 untouched DataFrames and 100 arrays", times, 1.0)
        bench.close()
        bench = Bench(api, "data", BIG)
        hashed = bench.value(HASH)
        times = bench.difference(lambda n: f"one = {n}", 1, 30)
        _add(
            report, "change report beside an untouched 1 GB array", times, 8.0, f"XXH3 of it {hashed:.3g} ms"
        )
        bench.close()
        _rate(report, Bench(api, "data", TOUCHED))


def _rate(report: Report, bench: Bench) -> None:
    """How fast an array is hashed that was written to as a whole."""
    hashed = bench.value(HASH)
    times = bench.difference(lambda n: f"big[:] = {n}", 1, 20)
    rate, alone = TOUCHED_BYTES / times.p50 / 1e6, TOUCHED_BYTES / hashed / 1e6
    report.add(
        Figure(
            "hashing of a touched array of 200 MB",
            rate,
            "GB/s",
            f"XXH3 at once {alone:.3g} GB/s",
            rate / alone,
            "≥ 4 GB/s",
            rate >= 4,
            len(times.values),
        )
    )
    bench.close()


def _add(report: Report, name: str, times: Times, target: float, baseline: str = "") -> None:
    met = times.p50 <= target
    n = len(times.values)
    report.add(
        Figure(name, times.p50, "ms", baseline, None, f"≤ {target:g} ms", met, n, times.p50, times.p99)
    )
