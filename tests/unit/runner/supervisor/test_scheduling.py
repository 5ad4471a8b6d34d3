"""What happens next: every answer of the table of decisions."""

from __future__ import annotations

from typing import Any

import pytest
from sandbank_runner.supervisor.operations import Isolation, Operation, Policy, Terms
from sandbank_runner.supervisor.queue import Begin, Finish, Step
from sandbank_runner.supervisor.refusals import Refusal
from sandbank_runner.supervisor.scheduling import BESIDE_EACH_OTHER, Next, Situation, decide
from sandbank_runner.supervisor.transactions import Transactions

TERMS = Terms(60.0)


def operation(**fields: Any) -> Operation:
    """Return one that waits."""
    return Operation("a", b"", timeout=1.0, max_output_bytes=1, create_time=1, **fields)


PLAIN = operation()
ATOMIC = operation(policy=Policy.COMMIT_ON_SUCCESS)
MEMBER = operation(transaction_id="t")
BEGINS = operation(transaction_id="t", begins=TERMS)
NAMES = operation(isolation=Isolation.NAMESPACE)
NAMES_BEGINS = operation(isolation=Isolation.NAMESPACE, transaction_id="t", begins=TERMS)
BEGIN = Begin("t", TERMS, lambda _: None)
COMMIT = Finish("t", commit=True, answer=lambda _: None)
ROLLBACK = Finish("t", commit=False, answer=lambda _: None)
NO_ROOM = Refusal("SNAPSHOT_GONE", "no room")


def transactions(*ended: tuple[str, bool], opened: str = "") -> Transactions:
    """Return transactions that ended so, and the open one."""
    made = Transactions()
    for name, committed in ended:
        made.begin(name, TERMS, base=0, now=0)
        made.end(committed=committed)
    if opened:
        made.begin(opened, TERMS, base=0, now=0)
    return made


def situation(known: Transactions | None = None, **fields: Any) -> Situation:
    """Return one in which nothing is in the way and there is no snapshot."""
    how: dict[str, Any] = {
        "running": 0,
        "disabled": False,
        "standing": False,
        "taking": False,
        "refusal": None,
        "history": False,
    }
    return Situation(transactions=known or Transactions(), **{**how, **fields})


def decided(step: Step, now: Situation) -> Next | str:
    """Return the decision, or the reason of a refusal."""
    verdict = decide(step, now)
    return verdict.reason if isinstance(verdict, Refusal) else verdict


@pytest.mark.parametrize(
    ("step", "now", "verdict"),
    [
        (PLAIN, situation(), Next.GO),
        (PLAIN, situation(disabled=True), Next.GO),
        (PLAIN, situation(taking=True), Next.GO),
        (PLAIN, situation(history=True), Next.SNAPSHOT),
        (PLAIN, situation(history=True, standing=True), Next.GO),
        (PLAIN, situation(history=True, taking=True), Next.WAIT),
        (PLAIN, situation(history=True, refusal=NO_ROOM), Next.GO),
        (COMMIT, situation(transactions(opened="t"), history=True), Next.GO),
        (ATOMIC, situation(), Next.SNAPSHOT),
        (ATOMIC, situation(standing=True), Next.GO),
        (ATOMIC, situation(taking=True), Next.WAIT),
        (ATOMIC, situation(refusal=NO_ROOM), "SNAPSHOT_GONE"),
        (ATOMIC, situation(disabled=True), "SNAPSHOTS_DISABLED"),
        (BEGIN, situation(), Next.SNAPSHOT),
        (BEGIN, situation(disabled=True), "SNAPSHOTS_DISABLED"),
        (BEGINS, situation(standing=True), Next.GO),
        (NAMES, situation(), Next.GO),
        (NAMES, situation(disabled=True), Next.GO),
    ],
)
def test_a_snapshot_is_taken_for_what_needs_one(step: Step, now: Situation, verdict: Next | str):
    """Process transactions and the begin of explicit ones; with a history all that runs, where it can be had."""
    assert decided(step, now) == verdict


@pytest.mark.parametrize(
    ("step", "running", "verdict"),
    [
        (NAMES, 1, Next.GO),
        (NAMES, BESIDE_EACH_OTHER - 1, Next.GO),
        (NAMES, BESIDE_EACH_OTHER, Next.WAIT),
        (NAMES_BEGINS, 1, Next.WAIT),
        (PLAIN, 1, Next.WAIT),
        (ATOMIC, 1, Next.WAIT),
        (BEGIN, 1, Next.WAIT),
        (COMMIT, 1, Next.WAIT),
    ],
)
def test_only_operations_on_names_run_beside_each_other(step: Step, running: int, verdict: Next):
    """All else waits behind them; so does one that begins a transaction."""
    assert decided(step, situation(running=running)) == verdict


@pytest.mark.parametrize(
    ("step", "known", "verdict"),
    [
        (PLAIN, transactions(opened="t"), "TRANSACTION_OPEN"),
        (ATOMIC, transactions(opened="t"), "TRANSACTION_OPEN"),
        (NAMES, transactions(opened="t"), "TRANSACTION_OPEN"),
        (MEMBER, transactions(opened="t"), Next.GO),
        (MEMBER, transactions(), "NO_SUCH_TRANSACTION"),
        (MEMBER, transactions(opened="u"), "NO_SUCH_TRANSACTION"),
        (MEMBER, transactions(("t", True)), "NO_SUCH_TRANSACTION"),
        (BEGINS, transactions(opened="t"), Next.GO),
        (BEGINS, transactions(opened="u"), "TRANSACTION_OPEN"),
        (BEGINS, transactions(("t", False)), "NO_SUCH_TRANSACTION"),
        (BEGIN, transactions(opened="t"), Next.GO),
        (BEGIN, transactions(opened="u"), "TRANSACTION_OPEN"),
        (BEGIN, transactions(("t", True)), Next.GO),
        (COMMIT, transactions(opened="t"), Next.GO),
        (COMMIT, transactions(("t", True)), Next.GO),
        (COMMIT, transactions(("t", False)), "NO_SUCH_TRANSACTION"),
        (COMMIT, transactions(opened="u"), "NO_SUCH_TRANSACTION"),
        (ROLLBACK, transactions(("t", False)), Next.GO),
        (ROLLBACK, transactions(("t", True)), "NO_SUCH_TRANSACTION"),
        (ROLLBACK, transactions(), "NO_SUCH_TRANSACTION"),
    ],
)
def test_members_and_strangers(step: Step, known: Transactions, verdict: Next | str):
    """While one is open its members run and all others are refused; its end can be asked for again."""
    assert decided(step, situation(known, standing=True)) == verdict


def test_a_refusal_says_how_a_transaction_ended():
    """So that nobody has to look."""
    verdict = decide(MEMBER, situation(transactions(("t", False))))
    assert isinstance(verdict, Refusal)
    assert verdict.message == "transaction t was rolled back"
    assert verdict.error().type_name == "NoSuchTransaction"
