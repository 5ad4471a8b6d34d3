"""Why something failed, in a sentence for operators and for the callers that are refused because of it."""

from __future__ import annotations

from sandbank_server.errors import DomainError
from sandbank_server.runtimes.base import LaunchFailed, RuntimeUnavailable
from sandbank_server.templates.errors import TemplateError

REASON_LENGTH = 300
_SPOKEN = (DomainError, LaunchFailed, RuntimeUnavailable, TemplateError)
"""Errors whose texts were written to be read by operators."""


def describe(error: BaseException) -> str:
    """Return one bounded line: the text of our own errors, of all others no more than what kind they are.

    Callers see these reasons, and no text of an unknown exception may reach a client: the log has it.
    """
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if not isinstance(error, _SPOKEN):
        return f"unexpected {type(error).__name__}"
    line = str(error).partition("\n")[0].strip()
    return line if len(line) <= REASON_LENGTH else line[: REASON_LENGTH - 1] + "…"
