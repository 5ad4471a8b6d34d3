"""Values, figures and failures of what ran."""

from pathlib import Path

import pytest
from sandbank import Client, ExecutionFailed
from sandbank.events import decode_value
from sandbank.results import Result, result_of_run
from sandbank.v1 import execution_pb2 as ex

from tests.fakes.api_server import FakeServer, events_of


@pytest.mark.parametrize(
    ("result", "value"),
    [
        ({"application/json": b'{"a": [1, null]}', "text/plain": b"..."}, {"a": [1, None]}),
        ({"application/json": b"false"}, False),
        ({"text/plain": b"<object at 0x7f>"}, "<object at 0x7f>"),
        ({}, None),
        ({"application/json": b"not json", "text/plain": b"text"}, "text"),
        ({"application/json": b"[" * 100_000, "text/plain": b"deep"}, "deep"),
        ({"application/json": b"9" * 5000, "text/plain": b"huge"}, "huge"),
        ({"application/json": b"\xff", "text/plain": b"\xff"}, "\ufffd"),
    ],
)
def test_a_value_is_json_else_text_else_none(result: dict[str, bytes], value: object) -> None:
    """Whatever a sandbox sends, decoding it neither fails nor runs anything."""
    assert decode_value(result) == value


def test_code_that_raises_is_an_exception_that_carries_the_operation(
    server: FakeServer, client: Client
) -> None:
    """The state, the error with its frames, and what was printed before it."""
    error = ex.ExecutionError(type_name="ZeroDivisionError", message="division by zero")
    server.programs["1/0"] = events_of(b"before\n", state=ex.Operation.STATE_FAILED, error=error)
    with pytest.raises(ExecutionFailed, match=r"^ZeroDivisionError: division by zero$") as caught:
        client.session().run("1/0")
    assert caught.value.operation.state == ex.Operation.STATE_FAILED
    assert caught.value.result.stdout == "before\n"
    unchecked = client.session().run("1/0", check=False)
    assert unchecked.error == error
    assert not unchecked.ok


@pytest.mark.parametrize("state", ["CANCELLED", "TIMED_OUT", "CRASHED"])
def test_code_that_was_ended_says_how(state: str) -> None:
    """Not only raised errors are failures."""
    operation = ex.Operation(operation_id="o", state=ex.Operation.State.Value(f"STATE_{state}"))
    with pytest.raises(ExecutionFailed, match=state):
        Result(operation).checked()


def test_a_state_of_a_newer_server_is_shown_as_a_number() -> None:
    """An unknown state is neither success nor a crash of the client."""
    result = Result(ex.Operation(state=99))  # type: ignore[arg-type]
    assert (result.state, result.ok) == ("99", False)


def test_figures_are_collected_in_order_and_saved(tmp_path: Path) -> None:
    """Those that were shown, then the value's own; into a directory that is made."""
    shown = ex.Display(data={"image/png": b"one"})
    operation = ex.Operation(state=ex.Operation.STATE_SUCCEEDED, result={"image/png": b"two"})
    result = result_of_run(ex.RunResponse(operation=operation, displays=[shown, ex.Display()]))
    assert result.figures == [b"one", b"two"]
    paths = result.save_figures(tmp_path / "new" / "folder", prefix="plot")
    assert [path.name for path in paths] == ["plot-1.png", "plot-2.png"]
    assert [path.read_bytes() for path in paths] == [b"one", b"two"]


def test_dropped_output_is_counted() -> None:
    """By the operation's limit or the message's, whichever lost more."""
    operation = ex.Operation(dropped_output_bytes=5)
    assert result_of_run(ex.RunResponse(operation=operation, dropped_bytes=7)).dropped_bytes == 7
    assert result_of_run(ex.RunResponse(operation=operation)).dropped_bytes == 5


def test_a_repeated_run_whose_output_is_gone_says_so() -> None:
    """The operation counts more output than came, and none of it was dropped for its size."""
    operation = ex.Operation(state=ex.Operation.STATE_SUCCEEDED, output_bytes=6)
    assert result_of_run(ex.RunResponse(operation=operation, stdout=b"abc", stderr=b"def")).complete
    assert result_of_run(ex.RunResponse(operation=operation, stdout=b"abc", dropped_bytes=3)).complete
    assert not result_of_run(ex.RunResponse(operation=operation)).complete
