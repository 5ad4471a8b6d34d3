"""What transactions cost: on the path of an operation, to roll back, to come back from a crash, and in memory."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from google.protobuf.duration_pb2 import Duration
from sandbank import Client
from sandbank.v1 import execution_pb2, session_pb2, transaction_pb2

from tests.benchmarks.memory import sandbox_pss_bytes
from tests.benchmarks.report import Figure, Report, Times
from tests.raw_api import Api, connected
from tests.sandboxes import wait_ready
from tests.server_process import ServerProcess

Operation = execution_pb2.Operation
PLAIN = transaction_pb2.TX_POLICY_NONE
ROLLBACK = transaction_pb2.TX_POLICY_ROLLBACK_ON_FAILURE

CALLS = 100
QUIET_SECONDS = 0.12
"""Longer than the quiet time: what is measured after it finds a standing snapshot. Waiting is what is measured here."""

SMALL = "state = {f'name{i}': [i, str(i), {i: i}] for i in range(100)}"
NUMERIC = "import numpy as np, pandas as pd\nstate = pd.DataFrame({'x': np.arange(1000.)})"
BIG = "import numpy as np\nstate = np.ones(125_000_000)"

COPIES = """
import copy, json, pickle, time
try:
    from joblib.externals import cloudpickle as pickler
except ImportError:
    pickler = pickle
def milliseconds(call):
    times = []
    for _ in range(5):
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * 1e3)
    return sorted(times)[2]
json.dumps({'deepcopy': milliseconds(lambda: copy.deepcopy(state)), 'name': pickler.__name__.split('.')[-1],
            'pickle': milliseconds(lambda: pickler.dumps(state))})
"""


class Bench:
    """One session and the calls that are timed."""

    def __init__(self, api: Api, template: str, state: str) -> None:
        self._api = api
        # What saving in the background costs is a row of its own; its writer is a process that would be counted here.
        request = session_pb2.CreateSessionRequest(
            template=template, checkpoint_policy=session_pb2.CHECKPOINT_POLICY_NONE
        )
        session = api.sessions.CreateSession(request).session
        self.session_id, self.sandbox_id = session.session_id, session.sandbox_id
        self.run(state)

    def run(self, code: str, policy: transaction_pb2.TxPolicy = PLAIN) -> Operation:
        """Run code, whatever becomes of it."""
        request = execution_pb2.ExecuteRequest(
            session_id=self.session_id, code=code, tx_policy=policy, timeout=Duration(seconds=60)
        )
        operation = self._api.execution.Run(execution_pb2.RunRequest(execute=request)).operation
        assert isinstance(operation, Operation)
        return operation

    def times(self, *calls: Callable[[], object], quiet: bool = False) -> list[Times]:
        """Time several calls in turn, each after a pause where ``quiet``."""
        values: list[list[float]] = [[] for _ in calls]
        for _ in range(CALLS):
            for call, kept in zip(calls, values, strict=True):
                if quiet:
                    time.sleep(QUIET_SECONDS)
                began = time.perf_counter()
                call()
                kept.append((time.perf_counter() - began) * 1e3)
        return [Times(each) for each in values]

    def close(self) -> None:
        """End the session."""
        self._api.sessions.DeleteSession(session_pb2.DeleteSessionRequest(session_id=self.session_id))


def transactions(report: Report, server: ServerProcess) -> None:
    """All of it; the server has ``slim`` and ``data`` sandboxes ready."""
    with Client(server.address) as client, connected(server.address) as api:
        for template, label, state, targets in (
            ("slim", "small heap", SMALL, (0.3, 1.2, 2.0)),
            ("data", "NumPy + pandas", NUMERIC, (None, None, 4.0)),
            ("data", "1 GB array", BIG, (1.0, 2.0, 6.0)),
        ):
            wait_ready(client, template, 1)
            bench = Bench(api, template, state)
            _overhead_and_rollback(report, bench, label, targets)
            bench.close()
        _crash(report, api)
        _memory(report, api)


def _overhead_and_rollback(
    report: Report, bench: Bench, label: str, targets: tuple[float | None, float | None, float]
) -> None:
    told = bench.run(COPIES)
    assert told.state == Operation.STATE_SUCCEEDED, told.error.traceback_text
    copies = json.loads(json.loads(told.result["application/json"]))
    baseline = f"deepcopy {copies['deepcopy']:.3g} ms, {copies['name']} {copies['pickle']:.3g} ms"
    plain, member = bench.times(lambda: bench.run("x = 1"), lambda: bench.run("x = 1", ROLLBACK), quiet=True)
    _difference(report, f"transaction, standing snapshot, {label}", member, plain, targets[0], baseline)
    # Each of them dirties the state, so that the next finds no standing snapshot.
    plain, member = bench.times(lambda: bench.run("x = 1"), lambda: bench.run("x = 1", ROLLBACK))
    _difference(report, f"transaction, back to back, {label}", member, plain, targets[1], baseline)
    failed, back = bench.times(
        lambda: bench.run("raise ValueError"), lambda: bench.run("raise ValueError", ROLLBACK), quiet=True
    )
    _difference(report, f"rollback, {label}", back, failed, targets[2], baseline)


def _difference(
    report: Report, name: str, ours: Times, base: Times, target: float | None, baseline: str
) -> None:
    more = ours.p50 - base.p50
    report.add(
        Figure(
            name,
            more,
            "ms",
            baseline,
            None,
            "" if target is None else f"≤ {target} ms",
            None if target is None else more <= target,
            len(ours.values),
            more,
            sorted(ours.values)[int(len(ours.values) * 0.99)] - base.p50,
        )
    )


def _crash(report: Report, api: Api) -> None:
    bench = Bench(api, "slim", SMALL)

    def crash() -> None:
        crashed = bench.run("import os; os._exit(1)")
        assert crashed.outcome == Operation.OUTCOME_ROLLED_BACK, crashed
        assert bench.run("len(state)").result["text/plain"] == b"100"

    (times,) = bench.times(crash, quiet=True)
    report.add(
        Figure(
            "interpreter crash to next result",
            times.p50,
            "ms",
            target="p50 ≤ 10 ms",
            met=times.p50 <= 10,
            n=CALLS,
            p50=times.p50,
            p99=times.p99,
        )
    )
    bench.close()


def _memory(report: Report, api: Api) -> None:
    bench = Bench(api, "slim", "state = {str(i): str(i + 1) for i in range(200_000)}\nwith_none = 1")
    off = session_pb2.SnapshotPolicy(disabled=True)
    request = session_pb2.CreateSessionRequest(
        template="slim", snapshot_policy=off, checkpoint_policy=session_pb2.CHECKPOINT_POLICY_NONE
    )
    without = api.sessions.CreateSession(request).session
    run = execution_pb2.ExecuteRequest(
        session_id=without.session_id,
        code="state = {str(i): str(i + 1) for i in range(200_000)}\nwith_none = 1",
    )
    api.execution.Run(execution_pb2.RunRequest(execute=run))
    time.sleep(QUIET_SECONDS * 3)
    idle = sandbox_pss_bytes(bench.sandbox_id) - sandbox_pss_bytes(without.sandbox_id)
    report.add(Figure("memory of a sleeping snapshot, 200,000 strings, idle", idle / 1e6, "MB PSS"))
    bench.run("for key, value in state.items(): value", ROLLBACK)
    bench.run("for key, value in state.items(): value\nimport time; time.sleep(0.001)")
    touched = sandbox_pss_bytes(bench.sandbox_id) - sandbox_pss_bytes(without.sandbox_id)
    report.add(Figure("the same, after the live side walked them", touched / 1e6, "MB PSS"))
    bench.close()
    api.sessions.DeleteSession(session_pb2.DeleteSessionRequest(session_id=without.session_id))
