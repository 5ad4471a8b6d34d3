"""The operation log outlives what it records."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbank.v1 import execution_pb2, transaction_pb2
from sandbank_server.errors import QuotaExceededError, StoreUnavailableError
from sandbank_server.sessions.log import operation_log, uploaded_files
from sandbank_server.sessions.log.entry import Terms
from sandbank_server.sessions.log.operation_log import OperationLog

Operation = execution_pb2.Operation
Transaction = transaction_pb2.Transaction


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where a log lies."""
    return str(tmp_path / "ses-1.log")


def finished(operation_id: str, outcome: int = Operation.OUTCOME_COMMITTED, **fields) -> Operation:
    """Return an operation that has ended."""
    return Operation(
        session_id="ses-1",
        operation_id=operation_id,
        state=Operation.STATE_SUCCEEDED,
        outcome=outcome,
        **fields,
    )


def run(log: OperationLog, operation_id: str, outcome: int = Operation.OUTCOME_COMMITTED) -> None:
    """Record a whole operation."""
    log.dispatch(operation_id, "digest", 1)
    log.start(operation_id)
    log.finish(finished(operation_id, outcome), 3)


def test_everything_is_there_after_reopening(path: str) -> None:
    """What was appended is read back alike: digests, states, outcomes, sequences, uploads."""
    log = OperationLog(path, "ses-1")
    run(log, "a")
    log.dispatch("b", "other", 2)
    log.start("b")
    log.dispatch("c", "third", 3)
    log.upload("data.csv")
    log.close()
    again = OperationLog(path, "ses-1")
    assert len(again) == 3
    entry = again.get("a")
    assert entry is not None
    assert (entry.finished, entry.digest, entry.outcome, entry.last_sequence) == (
        True,
        "digest",
        Operation.OUTCOME_COMMITTED,
        3,
    )
    assert [(name, entry.started) for name, entry in again.unfinished()] == [("b", True), ("c", False)]
    assert list(again.uploaded) == ["data.csv"]
    assert again.operation("b").state == Operation.STATE_RUNNING
    assert again.operation("c").state == Operation.STATE_PENDING
    again.close()


def test_no_value_and_no_text_of_user_code_is_written(path: str) -> None:
    """Results, output, messages and tracebacks stay out of the file."""
    log = OperationLog(path, "ses-1")
    log.dispatch("a", "digest", 1)
    operation = finished("a", result={"text/plain": b"SECRET"}, execution_count=7)
    operation.error.type_name = "ValueError"
    operation.error.message = "SECRET"
    operation.error.traceback_text = "SECRET"
    operation.error.frames.add(source_line="SECRET")
    log.finish(operation, 2)
    assert b"SECRET" not in Path(path).read_bytes()
    read = log.operation("a")
    assert read.error.type_name == "ValueError"
    assert read.execution_count == 7
    log.close()


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_torn_last_line_is_cut_off(path: str, cut: int) -> None:
    """A machine that died while a line was written costs that line and nothing else; appending goes on."""
    log = OperationLog(path, "ses-1")
    run(log, "a")
    whole = os.path.getsize(path)
    log.dispatch("b", "digest", 2)
    log.close()
    os.truncate(path, os.path.getsize(path) - cut if os.path.getsize(path) - cut > whole else whole + 1)
    log = OperationLog(path, "ses-1")
    assert log.get("b") is None
    assert log.get("a") is not None
    run(log, "b")
    log.close()
    again = OperationLog(path, "ses-1")
    assert [name for name, _ in again.newest_first(9, 9)] == ["b", "a"]
    again.close()


def test_a_garbled_line_costs_only_itself(path: str) -> None:
    """Lines after one that does not parse are still read."""
    log = OperationLog(path, "ses-1")
    run(log, "a")
    log.close()
    with open(path, "ab") as file:
        file.write(b"\xff\xfegarbage\n{}\n[1]\n")
    log = OperationLog(path, "ses-1")
    run(log, "b")
    log.close()
    again = OperationLog(path, "ses-1")
    assert again.get("a") is not None
    assert again.get("b") is not None
    again.close()


@contextlib.contextmanager
def small_files() -> Iterator[None]:
    """No file may grow over 400 bytes: what a full disk looks like to a writer.

    Not a fixture: pytest writes its report while those are in place, and that may go to a file.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_refuses_the_dispatch_and_keeps_the_file_whole(path: str) -> None:
    """What cannot be recorded is not run, and half a line is not left behind."""
    with small_files():
        log = OperationLog(path, "ses-1")
        count = 0
        while os.path.getsize(path) < 340:
            log.dispatch(f"operation-{count}", "digest", count)
            count += 1
        assert count > 2
        with pytest.raises(StoreUnavailableError):
            log.dispatch(f"operation-{count}", "digest" * 10, count)
        assert log.get(f"operation-{count}") is None
        log.close()
        again = OperationLog(path, "ses-1")
        assert len(again) == count
        again.close()


def fill(log: OperationLog) -> None:
    """Take what room the disk has left."""
    with contextlib.suppress(StoreUnavailableError):
        for count in range(100):
            log.dispatch(f"filler-{count}", "digest", count)
        pytest.fail("the disk has no end")


def test_an_end_that_the_disk_refuses_is_known_and_written_when_there_is_room(path: str) -> None:
    """What has happened cannot be refused: it is told from memory, dispatches wait behind it, order is kept."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    log = OperationLog(path, "ses-1")
    log.dispatch("a", "digest", 1)
    log.dispatch("b", "digest", 1)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (400, before[1]))
        fill(log)
        log.start("a")
        log.finish(finished("a", execution_count=7), 3)
        log.upload("data.csv")
        assert log.lose_effects(1) == ["a"]
        assert log.operation("a").execution_count == 7
        log.flush()
        with pytest.raises(StoreUnavailableError):
            log.dispatch("c", "digest", 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    log.dispatch("c", "digest", 1)
    assert log.operation("a").execution_count == 7
    log.close()
    again = OperationLog(path, "ses-1")
    entry = again.get("a")
    assert entry is not None
    assert (entry.finished, entry.outcome, entry.last_sequence) == (True, Operation.OUTCOME_LOST, 3)
    assert again.operation("a").execution_count == 7
    assert list(again.uploaded) == ["data.csv"]
    assert again.last_loss == ["a"]
    assert again.get("c") is not None
    again.close()


def test_a_closed_log_is_still_read(path: str) -> None:
    """Whoever watches a session to its end may ask a moment after it."""
    log = OperationLog(path, "ses-1")
    log.dispatch("a", "digest", 1)
    log.finish(finished("a", execution_count=7), 3)
    log.close()
    assert log.operation("a").execution_count == 7
    os.unlink(path)
    assert log.operation("a").outcome == Operation.OUTCOME_COMMITTED


def test_reading_makes_no_file(path: str) -> None:
    """A log that is not there is not made by asking for it, and one that is there is not written to."""
    with pytest.raises(FileNotFoundError):
        OperationLog(path, "ses-1", readonly=True)
    assert not os.path.exists(path)
    log = OperationLog(path, "ses-1")
    run(log, "a")
    log.close()
    with open(path, "ab") as file:
        file.write(b"torn")
    size = os.path.getsize(path)
    log = OperationLog(path, "ses-1", readonly=True)
    assert log.operation("a").state == Operation.STATE_SUCCEEDED
    log.close()
    assert os.path.getsize(path) == size


def test_what_a_sandbox_says_of_an_end_is_bounded_in_the_file(path: str) -> None:
    """Warnings, names, unknown fields: megabytes of them take no room."""
    log = OperationLog(path, "ses-1")
    log.dispatch("a", "digest", 1)
    operation = finished("a", execution_count=7)
    operation.warnings.add(code="THREADS", message="x" * 1_000_000)
    operation.conflicting_names.extend(["y" * 1000] * 1000)
    operation.error.type_name = "z" * 1_000_000
    log.finish(operation, 2)
    assert log.operation("a").execution_count == 7
    log.dispatch("b", "digest", 1)
    hidden = finished("b")
    hidden.usage.MergeFromString(b"\xfa\x3f\x80\x89\x7a" + b"h" * 2_000_000)
    log.finish(hidden, 2)
    assert log.operation("b").state == Operation.STATE_SUCCEEDED
    assert os.path.getsize(path) < 10_000
    log.close()


def test_uploads_are_remembered_within_bounds_until_they_are_deleted(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest names are kept; a directory that was deleted takes its files along."""
    monkeypatch.setattr(uploaded_files, "UPLOADS_KEPT", 3)
    log = OperationLog(path, "ses-1")
    for name in ("a", "d/b", "d/c", "dd"):
        log.upload(name)
    assert list(log.uploaded) == ["d/b", "d/c", "dd"]
    log.remove_files("d")
    log.close()
    again = OperationLog(path, "ses-1")
    assert again.lose_files() == ["dd"]
    assert again.last_lost_files == ["dd"]
    again.upload("e")
    again.forget_files()
    again.close()
    last = OperationLog(path, "ses-1", readonly=True)
    assert (list(last.uploaded), last.last_lost_files) == ([], ["dd"])
    last.close()


def test_uploads_that_a_checkpoint_has_are_not_lost_with_the_sandbox(path: str) -> None:
    """Those before it stay, those after it are lost; one that came in again after it is lost; also after a restart."""
    log = OperationLog(path, "ses-1")
    for name in ("a", "b"):
        log.upload(name)
    before = log.newest_upload
    log.upload("meanwhile")
    log.cover("", "cp-1", uploads=before)
    for name in ("b", "c"):
        log.upload(name)
    log.close()
    again = OperationLog(path, "ses-1")
    assert again.lose_files("cp-1") == ["meanwhile", "b", "c"]
    assert list(again.uploaded) == ["a"]
    again.close()
    last = OperationLog(path, "ses-1")
    assert (list(last.uploaded), last.last_lost_files) == (["a"], ["meanwhile", "b", "c"])
    assert last.lose_files("another") == ["a"]
    last.close()


def test_a_loss_changes_the_outcomes_that_promised_an_effect(path: str) -> None:
    """Committed and partial effects become LOST; what was rolled back stays so; a reset ends the account."""
    log = OperationLog(path, "ses-1")
    run(log, "before")
    log.reset()
    run(log, "kept")
    run(log, "partial", Operation.OUTCOME_PARTIAL)
    run(log, "back", Operation.OUTCOME_ROLLED_BACK)
    assert log.lose_effects(2) == ["kept", "partial"]
    assert log.lose_effects(3) == []
    log.close()
    again = OperationLog(path, "ses-1")
    assert again.replacements == 3
    outcomes = {name: entry.outcome for name, entry in again.newest_first(9, 9)}
    assert outcomes == {
        "before": Operation.OUTCOME_COMMITTED,
        "kept": Operation.OUTCOME_LOST,
        "partial": Operation.OUTCOME_LOST,
        "back": Operation.OUTCOME_ROLLED_BACK,
    }
    assert again.operation("kept").outcome == Operation.OUTCOME_LOST
    again.close()


def test_survivors_of_a_replacement_keep_their_outcome(path: str) -> None:
    """An operation that finished in the fresh interpreter has lost nothing."""
    log = OperationLog(path, "ses-1")
    run(log, "old")
    run(log, "new")
    assert log.lose_effects(1, frozenset({"new"})) == ["old"]
    log.close()


def test_a_withdrawn_dispatch_frees_its_id(path: str) -> None:
    """What could not be sent was not recorded, also after reopening."""
    log = OperationLog(path, "ses-1")
    log.dispatch("a", "digest", 1)
    log.withdraw("a")
    assert log.get("a") is None
    log.close()
    again = OperationLog(path, "ses-1")
    assert again.get("a") is None
    again.close()


def test_a_session_takes_a_bounded_number_of_operations(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids are kept in memory for ever, so there is an end to them."""
    monkeypatch.setattr(operation_log, "OPERATIONS_PER_SESSION", 2)
    log = OperationLog(path, "ses-1")
    run(log, "a")
    run(log, "b")
    with pytest.raises(QuotaExceededError):
        log.dispatch("c", "digest", 1)
    log.close()


def test_the_file_is_for_its_owner_only(path: str) -> None:
    """Ids and outcomes are the tenant's."""
    OperationLog(path, "ses-1").close()
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_transactions_are_there_after_reopening(path: str) -> None:
    """One that is open, one that ended and why, and whose members they were: every line is read back alike."""
    log = OperationLog(path, "ses-1")
    explicit = transaction_pb2.TX_POLICY_EXPLICIT
    log.dispatch("first", "digest", 1, Terms(explicit, 1, "tx-1", begins=True, include_files=True))
    first = log.transactions.current
    assert first is not None
    first.begin_time_us, first.expire_time_us, first.base_count = 5, 7, 3
    log.change_transaction(first, Transaction.STATE_OPEN, 1)
    log.finish(finished("first", Operation.OUTCOME_PENDING), 2)
    first.reason = "idle for too long"
    log.change_transaction(first, Transaction.STATE_ROLLED_BACK, 2)
    log.ask_transaction("tx-2", include_files=False)
    log.dispatch("second", "digest", 1, Terms(explicit, 2, "tx-2"))
    log.close()
    again = OperationLog(path, "ses-1")
    assert again.transactions.get("tx-1") == first
    current = again.transactions.current
    assert current is not None
    assert (current.transaction_id, current.members, current.begun_by) == ("tx-2", ["second"], "")
    assert again.operation("first").outcome == Operation.OUTCOME_ROLLED_BACK
    second = again.operation("second")
    assert (second.tx_policy, second.isolation, second.transaction_id) == (explicit, 2, "tx-2")
    assert again.transaction_changes == 2
    again.close()


def test_a_withdrawn_dispatch_withdraws_the_transaction_that_it_would_have_begun(path: str) -> None:
    """Nobody was asked for it; of one that is open already only the member is forgotten."""
    log = OperationLog(path, "ses-1")
    log.dispatch("a", "digest", 1, Terms(transaction_id="tx-1", begins=True))
    log.withdraw("a")
    log.ask_transaction("tx-2", include_files=False)
    log.dispatch("b", "digest", 1, Terms(transaction_id="tx-2"))
    log.withdraw("b")
    log.close()
    again = OperationLog(path, "ses-1")
    for each in (log, again):
        assert each.transactions.get("tx-1") is None
        assert each.transactions.current is not None
        assert each.transactions.current.members == []
    again.close()


def test_a_session_takes_a_bounded_number_of_transactions(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is remembered for ever, so there is an end to them, whichever way one is asked for."""
    monkeypatch.setattr(operation_log, "TRANSACTIONS_PER_SESSION", 1)
    log = OperationLog(path, "ses-1")
    log.end_transaction(log.ask_transaction("tx-1", include_files=False))
    with pytest.raises(QuotaExceededError):
        log.ask_transaction("tx-2", include_files=False)
    with pytest.raises(QuotaExceededError):
        log.dispatch("a", "digest", 1, Terms(transaction_id="tx-2", begins=True))
    assert len(log) == 0
    log.close()
