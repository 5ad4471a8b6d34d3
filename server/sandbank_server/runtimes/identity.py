"""Names of sandboxes and installations, which become names of containers, directories and labels."""

from __future__ import annotations

import re

_SANDBOX = re.compile(r"sb-[a-z0-9]{12}")
_INSTALLATION = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")


def is_sandbox_id(text: str) -> bool:
    """Return True for ``sb-`` and 12 characters of ``[a-z0-9]``."""
    return _SANDBOX.fullmatch(text) is not None


def check_sandbox_id(text: str) -> str:
    """Return ``text``, or raise ValueError: nothing else may get into a path or a container's name."""
    if not is_sandbox_id(text):
        raise ValueError(f"{text!r:.60} is no sandbox id")
    return text


def check_installation(text: str) -> str:
    """Return ``text``, 1 to 40 characters of ``[a-z0-9-]``, or raise ValueError."""
    if not _INSTALLATION.fullmatch(text):
        raise ValueError(f"{text!r:.60} is no installation id: 1 to 40 characters of a-z, 0-9 and -")
    return text
