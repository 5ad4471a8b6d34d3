"""Small objects that exist only while something is pickled: each stands for a call to be made when it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbank_runner.interpreter.sealed import seal

seal(globals())


class Step:
    """Pickles as a call."""

    __slots__ = ("reduced",)

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.reduced = (function, arguments)
