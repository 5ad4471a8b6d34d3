"""Fresh interpreters: forked from the template, with pipes of their own, ready to be given something to do."""

from __future__ import annotations

import asyncio
import os

from sandbank_runner.channel import pair
from sandbank_runner.supervisor.interpreter_process import (
    START_SECONDS,
    Environment,
    Interpreter,
    Owner,
    StartFailed,
    Watcher,
)
from sandbank_runner.supervisor.pumps import OutputSink, Pumps
from sandbank_runner.supervisor.template_process import TemplateProcess


class Births:
    """``environment`` is what each of them gets; it may change at any time."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, template: TemplateProcess, watcher: Watcher, owner: Owner
    ) -> None:
        self.environment = Environment()
        self._loop = loop
        self._template = template
        self._watcher = watcher
        self._owner = owner

    async def give(self, sink: OutputSink) -> Interpreter:
        """Return one that is ready; what it writes goes to ``sink``.

        Raises :class:`StartFailed`, after its death, or ``TemplateDied``.
        """
        ours, theirs = pair()
        out, out_theirs = os.pipe()
        err, err_theirs = os.pipe()
        pumps = Pumps(self._loop, out, err, sink)
        interpreter = Interpreter(self._loop, ours, pumps, self._owner)
        try:
            await interpreter.start(self._template, self._watcher, (theirs.detach(), out_theirs, err_theirs))
            given = None
            while given is not self.environment:  # it may change while it is being set
                given = self.environment
                if given.is_told:
                    await interpreter.answered(interpreter.set_environment(given), START_SECONDS)
        except BaseException as error:
            interpreter.kill("it did not start")
            if isinstance(error, StartFailed) and interpreter.pid > 0:
                await interpreter.dead  # until it is the user's, a sweep does not reach it
            interpreter.close()
            pumps.close()
            raise
        return interpreter
