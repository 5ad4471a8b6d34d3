"""Records to rows and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sandbank_server.catalog.base import CheckpointRecord, SessionRecord

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_TIMES: Final = ("create_time", "last_active_time", "expire_time", "end_time")
_DURATIONS: Final = ("idle_timeout", "max_lifetime", "quiet_time")
_MAPPINGS: Final = ("labels", "env")
_NAMES: Final = tuple(field.name for field in fields(SessionRecord))
_CHECKPOINT_NAMES: Final = tuple(field.name for field in fields(CheckpointRecord))


def to_microseconds(moment: datetime) -> int:
    """Return microseconds since 1970. A naive time is a fault of ours and raises TypeError."""
    return (moment - _EPOCH) // _MICROSECOND


def session_row(record: SessionRecord) -> dict[str, Any]:
    """Return the row of a session."""
    row = {name: getattr(record, name) for name in _NAMES}
    for name in _TIMES:
        if row[name] is not None:
            row[name] = to_microseconds(row[name])
    for name in _DURATIONS:
        row[name] = row[name] // _MICROSECOND
    for name in _MAPPINGS:
        row[name] = json.dumps(dict(row[name]), ensure_ascii=False, sort_keys=True)
    row["request_id"] = row["request_id"] or None
    return row


def session_record(row: Mapping[str, Any]) -> SessionRecord:
    """Return the session of a row."""
    values = {name: row[name] for name in _NAMES}
    for name in _TIMES:
        if values[name] is not None:
            values[name] = _EPOCH + timedelta(microseconds=values[name])
    for name in _DURATIONS:
        values[name] = timedelta(microseconds=values[name])
    for name in _MAPPINGS:
        values[name] = json.loads(values[name])
    values["request_id"] = values["request_id"] or ""
    return SessionRecord(**values)


def label_rows(record: SessionRecord) -> list[dict[str, str]]:
    """Return the rows of a session's labels."""
    return [
        {"tenant": record.tenant, "session_id": record.session_id, "key": key, "value": value}
        for key, value in record.labels.items()
    ]


def checkpoint_row(record: CheckpointRecord) -> dict[str, Any]:
    """Return the row of a checkpoint."""
    row = {name: getattr(record, name) for name in _CHECKPOINT_NAMES}
    row["create_time"] = to_microseconds(record.create_time)
    row["wall_time"] = record.wall_time // _MICROSECOND
    row["labels"] = json.dumps(dict(record.labels), ensure_ascii=False, sort_keys=True)
    row["request_id"] = record.request_id or None
    return row


def checkpoint_record(row: Mapping[str, Any]) -> CheckpointRecord:
    """Return the checkpoint of a row."""
    values = {name: row[name] for name in _CHECKPOINT_NAMES}
    values["create_time"] = _EPOCH + timedelta(microseconds=row["create_time"])
    values["wall_time"] = timedelta(microseconds=row["wall_time"])
    values["labels"] = json.loads(row["labels"])
    values["request_id"] = row["request_id"] or ""
    return CheckpointRecord(**values)
