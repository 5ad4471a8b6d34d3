"""Flags of a process: privileges at exec, who may look into it, who adopts its orphans, when it dies."""

from __future__ import annotations

import signal

from sandbank_runner.walls.system_calls import process_control

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38


def give_up_new_privileges() -> None:
    """Let no exec give this process or a descendant more than it has; Landlock and filters ask for it."""
    process_control(_PR_SET_NO_NEW_PRIVS, 1)


def set_dumpable(dumpable: bool) -> None:
    """Say whether processes of the same user may trace this one and read its ``/proc`` files.

    A process that is not dumpable does not own its ``/proc`` files either: it cannot list its own
    descriptors, read its ``pagemap`` or write its ``oom_score_adj``. A change of user makes a process
    non-dumpable.
    """
    process_control(_PR_SET_DUMPABLE, int(dumpable))


def adopt_orphans() -> None:
    """Become the parent of every orphaned descendant, as PID 1 is of all others."""
    process_control(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Receive ``number`` when the parent dies; 0 takes it back.

    Not inherited, and forgotten at every change of user: call it after that. The parent of a CLONE_PARENT
    child is the caller's parent.
    """
    process_control(_PR_SET_PDEATHSIG, number)


def set_name(name: str) -> None:
    """Set the name that process lists show, at most 15 bytes."""
    from ctypes import addressof, create_string_buffer

    buffer = create_string_buffer(name.encode()[:15])
    process_control(_PR_SET_NAME, addressof(buffer))
