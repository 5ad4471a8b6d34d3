"""Magics of our own in the place of IPython's: scripts without threads, no installers, the user's line numbers."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from IPython.core.error import UsageError

from sandbank_runner.interpreter.parallel.current import namespace_operation
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_INSTALLERS = ("pip", "conda", "mamba", "micromamba", "uv")
_SCRIPTS = ("bash", "sh", "perl", "ruby", "python", "python2", "python3", "pypy")
_PYTHON_CELLS = ("time", "capture", "prun")
"""Cell magics whose body is compiled by IPython: empty lines before it keep its line numbers those of the cell."""


def register(shell: Any) -> None:
    """Register them with IPython's shell."""
    for name in _INSTALLERS:
        shell.register_magic_function(_no_installer(name), "line", name)
    for name in ("script", *_SCRIPTS):
        program = () if name == "script" else (sys.executable,) if name == "python" else (name,)
        shell.register_magic_function(_script(shell, program), "cell", name)
    for name in _PYTHON_CELLS:
        original = shell.find_cell_magic(name)
        if original is not None:
            shell.register_magic_function(_shifted(shell, original), "cell", name)
    shell.register_magic_function(_gui, "line", "gui")


def run_process(command: str | list[str], *, text: str = "", shell: bool = False) -> int:
    """Run a command on the session's streams, or where user code captures those, on its; return the exit code."""
    captured = (
        sys.stdout is not sys.__stdout__
        or sys.stderr is not sys.__stderr__
        or namespace_operation() is not None  # beside others: what comes by a pipe has no name on it
    )
    sys.stdout.flush()
    sys.stderr.flush()
    pipe = subprocess.PIPE if captured else None
    given: dict[str, Any] = {"input": text.encode()} if text else {"stdin": subprocess.DEVNULL}
    done = subprocess.run(command, shell=shell, stdout=pipe, stderr=pipe, check=False, **given)
    if captured:
        sys.stdout.write(done.stdout.decode("utf-8", "replace"))
        sys.stderr.write(done.stderr.decode("utf-8", "replace"))
    code: int = done.returncode
    return code if code >= 0 else 128 - code


def _no_installer(name: str) -> Callable[[str], None]:
    def refuse(_line: str) -> None:
        raise UsageError(f"%{name}: a sandbox has no network; packages come with its template")

    return refuse


def _gui(line: str) -> None:
    if line.strip():
        raise UsageError(f"%gui: no GUI {line.strip()!r} in a sandbox")


def _shifted(shell: Any, magic: Callable[..., Any]) -> Callable[..., Any]:
    def run(line: str, cell: str, **arguments: Any) -> Any:
        return magic(line, "\n" * shell.lines_before_body + cell, **arguments)

    run.__dict__.update(getattr(magic, "__dict__", {}))
    return run


def _script(shell: Any, program: tuple[str, ...]) -> Callable[[str, str], None]:
    parser = argparse.ArgumentParser(
        prog="%%" + (program[0] if program else "script"), add_help=False, exit_on_error=False
    )
    parser.add_argument("--out")
    parser.add_argument("--err")
    parser.add_argument("--no-raise-error", action="store_true")
    parser.add_argument("--raise-error", action="store_true")
    parser.add_argument("--bg", action="store_true")
    parser.add_argument("--proc")

    def run(line: str, cell: str) -> None:
        try:
            options, rest = parser.parse_known_args(shlex.split(line))
        except (argparse.ArgumentError, ValueError) as error:
            raise UsageError(str(error)) from None
        command = [*program, *rest]
        if not command:
            raise UsageError("%%script: which program?")
        if options.bg or options.proc:
            raise UsageError("--bg: not here; use subprocess.Popen")
        try:
            code = _run_script(shell, command, cell, options)
        except FileNotFoundError:
            raise UsageError(f"no such program: {command[0]}") from None
        if code and not options.no_raise_error:
            raise subprocess.CalledProcessError(code, command)

    return run


def _run_script(shell: Any, command: list[str], cell: str, options: argparse.Namespace) -> int:
    if not options.out and not options.err:
        return run_process(command, text=cell)
    sys.stdout.flush()
    done = subprocess.run(
        command,
        input=cell.encode(),
        stdout=subprocess.PIPE if options.out else None,
        stderr=subprocess.PIPE if options.err else None,
        check=False,
    )
    for name, data in ((options.out, done.stdout), (options.err, done.stderr)):
        if name:
            shell.user_ns[name] = data.decode("utf-8", "replace")
    return done.returncode
