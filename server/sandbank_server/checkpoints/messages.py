"""Checkpoints as clients see them."""

from __future__ import annotations

from sandbank.v1 import checkpoint_pb2

from sandbank_server.catalog.base import CheckpointRecord
from sandbank_server.checkpoints.manifest import Manifest


def checkpoint_message(
    record: CheckpointRecord, manifest: Manifest | None = None
) -> checkpoint_pb2.Checkpoint:
    """Return a checkpoint; with its variables and files where there is a manifest."""
    message = checkpoint_pb2.Checkpoint(
        checkpoint_id=record.checkpoint_id,
        session_id=record.session_id,
        parent_checkpoint_id=record.parent_checkpoint_id,
        labels=record.labels,
        size_bytes=record.size_bytes,
        new_bytes=record.new_bytes,
        execution_count=record.execution_count,
        last_operation_id=record.last_operation_id,
        python_version=record.python_version,
        verified=record.verified,
    )
    message.create_time.FromDatetime(record.create_time)
    message.wall_time.FromTimedelta(record.wall_time)
    if manifest is not None:
        message.variables.extend(manifest.variables())
        message.files.extend(manifest.file_messages())
    return message
