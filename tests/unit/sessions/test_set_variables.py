"""Variables that were set through the API and go with a sandbox are named: those that no checkpoint has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sandbank_server.sessions.log import set_variables
from sandbank_server.sessions.log.operation_log import OperationLog

from tests.unit.sessions.test_operation_log import run


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where a log lies."""
    return str(tmp_path / "ses-1.log")


def both(path: str, log: OperationLog, ask: Callable[[OperationLog], object]) -> object:
    """Return what a log answers, having made sure that one that is read anew answers alike."""
    log.flush()
    again = OperationLog(path, "ses-1", readonly=True)
    found = ask(log)
    assert ask(again) == found
    again.close()
    return found


def test_a_checkpoint_has_what_was_set_before_it(path: str) -> None:
    """By count where it was of the state of that moment; what was set again after it is missing."""
    log = OperationLog(path, "ses-1")
    run(log, "a")
    for name in ("x", "y"):
        log.set_variable(name, "a")
    before = log.newest_set
    log.set_variable("meanwhile", "a")
    log.cover("a", "cp-1", sets=before)
    log.set_variable("y", "a")
    assert both(path, log, lambda each: each.sets_missing_in("cp-1")) == ["meanwhile", "y"]
    assert both(path, log, lambda each: each.sets_missing_in("")) == ["x", "meanwhile", "y"]
    log.close()


def test_a_checkpoint_with_a_later_operation_has_what_was_set_before_that(path: str) -> None:
    """One that may be of an earlier moment counts for nothing else; also where its operation ends after it."""
    log = OperationLog(path, "ses-1")
    run(log, "a")
    log.set_variable("x", "a")
    log.cover("a", "early")
    assert both(path, log, lambda each: each.sets_missing_in("early")) == ["x"]
    run(log, "b")
    log.set_variable("y", "b")
    log.cover("b", "later")
    assert both(path, log, lambda each: each.sets_missing_in("later")) == ["y"]
    log.close()


def test_by_the_number_of_its_state_a_checkpoint_has_exactly_what_was_set_before(path: str) -> None:
    """Whatever operations it has, and also what is answered after it; in another sandbox numbers begin anew."""
    log = OperationLog(path, "ses-1")
    run(log, "a")
    log.set_variable("x", "a", 2)
    log.set_variable("y", "a", 3)
    log.cover("a", "cp-1", sandbox_state=2)
    assert both(path, log, lambda each: each.sets_missing_in("cp-1")) == ["y"]
    run(log, "b")
    log.cover("b", "cp-2", sandbox_state=5)
    log.set_variable("quick", "b", 5)
    assert both(path, log, lambda each: each.sets_missing_in("cp-2")) == []
    assert both(path, log, lambda each: each.sets_missing_in("cp-1")) == ["y", "quick"]
    log.move(2)
    log.set_variable("z", "b", 1)
    assert both(path, log, lambda each: each.sets_missing_in("cp-2")) == ["z"]
    assert both(path, log, lambda each: each.set.after(0)) == ["z"]
    log.close()


def test_what_was_set_after_an_operation_whose_end_is_not_told_is_not_taken_to_be_older(path: str) -> None:
    """An end that is held back has no place among the ends yet: a checkpoint of before does not have what follows."""
    log = OperationLog(path, "ses-1")
    run(log, "first")
    log.cover("first", "cp-1")
    log.dispatch("held", "digest", 1)
    log.set_variable("x", "held")
    assert both(path, log, lambda each: each.sets_missing_in("cp-1")) == ["x"]
    log.close()


def test_what_is_lost_or_ended_is_told_once(path: str) -> None:
    """A loss names it to whoever asks before; a reset and a way back end the account."""
    log = OperationLog(path, "ses-1")
    log.set_variable("x", "")
    log.cover("", "cp-1", sets=log.newest_set)
    log.set_variable("y", "")
    log.lose_files("cp-1")
    assert both(path, log, lambda each: each.sets_missing_in("")) == ["x"]
    log.set_variable("z", "")
    log.go_back("cp-1", 0)
    assert both(path, log, lambda each: each.sets_missing_in("")) == ["x"]
    log.reset()
    assert both(path, log, lambda each: each.sets_missing_in("")) == []
    log.close()


def test_names_are_bounded(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest are remembered."""
    monkeypatch.setattr(set_variables, "NAMES_KEPT", 2)
    log = OperationLog(path, "ses-1")
    for name in ("x", "y", "x", "z"):
        log.set_variable(name, "")
    assert log.sets_missing_in("") == ["x", "z"]
    log.close()
