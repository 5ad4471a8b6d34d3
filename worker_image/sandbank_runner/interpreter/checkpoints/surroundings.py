"""What belongs to the session beside its variables: where its parts are found, and how it was at its start."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection
from typing import Any, Final

from sandbank_runner.interpreter.namespace import Namespace
from sandbank_runner.interpreter.reading.reader import is_shown
from sandbank_runner.interpreter.recomputing import Recorder
from sandbank_runner.interpreter.sealed import seal

seal(globals())


_CACHE: Final = "__warningregistry__"


def is_saved(name: object) -> bool:
    """Tell whether a name of the namespace is a variable of the session's."""
    return is_shown(name) and name != _CACHE


class Surroundings:
    """The session's namespace and workspace, and what its process was like before user code ran in it."""

    def __init__(self, namespace: Namespace, workspace: str, run_in_context: Callable[..., Any]) -> None:
        self.namespace = namespace
        self.run_in_context = run_in_context
        """Calls a function where code of the session runs."""
        self.recorder = Recorder(namespace.names)
        self.workspace = workspace
        self.execution_count = 0
        self.secret: frozenset[str] = frozenset()
        """Names of the environment that never leave the sandbox."""
        self.environment: dict[str, str] = {}
        self.path: list[str] = list(sys.path)
        self.filters: list[Any] = []
        self.begin()

    def begin(self, secret: Collection[str] = ()) -> None:
        """Take what there is now as the session's start."""
        self.secret |= frozenset(secret)
        self.environment = dict(os.environ)
        self.path = list(sys.path)
        self.filters = list(sys.modules["warnings"].__dict__["filters"])
