"""Transactions, policies and rewinds as a client sees them."""

import grpc
import pytest
from sandbank import AsyncClient, Client, ExecutionFailed, errors, reasons, requests
from sandbank.v1 import execution_pb2 as ex
from sandbank.v1.transaction_pb2 import Transaction

from tests.fakes.api_server import FakeServer, HoldAfter, Refuse, events_of

FAILING = "1/0"


@pytest.fixture(autouse=True)
def failing(server: FakeServer) -> None:
    """Code that raises."""
    server.programs[FAILING] = events_of(
        state=ex.Operation.STATE_FAILED, error=ex.ExecutionError(type_name="ZeroDivisionError")
    )


def state_of(server: FakeServer, transaction_id: str = "tx-1") -> str:
    """How a transaction ended on the server."""
    return Transaction.State.Name(server.transactions[transaction_id].state)


def test_a_block_that_ends_commits(server: FakeServer, client: Client) -> None:
    """Members carry the transaction, whichever way they are run."""
    with client.session() as session:
        with session.transaction(include_files=True, idle_timeout=5) as tx:
            assert tx.run("1+1").transaction_id == tx.transaction_id
            list(tx.stream("1+1"))
            assert tx.execute("1+1").result().value == 2
            with tx.interact() as stream:
                assert stream.run("1+1").value == 2
            assert (tx.state, tx.ended) == ("OPEN", False)
        assert (tx.state, tx.ended) == ("COMMITTED", True)
        assert len(server.transactions["tx-1"].operation_ids) == 4
        (begun,) = server.called("BeginTransaction")
        assert (begun.include_files, begun.idle_timeout.seconds) == (True, 5)
        assert session.run("1+1").transaction_id == ""


def test_a_block_that_raises_rolls_back(server: FakeServer, client: Client) -> None:
    """Whatever it raised comes out unchanged; failing code raises unless it is not checked."""
    session = client.session()
    with pytest.raises(KeyError), session.transaction():
        raise KeyError
    assert state_of(server) == "STATE_ROLLED_BACK"
    with pytest.raises(ExecutionFailed, match="ZeroDivisionError"), session.transaction() as tx:
        tx.run(FAILING)
    assert state_of(server, "tx-2") == "STATE_ROLLED_BACK"
    with session.transaction() as tx:
        tx.run(FAILING, check=False)
    assert state_of(server, "tx-3") == "STATE_COMMITTED"
    assert server.called("CancelOperation") == []


def test_who_ends_a_transaction_in_its_block_has_ended_it(server: FakeServer, client: Client) -> None:
    """Leaving the block does nothing more, by whichever way."""
    session = client.session()
    with session.transaction() as tx:
        assert tx.rollback().state == Transaction.STATE_ROLLED_BACK

    def commit_and_raise() -> None:
        with session.transaction() as tx:
            tx.commit()
            raise KeyError

    with pytest.raises(KeyError):
        commit_and_raise()
    assert (state_of(server), state_of(server, "tx-2")) == ("STATE_ROLLED_BACK", "STATE_COMMITTED")
    assert len(server.called("CommitTransaction")) == len(server.called("RollbackTransaction")) == 1


def test_a_transaction_needs_no_block(server: FakeServer, client: Client) -> None:
    """It stays open until it is ended, and can be used from elsewhere by its id, which leaves it open."""
    session = client.session()
    session.transaction()
    with session.attach_transaction(session.refresh().open_transaction_id) as same:
        same.run("1+1")
    with pytest.raises(KeyError), same:
        raise KeyError
    assert state_of(server) == "STATE_OPEN"
    same.commit()
    assert state_of(server) == "STATE_COMMITTED"
    with pytest.raises(ValueError, match="no transaction"):
        session.attach_transaction("")


def test_operations_beside_an_open_transaction_are_refused(client: Client) -> None:
    """Nothing goes into a transaction, or beside it, by accident; they do not nest."""
    session = client.session()
    with session.transaction() as tx:
        with pytest.raises(reasons.TransactionOpen):
            session.run("1+1")
        with pytest.raises(reasons.TransactionOpen):
            session.transaction()
        assert tx.run("1+1", on_failure="rollback").ok


def test_a_transaction_that_was_rolled_back_meanwhile_cannot_be_committed(
    server: FakeServer, client: Client
) -> None:
    """An idle one, or one whose interpreter died: its end says so instead of passing in silence."""
    session = client.session()
    with pytest.raises(reasons.NoSuchTransaction), session.transaction():
        server.expire_transaction(session.session_id)


def test_an_error_in_the_block_outweighs_one_of_rolling_back(server: FakeServer, client: Client) -> None:
    """That is told in a note on it."""
    session = client.session()
    server.sabotage["RollbackTransaction"].append(Refuse(grpc.StatusCode.INTERNAL, "BUG"))
    with pytest.raises(KeyError) as caught, session.transaction():
        raise KeyError
    assert "rolling the transaction back failed: BUG" in caught.value.__notes__[0]


def test_leaving_by_an_error_stops_the_member_that_runs(server: FakeServer, client: Client) -> None:
    """Else the rollback would wait for code whose effects nobody wants."""
    session = client.session()
    server.programs["slow()"] = events_of(b"begun\n")
    server.sabotage["Execute"].append(HoldAfter(2))

    def leave_while_it_runs() -> None:
        with session.transaction() as tx:
            tx.run("1+1")
            tx.execute("1+1").result()
            for event in tx.stream("slow()", operation_id="slow"):
                if event.sequence == 2:
                    raise KeyError

    with pytest.raises(KeyError):
        leave_while_it_runs()
    assert [request.operation_id for request in server.called("CancelOperation")] == ["slow"]
    assert state_of(server) == "STATE_ROLLED_BACK"


async def test_the_async_transaction_is_awaited_or_entered(
    server: FakeServer, async_client: AsyncClient
) -> None:
    """As a session is; it commits and rolls back alike."""
    async with async_client.session() as session:
        async with session.transaction() as tx:
            assert (await tx.run("1+1")).transaction_id == "tx-1"
        with pytest.raises(ExecutionFailed):
            async with session.transaction() as tx:
                await tx.run(FAILING)
        opened = await session.transaction()
        assert (await session.attach_transaction(opened.transaction_id).run("1+1")).ok
        with pytest.raises(reasons.TransactionOpen):
            await session.run("1+1")
        await opened.rollback()
    states = [state_of(server, name) for name in ("tx-1", "tx-2", "tx-3")]
    assert states == ["STATE_COMMITTED", "STATE_ROLLED_BACK", "STATE_ROLLED_BACK"]


def test_beginning_is_not_repeated_when_its_answer_was_lost(server: FakeServer, client: Client) -> None:
    """It may have begun; ending one is repeated, as ending it twice is ending it once."""
    session = client.session()
    server.sabotage["BeginTransaction"].append(Refuse(grpc.StatusCode.UNAVAILABLE))
    with pytest.raises(errors.Unavailable):
        session.transaction()
    busy = Refuse(grpc.StatusCode.UNAVAILABLE, "SESSION_BUSY", retry_delay=0.001)
    server.sabotage["BeginTransaction"].append(busy)
    lost = Refuse(grpc.StatusCode.UNAVAILABLE)
    server.sabotage["CommitTransaction"].extend([lost, lost])
    session.transaction().commit()
    assert len(server.called("BeginTransaction")) == 3
    assert len(server.called("CommitTransaction")) == 3


def test_a_rewind_names_the_operation_after_which_to_go_on(server: FakeServer, client: Client) -> None:
    """It is not repeated either: something else may have run since."""
    session = client.session()
    session.run("1+1", operation_id="first")
    assert session.rewind("first").session_id == session.session_id
    with pytest.raises(reasons.SnapshotGone):
        session.rewind("never")
    server.sabotage["RewindSession"].append(Refuse(grpc.StatusCode.UNAVAILABLE))
    with pytest.raises(errors.Unavailable):
        session.rewind("first")


@pytest.mark.parametrize(
    ("options", "policy"),
    [
        ({}, 0),
        ({"on_failure": "rollback"}, 3),
        ({"on_failure": "keep"}, 1),
        ({"tx_policy": "commit_on_success"}, 2),
        ({"tx_policy": 4}, 4),
    ],
)
def test_what_becomes_of_failed_code_is_an_option(options: requests.ExecuteOptions, policy: int) -> None:
    """`on_failure` says it in a word, `tx_policy` has all that the API has."""
    assert requests.execute("s", "x", options).tx_policy == policy


def test_contradicting_options_are_refused_before_anything_is_sent() -> None:
    """Two words for the same thing, a word that does not exist, a history without snapshots."""
    with pytest.raises(ValueError, match="one or the other"):
        requests.execute("s", "x", {"on_failure": "rollback", "tx_policy": "none"})
    with pytest.raises(ValueError, match="keep, rollback"):
        requests.execute("s", "x", {"on_failure": "commit"})  # type: ignore[typeddict-item]
    with pytest.raises(ValueError, match="snapshots"):
        requests.create_session({"history": 3, "snapshots": False})


def test_snapshots_are_asked_for_in_plain_words() -> None:
    """They make the session's snapshot policy; left out, it is the server's."""
    made = requests.create_session({"history": 5, "quiet_time": 0.5}).snapshot_policy
    assert (made.history_count, made.disabled, made.quiet_time.ToMilliseconds()) == (5, False, 500)
    assert requests.create_session({"snapshots": False}).snapshot_policy.disabled
    assert not requests.create_session({}).HasField("snapshot_policy")


def test_a_result_says_what_became_of_its_effects(server: FakeServer, client: Client) -> None:
    """Outcome, warnings, files and names as the API has them."""
    program = events_of()
    operation = program[-1].finished.operation
    operation.outcome = ex.Operation.OUTCOME_ROLLED_BACK
    operation.warnings.add(code="NOT_COVERED", message="a socket")
    operation.files_changed.add(path="a.txt", kind=ex.FILE_CHANGE_KIND_ADDED)
    server.programs["work()"] = program
    result = client.session().run("work()")
    assert result.outcome == "ROLLED_BACK"
    assert [warning.code for warning in result.warnings] == ["NOT_COVERED"]
    assert [change.path for change in result.files_changed] == ["a.txt"]


def test_a_merge_that_conflicted_raises_as_failing_code_does(server: FakeServer, client: Client) -> None:
    """The code succeeded and nothing of it is there: that must not pass in silence."""
    program = events_of()
    program[-1].finished.operation.outcome = ex.Operation.OUTCOME_ROLLED_BACK
    program[-1].finished.operation.conflicting_names.append("total")
    server.programs["total += 1"] = program
    session = client.session()
    with pytest.raises(errors.MergeConflict, match="total") as caught:
        session.run("total += 1", isolation="namespace")
    assert isinstance(caught.value, ExecutionFailed)
    assert session.run("total += 1", isolation="namespace", check=False).conflicting_names == ["total"]
