"""Each process of a sandbox has the rights of worker_image/README.md and no others, as the host's kernel sees it."""

from __future__ import annotations

import pytest

from tests.security.sandbox import Sandbox

pytestmark = pytest.mark.engine

KILL, SETGID, SETUID = 1 << 5, 1 << 6, 1 << 7


def rights(status: dict[str, str]) -> dict[str, object]:
    """Return what counts of a process's status."""
    return {
        "users": tuple(map(int, status["Uid"].split()[:3])),
        "groups": (set(map(int, status["Gid"].split())), status["Groups"].split()),
        "capabilities": tuple(
            int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
        ),
        "no_new_privileges": status["NoNewPrivs"],
    }


def test_no_wall_is_missing(sandbox: Sandbox):
    """On the reference kernel; elsewhere this names what is."""
    assert list(sandbox.hello.missing_walls) == []


def test_the_supervisor_can_kill_and_nothing_else(sandbox: Sandbox):
    """User A, the capability KILL, one thread, one filter: the container's."""
    status = sandbox.processes()["supervisor"]
    users = rights(status)["users"]
    assert isinstance(users, tuple)
    assert len(set(users)) == 1
    assert rights(status)["capabilities"] == (0, KILL, KILL, 0, 0)
    assert rights(status)["groups"] == ({users[0]}, [])
    assert (status["NSpid"].split()[-1], status["Threads"], status["Seccomp_filters"]) == ("1", "1", "1")
    assert status["oom_score_adj"] == "0"


def test_the_template_can_change_users_and_nothing_else(sandbox: Sandbox):
    """User Z, SETUID and SETGID, one thread."""
    processes = sandbox.processes()
    status = processes["template"]
    assert rights(status)["capabilities"] == (0, SETUID | SETGID, SETUID | SETGID, 0, 0)
    assert len(set(rights(status)["users"])) == 1  # type: ignore[call-overload]
    assert rights(status)["users"] != rights(processes["supervisor"])["users"]
    assert (status["Threads"], status["NoNewPrivs"], status["oom_score_adj"]) == ("1", "1", "100")


def test_user_code_has_no_right_at_all(sandbox: Sandbox):
    """User B with saved S, no capability, two filters, killed first when memory runs out."""
    processes = sandbox.processes()
    status = processes["interpreter"]
    real, effective, saved = rights(status)["users"]  # type: ignore[misc]
    assert real == effective != saved
    assert rights(status)["capabilities"] == (0, 0, 0, 0, 0)
    assert rights(status)["groups"] == ({real}, [])
    assert status["NSpid"].split()[-1] == status["NSsid"].split()[-1]
    assert (status["NoNewPrivs"], status["Seccomp_filters"], status["oom_score_adj"]) == ("1", "2", "600")
    everybody = {uid for each in processes.values() for uid in rights(each)["users"]}  # type: ignore[attr-defined]
    assert len(everybody) == 4
    assert 0 not in everybody


def test_user_code_sees_its_own_rights_alike(sandbox: Sandbox):
    """And no descriptor but its pipes, its channel and /dev/null."""
    seen = sandbox.value(
        "import json, os, resource\n"
        "links = {}\n"
        "for f in os.listdir('/proc/self/fd'):\n"
        "    try: links[int(f)] = os.readlink(f'/proc/self/fd/{f}')\n"
        "    except OSError: pass\n"
        "print(json.dumps({'links': links, 'limit': resource.getrlimit(resource.RLIMIT_NPROC), 'core':"
        " resource.getrlimit(resource.RLIMIT_CORE), 'cwd': os.getcwd(), 'nice': os.nice(0),"
        " 'cpus': len(os.sched_getaffinity(0)), 'environ': dict(os.environ)}))"
    )
    kinds = {link.split(":")[0] for link in seen["links"].values()}
    assert kinds == {"/dev/null", "pipe", "socket"}
    assert len({link for link in seen["links"].values() if link.startswith("socket")}) == 1
    assert len({link for link in seen["links"].values() if link.startswith("pipe")}) == 2
    assert (seen["limit"], seen["core"], seen["cwd"]) == ([128, 132], [0, 0], "/workspace")
    assert (seen["nice"], seen["cpus"]) == (10, 1)
    assert "SANDBANK_SANDBOX" not in seen["environ"]
