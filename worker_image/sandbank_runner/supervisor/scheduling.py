"""What happens next: pure decisions over the head of the queue and the state of the session."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from sandbank_runner.supervisor import refusals
from sandbank_runner.supervisor.operations import Isolation, Operation, Policy
from sandbank_runner.supervisor.queue import Begin, Finish, Import, Step
from sandbank_runner.supervisor.refusals import Refusal
from sandbank_runner.supervisor.transactions import Transactions

BESIDE_EACH_OTHER = 16
"""How many operations of ISOLATION_NAMESPACE run at once."""


class Next(enum.Enum):
    """What to do with the head of the queue."""

    WAIT = "wait"
    SNAPSHOT = "snapshot"
    """Take a snapshot, then look again."""
    BASE = "base"
    """Take a base of the workspace, then look again."""
    GO = "go"


@dataclass(frozen=True, slots=True)
class Files:
    """How things are with the workspace, for the head of the queue."""

    based: bool = False
    """There is a base of it as it is now."""
    basing: bool = False
    """One is being taken."""
    refusal: Refusal | None = None
    """Why the one that was to be taken could not be."""


@dataclass(frozen=True, slots=True)
class Situation:
    """How things are while nothing exclusive runs."""

    transactions: Transactions
    running: int
    """How many operations of ISOLATION_NAMESPACE run."""
    disabled: bool
    """No snapshots are made."""
    standing: bool
    """There is a snapshot of the state as it is now."""
    taking: bool
    """One is being taken."""
    refusal: Refusal | None
    """Why the one that was to be taken could not be."""
    history: bool
    """There is a state that is to be kept for Rewind."""
    files: Files = Files()


def decide(step: Step, now: Situation) -> Next | Refusal:
    """Tell what to do with ``step``, whose turn it is."""
    runs = isinstance(step, (Operation, Import))
    # One that begins a transaction needs a snapshot of the moment before, and nothing may run at that moment.
    beside = isinstance(step, Operation) and step.isolation is Isolation.NAMESPACE and step.begins is None
    if now.running and (not beside or now.running >= BESIDE_EACH_OTHER):
        return Next.WAIT
    refusal = _membership(step, now.transactions)
    if refusal is not None:
        return refusal
    if now.standing or now.running:
        return _with_base(step, now)
    needed = needs_snapshot(step)
    if needed and now.disabled:
        return refusals.SNAPSHOTS_DISABLED
    if (needed or (now.history and runs)) and not now.disabled:
        if now.taking:
            return Next.WAIT
        if now.refusal is None:
            return Next.SNAPSHOT
        if needed:
            return now.refusal
    return _with_base(step, now)


def _with_base(step: Step, now: Situation) -> Next | Refusal:
    if now.files.based or not needs_base(step, now.transactions):
        return Next.GO
    if now.files.basing:
        return Next.WAIT
    return Next.BASE if now.files.refusal is None else now.files.refusal


def needs_snapshot(step: Step) -> bool:
    """Whether it can begin only with a snapshot of the moment before."""
    if isinstance(step, Finish):
        return False
    if isinstance(step, Import):
        return bool(step.transaction_id)
    if isinstance(step, Begin) or step.begins is not None:
        return True
    return step.isolation is Isolation.PROCESS and (
        bool(step.transaction_id) or step.policy in (Policy.COMMIT_ON_SUCCESS, Policy.ROLLBACK_ON_FAILURE)
    )


def needs_base(step: Step, transactions: Transactions) -> bool:
    """Whether it can begin only with a base of the workspace: its rollback is to return the files too."""
    if isinstance(step, (Finish, Import)):
        return False
    opened = transactions.find(step.transaction_id) if step.transaction_id else None
    if isinstance(step, Begin):
        return step.terms.include_files and opened is None
    if step.begins is not None and step.begins.include_files and opened is None:
        return True
    if step.isolation is not Isolation.PROCESS:  # rolls back names only
        return False
    return (opened is not None and opened.terms.include_files) or (
        step.include_files and step.policy in (Policy.COMMIT_ON_SUCCESS, Policy.ROLLBACK_ON_FAILURE)
    )


def _membership(step: Step, transactions: Transactions) -> Refusal | None:
    """Say why a step does not go together with the open transaction, or with none."""
    opened = transactions.open
    named = step.transaction_id
    if isinstance(step, (Operation, Import)) and not named:
        return None if opened is None else refusals.transaction_open(opened.transaction_id)
    known = transactions.find(named)
    begins = isinstance(step, Begin) or (isinstance(step, Operation) and step.begins is not None)
    if begins and known is None:
        return None if opened is None else refusals.transaction_open(opened.transaction_id)
    if known is None:
        return refusals.no_such_transaction(named)
    if isinstance(step, (Operation, Import)):  # one that is known is joined, also by what once began it
        return None if known is opened else refusals.no_such_transaction(named, known.committed)
    if isinstance(step, Finish) and known.committed not in (None, step.commit):
        return refusals.no_such_transaction(named, known.committed)
    return None
