"""An operation's events as one answer, within a message."""

from __future__ import annotations

from sandbank.v1 import execution_pb2
from sandbank_server.grpc_api.run_collector import RunCollector

MESSAGE_BYTES = 1024 * 1024
Operation = execution_pb2.Operation


def collect(*kinds: dict[str, object], limit: int = MESSAGE_BYTES) -> execution_pb2.RunResponse:
    """Return the answer made of these events."""
    collector = RunCollector(limit)
    for number, kind in enumerate(kinds, 1):
        collector.add(execution_pb2.OperationEvent(sequence=number, **kind).SerializeToString())
    answer = collector.response()
    assert answer.ByteSize() <= limit
    return answer


def output(data: bytes, stream: int = 1) -> dict[str, object]:
    """Return an output."""
    return {"output": execution_pb2.Output(stream=stream, data=data)}


def display(data: bytes) -> dict[str, object]:
    """Return a display."""
    return {"display": execution_pb2.Display(data={"text/plain": data})}


def finished(**fields: object) -> dict[str, object]:
    """Return the end."""
    return {"finished": execution_pb2.Finished(operation=Operation(state="STATE_SUCCEEDED", **fields))}


def test_what_fits_is_whole() -> None:
    """Streams apart, in their order; displays; the operation; nothing dropped."""
    answer = collect(
        {"started": execution_pb2.Started()},
        output(b"a"),
        output(b"E", 2),
        output(b"b"),
        display(b"d"),
        finished(output_bytes=3),
    )
    assert (answer.stdout, answer.stderr) == (b"ab", b"E")
    assert [dict(each.data) for each in answer.displays] == [{"text/plain": b"d"}]
    assert answer.operation.state == Operation.STATE_SUCCEEDED
    assert answer.dropped_bytes == 0


def test_what_does_not_fit_is_cut_from_the_end_and_counted() -> None:
    """The beginning of the output is kept."""
    answer = collect(output(b"x" * 900_000), output(b"y" * 900_000), finished(output_bytes=1_800_000))
    assert answer.stdout.startswith(b"x" * 900_000)
    assert len(answer.stdout) + answer.dropped_bytes == 1_800_000


def test_the_operation_always_fits() -> None:
    """Room for a large result is made by dropping displays, then output."""
    answer = collect(
        output(b"o" * 300_000),
        output(b"e" * 300_000, 2),
        display(b"d" * 200_000),
        finished(result={"text/plain": b"r" * 700_000}, output_bytes=600_000),
    )
    assert len(answer.operation.result["text/plain"]) == 700_000
    assert not answer.displays
    kept = len(answer.stdout) + len(answer.stderr)
    assert 600_000 + 200_000 <= kept + answer.dropped_bytes <= 600_000 + 200_000 + 1000


def test_output_whose_events_are_gone_is_counted_as_dropped() -> None:
    """A repeated request after the journal dropped its events: what is missing is not passed over in silence."""
    answer = collect(finished(output_bytes=500))
    assert (answer.stdout, answer.dropped_bytes) == (b"", 500)


def test_many_small_displays_are_bounded() -> None:
    """Each costs memory beside its content."""
    answer = collect(*[display(b"")] * 10_000, finished())
    assert len(answer.displays) < 5000
    assert answer.dropped_bytes > 0
