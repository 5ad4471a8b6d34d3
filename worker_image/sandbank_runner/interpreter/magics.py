"""Cells in IPython's syntax: ``%magic``, ``%%magic``, ``!command``, ``name?``.

None of it is valid Python, so a cell that compiles never comes here, and IPython is imported by the first that does not
(or that uses it by name). From then on ``get_ipython`` is a builtin, and IPython's ``display`` goes the session's way.
"""

from __future__ import annotations

import re
import sys
from _thread import RLock
from collections.abc import Callable
from types import CodeType, ModuleType
from typing import Any

from sandbank_runner.interpreter import after_import
from sandbank_runner.interpreter.namespace import Namespace
from sandbank_runner.interpreter.parallel.current import Outside
from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.source import Sources

seal(globals())

_SHELL_MODULE = "IPython.core.interactiveshell"
_MARKS = re.compile(r"^[ \t]*(?:[%!?/,;]|>>> |In \[\d+\]: )|\?[ \t]*$|=[ \t]*[%!]", re.MULTILINE)
"""What an IPython cell has somewhere; a regular expression cannot say more."""

Code = tuple[CodeType | None, CodeType | None]


class Magics:
    """IPython in one session. ``run_nested`` runs source that a magic gives back, and returns its value."""

    __slots__ = ("_is_making", "_lock", "_namespace", "_shell", "run_nested")

    def __init__(self, namespace: Namespace, run_nested: Callable[[str], Any]) -> None:
        self._namespace = namespace
        self.run_nested = run_nested
        self._shell: Any = None
        self._is_making = False
        self._lock = RLock()
        """Operations beside each other share the shell: one makes it, and one at a time lets it transform a cell."""
        if _SHELL_MODULE in sys.modules:  # preloaded
            self._patch(sys.modules[_SHELL_MODULE])
        else:
            after_import.call(_SHELL_MODULE, self._patch)

    def compile(self, text: str, cell: str, sources: Sources) -> Code:
        """Return (statements, last expression) of a cell in Python's syntax or in IPython's."""
        if "get_ipython" in text:
            self.shell()
        try:
            return sources.compile(text, cell)
        except SyntaxError as error:
            if not _MARKS.search(text):
                raise
            first = error
        shell = self.shell()
        with self._lock:
            transformed = None if shell is None else shell.transform(text, cell)
        if transformed is None or transformed.strip() == text.strip():
            raise first
        try:
            return sources.compile(transformed, cell)
        except SyntaxError as error:
            line = error.lineno or 0
            lines = text.split("\n")
            if 0 < line <= len(lines):  # as the user wrote it
                error.text = lines[line - 1]
            elif error.lineno is not None:
                raise first from None
            raise error from None

    def shell(self) -> Any:
        """Return IPython's shell of this session, made when it is needed first; None where IPython is not installed."""
        if self._shell is None:
            with self._lock:
                if self._shell is None and not self._is_making:
                    self._make()
        return self._shell

    def _make(self) -> None:
        self._is_making = True
        try:
            from sandbank_runner.interpreter import shell

            with Outside():
                self._shell = shell.make(self._namespace, self.run_nested)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in ("IPython", "traitlets"):
                raise
        finally:
            self._is_making = False

    def _patch(self, module: ModuleType) -> None:
        """Let whoever asks IPython for its shell get the session's, and no other be made."""
        kind = module.InteractiveShell
        is_initialized, instance = kind.initialized.__func__, kind.instance.__func__

        def initialized(cls: Any) -> bool:
            if not is_initialized(cls):
                self.shell()
            return bool(is_initialized(cls))

        def instance_of(cls: Any, *arguments: Any, **options: Any) -> Any:
            if cls is kind and not is_initialized(cls):
                self.shell()
            return instance(cls, *arguments, **options)

        kind.initialized = classmethod(initialized)
        kind.instance = classmethod(instance_of)
