"""Many operations on many sessions, with every policy, cancels and kills: nothing gets stuck, nothing is left over."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import grpc
import psutil
import pytest
from sandbank.v1 import execution_pb2, session_pb2, transaction_pb2

from tests.conftest import RUNTIMES
from tests.raw_api import Api, connected, refusal
from tests.sandboxes import supervisor_pid
from tests.server_process import ServerProcess, serving

Operation = execution_pb2.Operation
TIDY_SECONDS = 20.0
POLICIES = (
    transaction_pb2.TX_POLICY_NONE,
    transaction_pb2.TX_POLICY_COMMIT_ON_SUCCESS,
    transaction_pb2.TX_POLICY_ROLLBACK_ON_FAILURE,
    transaction_pb2.TX_POLICY_EXPLICIT,
)
CODES = (
    "n = globals().get('n', 0) + 1",
    "data = [list(range(10)) for _ in range(1000)]",
    "data[0].append(1)",
    "raise ValueError",
    "import time; time.sleep(0.02)",
    "while True: pass",
    "import subprocess; subprocess.run(['true'])",
    "import subprocess; child = subprocess.Popen(['sleep', '100'])",
    "import os; os.fork() or os._exit(0)",
    "open('file', 'a').write('x' * 1000)",
    "import asyncio; await asyncio.sleep(0.005)",
    "print('x' * 10000)",
    "import os; os._exit(1)",
    "import ctypes; ctypes.string_at(0)",
    "import threading; t = threading.Thread(target=lambda: None); t.start(); t.join()",
)


class Worker:
    """One client of one session, which does random things to it."""

    def __init__(self, server: ServerProcess, seed: int) -> None:
        self._random = random.Random(seed)
        self._server = server
        self.supervisor = 0
        self.session_id = ""
        self.unfinished: list[str] = []

    def open(self) -> None:
        """Make the session and get it going."""
        with connected(self._server.address) as api:
            request = session_pb2.CreateSessionRequest(
                template="slim",
                snapshot_policy=session_pb2.SnapshotPolicy(history_count=2),
                # With a checkpoint that is newer than its snapshots it would go on in another sandbox.
                checkpoint_policy=session_pb2.CHECKPOINT_POLICY_NONE,
            )
            session = api.sessions.CreateSession(request).session
            self.session_id = session.session_id
            self.supervisor = supervisor_pid(self._server, session.sandbox_id)

    def work(self, count: int) -> None:
        """Run ``count`` operations."""
        with connected(self._server.address) as api:
            for _ in range(count):
                self._step(api)
            self._close_transaction(api)

    def settle(self) -> None:
        """Bring the session to rest: a pristine interpreter, one operation, and its snapshots."""
        with connected(self._server.address) as api:
            api.sessions.ResetSession(session_pb2.ResetSessionRequest(session_id=self.session_id))
            for _ in range(3):
                assert self._run(api, "1", POLICIES[2]).state == Operation.STATE_SUCCEEDED
            self.unfinished = self._still_unfinished(api)

    def delete(self) -> None:
        """End the session."""
        with connected(self._server.address) as api:
            api.sessions.DeleteSession(session_pb2.DeleteSessionRequest(session_id=self.session_id))

    def processes(self) -> list[psutil.Process]:
        """Return the supervisor and all its descendants."""
        supervisor = psutil.Process(self.supervisor)
        return [supervisor, *supervisor.children(recursive=True)]

    def zombies(self) -> list[int]:
        """Return the processes of the sandbox that have died and that nobody has reaped."""
        found = []
        for each in self.processes():
            with suppress(psutil.NoSuchProcess):
                if each.status() == psutil.STATUS_ZOMBIE:
                    found.append(each.pid)
        return found

    def _step(self, api: Api) -> None:
        roll = self._random.random()
        code = self._random.choice(CODES)
        policy = self._random.choice(POLICIES)
        if roll < 0.05:
            self._kill_interpreter()
        if roll < 0.15 or "while" in code:
            self._cancelled(api, code, policy)
        elif roll < 0.2:
            self._close_transaction(api)
        else:
            self._run(api, code, policy)

    def _cancelled(self, api: Api, code: str, policy: transaction_pb2.TxPolicy) -> None:
        call = api.execution.Execute(self._request(api, code, policy), timeout=120)
        with suppress_refusals():
            first = next(iter(call))
            cancel = execution_pb2.CancelOperationRequest(
                session_id=self.session_id, operation_id=first.operation_id
            )
            api.execution.CancelOperation(cancel)
            last = first
            for event in call:
                last = event
            assert last.HasField("finished"), last

    def _run(self, api: Api, code: str, policy: transaction_pb2.TxPolicy) -> Operation:
        request = execution_pb2.RunRequest(execute=self._request(api, code, policy))
        with suppress_refusals():
            operation = api.execution.Run(request, timeout=120).operation
            assert isinstance(operation, Operation)
            assert operation.outcome not in (Operation.OUTCOME_UNSPECIFIED, Operation.OUTCOME_UNKNOWN)
            return operation
        return Operation()

    def _request(self, api: Api, code: str, policy: transaction_pb2.TxPolicy) -> execution_pb2.ExecuteRequest:
        get = session_pb2.GetSessionRequest(session_id=self.session_id)
        return execution_pb2.ExecuteRequest(
            session_id=self.session_id,
            code=code,
            tx_policy=policy,
            transaction_id=api.sessions.GetSession(get).session.open_transaction_id,
        )

    def _close_transaction(self, api: Api) -> None:
        get = session_pb2.GetSessionRequest(session_id=self.session_id)
        open_id = api.sessions.GetSession(get).session.open_transaction_id
        fields = {"session_id": self.session_id, "transaction_id": open_id}
        if not open_id:
            return
        with suppress_refusals():
            if self._random.random() < 0.5:
                api.execution.CommitTransaction(execution_pb2.CommitTransactionRequest(**fields))
            else:
                api.execution.RollbackTransaction(execution_pb2.RollbackTransactionRequest(**fields))

    def _kill_interpreter(self) -> None:
        """Kill a process of the sandbox that is neither its supervisor nor its template, as an operator might."""
        with suppress(psutil.NoSuchProcess):
            victims = [
                each for each in self.processes()[1:] if each.name() in ("interpreter", "sleeper", "snapshot")
            ]
            if victims:
                os.kill(self._random.choice(victims).pid, signal.SIGKILL)

    def _still_unfinished(self, api: Api) -> list[str]:
        request = execution_pb2.ListOperationsRequest(session_id=self.session_id, page_size=1000)
        found = []
        while True:
            page = api.execution.ListOperations(request)
            done = (
                Operation.STATE_SUCCEEDED,
                Operation.STATE_FAILED,
                Operation.STATE_CANCELLED,
                Operation.STATE_TIMED_OUT,
                Operation.STATE_CRASHED,
            )
            found += [each.operation_id for each in page.operations if each.state not in done]
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token


@contextmanager
def suppress_refusals() -> Iterator[None]:
    """A transaction may end under a request: its refusal says so. Everything else is a failure."""
    try:
        yield
    except grpc.RpcError as error:
        if refusal(error).reason not in ("TRANSACTION_OPEN", "NO_SUCH_TRANSACTION", "THREADS_RUNNING"):
            raise


@pytest.fixture(params=RUNTIMES)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A control plane that gives code little time to react to an interrupt."""
    process = ServerProcess(
        request.param,
        tmp_path_factory.mktemp("stress"),
        ("--min-ready", "slim=2,data=0"),
        {"SANDBANK_LIMITS__INTERRUPT_GRACE": "0.3 s", "SANDBANK_LIMITS__JOURNAL_BYTES": "1 MiB"},
    )
    with serving(process):
        yield process


def test_a_thousand_operations_on_five_sessions(server: ServerProcess) -> None:
    """No operation stuck, no zombie, no descriptor and no memory kept."""
    stress(server, sessions=5, operations=1000)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_ten_thousand_operations_on_twenty_sessions(server: ServerProcess) -> None:
    """The same, ten times as many."""
    stress(server, sessions=20, operations=10_000)


def stress(server: ServerProcess, *, sessions: int, operations: int) -> None:
    """Do it, and compare before and after."""
    assert server.process is not None
    control_plane = psutil.Process(server.process.pid)
    workers = [Worker(server, seed) for seed in range(sessions)]
    with ThreadPoolExecutor(sessions) as pool:
        for each in workers:
            each.open()
        try:
            # Caches and pools fill in the first operations; what is compared comes after them.
            list(pool.map(lambda worker: worker.work(30), workers))
            list(pool.map(Worker.settle, workers))
            before = [footprint(worker) for worker in workers]
            open_files = control_plane.num_fds()
            list(pool.map(lambda worker: worker.work(operations // sessions), workers))
            list(pool.map(Worker.settle, workers))
            assert [worker.unfinished for worker in workers] == [[]] * sessions
            for worker, (files, memory) in zip(workers, before, strict=True):
                # Snapshots that nobody needs any more are let go of off the path: a moment after the last operation.
                deadline = time.monotonic() + TIDY_SECONDS
                while time.monotonic() < deadline:
                    found, zombies = footprint(worker), worker.zombies()
                    if found[0] <= files and not zombies:
                        break
                    worker.settle()
                assert found[0] <= files
                assert zombies == []
                assert found[1] <= memory + 8 * 1024 * 1024
            assert control_plane.num_fds() <= open_files + sessions  # connections of clients come and go
        finally:
            for each in workers:
                each.delete()


def footprint(worker: Worker) -> tuple[int, int]:
    """Return the supervisor's open descriptors and its resident memory in bytes."""
    supervisor = psutil.Process(worker.supervisor)
    return supervisor.num_fds(), supervisor.memory_info().rss
