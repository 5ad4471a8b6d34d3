"""Running code through the whole path, on each runtime."""

from __future__ import annotations

import threading

import pytest
from sandbank import Client, ExecutionFailed, Session
from sandbank.v1 import execution_pb2, session_pb2

from tests.raw_api import Api, refused

Operation = execution_pb2.Operation


def test_a_value_comes_back_decoded(session: Session) -> None:
    """The last expression's value is JSON where it is plain data."""
    result = session.run("x = [1, {'a': None}, 2.5, 'ü']\nx")
    assert result.value == [1, {"a": None}, 2.5, "ü"]
    assert result.text == "[1, {'a': None}, 2.5, 'ü']"
    assert session.run("x[1]['a'] = x[0] + 1; x").value[1] == {"a": 2}


def test_names_live_from_one_operation_to_the_next(session: Session) -> None:
    """A session is one namespace, like a notebook's."""
    session.run("def double(n): return factor * n\nfactor = 2")
    assert session.run("double(21)").value == 42


def test_sessions_do_not_see_each_other(client: Client) -> None:
    """Neither variables nor files cross."""
    with client.session(template="slim") as one, client.session(template="slim") as other:
        one.run("secret = 1; open('here', 'w').write('x')")
        assert other.run("'secret' in globals()").value is False
        assert other.run("import os; os.path.exists('here')").value is False


def test_output_streams_while_the_code_runs(session: Session) -> None:
    """The first line arrives before the code has ended: it waits for an answer to it."""
    session.files.upload(b"", "wait")
    seen = threading.Event()

    def on_stdout(text: str) -> None:
        if "first" in text:
            session.files.delete("wait")
            seen.set()

    code = "import os, time\nprint('first')\nwhile os.path.exists('wait'): time.sleep(.005)\nprint('second')"
    result = session.run(code, on_stdout=on_stdout, timeout=30)
    assert seen.is_set()
    assert result.stdout == "first\nsecond\n"


def test_streams_keep_their_order(session: Session) -> None:
    """What went to one stream before the other is told in that order."""
    result = session.execute("import sys\nfor i in range(20):\n print(i)\n print(i, file=sys.stderr)")
    order = []
    for event in result:
        data = getattr(event, "data", None)
        if isinstance(data, bytes):
            order += data.decode().split()
    assert order == [str(n) for i in range(20) for n in (i, i)]


def test_children_and_c_code_are_captured(session: Session) -> None:
    """Output is captured at the descriptor, whoever writes."""
    code = """
import ctypes, os, subprocess
subprocess.run(["echo", "child"])
ctypes.CDLL(None).puts(b"from C")
os.write(2, b"raw")
"""
    result = session.run(code)
    assert "child\n" in result.stdout
    assert "from C\n" in result.stdout
    assert result.stderr == "raw"


def test_a_failure_says_where(session: Session) -> None:
    """The error has the user's own lines and no frame of the runner."""
    with pytest.raises(ExecutionFailed) as caught:
        session.run("def f(n):\n    return 1 / n\n\nf(0)")
    error = caught.value.operation.error
    assert error.type_name == "ZeroDivisionError"
    assert [
        (frame.line_number, frame.function_name, frame.source_line.strip()) for frame in error.frames
    ] == [
        (4, "<module>", "f(0)"),
        (2, "f", "return 1 / n"),
    ]
    assert "sandbank" not in error.traceback_text
    operation = caught.value.operation
    assert (operation.state, operation.outcome) == (Operation.STATE_FAILED, Operation.OUTCOME_PARTIAL)


def test_a_timeout_ends_the_code_and_keeps_the_session(session: Session) -> None:
    """Python code is interrupted at its line; what it did before stays."""
    session.run("n = 0")
    result = session.run("n = 1\nwhile True: pass", timeout=0.3, check=False)
    assert result.operation.state == Operation.STATE_TIMED_OUT
    assert result.operation.outcome == Operation.OUTCOME_PARTIAL
    assert session.run("n").value == 1


def test_a_loop_in_c_is_killed_and_the_session_goes_on(session: Session) -> None:
    """Where an interrupt does not help the interpreter is replaced, and it is said what that cost."""
    kept = session.run("n = 1").operation.operation_id
    result = session.run("sum(range(10**12))", timeout=0.3, check=False)
    assert result.operation.state == Operation.STATE_TIMED_OUT
    assert result.operation.outcome == Operation.OUTCOME_ROLLED_BACK
    assert session.run("'n' in globals()").value is False
    assert session.operation(kept).outcome == Operation.OUTCOME_LOST
    assert kept in session.refresh().last_recovery.lost_operation_ids


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
        ("import os; os._exit(3)", "3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
    ],
)
def test_a_dead_interpreter_is_replaced_in_its_container(session: Session, code: str, cause: str) -> None:
    """The operation is CRASHED with its cause; sandbox and session stay in service."""
    before = session.refresh()
    result = session.run(code, check=False)
    assert result.operation.state == Operation.STATE_CRASHED
    assert result.operation.outcome == Operation.OUTCOME_ROLLED_BACK
    assert cause in result.operation.error.message
    assert session.run("1 + 1").value == 2
    after = session.refresh()
    assert (after.sandbox_id, after.generation) == (before.sandbox_id, before.generation)
    assert cause in after.last_recovery.reason


def test_exit_does_not_end_the_session(session: Session) -> None:
    """SystemExit is an error with its code."""
    result = session.run("import sys; sys.exit(7)", check=False)
    assert (result.operation.error.type_name, result.operation.error.message) == ("SystemExit", "7")
    assert session.run("1").value == 1


def test_cancel_ends_a_running_operation(session: Session) -> None:
    """The wish is recorded, the operation ends CANCELLED, the next one runs."""
    running = session.execute("import time\nprint('on')\ntime.sleep(60)")
    for event in running:
        if getattr(event, "data", b"") == b"on\n":
            running.cancel()
    assert running.result(check=False).operation.state == Operation.STATE_CANCELLED
    assert session.run("2").value == 2


def test_a_queued_operation_is_cancelled_without_running(api: Api, session: Session) -> None:
    """Its outcome says that it never started."""
    first = session.execute("import time\nprint('on')\ntime.sleep(60)", operation_id="first")
    events = iter(first)
    next(events)
    request = execution_pb2.ExecuteRequest(session_id=session.session_id, operation_id="second", code="x = 1")
    stream = api.execution.Execute(request)
    while not any(each.operation_id == "second" for each in session.operations()):
        pass
    session.cancel("second")
    session.cancel("first")
    last = list(stream)[-1].finished.operation
    assert (last.state, last.outcome) == (Operation.STATE_CANCELLED, Operation.OUTCOME_NOT_STARTED)
    first.result(check=False)
    assert session.run("'x' in globals()").value is False


def test_the_same_id_never_runs_twice(api: Api, session: Session) -> None:
    """A repeated request replays every event under the same numbers; another request is refused."""
    session.run("n = 0")
    request = execution_pb2.ExecuteRequest(
        session_id=session.session_id, operation_id="once", code="n += 1; print(n); n"
    )
    first = list(api.execution.Execute(request))
    again = list(api.execution.Execute(request))
    assert again == first
    assert [event.sequence for event in first] == list(range(1, len(first) + 1))
    assert session.run("n").value == 1
    other = execution_pb2.ExecuteRequest(session_id=session.session_id, operation_id="once", code="n += 2")
    with refused("ALREADY_EXISTS", "OPERATION_ID_REUSED"):
        list(api.execution.Execute(other))
    assert (
        api.execution.Run(execution_pb2.RunRequest(execute=request)).operation == first[-1].finished.operation
    )


def test_a_watcher_may_begin_anywhere(api: Api, session: Session) -> None:
    """Replay gives what came after a sequence, then follows."""
    done = session.run("print('a', flush=True)\nimport sys\nprint('b', file=sys.stderr)\n5").operation
    request = execution_pb2.WatchOperationRequest(
        session_id=session.session_id, operation_id=done.operation_id
    )
    whole = list(api.execution.WatchOperation(request))
    for after in range(len(whole)):
        request.after_sequence = after
        assert list(api.execution.WatchOperation(request)) == whole[after:]


def test_operations_are_listed_newest_first(session: Session) -> None:
    """Pages cover all of them once."""
    ids = [session.run(f"{n}").operation.operation_id for n in range(7)]
    assert [each.operation_id for each in session.operations(page_size=3)] == ids[::-1]


def test_top_level_await_works(session: Session) -> None:
    """A cell may await; its tasks go on in the next one that does."""
    code = """
import asyncio
async def later():
    await asyncio.sleep(0.01)
    return 9
task = asyncio.create_task(later())
await asyncio.sleep(0)
task.done()
"""
    assert session.run(code).value is False
    assert session.run("await task").value == 9


def test_writes_after_the_end_are_background_output(session: Session) -> None:
    """What a child writes after its operation finished belongs to no operation."""
    events = session.events()
    next(iter(events))
    session.run("import subprocess; p = subprocess.Popen('sleep 0.2; echo late', shell=True)")
    found = b""
    for event in events:
        if event.HasField("background_output"):
            found += event.background_output.data
            if b"late" in found:
                assert event.background_output.stream == execution_pb2.OUTPUT_STREAM_STDOUT
                break


def test_environment_reaches_the_code_and_no_reader(client: Client, api: Api) -> None:
    """secret_env is in os.environ of user code and in nothing that the API tells."""
    with client.session(template="slim", env={"PLAIN": "p1"}, secret_env={"TOKEN": "s3cr3t-value"}) as made:
        code = "import os; os.environ['PLAIN'] + os.environ['TOKEN']"
        assert made.run(code).value == "p1s3cr3t-value"
        made.run("import os; os._exit(1)", check=False)
        assert made.run(code).value == "p1s3cr3t-value"
        told = str(made.refresh()) + str(list(client.sessions()))
        assert "s3cr3t-value" not in told
        made.reset()
        assert made.run(code).value == "p1s3cr3t-value"


def test_reset_gives_a_pristine_interpreter(session: Session) -> None:
    """In the same sandbox; files go too unless they are to be kept."""
    before = session.refresh()
    session.run("x = 1; open('f', 'w').write('1')")
    assert session.reset(keep_files=True).execution_count == 0
    assert session.run("'x' in globals()").value is False
    assert session.refresh().execution_count == 1
    assert session.files.download("f") == b"1"
    session.reset()
    assert list(session.files.list()) == []
    assert session.refresh().sandbox_id == before.sandbox_id


def test_reset_cancels_what_runs(session: Session) -> None:
    """The operation in flight ends first."""
    running = session.execute("import time\nprint('on')\ntime.sleep(60)")
    next(iter(running))
    session.reset()
    assert running.result(check=False).operation.state in (Operation.STATE_CANCELLED, Operation.STATE_CRASHED)
    assert session.run("3").value == 3


def test_a_deleted_session_is_readable_and_of_no_use(client: Client, api: Api) -> None:
    """It stays TERMINATED for a day, with its operations; a repeated id is answered, new code refused."""
    made = client.session(template="slim")
    operation_id = made.run("1").operation.operation_id
    made.run("2", operation_id="once")
    made.delete()
    made.delete()
    assert client.get_session(made.session_id).state == session_pb2.Session.STATE_TERMINATED
    request = execution_pb2.GetOperationRequest(session_id=made.session_id, operation_id=operation_id)
    assert api.execution.GetOperation(request).operation.state == Operation.STATE_SUCCEEDED
    again = execution_pb2.ExecuteRequest(session_id=made.session_id, operation_id="once", code="2")
    (end,) = api.execution.Execute(again)
    assert end.finished.operation.state == Operation.STATE_SUCCEEDED
    with refused("ALREADY_EXISTS", "OPERATION_ID_REUSED"):
        again.code = "3"
        list(api.execution.Execute(again))
    with refused("FAILED_PRECONDITION", "SESSION_TERMINATED"):
        api.execution.Run(
            execution_pb2.RunRequest(
                execute=execution_pb2.ExecuteRequest(session_id=made.session_id, code="1")
            )
        )


def test_a_deleted_session_ends_its_operations(client: Client) -> None:
    """A watcher of what ran is told the end."""
    made = client.session(template="slim")
    running = made.execute("import time\nprint('on')\ntime.sleep(60)")
    next(iter(running))
    made.delete()
    assert running.result(check=False).operation.state == Operation.STATE_CANCELLED


def test_a_repeated_create_gets_the_same_session(api: Api) -> None:
    """request_id makes creation idempotent, and names one request only."""
    request = session_pb2.CreateSessionRequest(request_id="create-1", template="slim", labels={"a": "b"})
    first = api.sessions.CreateSession(request).session
    assert api.sessions.CreateSession(request).session.session_id == first.session_id
    request.labels["a"] = "c"
    with refused("ALREADY_EXISTS", "REQUEST_ID_REUSED"):
        api.sessions.CreateSession(request)
    api.sessions.DeleteSession(session_pb2.DeleteSessionRequest(session_id=first.session_id))


def test_sessions_are_listed_by_label_and_state(client: Client) -> None:
    """Filters hold, over pages too."""
    made = [client.session(template="slim", labels={"suite": "list", "n": str(n)}) for n in range(3)]
    try:
        found = client.sessions(labels={"suite": "list"}, page_size=2)
        assert {each.session_id for each in found} == {each.session_id for each in made}
        assert [each.session_id for each in client.sessions(labels={"suite": "list", "n": "1"})] == [
            made[1].session_id
        ]
        made[0].delete()
        active = client.sessions(labels={"suite": "list"}, states=["ACTIVE"])
        assert made[0].session_id not in {each.session_id for each in active}
    finally:
        for each in made:
            each.delete()


def test_update_changes_labels_and_puts_off_the_end(client: Client) -> None:
    """Labels are replaced, the lifetime grows."""
    with client.session(template="slim", max_lifetime=60) as session:
        before = session.refresh()
        after = session.update(labels={"x": "y"}, extend_lifetime=60)
        assert dict(after.labels) == {"x": "y"}
        assert after.expire_time.seconds - before.expire_time.seconds == 60


def test_a_session_says_when_it_will_end(client: Client, session: Session) -> None:
    """At the end of its lifetime; after its idle timeout, where it ends then and that is sooner."""
    told = session.refresh()
    assert told.expire_time.seconds - told.create_time.seconds == 24 * 3600
    with client.session(template="slim", idle_action="terminate") as ends:
        told = ends.refresh()
        assert told.expire_time.seconds - told.last_active_time.seconds == 15 * 60


def test_an_idle_session_ends(client: Client) -> None:
    """After its idle timeout, where it was asked not to hibernate then, and says why."""
    made = client.session(template="slim", idle_timeout=1.0, idle_action="terminate")
    for event in made.events():
        if event.session_changed.state == session_pb2.Session.STATE_TERMINATED:
            assert "idle" in event.session_changed.state_detail
            break
    else:
        pytest.fail("the watch ended without the end of the session")


def test_a_client_that_goes_away_stops_nothing_unless_it_asked(api: Api, session: Session) -> None:
    """A dropped call leaves the operation running; with cancel_on_disconnect it is cancelled."""
    for asked, state in ((False, Operation.STATE_SUCCEEDED), (True, Operation.STATE_CANCELLED)):
        session.files.upload(b"", "wait")
        request = execution_pb2.ExecuteRequest(
            session_id=session.session_id,
            operation_id=f"leave-{asked}",
            code="import os, time\nprint('on')\nwhile os.path.exists('wait'): time.sleep(.01)",
            cancel_on_disconnect=asked,
        )
        stream = api.execution.Execute(request)
        next(stream)
        stream.cancel()
        if not asked:
            session.files.delete("wait")
        assert session.watch(f"leave-{asked}").result(check=False).operation.state == state
        if asked:
            session.files.delete("wait")
