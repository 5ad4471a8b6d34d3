"""The workspace's files through the whole path, on each runtime: what was changed is told, and comes back."""

from __future__ import annotations

import json

import pytest
from google.protobuf.duration_pb2 import Duration
from sandbank import Session
from sandbank.v1 import execution_pb2, transaction_pb2

from tests.raw_api import Api

Operation = execution_pb2.Operation
ADDED = execution_pb2.FILE_CHANGE_KIND_ADDED
MODIFIED = execution_pb2.FILE_CHANGE_KIND_MODIFIED
REMOVED = execution_pb2.FILE_CHANGE_KIND_REMOVED
MODE_CHANGED = execution_pb2.FILE_CHANGE_KIND_MODE_CHANGED
ATOMIC = transaction_pb2.TX_POLICY_COMMIT_ON_SUCCESS
EXPLICIT = transaction_pb2.TX_POLICY_EXPLICIT

SETUP = """
import os, shutil, stat
def write(path, text, mode='w'):
    with open(path, mode) as file: file.write(text)
def tree():
    found = {}
    for top, directories, names in os.walk('.'):
        for name in directories + names:
            path = os.path.join(top, name)
            status = os.lstat(path)
            content = os.readlink(path) if stat.S_ISLNK(status.st_mode) else \\
                open(path).read() if stat.S_ISREG(status.st_mode) else None
            names = 0 if stat.S_ISDIR(status.st_mode) else status.st_nlink
            found[path] = [oct(status.st_mode), status.st_mtime_ns, content, names]
    return found
os.makedirs('d/e')
for name, text in {'a': 'one', 'b': 'two' * 5000, 'd/c': 'three', 'd/e/f': ''}.items(): write(name, text)
os.symlink('d', 'link'); os.link('b', 'd/hard'); os.mkfifo('fifo'); os.mkdir('closed')
held = open('d/c'); begin = tree(); os.chmod('closed', 0)
"""
CHANGES = {
    "created": "write('new', 'x'); os.makedirs('n/n'); write('n/n/n', 'x')",
    "changed": "write('a', 'uno'); write('b', 'x', 'a'); write('d/c', '')",
    "deleted": "os.remove('a'); shutil.rmtree('d'); os.remove('fifo')",
    "renamed": "os.rename('d', 'x'); os.rename('a', 'x/a'); os.rename('x/e', 'e'); os.rename('b', 'a')",
    "truncated": "os.truncate('a', 0); os.truncate('b', 5); os.truncate('d/c', 10**6)",
    "modes": "os.chmod('a', 0o400); os.chmod('d', 0o500); os.chmod('d/e', 0); os.chmod('.', 0o711)",
    "links": "os.remove('link'); os.symlink('/etc', 'link'); os.remove('d/hard'); os.link('a', 'd/hard')",
    "mapped": "import mmap\nwith open('b', 'r+b') as f: m = mmap.mmap(f.fileno(), 0)\nm[:3] = b'xyz'",
    "times": "os.utime('a', (0, 0)); os.utime('d', (0, 0))",
    "everything": "os.chmod('closed', 0o700)\nfor p in os.listdir(): shutil.rmtree(p) if os.path.isdir(p) and "
    "not os.path.islink(p) else os.remove(p)",
}


def run(api: Api, session: Session, code: str, **fields: object) -> Operation:
    """Run code to its end."""
    request = execution_pb2.ExecuteRequest(session_id=session.session_id, code=code, **fields)
    return api.execution.Run(execution_pb2.RunRequest(execute=request)).operation


def ok(api: Api, session: Session, code: str, **fields: object) -> Operation:
    """The same, of code that must not fail."""
    operation = run(api, session, code, **fields)
    assert operation.state == Operation.STATE_SUCCEEDED, operation.error
    return operation


def assert_as_before(api: Api, session: Session) -> None:
    """All files are as they were, and a file that was open goes on."""
    look = ok(
        api,
        session,
        "mode = stat.S_IMODE(os.stat('closed').st_mode); os.chmod('closed', 0o755); now = tree()\n"
        "os.chmod('closed', 0)\n"
        "[mode, {p: [begin.get(p), now.get(p)] for p in {*begin, *now} if begin.get(p) != now.get(p)}, held.read()]",
    )
    assert json.loads(look.result["application/json"]) == [0, {}, "three"]


@pytest.mark.parametrize("change", CHANGES)
def test_a_failed_operation_returns_the_files(api: Api, session: Session, change: str):
    """Whatever it did to them."""
    ok(api, session, SETUP)
    failed = run(api, session, CHANGES[change] + "\n1 / 0", tx_policy=ATOMIC, include_files=True)
    assert (failed.error.type_name, failed.outcome) == ("ZeroDivisionError", Operation.OUTCOME_ROLLED_BACK)
    assert (list(failed.files_changed), list(failed.warnings)) == ([], [])
    assert_as_before(api, session)


def test_a_rolled_back_transaction_returns_the_files(api: Api, session: Session):
    """Of all its members, one that was stopped among them, and what was uploaded meanwhile."""
    ok(api, session, SETUP)
    request = execution_pb2.BeginTransactionRequest(session_id=session.session_id, include_files=True)
    name = api.execution.BeginTransaction(request).transaction.transaction_id
    for change in ("renamed", "created"):
        ok(api, session, CHANGES[change], transaction_id=name, tx_policy=EXPLICIT)
    session.files.upload(b"x", "e/uploaded")
    stopped = run(
        api,
        session,
        "shutil.rmtree('e')\nwhile True: pass",
        transaction_id=name,
        tx_policy=EXPLICIT,
        timeout=Duration(nanos=500_000_000),
    )
    assert (stopped.state, stopped.outcome) == (
        Operation.STATE_TIMED_OUT,
        Operation.OUTCOME_ROLLED_BACK,
    )
    kept = ok(api, session, "os.path.exists('e/uploaded')", transaction_id=name, tx_policy=EXPLICIT)
    assert kept.result["text/plain"] == b"True"
    rollback = execution_pb2.RollbackTransactionRequest(session_id=session.session_id, transaction_id=name)
    api.execution.RollbackTransaction(rollback)
    assert_as_before(api, session)


def test_files_of_a_crashed_operation_come_back(api: Api, session: Session):
    """The interpreter's death is a rollback like any other."""
    ok(api, session, SETUP)
    died = run(api, session, CHANGES["everything"] + "\nos._exit(1)", tx_policy=ATOMIC, include_files=True)
    assert died.state == Operation.STATE_CRASHED
    assert_as_before(api, session)


def test_what_an_operation_changed_is_told(api: Api, session: Session):
    """Each file once and in the order of the paths."""
    ok(api, session, SETUP)
    done = ok(api, session, "write('a', 'uno'); os.remove('fifo'); os.chmod('d', 0o700); write('new', '')")
    assert [(change.path, change.kind) for change in done.files_changed] == [
        ("a", MODIFIED),
        ("d", MODE_CHANGED),
        ("fifo", REMOVED),
        ("new", ADDED),
    ]
    assert not done.files_changed_truncated
    session.files.upload(b"x", "uploaded")
    assert list(ok(api, session, "1").files_changed) == []


def test_files_that_stay_are_named(api: Api, session: Session):
    """Without `include_files` a rollback warns of what it leaves."""
    ok(api, session, SETUP)
    failed = run(api, session, "write('new', 'x'); 1 / 0", tx_policy=ATOMIC)
    assert failed.outcome == Operation.OUTCOME_ROLLED_BACK
    (warning,) = failed.warnings
    assert (warning.code, list(warning.names)) == ("FILES_NOT_ROLLED_BACK", ["new"])
    assert ok(api, session, "os.path.exists('new')").result["text/plain"] == b"True"


def test_user_code_does_not_reach_the_keeper(api: Api, session: Session):
    """It can neither be signalled, not even by `kill(-1)`, nor looked into, where user code has a user of its own."""
    ok(api, session, SETUP)
    ok(api, session, "1", tx_policy=ATOMIC, include_files=True)
    attack = """
def attempt(do):
    try: do()
    except OSError as error: return type(error).__name__
    return 'done'
import signal
keepers = [int(p) for p in os.listdir('/proc') if p.isdigit() and open(f'/proc/{p}/comm').read() == 'keeper\\n'
           and os.stat(f'/proc/{p}').st_uid in (os.getuid(), 0)]
found = [attempt(lambda: os.kill(k, 9)) for k in keepers]
found += [attempt(lambda: open(f'/proc/{k}/mem', 'rb')) for k in keepers]
"""
    users = ok(api, session, "import os; os.getuid()").result["text/plain"] != b"0"
    if not users:
        pytest.skip("the local runtime as root: user code has no user of its own")
    found = ok(api, session, attack + "[len(keepers), found]").result["application/json"]
    assert json.loads(found) == [1, ["PermissionError", "PermissionError"]]
    failed = run(
        api,
        session,
        CHANGES["everything"] + "\nsignal.signal(15, signal.SIG_IGN)\nos.kill(-1, 15)\n1 / 0",
        tx_policy=ATOMIC,
        include_files=True,
    )
    assert failed.error.type_name == "ZeroDivisionError"
    assert_as_before(api, session)
