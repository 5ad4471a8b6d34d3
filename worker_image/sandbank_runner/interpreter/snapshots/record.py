"""What is noted at a snapshot, for the sleeper to go by."""

from __future__ import annotations

from dataclasses import dataclass

from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.snapshots.descriptors import Epoll, OpenFile, Stream
from sandbank_runner.interpreter.snapshots.timers import Timers

seal(globals())


@dataclass(slots=True)
class Record:
    """One snapshot's notes, made in the live interpreter just before the fork."""

    files: list[OpenFile]
    dead: list[Stream]
    """The pipes, sockets and terminals that the sleeper lets go of."""
    unnamed: frozenset[int | None]
    """Those among them that are not the user's."""
    epolls: list[Epoll]
    locked: list[str]
    """Paths of files with ``fcntl`` locks."""
    clocks: list[str]
    timers: Timers
    children: list[str]
