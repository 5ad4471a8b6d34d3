"""The events of an operation as a client sees them: small values instead of messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from sandbank.errors import BadAnswer
from sandbank.v1 import execution_pb2

StreamName: TypeAlias = Literal["stdout", "stderr"]


@dataclass(frozen=True)
class Started:
    """The code began to run."""

    sequence: int


@dataclass(frozen=True)
class Output:
    """The code wrote `data` to `stream`; a chunk may end within a character."""

    sequence: int
    stream: StreamName
    data: bytes
    unattributed: bool = False


@dataclass(frozen=True)
class Display:
    """The code showed something: the same thing by MIME type, and hints for showing it."""

    sequence: int
    data: Mapping[str, bytes]
    metadata: Mapping[str, str] = field(default_factory=dict)
    display_id: str = ""
    update: bool = False

    @property
    def text(self) -> str:
        """Its plain text, empty when it has none."""
        return self.data.get("text/plain", b"").decode("utf-8", "replace")

    @property
    def html(self) -> str:
        """Its HTML, empty when it has none. User code made it: show it only where scripts cannot do harm."""
        return self.data.get("text/html", b"").decode("utf-8", "replace")

    @property
    def png(self) -> bytes | None:
        """Its picture, None when it has none."""
        return self.data.get("image/png")


@dataclass(frozen=True)
class InputRequested:
    """The code called `input()` and waits."""

    sequence: int
    input_id: str
    prompt: str
    password: bool = False


@dataclass(frozen=True)
class EventsMissed:
    """The server dropped events before this client could read them; what follows is complete again."""

    after_sequence: int


@dataclass(frozen=True)
class Finished:
    """The operation ended; the last event."""

    sequence: int
    operation: execution_pb2.Operation


Event: TypeAlias = Started | Output | Display | InputRequested | EventsMissed | Finished


def decode_event(message: execution_pb2.OperationEvent) -> Event | None:
    """Return the event in a message; None for a kind that this client does not know yet."""
    kind = message.WhichOneof("event")
    if kind == "started":
        return Started(message.sequence)
    if kind == "output":
        output = message.output
        stream: StreamName = "stderr" if output.stream == execution_pb2.OUTPUT_STREAM_STDERR else "stdout"
        return Output(message.sequence, stream, output.data, output.unattributed)
    if kind == "display":
        return display_of(message.display, message.sequence)
    if kind == "input_request":
        asked = message.input_request
        return InputRequested(message.sequence, asked.input_id, asked.prompt, asked.password)
    if kind == "finished":
        if not message.finished.HasField("operation"):
            raise BadAnswer("an operation finished without saying how")
        return Finished(message.sequence, message.finished.operation)
    return None


def display_of(message: execution_pb2.Display, sequence: int = 0) -> Display:
    """Return a display from its message."""
    return Display(sequence, dict(message.data), dict(message.metadata), message.display_id, message.update)


def decode_value(result: Mapping[str, bytes]) -> Any:
    """Return an operation's result: decoded JSON where it has that, else its text, else None."""
    as_json = result.get("application/json")
    if as_json is not None:
        try:
            return json.loads(as_json)
        except (ValueError, RecursionError):
            pass  # user code made it: not JSON, nested too deeply, or a number beyond what Python reads
    text = result.get("text/plain")
    return None if text is None else text.decode("utf-8", "replace")
