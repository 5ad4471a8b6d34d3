"""What running code came to: the events of one operation, folded."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbank.errors import ExecutionFailed, MergeConflict
from sandbank.events import Display, Event, EventsMissed, Finished, Output, decode_value, display_of
from sandbank.v1 import execution_pb2, variable_pb2

TextCallback = Callable[[str], object]
DisplayCallback = Callable[[Display], object]
# From the prompt, and whether the answer is secret, to a line; None is the end of the input.
InputCallback = Callable[[str, bool], str | None]


@dataclass(frozen=True)
class Result:
    """A finished operation with what it printed and showed.

    `operation` has everything that the server says of it. `dropped_bytes` is what is missing from the output
    here, because of the operation's limit or the message's, and `complete` is False where events were dropped
    before they could be read.
    """

    operation: execution_pb2.Operation
    stdout_bytes: bytes = b""
    stderr_bytes: bytes = b""
    displays: tuple[Display, ...] = ()
    dropped_bytes: int = 0
    complete: bool = True

    @property
    def value(self) -> Any:
        """The last expression's value: decoded JSON for plain data, else its text, else None."""
        return decode_value(self.operation.result)

    @property
    def text(self) -> str:
        """The last expression's value as the Python prompt would show it; empty when there is none."""
        return self.operation.result.get("text/plain", b"").decode("utf-8", "replace")

    @property
    def stdout(self) -> str:
        """Standard output; bytes that are not UTF-8 are replaced."""
        return self.stdout_bytes.decode("utf-8", "replace")

    @property
    def stderr(self) -> str:
        """Standard error; bytes that are not UTF-8 are replaced."""
        return self.stderr_bytes.decode("utf-8", "replace")

    @property
    def ok(self) -> bool:
        """Whether the code succeeded."""
        return self.operation.state == execution_pb2.Operation.STATE_SUCCEEDED

    @property
    def state(self) -> str:
        """The operation's state without its prefix, such as `SUCCEEDED`."""
        return state_name(self.operation)

    @property
    def outcome(self) -> str:
        """What became of its effects when it finished, without the prefix, such as `ROLLED_BACK`.

        It can change later: `Session.operation` has it as it is now.
        """
        return outcome_name(self.operation)

    @property
    def transaction_id(self) -> str:
        """The transaction that it is a member of; empty when none."""
        return self.operation.transaction_id

    @property
    def warnings(self) -> list[execution_pb2.Warning]:
        """What should be known although it is no error, such as what a rollback did not cover."""
        return list(self.operation.warnings)

    @property
    def changes(self) -> list[variable_pb2.VariableChange]:
        """What the operation did to the session's variables."""
        return list(self.operation.changes)

    @property
    def files_changed(self) -> list[execution_pb2.FileChange]:
        """What it did to the workspace's files."""
        return list(self.operation.files_changed)

    @property
    def conflicting_names(self) -> list[str]:
        """Names that another operation had changed meanwhile, for which nothing was merged (`namespace`)."""
        return list(self.operation.conflicting_names)

    @property
    def error(self) -> execution_pb2.ExecutionError | None:
        """What the code raised, or was stopped by; None when it succeeded."""
        return self.operation.error if self.operation.HasField("error") else None

    @property
    def figures(self) -> list[bytes]:
        """The pictures (PNG) that were shown, in order, with the value's own last."""
        shown = [display.png for display in self.displays]
        return [png for png in (*shown, self.operation.result.get("image/png")) if png]

    @property
    def summary(self) -> str:
        """One line on how it ended."""
        error = self.error
        if self.conflicting_names:
            names = ", ".join(self.conflicting_names)
            return f"nothing was merged: another operation had changed {names} meanwhile"
        if error is None:
            return f"operation {self.operation.operation_id} {self.state}"
        told = f"{error.type_name}: {error.message}" if error.message else error.type_name
        return told if self.state == "FAILED" else f"{self.state}: {told}"

    def save_figures(self, directory: str | Path, prefix: str = "figure") -> list[Path]:
        """Write the figures as `PREFIX-1.png`, … into a directory, made if missing; return the paths."""
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for number, png in enumerate(self.figures, 1):
            path = folder / f"{prefix}-{number}.png"
            path.write_bytes(png)
            paths.append(path)
        return paths

    def checked(self) -> Result:
        """Itself when the code succeeded and its effects are there; raises ExecutionFailed otherwise."""
        if not self.ok:
            raise ExecutionFailed(self)
        if self.conflicting_names:
            raise MergeConflict(self)
        return self


def state_name(operation: execution_pb2.Operation) -> str:
    """Return an operation's state without its prefix; one that this client does not know as a number."""
    if operation.state in execution_pb2.Operation.State.values():
        return execution_pb2.Operation.State.Name(operation.state).removeprefix("STATE_")
    return str(operation.state)


def outcome_name(operation: execution_pb2.Operation) -> str:
    """Return an operation's outcome without its prefix; one that this client does not know as a number."""
    if operation.outcome in execution_pb2.Operation.Outcome.values():
        return execution_pb2.Operation.Outcome.Name(operation.outcome).removeprefix("OUTCOME_")
    return str(operation.outcome)


def apply_updates(displays: Iterable[Display]) -> tuple[Display, ...]:
    """Return the displays with each update in the place of what it replaces."""
    shown: list[Display] = []
    places: dict[str, int] = {}
    for display in displays:
        if display.update and display.display_id in places:
            shown[places[display.display_id]] = display
            continue
        if display.display_id:
            places[display.display_id] = len(shown)
        shown.append(display)
    return tuple(shown)


def result_of_run(response: execution_pb2.RunResponse) -> Result:
    """Return the result in an answer of Run.

    One that repeats an operation whose events have been dropped has the operation, and none of what it printed.
    """
    output_bytes = len(response.stdout) + len(response.stderr)
    return Result(
        response.operation,
        response.stdout,
        response.stderr,
        apply_updates(display_of(display) for display in response.displays),
        dropped_bytes=max(response.dropped_bytes, response.operation.dropped_output_bytes),
        complete=output_bytes + response.dropped_bytes >= response.operation.output_bytes,
    )


@dataclass
class Callbacks:
    """Called while code runs. Text comes in whole characters, in the order in which it was written."""

    on_stdout: TextCallback | None = None
    on_stderr: TextCallback | None = None
    on_display: DisplayCallback | None = None

    def __bool__(self) -> bool:
        return any((self.on_stdout, self.on_stderr, self.on_display))


@dataclass
class ResultFold:
    """Takes an operation's events one by one and ends with its result."""

    callbacks: Callbacks = field(default_factory=Callbacks)
    result: Result | None = None

    def __post_init__(self) -> None:
        self._output = {"stdout": bytearray(), "stderr": bytearray()}
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {"stdout": decoder("replace"), "stderr": decoder("replace")}
        self._displays: list[Display] = []
        self._complete = True

    def feed(self, event: Event) -> None:
        """Take the next event, and call the callback for it."""
        if isinstance(event, Output):
            self._output[event.stream] += event.data
            self._tell(event.stream, self._decoders[event.stream].decode(event.data))
        elif isinstance(event, Display):
            self._displays.append(event)
            if self.callbacks.on_display is not None:
                self.callbacks.on_display(event)
        elif isinstance(event, EventsMissed):
            self._complete = False
        elif isinstance(event, Finished):
            for stream, decoder in self._decoders.items():
                self._tell(stream, decoder.decode(b"", final=True))
            self.result = Result(
                event.operation,
                bytes(self._output["stdout"]),
                bytes(self._output["stderr"]),
                apply_updates(self._displays),
                event.operation.dropped_output_bytes,
                self._complete,
            )

    def _tell(self, stream: str, text: str) -> None:
        callback = self.callbacks.on_stdout if stream == "stdout" else self.callbacks.on_stderr
        if text and callback is not None:
            callback(text)
