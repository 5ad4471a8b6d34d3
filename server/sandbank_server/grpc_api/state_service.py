"""StateService: not built yet."""

from __future__ import annotations


class StateService:
    """Has none of the service's methods: each of its RPCs answers UNIMPLEMENTED, NOT_SUPPORTED."""
