"""What the runtime says there is, against what the pools think there is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from sandbank_server.pool import events as ev
from sandbank_server.pool.state import SandboxRecord, SandboxState
from sandbank_server.runtimes.base import ObservedSandbox


@dataclass(slots=True)
class Boot:
    """What an earlier control plane left, sorted.

    ``asked``: worth greeting, with the session that claims it or nothing. ``strays``: to be destroyed. ``lost``:
    claims by session id whose sandbox is no more, with the reason.
    """

    asked: list[tuple[ObservedSandbox, str]] = field(default_factory=list)
    strays: list[tuple[ObservedSandbox, str]] = field(default_factory=list)
    lost: dict[str, str] = field(default_factory=dict)


def sort_out(
    observed: Iterable[ObservedSandbox], claims: Mapping[str, str], templates: Collection[str]
) -> Boot:
    """Decide what becomes of each sandbox found at boot; ``claims`` maps session id to sandbox id.

    A session's sandbox is kept even when its template is no longer configured. An unclaimed one is asked only
    if its template still is.
    """
    boot = Boot()
    claimed_by = {sandbox_id: session_id for session_id, sandbox_id in claims.items()}
    by_id = {sandbox.sandbox_id: sandbox for sandbox in observed}
    for sandbox in by_id.values():
        session_id = claimed_by.get(sandbox.sandbox_id, "")
        if not sandbox.running:
            boot.strays.append((sandbox, death_of(sandbox)))
        elif session_id or sandbox.template in templates:
            boot.asked.append((sandbox, session_id))
        else:
            boot.strays.append((sandbox, "its template is no longer configured"))
    for session_id, sandbox_id in claims.items():
        found = by_id.get(sandbox_id)
        if found is None:
            boot.lost[session_id] = "it was gone when the control plane came back"
        elif not found.running:
            boot.lost[session_id] = death_of(found)
        elif claimed_by[sandbox_id] != session_id:
            boot.lost[session_id] = "another session claims its sandbox"
    return boot


def compare(
    records: Mapping[str, SandboxRecord], observed: Iterable[ObservedSandbox], listed_at: float
) -> list[ev.SandboxEvent]:
    """Return what happened unnoticed; the listing was begun at ``listed_at`` of the pools' monotonic clock.

    A sandbox that became READY while the runtime was listing may be missing from the list and yet be well.
    One that is STARTING or RETIRING has a job that will tell how it ended.
    """
    by_id = {sandbox.sandbox_id: sandbox for sandbox in observed}
    events: list[ev.SandboxEvent] = []
    for sandbox in by_id.values():
        if sandbox.sandbox_id not in records:
            reason = "nobody knows it" if sandbox.running else death_of(sandbox)
            events.append(ev.StrayFound(sandbox.sandbox_id, sandbox.template, reason))
    for record in records.values():
        in_use = record.state in (SandboxState.READY, SandboxState.ASSIGNED)
        if not in_use or record.ready_at is None or record.ready_at >= listed_at:
            continue
        found = by_id.get(record.sandbox_id)
        if found is None:
            events.append(ev.Lost(record.sandbox_id, "it is gone"))
        elif not found.running:
            events.append(ev.Lost(record.sandbox_id, death_of(found), found.exit_code, found.oom_killed))
    return events


def death_of(sandbox: ObservedSandbox) -> str:
    """Return why a sandbox does not run."""
    if sandbox.oom_killed:
        return "killed: out of memory"
    return "ended" if sandbox.exit_code is None else f"ended with code {sandbox.exit_code}"
