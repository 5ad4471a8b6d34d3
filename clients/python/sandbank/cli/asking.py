"""Answers to the questions of code in a sandbox: typed at this terminal, or read from standard input."""

from __future__ import annotations

import getpass
import sys

from sandbank.cli.terminal import plain
from sandbank.cli.view import View


def ask(view: View, prompt: str, password: bool) -> str | None:
    """Show a question and return the line that answers it, or None at the end of the input.

    At a terminal a password is not shown while it is typed. Elsewhere lines are taken from standard input as any
    program takes them, passwords too.
    """
    typed = sys.stdin.isatty()
    if not typed or (view.quiet and not password):
        view.question(prompt)
        line = sys.stdin.readline()
        if typed:
            view.answered()
        return line.removesuffix("\n") if line else None
    # What comes before the last line is no prompt for the line editor, which counts columns.
    head, _, last = plain(prompt).rpartition("\n")
    view.question(f"{head}\n" if head else "")
    try:
        return getpass.getpass(last) if password else input(last)
    except EOFError:
        print(file=sys.stderr)
        return None
    finally:
        view.answered()
