"""The template's loop: one command after the other on its channel, until the supervisor is gone."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from sandbank_runner.channel import Channel, ChannelViolation, Message
from sandbank_runner.template import sweeping
from sandbank_runner.template.birth import Origin, become_file_helper, become_interpreter, become_keeper
from sandbank_runner.walls import clone, memory_order
from sandbank_runner.walls.users import Users


class CommandError(Exception):
    """A command cannot be done; the text goes to the supervisor."""


class TemplateServer:
    """Serves ``fork``, ``files``, ``keeper``, ``sweep``, ``sweep_others`` and ``protect``."""

    def __init__(self, channel: Channel, origin: Origin) -> None:
        self._channel = channel
        self._origin = origin
        self._thread = clone.native_thread()
        self._commands: Mapping[str, Callable[[Message], dict[str, Any]]] = {
            "fork": self._fork,
            "files": lambda message: self._serve_files(message, become_file_helper),
            "keeper": lambda message: self._serve_files(message, become_keeper),
            "sweep": self._sweep,
            "sweep_others": self._sweep_others,
            "protect": self._protect,
        }

    def announce(self, preload_ms: float, failed: Mapping[str, str]) -> None:
        """Say ``ready``."""
        self._channel.send(
            {
                "type": "ready",
                "pid": os.getpid(),
                "python_version": sys.version.split()[0],
                "preload_ms": round(preload_ms, 1),
                "failed": dict(failed),
                "missing_walls": list(self._origin.plan.missing),
            }
        )

    def serve(self) -> None:
        """Answer commands until the supervisor closes the channel. A command that fails costs only itself."""
        while True:
            try:
                message = self._channel.receive()
            except EOFError:
                return
            try:
                answer = self._commands.get(str(message.header.get("type")), _unknown)(message)
            except (CommandError, OSError, ChannelViolation) as error:
                answer = {"type": "failed", "message": str(error)[:500]}
            finally:
                for descriptor in message.descriptors:
                    os.close(descriptor)
            self._channel.send(answer)

    def _fork(self, message: Message) -> dict[str, Any]:
        channel, stdout, stderr = _descriptors(message, 3)
        pid = self._clone()
        if pid == 0:
            become_interpreter(self._origin, channel, stdout, stderr)
        return {"type": "forked", "pid": pid}

    def _serve_files(self, message: Message, become: Callable[[Origin, int], NoReturn]) -> dict[str, Any]:
        (connection,) = _descriptors(message, 1)
        pid = self._clone()
        if pid == 0:
            become(self._origin, connection)
        return {"type": "forked", "pid": pid}

    def _clone(self) -> int:
        threads = clone.thread_count()
        if threads != 1:
            raise CommandError(f"the template has {threads} threads")
        before = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        pid = clone.fork_sibling(self._thread)
        if pid:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return pid

    def _sweep(self, message: Message) -> dict[str, Any]:
        spare = message.header.get("keep_sleepers", False)
        if not isinstance(spare, bool):
            raise CommandError("keep_sleepers must be a boolean")
        sweeping.sweep_all(self._users(), spare_sleepers=spare)
        return {"type": "swept"}

    def _sweep_others(self, message: Message) -> dict[str, Any]:
        keep = message.header.get("keep")
        if not isinstance(keep, list) or not all(
            isinstance(pair, list) and len(pair) == 2 and all(type(number) is int for number in pair)
            for pair in keep
        ):
            raise CommandError("keep must be a list of [pid, start time]")
        sweeping.sweep_others(self._users(), [(pid, start) for pid, start in keep])
        return {"type": "swept"}

    def _protect(self, message: Message) -> dict[str, Any]:
        """Write the ``oom_score_adj`` of a process of user code, as the owner of its ``/proc`` files."""
        pid, value = message.header.get("pid"), message.header.get("value")
        if type(pid) is not int or pid <= 1 or type(value) is not int or not 0 <= value <= 1000:
            raise CommandError("protect takes a pid and a value from 0 to 1000")
        users = self._origin.config.users
        if users is None:
            memory_order.set_score(value, pid)
            return {"type": "protected"}
        os.setresuid(users.template, users.code, users.template)
        try:
            memory_order.set_score(value, pid)
        finally:
            os.setresuid(users.template, users.template, users.template)
        return {"type": "protected"}

    def _users(self) -> Users:
        users = self._origin.config.users
        if users is None:
            raise CommandError("in local mode the supervisor sweeps by itself")
        return users


def _descriptors(message: Message, count: int) -> tuple[int, ...]:
    if len(message.descriptors) != count:
        raise CommandError(f"{len(message.descriptors)} descriptors came, {count} are needed")
    return message.descriptors


def _unknown(_: Message) -> dict[str, Any]:
    raise CommandError("no such command")
