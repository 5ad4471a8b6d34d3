"""Snapshots inside the walls: out of reach of user code, and there when it has used everything up."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from sandbank.v1.transaction_pb2 import TX_POLICY_ROLLBACK_ON_FAILURE

from tests.security.attack import TOOLS
from tests.security.sandbox import Ran, Sandbox, running

pytestmark = pytest.mark.engine


def fail(sandbox: Sandbox, code: str) -> Ran:
    """Run code, then an error, and have all of it rolled back."""
    ran = sandbox.run(f"{code}\nraise LookupError", tx_policy=TX_POLICY_ROLLBACK_ON_FAILURE)
    assert (ran.state, ran.outcome) == ("FAILED", "ROLLED_BACK"), (ran.operation, ran.stderr)
    return ran


def test_a_failed_operation_is_undone(sandbox: Sandbox):
    """Over many generations, with nothing left of any of them."""
    sandbox.run("a = []")
    for _ in range(30):
        fail(sandbox, "a.append(1); import wave")
    seen = sandbox.value(
        TOOLS + "\nimport sys; tell([a, 'wave' in sys.modules, len(os.listdir('/proc/self/fd'))])"
    )
    fail(sandbox, "a.append(1)")
    again = sandbox.value(
        TOOLS + "\nimport sys; tell([a, 'wave' in sys.modules, len(os.listdir('/proc/self/fd'))])"
    )
    assert seen[:2] == [[], False]
    assert again == seen
    names = sandbox.value(TOOLS + "\ntell(sorted(name for name, _, _ in population()))")
    assert names.count("interpreter") <= 2  # the live one, and a snapshot of it


ATTACK = (
    TOOLS
    + r'''
def reach(pid):
    """What user code can do to a process that sleeps as a snapshot."""
    return [
        attempt(lambda: os.kill(pid, signal.SIGKILL)), attempt(lambda: os.kill(pid, signal.SIGSTOP)),
        attempt(lambda: open(f"/proc/{pid}/mem", "rb").close()), attempt(lambda: call("ptrace", 16, pid, 0, 0)),
        attempt(lambda: open(f"/proc/{pid}/oom_score_adj", "w").write("1000")),
    ]

def uids(pid):
    with open(f"/proc/{pid}/status") as file:
        return [line.split()[1:4] for line in file if line.startswith("Uid:")][0]

found = {pid: uids(pid) for name, _, pid in population() if name == "interpreter" and pid != os.getpid()}
tell([list(found.values()), [reach(pid) for pid in found], list(map(str, os.getresuid()))])
'''
)


def test_user_code_cannot_reach_a_sleeper(sandbox: Sandbox):
    """It has a user of its own, real and saved; neither signals nor memory nor its place in memory's order."""
    sandbox.run("a = 1")
    ran = sandbox.run(ATTACK, tx_policy=TX_POLICY_ROLLBACK_ON_FAILURE)
    assert ran.state == "SUCCEEDED", ran.operation.error.traceback_text
    uids, reached, own = json.loads(ran.stdout.splitlines()[-1])
    code, _, sleeper = own
    assert uids == [[sleeper, code, sleeper]]
    assert reached == [["EPERM", "EPERM", "EACCES", "EPERM", "EACCES"]]
    fail(sandbox, "a = 2")
    assert sandbox.value(TOOLS + "\ntell(a)") == 1


FULL = {
    "processes": """
import subprocess
kept = []
try:
    while True: kept.append(subprocess.Popen(['sleep', '1000']))
except BlockingIOError:
    pass
""",
    "descriptors": """
import os
kept = []
try:
    while True: kept.append(os.open('/dev/null', 0))
except OSError:
    pass
""",
}


@pytest.mark.parametrize("fill", FULL.values(), ids=FULL)
def test_a_sandbox_that_is_full_can_go_back(sandbox: Sandbox, fill: str):
    """A few processes and descriptors are in reserve above what user code may have."""
    sandbox.run(f"a = 1\n{fill}")
    fail(sandbox, "a = 2")
    assert sandbox.run("print(a, len(kept) > 50)").stdout == "1 True\n"


def test_what_a_rolled_back_operation_started_is_gone(sandbox: Sandbox):
    """Chains of forks too; what was there before lives on, and is named."""
    old = sandbox.value(TOOLS + "\nimport subprocess\np = subprocess.Popen(['sleep', '1000'])\ntell(p.pid)")
    ran = fail(
        sandbox,
        "import os, subprocess\nsubprocess.Popen(['sleep', '999'])\nif os.fork() == 0:\n    while True:\n"
        "        if os.fork(): os._exit(0)",
    )
    assert [list(warning.names) for warning in ran.operation.warnings] == [[f"process {old}"]]
    look = (
        TOOLS + "\ntell([[n, p] for n, _, p in population() if n not in ('supervisor', 'template', 'files')])"
    )
    found = [entry for entry in sandbox.value(look) if entry[0] not in ("interpreter", "keeper")]
    assert found == [["sleep", old]]


@pytest.fixture(scope="module")
def data_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A container with numeric libraries preloaded."""
    with running(tmp_path_factory.mktemp("sandbox"), "data") as sandbox:
        yield sandbox


NUMERIC = """
import numpy as np, pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
d = pd.DataFrame({'x': range(1000), 'y': list('ab') * 500})
d.to_parquet('p')
m = np.random.default_rng(1).random((200, 4))
"""

WORK = """
r = [
    int(d.groupby('y').x.sum().a), int(pd.read_parquet('p').x.sum()), round(float(np.linalg.svd(m)[1][0]), 6),
    float(HistGradientBoostingClassifier(max_iter=5).fit(m, m[:, 0] > 0.5).score(m, m[:, 0] > 0.5)),
    float(RandomForestClassifier(9, n_jobs=2, random_state=1).fit(m, m[:, 0] > 0.5).score(m, m[:, 0] > 0.5)),
]
"""


def test_numeric_libraries_work_on_both_sides_of_a_thaw(data_sandbox: Sandbox):
    """Tables, files, decompositions and parallel estimators, as they are in the image."""
    data_sandbox.value(TOOLS + NUMERIC + "tell(0)")
    first = data_sandbox.value(TOOLS + WORK + "tell(r)")
    for _ in range(3):
        ran = fail(data_sandbox, f"{WORK}\nd.loc[:, 'x'] = 0; m[:] = 0")
        assert list(ran.operation.warnings) == []
        assert data_sandbox.value(TOOLS + WORK + "tell(r)") == first
