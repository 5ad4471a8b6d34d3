"""Measures the product beside its baselines and prints one JSON line per figure and a table: `make bench`."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import grpc
from sandbank import Client
from sandbank.v1 import execution_pb2, session_pb2

from tests.benchmarks import interact, load
from tests.benchmarks.changes import changes
from tests.benchmarks.containers import engine_rate
from tests.benchmarks.kernel import kernel
from tests.benchmarks.memory import pss_bytes, sandbox_pss_bytes
from tests.benchmarks.report import Figure, Report, Times, timed
from tests.benchmarks.state import MEMORY, restart, state
from tests.benchmarks.transactions import transactions
from tests.benchmarks.two_hops import REQUEST, STREAM, UNARY, two_hops
from tests.raw_api import Api, connected
from tests.sandboxes import wait_ready
from tests.server_process import ServerProcess, serving

CALLS = 600
LOAD_SECONDS = 4.0
PARALLEL = 32
OPEN_SESSIONS = 300
READY = 100


@contextlib.contextmanager
def running(*options: str, **environment: str) -> Iterator[ServerProcess]:
    """Run a control plane on the engine."""
    with tempfile.TemporaryDirectory(prefix="sandbank-bench-") as directory:
        options = ("--log-level", "warning", *options)
        server = ServerProcess("docker", Path(directory) / "data", options, environment)
        with serving(server):
            yield server


def create(api: Api, template: str = "slim") -> str:
    """Create a session."""
    request = session_pb2.CreateSessionRequest(template=template)
    return str(api.sessions.CreateSession(request).session.session_id)


def latency(report: Report, api: Api, hops: str) -> None:
    """Execute, Run and Interact of `1+1`, in turn with B1 and B2."""
    session_id = create(api)
    request = execution_pb2.ExecuteRequest(session_id=session_id, code="1+1")
    run = execution_pb2.RunRequest(execute=request)
    with (
        grpc.insecure_channel(hops) as channel,
        kernel() as jupyter,
        interact.stream(api, create(api)) as interacted,
    ):
        stream, unary = channel.unary_stream(STREAM), channel.unary_unary(UNARY)
        b1, b1_unary, execute, ran, streamed = timed(
            CALLS,
            lambda: list(stream(REQUEST)),
            lambda: unary(REQUEST),
            lambda: list(api.execution.Execute(request)),
            lambda: api.execution.Run(run),
            interacted,
        )
        (b2,) = timed(100, jupyter.execute, warm_up=5)
        kernel_pss = pss_bytes(jupyter.manager.provisioner.pid)
        report.add(
            Figure("B1: two hops of bare gRPC, streaming", b1.p50, "ms", n=CALLS, p50=b1.p50, p99=b1.p99)
        )
        report.add(
            Figure(
                "B1: two hops of bare gRPC, unary",
                b1_unary.p50,
                "ms",
                n=CALLS,
                p50=b1_unary.p50,
                p99=b1_unary.p99,
            )
        )
        report.add(Figure("B2: Jupyter kernel, 1+1", b2.p50, "ms", n=100, p50=b2.p50, p99=b2.p99))
        report.add(Figure("B2: Jupyter kernel, start", jupyter.start_ms, "ms"))
        report.add(Figure("B2: Jupyter kernel, memory", kernel_pss / 1e6, "MB PSS"))
    _ratio(report, "Execute 1+1", execute, "B1 streaming", b1, 0.7)
    _ratio(report, "Run 1+1", ran, "B1 streaming", b1, 0.55)
    _ratio(report, "Interact 1+1", streamed, "B1 streaming", b1, 0.4)
    for name, times, target in (("Execute", execute, 4), ("Interact", streamed, 7)):
        faster = b2.p50 / times.p50
        title = f"{name} 1+1, times faster than B2"
        report.add(Figure(title, faster, "×", "B2", faster, f"≥ {target}", faster >= target, CALLS))


def _ratio(report: Report, name: str, times: Times, baseline: str, base: Times, target: float) -> None:
    ratio = times.p50 / base.p50
    report.add(
        Figure(
            name,
            times.p50,
            "ms",
            baseline,
            ratio,
            f"≤ {target} × {baseline}",
            ratio <= target,
            len(times.values),
            times.p50,
            times.p99,
        )
    )


def throughput(report: Report, api: Api, server: ServerProcess, hops: str) -> None:
    """32 sessions at once, in turn with B1's rate."""
    ids = [create(api) for _ in range(PARALLEL)]
    base, ours, unary = [], [], []
    for _ in range(3):
        base.append(asyncio.run(load.two_hop_rate(hops, PARALLEL, LOAD_SECONDS)))
        ours.append(asyncio.run(load.execute_rate(server.address, ids, "1+1", LOAD_SECONDS)))
        unary.append(asyncio.run(load.execute_rate(server.address, ids, "1+1", LOAD_SECONDS, unary=True)))
    middle = sorted(base)[1]
    report.add(Figure("B1: 32 at once", middle, "/s", n=3))
    for name, rates, target in (
        ("Execute 1+1, 32 sessions at once", ours, 1.0),
        ("Run 1+1, 32 sessions at once", unary, None),
    ):
        rate = sorted(rates)[1]
        ratio = rate / middle
        met = None if target is None else ratio >= target
        report.add(
            Figure(
                name, rate, "/s", "B1 at once", ratio, "" if target is None else f"≥ {target} × B1", met, 3
            )
        )
    asyncio.run(load.delete_all(server.address, ids))


def creation(report: Report, api: Api, client: Client, server: ServerProcess) -> None:
    """CreateSession warm, create to first result, and a burst."""
    wait_ready(client, "slim", 50)
    times, firsts, ids = [], [], []
    for _ in range(50):
        began = time.perf_counter()
        session_id = create(api)
        times.append((time.perf_counter() - began) * 1e3)
        ids.append(session_id)
        request = execution_pb2.ExecuteRequest(session_id=session_id, code="1+1")
        api.execution.Run(execution_pb2.RunRequest(execute=request))
        firsts.append((time.perf_counter() - began) * 1e3)
    made, first = Times(times), Times(firsts)
    met = made.p50 <= 3 and made.p99 <= 10
    report.add(
        Figure(
            "CreateSession, warm",
            made.p50,
            "ms",
            target="p50 ≤ 3, p99 ≤ 10 ms",
            met=met,
            n=50,
            p50=made.p50,
            p99=made.p99,
        )
    )
    report.add(
        Figure(
            "create to first result, warm",
            first.p50,
            "ms",
            target="p50 ≤ 8 ms",
            met=first.p50 <= 8,
            n=50,
            p50=first.p50,
            p99=first.p99,
        )
    )
    asyncio.run(load.delete_all(server.address, ids))
    wait_ready(client, "slim", READY)
    ids, burst, whole = asyncio.run(load.create_burst(server.address, "slim", 100))
    report.add(
        Figure(
            "burst of 100 CreateSession, 100 READY",
            whole,
            "ms",
            target="≤ 250 ms",
            met=whole <= 250,
            n=100,
            p50=burst.p50,
            p99=burst.p99,
        )
    )
    asyncio.run(load.delete_all(server.address, ids))


def memory(report: Report, client: Client, template: str, target: float) -> None:
    """Memory of READY sandboxes, 50 of them."""
    wait_ready(client, template, 50)
    ready = [each.sandbox_id for each in client.sandboxes(template) if each.state == 2][:50]
    sizes = Times([sandbox_pss_bytes(each) / 1e6 for each in ready])
    report.add(
        Figure(
            f"memory per READY sandbox, {template}",
            sizes.p50,
            "MB PSS",
            target=f"≤ {target:g} MB",
            met=sizes.p50 <= target,
            n=len(ready),
            p50=sizes.p50,
            p99=sizes.p99,
        )
    )


def many_sessions(report: Report) -> None:
    """Execute with 300 sessions open, against one."""
    with (
        running("--min-ready", "slim=2,data=0", "--max-total", "slim=400,data=1") as server,
        connected(server.address) as api,
    ):
        with Client(server.address) as client:
            first = create(api)
            request = execution_pb2.ExecuteRequest(session_id=first, code="1+1")
            (alone,) = timed(CALLS, lambda: list(api.execution.Execute(request)))
            ids = []
            while len(ids) < OPEN_SESSIONS - 1:
                ids.append(create(api))
            wait_ready(client, "slim", 2)
            (crowded,) = timed(CALLS, lambda: list(api.execution.Execute(request)))
        ratio = crowded.p50 / alone.p50
        report.add(
            Figure(
                "Execute 1+1 with 300 sessions open",
                crowded.p50,
                "ms",
                "with one",
                ratio,
                "≤ 1.2 × with one",
                ratio <= 1.2,
                CALLS,
                crowded.p50,
                crowded.p99,
            )
        )


def refill(report: Report, image: str) -> None:
    """How fast a pool fills, against the engine's own rate."""
    bare, rate = engine_rate(image)
    report.add(
        Figure("B4: create + start of a hardened container", bare.p50, "ms", n=len(bare.values), p50=bare.p50)
    )
    report.add(Figure("B4: the same, 4 at once", rate, "/s", n=24))
    with (
        running("--min-ready", "slim=0,data=0", "--max-total", "slim=60,data=1") as server,
        Client(server.address) as client,
    ):
        began = time.perf_counter()
        client.resize_pool("slim", min_ready=40, max_total=60)
        wait_ready(client, "slim", 40)
        ours = 40 / (time.perf_counter() - began)
    ratio = ours / rate
    report.add(Figure("refill of the pool", ours, "/s", "B4 at once", ratio, "≥ 0.8 × B4", ratio >= 0.8, 40))


def slim_image() -> str:
    """Return the newest image of the slim template."""
    client = docker.from_env()
    try:
        return str(client.images.list("sandbank-slim")[0].tags[0])
    finally:
        client.close()


def warm(report: Report) -> None:
    """What needs a pool of a hundred: memory, creation, latency, throughput."""
    sizes = ("--min-ready", f"slim={READY},data=0", "--max-total", "slim=300,data=1")
    with contextlib.ExitStack() as stack:
        hops = stack.enter_context(two_hops())
        server = stack.enter_context(running(*sizes))
        client = stack.enter_context(Client(server.address))
        api = stack.enter_context(connected(server.address))
        wait_ready(client, "slim", READY)
        memory(report, client, "slim", 25)
        creation(report, api, client, server)
        wait_ready(client, "slim", READY)
        latency(report, api, hops)
        throughput(report, api, server, hops)


def data_memory(report: Report) -> None:
    """Memory of the data template."""
    sizes = ("--min-ready", "slim=0,data=50", "--max-total", "slim=1,data=60")
    with running(*sizes) as server, Client(server.address) as client:
        memory(report, client, "data", 80)


def rollbacks(report: Report) -> None:
    """Transactions, rollback, crashes, and what snapshots take."""
    # The baselines hold the 1 GB array three times.
    sizes = ("--min-ready", "slim=4,data=1", "--max-total", "slim=10,data=4")
    with running(*sizes, SANDBANK_TEMPLATES__DATA__MEMORY="6GiB") as server:
        transactions(report, server)


def states(report: Report) -> None:
    """Checkpoints, restores, and what comes back when something dies."""
    sizes = ("--min-ready", "slim=3,data=2", "--max-total", "slim=6,data=6")
    memory = {f"SANDBANK_TEMPLATES__{name.upper()}__MEMORY": size for name, size in MEMORY.items()}
    with running(*sizes, **memory) as server:
        state(report, server)


def reports(report: Report) -> None:
    """What reports of changed variables cost."""
    sizes = ("--min-ready", "slim=2,data=1", "--max-total", "slim=6,data=3")
    with running(*sizes, SANDBANK_TEMPLATES__DATA__MEMORY="6GiB") as server:
        changes(report, server)


def restarts(report: Report) -> None:
    """The control plane killed while a hundred sessions are open."""
    sizes = ("--min-ready", f"slim={READY},data=0", "--max-total", "slim=200,data=1")
    with running(*sizes) as server:
        restart(report, server, READY)


def main() -> int:
    """Measure everything; figures decide nothing, so the exit code is 0 unless something broke."""
    report = Report()
    parts = {
        "warm": lambda: warm(report),
        "data-memory": lambda: data_memory(report),
        "transactions": lambda: rollbacks(report),
        "changes": lambda: reports(report),
        "state": lambda: states(report),
        "restart": lambda: restarts(report),
        "many": lambda: many_sessions(report),
        "refill": lambda: refill(report, slim_image()),
    }
    for name in sys.argv[1:] or parts:
        parts[name]()
    report.note("B3 (llm-sandbox on Docker) is not measured: it pulls its image from a registry.")
    report.note("machines are shared and noisy: compare ratios, not milliseconds of different runs.")
    report.table()
    return 0


if __name__ == "__main__":
    sys.exit(main())
