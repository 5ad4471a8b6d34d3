"""The API's records as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.timestamp_pb2 import Timestamp
from rich import box
from rich.table import Table
from rich.text import Text

from sandbank.cli.terminal import plain

_STATE_STYLES = {
    "ACTIVE": "green",
    "READY": "green",
    "HEALTHY": "green",
    "SUCCEEDED": "green",
    "IDLE": "yellow",
    "STARTING": "yellow",
    "RUNNING": "yellow",
    "DRAINING": "yellow",
    "CRASHED": "red",
    "DEGRADED": "red",
    "FAILED": "red",
    "TIMED_OUT": "red",
}


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """Return a table; numbers stand right, and nothing in a cell is taken for markup."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0))
    filled = [list(row) for row in rows]
    for number, column in enumerate(columns):
        numeric = bool(filled) and all(isinstance(row[number], int | float) for row in filled)
        # The last column takes what room is left; ids and states are never cut or folded.
        last = number == len(columns) - 1
        made.add_column(column, justify="right" if numeric else "left", no_wrap=not last, overflow="fold")
    for row in filled:
        made.add_row(*(_cell(value) for value in row))
    return made


def details(pairs: Iterable[tuple[str, Any]]) -> Table:
    """Return names and values one below the other; what is empty is left out."""
    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(style="bold")
    made.add_column(overflow="fold")
    for name, value in pairs:
        if value not in ("", None):
            made.add_row(name, _cell(value))
    return made


def enum_name(enum: EnumTypeWrapper, number: int, prefix: str) -> str:
    """Return a value's name without its prefix, or its number where it is not known."""
    return str(enum.Name(number)).removeprefix(prefix) if number in enum.values() else str(number)


def size(count: int) -> str:
    """Return a number of bytes for people, such as `1.5 MiB`."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def moment(time: Timestamp) -> str:
    """Return a time as this machine's local one, empty where unset."""
    if time.seconds == 0 and time.nanos == 0:
        return ""
    return time.ToDatetime(UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def span(duration: Duration) -> str:
    """Return a duration for people, such as `12.3 ms`."""
    seconds = duration.ToTimedelta().total_seconds()
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def age(time: Timestamp, now: datetime | None = None) -> str:
    """Return how long ago a time was, such as `5 min`, empty where unset."""
    if time.seconds == 0 and time.nanos == 0:
        return ""
    seconds = max(0, int(((now or datetime.now(UTC)) - time.ToDatetime(UTC)).total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def lasting(milliseconds: int) -> str:
    """Return a duration exactly, in the largest unit that has it whole, such as `15 min`."""
    for unit, length in (("h", 3_600_000), ("min", 60_000), ("s", 1000)):
        if milliseconds and milliseconds % length == 0:
            return f"{milliseconds // length} {unit}"
    return f"{milliseconds} ms"


def labels(pairs: Any) -> str:
    """Return labels as `a=b c=d`, by name."""
    return " ".join(f"{key}={value}" for key, value in sorted(pairs.items()))


def _cell(value: Any) -> Text:
    text = plain(str(value))
    return Text(text, style=_STATE_STYLES.get(text, ""))
