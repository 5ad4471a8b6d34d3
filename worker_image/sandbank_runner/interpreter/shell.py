"""IPython's shell, embedded: its magics and its input syntax, on the session's namespace and streams.

It does not take over: no display hook, no exception hook, no prompts, no threads, no history file, no names in the
session's namespace but the one that ``%cd`` needs.
"""

from __future__ import annotations

import builtins
import os
import subprocess
import sys
import tempfile
from _thread import _local
from collections.abc import Callable
from typing import Any

from IPython.core import compilerop, displaypub, formatters, inputtransformer2, interactiveshell
from IPython.core.error import UsageError
from traitlets.config import Config

from sandbank_runner.interpreter import display, figures, formatting, registered_formatters, shell_magics
from sandbank_runner.interpreter.mime import TEXT, bounded, encode_all, text_or_bytes
from sandbank_runner.interpreter.namespace import Namespace
from sandbank_runner.interpreter.parallel.current import namespace_operation
from sandbank_runner.interpreter.sealed import seal

seal(globals())

# Untyped on purpose: versions of IPython differ in their types, not in what is used here.
DisplayPublisher: Any = displaypub.DisplayPublisher
DisplayFormatter: Any = formatters.DisplayFormatter
InteractiveShell: Any = interactiveshell.InteractiveShell
CachingCompiler: Any = compilerop.CachingCompiler
TransformerManager: Any = inputtransformer2.TransformerManager

_here = _local()
"""What is known of the cell of each thread."""
_BUILTINS_ALIAS = "__builtin__"
DIRECTORY_HISTORY = "_dh"
"""The name that ``%cd`` keeps its history under."""


class Publisher(DisplayPublisher):  # type: ignore[misc]
    """Sends what IPython's ``display`` publishes to the session's display."""

    def publish(
        self,
        data: Any,
        metadata: Any = None,
        *_: Any,
        transient: dict[str, Any] | None = None,
        update: bool = False,
        **__: Any,
    ) -> None:
        """Publish a bundle."""
        name = str((transient or {}).get("display_id") or "")
        display.send(bounded(encode_all(data)), dict(metadata or {}), name, update=update)

    def clear_output(self, wait: bool = False) -> None:
        """Do nothing: what was shown was shown."""


class Formatter(DisplayFormatter):  # type: ignore[misc]
    """Formats as the session does."""

    def format(
        self, obj: object, include: Any = None, exclude: Any = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return data and metadata of ``obj``; nothing where it shows itself."""
        if formatting.shows_itself(obj):
            return {}, {}
        data, metadata = formatting.bundle(obj, include, exclude)
        return {mime: text_or_bytes(part) for mime, part in data.items()}, metadata


class Compiler(CachingCompiler):  # type: ignore[misc]
    """Gives what ``%%time`` compiles the name of its cell, for its lines are that cell's."""

    def __call__(self, source: Any, filename: str, *arguments: Any, **options: Any) -> Any:
        """Compile."""
        return super().__call__(
            source,
            getattr(_here, "cell", filename) if filename.startswith("<timed ") else filename,
            *arguments,
            **options,
        )


class Transformer(TransformerManager):  # type: ignore[misc]
    """Keeps the number of lines, where IPython drops empty ones and joins those of a continued command."""

    def transform_cell(self, cell: str) -> str:
        """Return the cell in Python's syntax."""
        return "\n" * _empty_lines(cell) + str(super().transform_cell(cell))

    def do_one_token_transform(self, lines: list[str]) -> tuple[bool, list[str]]:
        """Transform one piece of IPython's syntax."""
        changed, found = super().do_one_token_transform(lines)
        missing = len(lines) - len(found)
        if missing > 0:
            same = 0
            while same < len(found) and found[-1 - same] == lines[-1 - same]:
                same += 1
            at = len(found) - same
            found = [*found[:at], *["\n"] * missing, *found[at:]]
        return changed, found


class SessionShell(InteractiveShell):  # type: ignore[misc]
    """The shell of a session. Made by :func:`make`."""

    run_nested: Callable[[str], Any]

    def transform(self, text: str, cell: str) -> str:
        """Return a cell in Python's syntax."""
        _here.cell = cell
        _here.lines_before_body = _empty_lines(text) + 1
        return str(self.transform_cell(text))

    @property
    def lines_before_body(self) -> int:
        """Lines of the cell before the body of its cell magic."""
        return getattr(_here, "lines_before_body", 1)

    @property
    def user_ns(self) -> dict[str, Any]:
        """The names that magics work on: of the operation whose code asks, where several run."""
        operation: Any = namespace_operation()
        if operation is None:
            return self._names_of_session
        names: dict[str, Any] = operation.branch.names
        if DIRECTORY_HISTORY in self._names_of_session:
            names.setdefault(DIRECTORY_HISTORY, self._names_of_session[DIRECTORY_HISTORY])
        return names

    @user_ns.setter
    def user_ns(self, names: dict[str, Any]) -> None:
        self._names_of_session = names

    def init_profile_dir(self, profile_dir: Any) -> None:
        """Have no profile."""
        self.profile_dir = None
        self._db: dict[str, Any] = {}

    def init_virtualenv(self) -> None:
        """Leave ``sys.path`` alone."""

    def init_prompts(self) -> None:
        """Leave ``sys.ps1`` alone: nobody is prompted."""

    def init_user_ns(self) -> None:
        """Leave the namespace alone."""
        self.user_ns[DIRECTORY_HISTORY] = self.history_manager.dir_hist
        self.user_ns_hidden[DIRECTORY_HISTORY] = self.user_ns[DIRECTORY_HISTORY]

    def init_builtins(self) -> None:
        """Make ``get_ipython`` a builtin; ``display`` is one already."""
        original = builtins.display  # type: ignore[attr-defined]
        super().init_builtins()
        builtins.display = original  # type: ignore[attr-defined]
        builtins.get_ipython = self.get_ipython  # type: ignore[attr-defined]

    def init_display_formatter(self) -> None:
        """Format as the session does, with what user code registers."""
        self.display_formatter = Formatter(parent=self)
        self.configurables.append(self.display_formatter)
        registered_formatters.use(self.display_formatter.formatters)

    def init_magics(self) -> None:
        """Put ours over those that would start threads, install packages or look for a screen."""
        super().init_magics()
        shell_magics.register(self)

    def system(self, cmd: str) -> None:
        """Run a shell command on the session's own streams; its exit code is ``_exit_code``."""
        command = self.var_expand(cmd, depth=1)
        code = shell_magics.run_process(command, shell=True)  # noqa: S604 - what `!` is for
        self.user_ns["_exit_code"] = code if code <= 128 else 128 - code
        if self.system_raise_on_error and code:
            raise subprocess.CalledProcessError(code, command)

    system_piped = system_raw = system

    def run_cell(self, raw_cell: str, *_: Any, **__: Any) -> None:
        """Run a cell within the cell: of ``%%capture`` and the like. What it raises ends the operation."""
        value = self.run_nested(raw_cell)
        if value is None:
            return
        if sys.displayhook is sys.__displayhook__:
            display.display(value)
        else:
            sys.displayhook(value)

    def enable_gui(self, gui: str | None = None) -> None:
        """Refuse event loops of windows."""
        if gui not in (None, "inline", "agg"):
            raise UsageError(f"no GUI here: {gui}")

    def enable_matplotlib(self, gui: str | None = None) -> tuple[str, str]:
        """Show figures in line, as they are anyway."""
        if gui not in (None, "auto", "inline", "agg"):
            raise UsageError(f"no Matplotlib backend {gui!r} here: figures are shown inline")
        os.environ["MPLBACKEND"] = figures.BACKEND
        figures.choose_backend()
        return "inline", figures.BACKEND

    def showtraceback(self, exc_tuple: Any = None, *_: Any, **__: Any) -> None:
        """Raise what IPython would print, to end the operation with it."""
        error = exc_tuple[1] if exc_tuple else sys.exc_info()[1]
        if error is not None:
            raise error

    showsyntaxerror = showtraceback

    def ask_yes_no(self, prompt: str, default: Any = None, interrupt: Any = None) -> bool:
        """Answer yes: nobody can be asked."""
        return True

    def atexit_operations(self) -> None:
        """Leave the end of a process to itself."""


def make(namespace: Namespace, run_nested: Callable[[str], Any]) -> SessionShell:
    """Make the shell of this process. It keeps its files below the directory for temporary ones."""
    config = Config()
    config.HistoryManager.enabled = False  # no database, and no thread that writes it
    config.HistoryManager.hist_file = ":memory:"
    directory = os.environ.setdefault("IPYTHONDIR", os.path.join(tempfile.gettempdir(), ".ipython"))
    hooks = sys.displayhook, sys.excepthook
    has_alias = _BUILTINS_ALIAS in namespace.names
    scratch: dict[str, Any] = {}  # for the names that it would add, and those that it would change
    shell: SessionShell = SessionShell.instance(
        config=config,
        ipython_dir=directory,
        user_module=namespace.module,
        user_ns=scratch,
        compiler_class=Compiler,
        input_transformer_manager=Transformer(),
        display_pub_class=Publisher,
        autocall=0,
        colors="nocolor",
        xmode="Plain",
    )
    sys.displayhook, sys.excepthook = hooks
    if not has_alias:
        namespace.names.pop(_BUILTINS_ALIAS, None)
    namespace.names[DIRECTORY_HISTORY] = scratch[DIRECTORY_HISTORY]
    shell.user_ns = shell.ns_table["user_local"] = namespace.names
    shell.run_nested = run_nested
    display.let_capture(lambda: None if type(shell.display_pub) is Publisher else shell.display_pub)
    shell.set_hook("show_in_pager", _page, 0)
    return shell


def _page(_shell: Any, data: Any, **_: Any) -> None:
    """Display what ``name?`` and other magics would page through."""
    bundle = data if isinstance(data, dict) else {TEXT: str(data)}
    display.send(bounded(encode_all({TEXT: bundle.get(TEXT, "")})), {})


def _empty_lines(text: str) -> int:
    """Return how many lines come before the first that is not empty."""
    return next((at for at, line in enumerate(text.split("\n")) if line.strip()), 0)
