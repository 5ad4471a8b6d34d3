"""Attempts to use up what a sandbox has: user code suffers, its supervisor and its template do not."""

from __future__ import annotations

import pytest
from sandbank_runner.v1 import runner_pb2 as pb

from tests.security.attack import TOOLS
from tests.security.sandbox import Sandbox

pytestmark = pytest.mark.engine


def prompt(sandbox: Sandbox, times: int = 20) -> None:
    """Assert that the supervisor answers at once, many times in a row."""
    assert max(sandbox.ping()[1] for _ in range(times)) < 2.0


def test_killing_everybody_kills_only_its_own(sandbox: Sandbox):
    """``kill(-1)``: its children die; supervisor and template live and serve."""
    result = sandbox.value(
        TOOLS + "\nimport subprocess\nchildren = [subprocess.Popen(['sleep', '100']) for _ in range(3)]\n"
        "os.kill(-1, signal.SIGKILL)\ntell([[c.wait() for c in children], sorted(strangers())])"
    )
    assert result == [[-9, -9, -9], ["supervisor", "template"]]
    sandbox.reset()
    assert sandbox.run("print(1)").stdout == "1\n"


@pytest.mark.parametrize(
    "code", ["os.kill(os.getppid(), 9)", "os.kill(-1, 9)", "os.killpg(int(os.environ['P']), 9)"]
)
def test_an_interpreter_killed_by_its_own_child_is_replaced(sandbox: Sandbox, code: str):
    """Death is told, with its cause, and the next one serves."""
    ran = sandbox.run(
        "import os, subprocess, sys, time\nos.environ['P'] = str(os.getpid())\n"
        f"subprocess.Popen([sys.executable, '-c', {'import os; ' + code!r}]).wait(); time.sleep(60)"
    )
    assert ran.state == "CRASHED"
    assert sandbox.run("print(1)").stdout == "1\n"


def test_an_interpreter_that_stops_itself_is_ended_at_its_time(sandbox: Sandbox):
    """SIGSTOP is no way to outlive a timeout."""
    assert sandbox.run("import os; os.kill(os.getpid(), 19)", timeout=1).state == "TIMED_OUT"


def test_a_workspace_closed_by_user_code_is_opened_again(sandbox: Sandbox):
    """The next interpreter starts in it all the same."""
    assert sandbox.run("import os; os.chmod('/workspace', 0); os._exit(1)").state == "CRASHED"
    assert sandbox.value(TOOLS + "\nopen('f', 'w'); tell(os.listdir())") == ["f"]


FORKS = """
import os
while True:
    try:
        {}
    except OSError:
        pass
"""
BOMBS = {
    "processes": FORKS.format("os.fork()"),
    "processes_in_sessions": FORKS.format("os.fork() or os.setsid()"),
    "orphans": FORKS.format("os.fork() or (os.fork(), os._exit(0))"),
    "programs": "import subprocess\n" + FORKS.format("subprocess.Popen(['sleep', '100'])"),
    "as_a_sleeper": "import os; b, _, s = os.getresuid(); os.setresuid(s, b, s)\n"
    + FORKS.format("os.fork()"),
    "threads": """
import threading, time
while True:
    try:
        threading.Thread(target=time.sleep, args=(99,)).start()
    except RuntimeError:
        pass
""",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_of_processes_is_bounded_and_ended(sandbox: Sandbox, bomb: str):
    """The supervisor answers meanwhile, ends it at its time, and no process of it is left."""
    sandbox.begin(BOMBS[bomb], timeout=3)
    prompt(sandbox)
    ran = sandbox.run("print('after')", timeout=30)
    assert (ran.state, ran.stdout) == ("SUCCEEDED", "after\n")
    sandbox.reset()
    left = sandbox.value(TOOLS + "\ntell(sorted(name for name, _, _ in population()))")
    assert [name for name in left if name != "files"] == ["interpreter", "supervisor", "template"]


@pytest.mark.parametrize("directory", ["/workspace", "/tmp", "/dev/shm"])
def test_a_full_file_system_fills_to_its_size_and_no_further(sandbox: Sandbox, directory: str):
    """ENOSPC for user code; the supervisor and a fresh interpreter serve; once emptied it can be used again."""
    filled = sandbox.value(
        TOOLS + f"\npath = {directory!r} + '/fill'\n"
        "def fill():\n"
        "    with open(path, 'wb', buffering=0) as file:\n"
        "        while True: file.write(bytes(1 << 20))\n"
        "tell([attempt(fill), os.path.getsize(path)])"
    )
    assert filled[0] == "ENOSPC"
    assert filled[1] <= 256 << 20
    sandbox.still_serves()
    again = f"import os; os.remove({directory!r} + '/fill'); open({directory!r} + '/new', 'w').write('x')"
    assert sandbox.run(again).state == "SUCCEEDED"


@pytest.mark.parametrize("directory", ["/workspace", "/tmp", "/dev/shm"])
def test_inodes_run_out_before_memory_does(sandbox: Sandbox, directory: str):
    """Empty files are not free."""
    result = sandbox.value(
        TOOLS + f"\nos.mkdir({directory!r} + '/many'); os.chdir({directory!r} + '/many')\n"
        "def fill():\n"
        "    for number in range(10**6): os.close(os.open(str(number), os.O_CREAT | os.O_WRONLY))\n"
        "error = attempt(fill)\n"
        "tell([error, len(os.listdir())])\nos.chdir('/workspace'); import shutil; shutil.rmtree("
        f"{directory!r} + '/many')"
    )
    assert result[0] == "ENOSPC"
    assert result[1] < 300_000


def test_an_upload_into_a_full_workspace_is_refused_whole(sandbox: Sandbox):
    """WORKSPACE_FULL, and nothing of it there; a smaller one fits."""
    sandbox.value(
        TOOLS + "\ndef fill():\n"
        "    with open('fill', 'wb', buffering=0) as file:\n"
        "        while True: file.write(bytes(1 << 20))\n"
        "attempt(fill); os.truncate('fill', os.path.getsize('fill') - 500_000); tell(1)"
    )
    upload = pb.FileRequest.Upload(path="d/f", size_bytes=-1)
    reply = sandbox.file(*[bytes(200_000)] * 5, upload=upload)
    assert reply.failure.reason == "WORKSPACE_FULL"
    assert sandbox.value("import json, os; print(json.dumps(os.listdir()))") == ["fill"]
    assert sandbox.file(bytes(1000), upload=upload).info.size_bytes == 1000


GROW = """
grown = []
while True:
    grown.append(bytearray(1 << 20))
"""
HOGS = {
    "one": GROW,
    "many": "import os\nfor _ in range(40):\n    if os.fork() == 0:\n        break\n" + GROW,
    "beside_full_file_systems": """
for directory in ("/workspace", "/tmp", "/dev/shm"):
    try:
        with open(directory + "/fill", "wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 20))
    except OSError:
        pass
"""
    + GROW,
}


@pytest.mark.parametrize("hog", HOGS)
def test_memory_runs_out_for_user_code_first(own_sandbox: Sandbox, hog: str):
    """The kernel ends user code; supervisor and template live, and the next code runs."""
    before = own_sandbox.processes()
    ran = own_sandbox.run(HOGS[hog], timeout=60)
    assert ran.state == "CRASHED"
    own_sandbox.still_serves()
    after = own_sandbox.processes()
    for name in ("supervisor", "template"):
        assert after[name]["Pid"] == before[name]["Pid"]


def test_hogs_of_the_processor_do_not_make_the_supervisor_slow(sandbox: Sandbox):
    """Busy loops in sixteen processes: it answers all the same."""
    sandbox.begin("import os\nfor _ in range(15):\n    if os.fork() == 0: break\nwhile True: pass", timeout=5)
    prompt(sandbox, times=200)


def test_descriptors_used_up_are_user_codes_own_trouble(sandbox: Sandbox):
    """EMFILE for it; the next operation has what it needs."""
    result = sandbox.value(
        TOOLS
        + "\nopened = []\ndef fill():\n    while True: opened.append(os.open('/dev/null', os.O_RDONLY))\n"
        "error = attempt(fill)\nfor f in opened: os.close(f)\ntell([error, len(opened)])"
    )
    assert result[0] == "EMFILE"
    assert result[1] < 1024


def test_a_flood_of_orphans_leaves_no_zombie(sandbox: Sandbox):
    """PID 1 reaps at once: zombies would count against the process limit."""
    counted = sandbox.value(
        TOOLS + "\n"
        "for _ in range(300):\n"
        "    if os.fork() == 0:\n"
        "        if os.fork() == 0: os._exit(0)\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
        "def dead(pid):\n"
        "    try: return status_of(pid)['State'].startswith('Z')\n"
        "    except OSError: return False\n"
        "tell(sum(dead(pid) for _, _, pid in population()))"
    )
    assert counted <= 1
