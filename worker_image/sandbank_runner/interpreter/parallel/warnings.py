"""What is said of an operation that was not isolated altogether."""

from __future__ import annotations

from typing import Any, Final

from sandbank_runner.interpreter.parallel import unbound
from sandbank_runner.interpreter.parallel.operation import NamespaceOperation
from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.text import shortened

seal(globals())

_NAMES: Final = 100
"""Names in one warning."""
_NAME_CHARACTERS: Final = 250

Warning_ = dict[str, Any]


def bounded(names: list[str], count: int = _NAMES) -> list[str]:
    """Return names as they are sent."""
    return [shortened(name, _NAME_CHARACTERS) for name in names[:count]]


def on_mutations(operation: NamespaceOperation) -> list[Warning_]:
    """Say which shared containers were changed in place. Where others ran beside it, only those that it mentions."""
    changed = operation.fingerprints.changed()
    if changed and not operation.is_alone:
        mentioned = unbound.mentioned(operation.code, operation.branch.base)
        changed = [name for name in changed if name in mentioned]
    operation.mutated.update(changed)
    if not changed:
        return []
    return [
        {
            "code": "SHARED_OBJECT_MUTATED",
            "message": "changed in place while the operation ran; that is seen by all at once and is not undone: "
            + ", ".join(bounded(changed, 10)),
            "names": bounded(changed),
        }
    ]


def on_bindings(
    operation: NamespaceOperation, home: dict[str, Any], written: set[str], left: list[str]
) -> list[Warning_]:
    """Say what had the session's names where the operation's were meant.

    ``written`` are names that were written to the session directly while it ran; ``left`` is what still runs on the
    names of the operation after the merge.
    """
    warnings = []
    touched = operation.touched | operation.written
    users = unbound.find(operation.code, operation.branch.base, home, touched | written)
    if users:
        warnings.append(
            _not_rebound(
                users,
                "used the session's own names, not those of the operation, as they were defined earlier",
            )
        )
    elif written:
        warnings.append(
            _not_rebound(sorted(written), "written to the session directly, by code that was defined earlier")
        )
    if left:
        warnings.append(
            _not_rebound(
                left, "had begun when the operation ended, and goes on with the names as they were then"
            )
        )
    return warnings


def _not_rebound(names: list[str], what: str) -> Warning_:
    return {
        "code": "NAMES_NOT_REBOUND",
        "message": f"{what}: {', '.join(bounded(names, 10))}",
        "names": bounded(names),
    }
