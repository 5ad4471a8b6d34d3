"""What the supervisor says is taken into the log once, in the right order, and nothing is guessed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbank.v1 import execution_pb2, transaction_pb2
from sandbank_runner.v1 import runner_pb2
from sandbank_server.runners.frames import RunnerViolation
from sandbank_server.sessions.log.entry import Terms
from sandbank_server.sessions.log.operation_log import OperationLog
from sandbank_server.sessions.operations.mirror import Mirror

Operation = execution_pb2.Operation
Transaction = transaction_pb2.Transaction
Replacement = runner_pb2.InterpreterReplaced
Summary = runner_pb2.OperationSummary
COMMITTED, LOST = Operation.OUTCOME_COMMITTED, Operation.OUTCOME_LOST
PENDING, ROLLED_BACK = Operation.OUTCOME_PENDING, Operation.OUTCOME_ROLLED_BACK


@pytest.fixture
def log(tmp_path: Path) -> Iterator[OperationLog]:
    """An empty log."""
    made = OperationLog(str(tmp_path / "log"), "ses-1")
    yield made
    made.transactions.check_invariants()
    made.close()


def run(log: OperationLog, name: str, outcome: int = COMMITTED, *, end: bool = True, tx: str = "") -> None:
    """Record an operation; of a transaction ``tx`` if that is given."""
    log.dispatch(name, "digest", 1, Terms(transaction_pb2.TX_POLICY_EXPLICIT, 1, tx) if tx else Terms())
    log.start(name)
    if end:
        finish(log, name, outcome)


def finish(log: OperationLog, name: str, outcome: int, state: int = Operation.STATE_SUCCEEDED) -> None:
    """Record an operation's end."""
    count = log.number_of(name) + 1
    log.finish(Operation(operation_id=name, state=state, outcome=outcome, execution_count=count), 3)


def told(number: int, name: str, state: int, **fields: object) -> runner_pb2.TransactionChanged:
    """Return what the supervisor says of a transaction."""
    message = Transaction(session_id="ses-1", transaction_id=name, state=state, **fields)
    return runner_pb2.TransactionChanged(transaction=message.SerializeToString(), number=number)


def greeting(*replacements: Replacement, **fields: object) -> runner_pb2.Hello:
    """Return a greeting that tells of replacements."""
    newest = replacements[-1] if replacements else None
    return runner_pb2.Hello(last_replaced=newest, replacements=replacements, **fields)


def outcomes(log: OperationLog) -> dict[str, str]:
    """Return the outcomes of all operations."""
    found = log.newest_first(10**6, 10**6)
    return {
        name: Operation.Outcome.Name(entry.outcome).removeprefix("OUTCOME_")
        for name, entry in reversed(found)
    }


def reopened(log: OperationLog) -> OperationLog:
    """Return the log as the next control plane reads it."""
    again = OperationLog(log.path, "ses-1", readonly=True)
    again.close()
    return again


def test_only_what_is_listed_is_lost(log: OperationLog) -> None:
    """A snapshot was woken: what came before it stays."""
    run(log, "kept")
    run(log, "gone")
    replaced = Mirror(log).replaced(
        Replacement(number=1, reason="SIGSEGV", restored_operation_id="kept", lost_operation_ids=["gone"])
    )
    assert (list(replaced.lost), replaced.recovered, replaced.execution_count) == (["gone"], True, 1)
    assert outcomes(log) == outcomes(reopened(log)) == {"kept": "COMMITTED", "gone": "LOST"}
    assert reopened(log).last_loss == ["gone"]
    assert reopened(log).replacements == 1


def test_what_was_rewound_is_rolled_back_and_no_loss(log: OperationLog) -> None:
    """Somebody asked for it; the newest loss is still the one before."""
    mirror = Mirror(log)
    run(log, "lost")
    mirror.replaced(Replacement(number=1, reason="SIGSEGV", state_lost=True))
    run(log, "kept")
    run(log, "rewound")
    replaced = mirror.replaced(
        Replacement(number=2, rewound=True, restored_operation_id="kept", lost_operation_ids=["rewound"])
    )
    assert (list(replaced.lost), replaced.recovered, replaced.rewound) == ([], False, True)
    assert outcomes(log) == {"lost": "LOST", "kept": "COMMITTED", "rewound": "ROLLED_BACK"}
    assert reopened(log).last_loss == ["lost"]
    assert reopened(log).replacements == 2


def test_a_rewind_that_woke_nothing_is_a_loss(log: OperationLog) -> None:
    """More went than anybody asked for."""
    run(log, "op")
    replaced = Mirror(log).replaced(Replacement(number=1, rewound=True, state_lost=True))
    assert (list(replaced.lost), replaced.rewound) == (["op"], False)


@pytest.mark.parametrize("reason", ["timeout", "cancel", "rollback"])
def test_an_interpreter_that_was_stopped_and_cost_nothing_is_no_recovery(
    log: OperationLog, reason: str
) -> None:
    """Neither does it take the place of the last one that was."""
    mirror = Mirror(log)
    run(log, "op")
    mirror.replaced(Replacement(number=1, reason="out of memory", lost_operation_ids=["op"]))
    assert not mirror.replaced(Replacement(number=2, reason=reason)).recovered
    assert reopened(log).last_loss == ["op"]


def test_of_several_replacements_while_nobody_listened_every_loss_is_told(log: OperationLog) -> None:
    """As one recovery: nothing is left out, nothing is told twice by the next greeting."""
    for name in ("a", "b", "c", "kept"):
        run(log, name)
    hello = greeting(
        Replacement(number=1, reason="first", lost_operation_ids=["b"]),
        Replacement(number=2, reason="second", lost_operation_ids=["a", "c"]),
        Replacement(number=3, reason="timeout"),
    )
    learned = Mirror(log).learn(hello, 0)
    assert learned.replaced is not None
    assert (list(learned.replaced.lost), learned.replaced.reason) == (["a", "b", "c"], "second")
    assert Mirror(log).learn(hello, 0).replaced is None
    assert outcomes(log)["kept"] == "COMMITTED"


def test_what_was_committed_and_then_lost_is_lost(log: OperationLog) -> None:
    """Both happened unheard: the commit is settled before the loss looks for what there was."""
    log.ask_transaction("tx-1", include_files=False)
    Mirror(log).transaction_changed(told(1, "tx-1", Transaction.STATE_OPEN), 0)
    run(log, "member", PENDING, tx="tx-1")
    hello = greeting(
        Replacement(number=1, reason="SIGSEGV", state_lost=True),
        transactions=[
            told(1, "tx-1", Transaction.STATE_OPEN),
            told(2, "tx-1", Transaction.STATE_COMMITTED),
        ],
    )
    learned = Mirror(log).learn(hello, 0)
    assert [each.transaction_id for each in learned.changed] == ["tx-1"]
    assert learned.replaced is not None
    assert list(learned.replaced.lost) == ["member"]
    assert outcomes(log) == outcomes(reopened(log)) == {"member": "LOST"}


def test_a_member_that_died_with_its_transaction_is_rolled_back(log: OperationLog) -> None:
    """In whatever order the two are told."""
    for order in ("replaced first", "transaction first"):
        name = f"tx-{order[0]}"
        number = log.transaction_changes
        mirror = Mirror(log)
        log.ask_transaction(name, include_files=False)
        mirror.transaction_changed(told(number + 1, name, Transaction.STATE_OPEN), 0)
        run(log, f"member of {name}", PENDING, tx=name)
        replaced = Replacement(number=log.replacements + 1, state_lost=True)
        ended = told(number + 2, name, Transaction.STATE_ROLLED_BACK)
        if order == "replaced first":
            mirror.replaced(replaced)
            mirror.transaction_changed(ended, 0)
        else:
            mirror.transaction_changed(ended, 0)
            mirror.replaced(replaced)
        assert outcomes(log)[f"member of {name}"] == "ROLLED_BACK"


def test_an_end_that_is_heard_late_is_settled_at_once(log: OperationLog) -> None:
    """Finished, fetched from the journal, says PENDING as it was sent; the transaction has ended meanwhile."""
    for state, expected in (
        (Transaction.STATE_COMMITTED, "COMMITTED"),
        (Transaction.STATE_ROLLED_BACK, "ROLLED_BACK"),
    ):
        name = f"tx-{state}"
        log.ask_transaction(name, include_files=False)
        number = log.transaction_changes
        Mirror(log).transaction_changed(told(number + 1, name, Transaction.STATE_OPEN), 0)
        run(log, f"op of {name}", end=False, tx=name)
        hello = greeting(
            transactions=[
                told(number + 1, name, Transaction.STATE_OPEN),
                told(number + 2, name, state, operation_ids=[f"op of {name}"]),
            ]
        )
        Mirror(log).learn(hello, 0)
        finish(log, f"op of {name}", PENDING)
        assert outcomes(log)[f"op of {name}"] == outcomes(reopened(log))[f"op of {name}"] == expected


def test_what_was_lost_before_its_end_was_heard_stays_lost(log: OperationLog) -> None:
    """The journal's summary knows it; Finished, which says COMMITTED, was sent before."""
    run(log, "unheard", end=False)
    hello = greeting(
        Replacement(number=1, reason="SIGSEGV", lost_operation_ids=["unheard"]),
        operations=[Summary(operation_id="unheard", finished=True, last_sequence=2, outcome=LOST)],
    )
    learned = Mirror(log).learn(hello, 0)
    assert learned.replaced is not None
    assert list(learned.replaced.lost) == ["unheard"]
    assert log.operation("unheard").outcome == Operation.OUTCOME_UNSPECIFIED
    finish(log, "unheard", COMMITTED)
    assert outcomes(log) == {"unheard": "LOST"}


def test_what_finished_in_the_next_interpreter_is_kept(log: OperationLog) -> None:
    """All state was lost before it began: the journal says which operations came after."""
    run(log, "old")
    run(log, "new", end=False)
    summaries = [
        Summary(operation_id="old", finished=True, last_sequence=2, outcome=LOST, effects_lost=True),
        Summary(operation_id="new", finished=True, last_sequence=2, outcome=COMMITTED),
    ]
    hello = greeting(Replacement(number=1, reason="x", state_lost=True), operations=summaries)
    Mirror(log).learn(hello, 0)
    finish(log, "new", COMMITTED)
    assert outcomes(log) == {"old": "LOST", "new": "COMMITTED"}


def test_what_nobody_can_tell_any_more_is_unknown(log: OperationLog) -> None:
    """More replacements than a greeting holds: of what the journal has dropped the truth cannot be had."""
    for name in ("dropped", "kept", "gone", "back"):
        run(log, name)
    summaries = [
        Summary(operation_id="kept", finished=True, outcome=COMMITTED),
        Summary(operation_id="gone", finished=True, outcome=LOST),
        Summary(operation_id="back", finished=True, outcome=ROLLED_BACK),
    ]
    replacements = [Replacement(number=number, reason="x") for number in range(7, 71)]
    Mirror(log).learn(greeting(*replacements, operations=summaries), 0)
    assert (
        outcomes(log)
        == outcomes(reopened(log))
        == {
            "dropped": "UNKNOWN",
            "kept": "COMMITTED",
            "gone": "LOST",
            "back": "ROLLED_BACK",
        }
    )


def test_what_a_reset_ended_is_not_lost_later(log: OperationLog) -> None:
    """The user took it away; also where a sandbox lists it."""
    run(log, "before")
    log.reset()
    run(log, "after")
    replaced = Mirror(log).replaced(
        Replacement(number=1, reason="x", lost_operation_ids=["before", "after", "after"])
    )
    assert list(replaced.lost) == ["after"]


@pytest.mark.parametrize(
    "hello",
    [
        greeting(Replacement(number=1)),
        greeting(Replacement(number=2), transactions=[]),
        greeting(Replacement(number=2), transactions=[told(1, "tx-1", Transaction.STATE_OPEN)]),
        greeting(
            Replacement(number=2),
            transactions=[told(4, "tx-1", Transaction.STATE_OPEN)],
        ),
        greeting(Replacement(number=2), transactions=[told(3, "tx-1", Transaction.STATE_OPEN)]),
        greeting(Replacement(number=2), transactions=[told(3, "tx-2", Transaction.STATE_OPEN)]),
        greeting(
            Replacement(number=3, lost_operation_ids=["nobody"]),
            transactions=[told(2, "tx-1", Transaction.STATE_COMMITTED)],
        ),
    ],
)
def test_a_greeting_that_takes_back_or_makes_up_is_a_violation(
    log: OperationLog, hello: runner_pb2.Hello
) -> None:
    """Numbers go on, transactions end once, and nothing comes up that was never asked for."""
    mirror = Mirror(log)
    log.ask_transaction("tx-1", include_files=False)
    mirror.transaction_changed(told(1, "tx-1", Transaction.STATE_OPEN), 0)
    mirror.transaction_changed(told(2, "tx-1", Transaction.STATE_COMMITTED), 0)
    mirror.replaced(Replacement(number=1))
    mirror.replaced(Replacement(number=2))
    with pytest.raises(RunnerViolation):
        mirror.learn(hello, 0)


def test_the_next_sandbox_counts_from_one_again(log: OperationLog) -> None:
    """Numbers are a sandbox's own; what was lost with the one before is not told again."""
    mirror = Mirror(log)
    log.ask_transaction("tx-1", include_files=False)
    mirror.transaction_changed(told(1, "tx-1", Transaction.STATE_OPEN), 0)
    mirror.replaced(Replacement(number=1))
    transaction = log.transactions.current
    assert transaction is not None
    log.end_transaction(transaction)
    log.lose_effects()
    assert (log.replacements, log.transaction_changes) == (0, 0)
    log.ask_transaction("tx-2", include_files=False)
    again = reopened(log)
    assert (again.replacements, again.transaction_changes) == (0, 0)
    Mirror(log).learn(
        greeting(Replacement(number=1), transactions=[told(1, "tx-2", Transaction.STATE_OPEN)]), 0
    )
    assert log.transactions.current is not None
    assert log.transactions.current.transaction_id == "tx-2"
