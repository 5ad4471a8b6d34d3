"""Processes that user code forks: they run on as the user's, have no say on the channel, and end with their cell."""

from __future__ import annotations

import os
import sys
from traceback import print_exception
from typing import TYPE_CHECKING

from sandbank_runner.interpreter.link import Link
from sandbank_runner.interpreter.sealed import seal

if TYPE_CHECKING:
    from typing import NoReturn

    from sandbank_runner.interpreter.output import Output

seal(globals())

_exit = os._exit
_print = print


def watch(link: Link) -> None:
    """Take the channel from every process that Python code forks. One that C code forks fails at its first word."""
    os.register_at_fork(after_in_child=link.mute)


def end_child(failure: BaseException | None, output: Output) -> NoReturn:
    """End a forked process that has come to the end of the cell, as a script would end. Its output is written out."""
    code = 0
    try:
        if isinstance(failure, SystemExit):
            if isinstance(failure.code, int):
                code = failure.code & 0xFF
            elif failure.code is not None:
                _print(failure.code, file=sys.stderr)
                code = 1
        elif failure is not None:
            code = 1
            print_exception(failure)
        output.finish()
    finally:
        _exit(code)
