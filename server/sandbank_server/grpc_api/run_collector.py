"""An operation's events as one answer."""

from __future__ import annotations

from sandbank.v1 import execution_pb2

_ROOM_BYTES = 64 * 1024
"""Kept free for the envelope and what little stands beside output, displays and operation."""

_DISPLAY_BYTES = 256
"""What a display counts beside its content: what it costs in memory, so that empty ones are not free."""


class RunCollector:
    """Folds events into a RunResponse that fits a message; what does not fit is dropped and counted.

    The operation comes last and always fits: room for it is made by dropping from the end of the output.
    """

    def __init__(self, message_bytes: int) -> None:
        self._limit = message_bytes - _ROOM_BYTES
        self._stdout, self._stderr = bytearray(), bytearray()
        self._displays: list[execution_pb2.Display] = []
        self._size = 0
        self._output_bytes = 0
        self._dropped = 0
        self._operation = execution_pb2.Operation()

    def add(self, data: bytes) -> None:
        """Take in one serialized event, checked before."""
        event = execution_pb2.OperationEvent.FromString(data)
        kind = event.WhichOneof("event")
        if kind == "output":
            self._add_output(event.output)
        elif kind == "display":
            self._add_display(event.display)
        elif kind == "finished":
            self._operation = event.finished.operation

    def _add_output(self, output: execution_pb2.Output) -> None:
        kept = output.data[: max(0, self._limit - self._size)]
        self._output_bytes += len(output.data)
        self._dropped += len(output.data) - len(kept)
        self._size += len(kept)
        stream = self._stderr if output.stream == execution_pb2.OUTPUT_STREAM_STDERR else self._stdout
        stream += kept

    def _add_display(self, display: execution_pb2.Display) -> None:
        size = display.ByteSize() + _DISPLAY_BYTES
        if self._size + size > self._limit:
            self._dropped += size
        else:
            self._size += size
            self._displays.append(display)

    def response(self) -> execution_pb2.RunResponse:
        """Return the answer."""
        # What the journal had dropped by the time that a request was repeated is missing here like all else.
        self._dropped += max(0, self._operation.output_bytes - self._output_bytes)
        over = self._size + self._operation.ByteSize() - self._limit
        while over > 0 and self._displays:
            size = self._displays.pop().ByteSize() + _DISPLAY_BYTES
            self._dropped += size
            over -= size
        for stream in (self._stdout, self._stderr):
            cut = max(0, min(over, len(stream)))
            del stream[len(stream) - cut :]
            over -= cut
            self._dropped += cut
        return execution_pb2.RunResponse(
            operation=self._operation,
            stdout=bytes(self._stdout),
            stderr=bytes(self._stderr),
            displays=self._displays,
            dropped_bytes=self._dropped,
        )
