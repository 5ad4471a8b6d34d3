"""The groups of settings: tables of the file."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from sandbank_server.configuration.values import Duration, FilePath, Size
from sandbank_server.templates.options import default_cache_directory

MIB: Final = 1 << 20
Count = Annotated[int, Field(ge=1, le=10_000_000)]


class Limits(BaseModel):
    """Bounds of what clients may ask for and of what is kept for them."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    code_bytes: Size = Field(default=MIB, description="Code of one operation.")
    message_bytes: Size = Field(
        default=16 * MIB,
        description="One message, request or response. grpc itself refuses what is over twice of it.",
    )
    output_bytes: Size = Field(
        default=8 * MIB, description="Output kept for one operation; the rest is counted."
    )
    journal_operations: Count = Field(
        default=256, description="Operations whose events a session can replay."
    )
    journal_bytes: Size = Field(default=64 * MIB, description="Events that a session keeps for replay.")
    operation_queue: Count = Field(default=64, description="Operations that may wait in one session.")
    operation_timeout: Duration = Field(
        default=timedelta(seconds=60), description="How long code runs, if it does not say."
    )
    operation_timeout_max: Duration = Field(
        default=timedelta(hours=1), description="How long code may ask to run."
    )
    interrupt_grace: Duration = Field(
        default=timedelta(seconds=2),
        description="How long code that is to stop may take over the interrupt before it is killed.",
    )
    idle_timeout: Duration = Field(
        default=timedelta(minutes=15),
        description="After which an unused session hibernates, or ends where that was asked for.",
    )
    idle_timeout_max: Duration = Field(default=timedelta(hours=24), description="The longest idle timeout.")
    lifetime: Duration = Field(default=timedelta(hours=24), description="How long a session lives at most.")
    lifetime_max: Duration = Field(
        default=timedelta(hours=24), description="The longest lifetime that may be asked for."
    )
    idle_after: Duration = Field(
        default=timedelta(seconds=60), description="After which an unused session is called IDLE."
    )
    readable_after_end: Duration = Field(
        default=timedelta(hours=24), description="How long an ended session can be read."
    )
    transaction_idle_timeout: Duration = Field(
        default=timedelta(minutes=5), description="After which an unused transaction is rolled back."
    )
    transaction_idle_timeout_max: Duration = Field(
        default=timedelta(hours=1), description="The longest idle timeout of a transaction."
    )
    workspace_copy_bytes: Size = Field(
        default=256 * MIB, description="What a transaction with files may keep of the workspace."
    )
    snapshot_quiet_time: Duration = Field(
        default=timedelta(milliseconds=50),
        description="How long a session is quiet before its safety snapshot is taken.",
    )
    snapshot_quiet_time_max: Duration = Field(
        default=timedelta(minutes=1), description="The longest quiet time that may be asked for."
    )
    snapshot_history: Count = Field(
        default=16, description="Earlier states that a session may keep for RewindSession."
    )
    preview_chars: Count = Field(
        default=200, le=2000, description="Characters of a variable's preview, at most 2,000."
    )
    change_count: Count = Field(default=1000, description="Changes listed for one operation.")
    open_calls: Count = Field(
        default=4096, description="Calls that one tenant may have open, streams included."
    )

    @model_validator(mode="after")
    def _defaults_within_bounds(self) -> Self:
        for name in (
            "operation_timeout",
            "idle_timeout",
            "lifetime",
            "transaction_idle_timeout",
            "snapshot_quiet_time",
        ):
            if getattr(self, name) > getattr(self, f"{name}_max"):
                raise ValueError(f"limits.{name} must not be over limits.{name}_max")
        return self

    def as_map(self) -> dict[str, int]:
        """Return every limit by name with its unit: durations in ``…_ms``."""
        limits: dict[str, int] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, timedelta):
                limits[f"{name}_ms"] = value // timedelta(milliseconds=1)
            else:
                limits[name] = value
        return limits


class Images(BaseModel):
    """How the images of templates are built."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    cache_dir: FilePath = Field(
        default_factory=lambda: default_cache_directory(os.environ),
        description="Wheels, locks and notes for later builds; may be emptied at any time.",
    )
    registry_image: str = Field(
        default="python:3.13-slim-trixie", description="The standard base, where a registry answers."
    )
    registry_timeout: Duration = Field(
        default=timedelta(seconds=10), description="How long a registry may take to answer."
    )
    debian_mirror: str = Field(
        default="", description="Where the base's packages come from otherwise. Empty: Debian's own."
    )


class Checkpoints(BaseModel):
    """Where checkpoints are kept, and how many."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    store: str = Field(
        default="",
        description="Where their content lies: a directory, or s3://BUCKET/PREFIX. Empty: in data_dir.",
    )
    s3_endpoint: str = Field(
        default="", description="The address of an S3 store other than Amazon's, http://HOST:PORT."
    )
    s3_region: str = Field(default="us-east-1", description="Its region.")
    s3_access_key_id: str = Field(
        default="", description="Its key. Empty: what the environment or the machine's role gives."
    )
    s3_secret_access_key: SecretStr = Field(default=SecretStr(""), description="The key's secret.")
    default_policy: Literal["none", "on_idle", "after_change", "synchronous"] = Field(
        default="after_change",
        description="When the state of a session is saved that does not say: none, on_idle, after_change, "
        "synchronous.",
    )
    keep_automatic: Count = Field(
        default=2, description="Checkpoints of a session kept of those that its policy made, the newest."
    )
    core_share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.1, description="The part of a core that the checkpoints of one session may take."
    )
    collect_every: Duration = Field(
        default=timedelta(hours=1), description="How often content that no checkpoint needs is removed."
    )
    recovery_wait: Duration = Field(
        default=timedelta(minutes=2),
        description="How long a recovery waits for a store, or a pool, that cannot be reached.",
    )

    @model_validator(mode="after")
    def _a_place(self) -> Self:
        if "://" in self.store and not re.fullmatch(r"s3://[a-z0-9.-]{3,63}(/[A-Za-z0-9._/-]*)?", self.store):
            raise ValueError("checkpoints.store: a directory, or s3://BUCKET/PREFIX")
        return self
