"""multiprocessing's helper processes, which belong to the process that started them.

The tracker of resources goes on: its pipe is kept, for at its end it would unlink shared memory that is in use. The
server that forks does not work for a process that is not its parent: it is forgotten, and started anew when needed.
"""

from __future__ import annotations

import os
import select
import sys
from typing import Any

from sandbank_runner.interpreter.sealed import seal

seal(globals())

_modules = sys.modules
_poll = select.poll
_GONE = select.POLLERR | select.POLLHUP | select.POLLNVAL
_close = os.close
_SERVER = ("_forkserver_address", "_forkserver_alive_fd", "_forkserver_pid", "_inherited_fds")


def tracker_pipe() -> int | None:
    """Return the descriptor that leads to the tracker, None where there is no tracker."""
    tracker = _tracker()
    descriptor = None if tracker is None else vars(tracker).get("_fd")
    return descriptor if type(descriptor) is int else None


def server_pipe() -> int | None:
    """Return the descriptor whose end ends the server that forks, None where there is none."""
    server = _server()
    descriptor = None if server is None else vars(server).get("_forkserver_alive_fd")
    return descriptor if type(descriptor) is int else None


def helper_pids() -> set[int]:
    """Return the pids of helpers, which are no children that the user knows of."""
    pids = set()
    for helper, name in ((_tracker(), "_pid"), (_server(), "_forkserver_pid")):
        pid = None if helper is None else vars(helper).get(name)
        if type(pid) is int:
            pids.add(pid)
    return pids


def begin_anew() -> None:
    """After a thaw: forget what belonged to the process before."""
    server = _server()
    if server is not None and vars(server).get("_forkserver_pid") is not None:
        pipe = server_pipe()
        if pipe is not None:
            _close(pipe)
        for name in _SERVER:
            if name in vars(server):
                vars(server)[name] = None
    tracker, pipe = _tracker(), tracker_pipe()
    if tracker is not None and pipe is not None and _is_dead(pipe):
        _close(pipe)
        vars(tracker).update(_fd=None, _pid=None)
    children = getattr(_modules.get("multiprocessing.process"), "_children", None)
    if type(children) is set:
        children.clear()


def _is_dead(pipe: int) -> bool:
    watch = _poll()
    watch.register(pipe, 0)
    return bool(watch.poll(0) and watch.poll(0)[0][1] & _GONE)


def _tracker() -> Any:
    return getattr(_modules.get("multiprocessing.resource_tracker"), "_resource_tracker", None)


def _server() -> Any:
    return getattr(_modules.get("multiprocessing.forkserver"), "_forkserver", None)
