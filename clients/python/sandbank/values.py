"""A variable's value as it was read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sandbank.v1 import state_pb2, variable_pb2


@dataclass(frozen=True)
class Value:
    """What a variable held.

    `variable` describes it, `data` is the value written down as `mime_type` says, and `as_of` says which operation's
    effects are included and whether a later one has finished or is running (`as_of.stale`). User code made it:
    nothing of it is ever unpickled.
    """

    variable: variable_pb2.Variable
    data: bytes
    mime_type: str
    as_of: variable_pb2.AsOf

    @property
    def value(self) -> Any:
        """Decoded JSON; bytes where it is neither JSON nor text (an Arrow stream); else its text."""
        if self.mime_type == "application/json":
            try:
                return json.loads(self.data)
            except (ValueError, RecursionError):
                return self.text  # nested too deeply, or a number beyond what Python reads
        return self.text if self.mime_type.startswith("text/") else self.data

    @property
    def text(self) -> str:
        """The value as text; bytes that are not UTF-8 are replaced."""
        return self.data.decode("utf-8", "replace")

    def to_arrow(self) -> Any:
        """The value as a pyarrow Table, which needs pyarrow here; of an array, a table of one column."""
        import pyarrow as pa  # noqa: PLC0415 - optional, and slow to import

        with pa.ipc.open_stream(self.data) as reader:
            return reader.read_all()

    def to_pandas(self) -> Any:
        """The value as a pandas DataFrame, which needs pyarrow and pandas here."""
        return self.to_arrow().to_pandas()

    @classmethod
    def of(cls, answer: state_pb2.GetVariableResponse) -> Value:
        """Return what GetVariable answered."""
        return cls(answer.variable, answer.data, answer.mime_type, answer.as_of)
