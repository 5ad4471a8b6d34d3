"""The names that the operation log keeps of what operations changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from sandbank.v1 import execution_pb2, variable_pb2
from sandbank_server.sessions.log.named_effects import NAMES, NAMES_BYTES, NamedEffects, gone_with
from sandbank_server.sessions.log.operation_log import OperationLog
from sandbank_server.sessions.recovery.deaths import Loss, recovery_message

from tests.fakes.clock import ManualClock

Operation = execution_pb2.Operation
Change = variable_pb2.VariableChange


def operation(name: str, *changes: str, files: tuple[str, ...] = ()) -> Operation:
    """Return an operation that changed variables: `+new`, `~modified`, `-gone`."""
    kinds = {"+": Change.KIND_ADDED, "~": Change.KIND_MODIFIED, "-": Change.KIND_REMOVED}
    made = Operation(
        session_id="ses-1",
        operation_id=name,
        state=Operation.STATE_SUCCEEDED,
        outcome=Operation.OUTCOME_COMMITTED,
    )
    for change in changes:
        made.changes.add(kind=kinds[change[0]], name=change[1:], preview="SECRET")
    for file in files:
        made.files_changed.add(path=file, kind=execution_pb2.FILE_CHANGE_KIND_ADDED)
    return made


@pytest.mark.parametrize(
    ("changes", "gone"),
    [
        ([["+a"], ["~a"]], ["a"]),
        ([["+a"], ["-a"]], []),
        ([["-a"], ["+a"]], ["a"]),
        ([["~a", "+b"], ["-b"], ["+b"]], ["a", "b"]),
        ([["-a"]], ["a"]),
    ],
)
def test_what_came_and_went_is_not_missed(changes: list[list[str]], gone: list[str]) -> None:
    """A name is missed where it is otherwise without the operations than with them."""
    effects = [NamedEffects.of_operation(operation("op", *each)) for each in changes]
    assert sorted(gone_with(effects).variables) == gone


@pytest.mark.parametrize("name", ["x", "y" * 1000])
def test_names_are_bounded_and_that_is_said(name: str) -> None:
    """In number and in bytes, whatever a sandbox lists."""
    kept = NamedEffects.of_operation(operation("op", *(f"+{name}{number}" for number in range(1000))))
    assert kept.more
    assert 0 < len(kept.variables) <= NAMES
    assert sum(len(each) for each in kept.variables) <= NAMES_BYTES


def test_they_outlive_the_sandbox_and_the_control_plane(tmp_path: Path) -> None:
    """By name only: no value is written. Files that operations wrote are lost with the workspace, too."""
    path = str(tmp_path / "log")
    log = OperationLog(path, "ses-1")
    for made in (operation("a", "+x", files=("early",)), operation("b", "~x", "+y", files=("late",))):
        log.dispatch(made.operation_id, "digest", 1)
        log.finish(made, 2)
        if made.operation_id == "a":
            log.cover("a", "cp-1")
    log.close()
    assert b"SECRET" not in Path(path).read_bytes()
    again = OperationLog(path, "ses-1")
    lost = again.lose_effects(0, again.covered_by("cp-1"))
    assert (lost, again.gone_with(lost).variables) == (["b"], ("x", "y"))
    assert again.lose_files("cp-1") == ["late"]
    again.close()
    last = OperationLog(path, "ses-1")
    assert (last.last_loss, last.last_lost_files) == (["b"], ["late"])
    last.close()


def test_an_end_that_nobody_was_told_is_known_once_its_effects_are_saved(tmp_path: Path) -> None:
    """Everything died after the checkpoint and before Finished: the operation ended as the checkpoint's line says."""
    path = str(tmp_path / "log")
    log = OperationLog(path, "ses-1")
    log.dispatch("a", "digest", 1)
    log.start("a")
    log.cover("a", "cp-1", ends=[("a", Operation.STATE_SUCCEEDED, Operation.OUTCOME_COMMITTED)])
    log.close()
    again = OperationLog(path, "ses-1")
    assert again.saved_end("a") == (Operation.STATE_SUCCEEDED, Operation.OUTCOME_COMMITTED)
    assert again.saved_in("a") == "cp-1"
    again.finish(operation("a"), 2)
    assert again.saved_end("a") is None
    assert again.covered_by("cp-1") == {"a"}
    assert again.operation("a").durable_checkpoint_id == "cp-1"
    again.close()


def test_what_a_restore_brings_back_can_be_lost_again(tmp_path: Path) -> None:
    """Going back to a checkpoint ends what came after it; its own effects are in the state, and counted so."""
    log = OperationLog(str(tmp_path / "log"), "ses-1")
    for name in "ab":
        log.dispatch(name, "digest", 1)
        log.finish(operation(name, f"+{name}"), 2)
        log.cover(name, f"cp-{name}")
    log.reset()
    assert log.kept_effects() == []
    log.go_back("cp-a", 1)
    assert log.kept_effects() == ["a"]
    assert log.lose_effects() == ["a"]
    log.close()


def test_a_recovery_with_too_many_names_says_so() -> None:
    """The newest are told."""
    names = [f"name_{number:06}" for number in range(100_000)]
    told = recovery_message("it died", 1, ManualClock().now(), Loss(names, names, names))
    assert told.lost_variables[-1] == told.lost_operation_ids[-1] == names[-1]
    assert told.ByteSize() < 1 << 20
    for kind in ("operations", "variables", "files"):
        assert kind in told.reason
