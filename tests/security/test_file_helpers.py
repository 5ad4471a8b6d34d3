"""File helpers in a real container: what they may, and that user code can neither use nor hinder them."""

from __future__ import annotations

import threading

import pytest
from sandbank_runner.v1 import runner_pb2 as pb

from tests.security.attack import TOOLS
from tests.security.sandbox import Sandbox

pytestmark = pytest.mark.engine

NOBODY = 65534


def upload(sandbox: Sandbox, path: str, content: bytes) -> pb.FileReply:
    """Upload a file."""
    return sandbox.file(content, upload=pb.FileRequest.Upload(path=path, size_bytes=len(content)))


def test_an_uploaded_file_belongs_to_user_code(sandbox: Sandbox):
    """Which may change and delete it, and whose own files can be read in turn."""
    assert upload(sandbox, "d/f", b"abc").info.size_bytes == 3
    owned = sandbox.value(
        TOOLS + "\nfound = [os.stat(p).st_uid == os.getuid() for p in ('d', 'd/f')]\n"
        "open('d/f', 'a').write('d'); tell(found)"
    )
    assert owned == [True, True]
    assert sandbox.file(stat=pb.FileRequest.Stat(path="d/f", with_sha256=True)).info.size_bytes == 4


@pytest.mark.parametrize(
    "target", ["/run/sandbank/host/runner.sock", "/etc/passwd", "/proc/1/environ", "/tmp/x", "../tmp/x"]
)
def test_no_link_leads_a_helper_out(sandbox: Sandbox, target: str):
    """Neither to read, nor to write, nor to delete."""
    sandbox.value(TOOLS + f"\nopen('/tmp/x', 'w').write('1'); os.symlink({target!r}, 'l'); tell(1)")
    assert sandbox.file(download=pb.FileRequest.Download(path="l")).failure.reason == "BAD_FIELD"
    assert upload(sandbox, "l", b"x").info.size_bytes == 1  # the link itself is replaced
    assert sandbox.value(TOOLS + "\ntell([os.path.islink('l'), open('/tmp/x').read()])") == [False, "1"]


def test_links_exchanged_all_the_time_never_lead_out(sandbox: Sandbox):
    """A race that user code always wins against checks in advance."""
    sandbox.value(TOOLS + "\nos.mkdir('d'); open('d/hostname', 'w').write('mine'); tell(1)")
    sandbox.begin(
        "import os\nos.symlink('/etc', 'l'); os.symlink('d', 'm')\n"
        "while True:\n    os.rename('l', 'x'); os.rename('m', 'l'); os.rename('x', 'm')",
        timeout=5,
    )
    seen = set()
    for _ in range(100):
        reply = sandbox.file(download=pb.FileRequest.Download(path="l/hostname"))
        seen.add(reply.failure.reason or reply.info.size_bytes)
    assert seen <= {"BAD_FIELD", "FILE_NOT_FOUND", 4}


def test_a_helper_cannot_be_killed_traced_or_followed_by_user_code(sandbox: Sandbox):
    """An upload goes through while user code does its worst to everything that it sees."""
    sandbox.begin(
        TOOLS + "\n"
        "while True:\n"
        "    try: os.kill(-1, 9)\n"
        "    except OSError: pass\n"
        "    for pid in map(int, filter(str.isdecimal, os.listdir('/proc'))):\n"
        "        if pid != os.getpid():\n"
        "            for work in (lambda: os.kill(pid, 19), lambda: open(f'/proc/{pid}/mem', 'r+b'),\n"
        "                         lambda: call('ptrace', 16, pid, 0, 0)):\n"
        "                try: attempt(work)\n"
        "                except Exception: pass\n",
        timeout=10,
    )
    for number in range(20):
        assert upload(sandbox, f"f{number}", bytes(200_000)).info.size_bytes == 200_000


def test_a_helper_has_the_walls_of_user_code(sandbox: Sandbox):
    """No capability, user B in nothing but the effective user, both filters, first to go when memory runs out."""
    interpreter = sandbox.processes()["interpreter"]
    stopped = threading.Event()
    found: dict[str, dict[str, str]] = {}

    def look() -> None:
        while not stopped.is_set() and "files" not in found:
            found.update(sandbox.processes())

    sandbox.value(
        TOOLS + "\nwith open('big', 'wb') as f:\n    for _ in range(100): f.write(bytes(1 << 20))\ntell(1)"
    )
    watcher = threading.Thread(target=look)
    watcher.start()
    for _ in range(30):
        if "files" in found:
            break
        sandbox.file(stat=pb.FileRequest.Stat(path="big", with_sha256=True))
    stopped.set()
    watcher.join()
    helper = found["files"]
    uids = helper["Uid"].split()
    assert (uids[0], uids[2]) == (str(NOBODY), str(NOBODY))
    assert uids[1] == uids[3] == interpreter["Uid"].split()[1]
    assert {int(helper[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert (helper["NoNewPrivs"], helper["Seccomp_filters"], helper["oom_score_adj"]) == ("1", "2", "900")


def test_a_fifo_or_device_in_the_workspace_hangs_nobody(sandbox: Sandbox):
    """Refused at once."""
    sandbox.value(TOOLS + "\nos.mkfifo('p'); s = socket.socket(socket.AF_UNIX); s.bind('s'); tell(1)")
    for name in ("p", "s"):
        assert sandbox.file(download=pb.FileRequest.Download(path=name)).failure.reason == "BAD_FIELD"


def test_a_reset_empties_the_workspace_whatever_lies_there(sandbox: Sandbox):
    """Closed directories, deep trees, odd names; and it is usable afterwards."""
    sandbox.value(
        TOOLS
        + "\nos.makedirs('a/b'); os.chmod('a/b', 0); os.chmod('a', 0); open(b'caf\\xe9', 'w'); os.mkfifo('p')\n"
        "for _ in range(1500): os.mkdir('deep'); os.chdir('deep')\n"
        "os.chmod('/workspace', 0o500); tell(1)"
    )
    sandbox.reset()
    assert sandbox.value(TOOLS + "\nopen('new', 'w').write('1'); tell(os.listdir())") == ["new"]
