"""What a sandbox says of itself to the next control plane; opaque to the runtimes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

IMAGE = "sandbank.image"
"""What it was made from: another image is another template."""

CREATED = "sandbank.created"
"""When the decision to start it was taken, in ISO 8601."""


def labels_of(image: str, created: datetime) -> dict[str, str]:
    """Return the labels of a new sandbox."""
    return {IMAGE: image, CREATED: created.isoformat()}


def age_of(labels: Mapping[str, str], now: datetime) -> float:
    """Return how many seconds ago a sandbox was created, 0 where its label is missing or makes no sense."""
    try:
        created = datetime.fromisoformat(labels[CREATED])
    except (KeyError, ValueError):
        return 0.0
    if created.tzinfo is None:
        created = created.replace(tzinfo=UTC)
    return max((now - created).total_seconds(), 0.0)
