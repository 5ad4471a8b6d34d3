"""How an operation failed: the content of ``error`` in the ``done`` message."""

from __future__ import annotations

import os
import sys
from traceback import FrameSummary
from typing import Any

from sandbank_runner.interpreter.sealed import give_back, put_back, seal
from sandbank_runner.interpreter.text import sendable, shortened
from sandbank_runner.interpreter.traces import CELL, format_error, format_without_asking

seal(globals())

_MESSAGE_CHARACTERS = 64 * 1024
_TRACEBACK_CHARACTERS = 200 * 1024
_FRAMES = 100
_LINE_CHARACTERS = 500
_NAME_CHARACTERS = 250
_PATH_CHARACTERS = 4000
_RECURSION_ROOM = 1_000
"""Frames that formatting an error may need; user code may have left fewer."""

_type_name = type.__dict__["__name__"].__get__
_arguments = BaseException.__dict__["args"].__get__
_plain_str = BaseException.__str__
_getrecursionlimit, _setrecursionlimit = sys.getrecursionlimit, sys.setrecursionlimit


class ErrorReporter:
    """Describes errors of the code of one session, whose files lie in ``workspace``."""

    __slots__ = ("_workspace",)

    def __init__(self, workspace: str) -> None:
        paths = os.path.abspath(workspace), os.path.realpath(workspace)
        self._workspace = tuple(os.path.join(path, "") for path in paths)

    def describe(self, error: BaseException, *, compiling: bool) -> dict[str, Any]:
        """Return the description of what ended a cell; ``compiling`` says that it did not even start.

        Runs user code (``__str__``), and raises what that raises beside :class:`Exception`.
        """
        builtins_of_user = put_back()
        limit = _getrecursionlimit()
        if limit < _RECURSION_ROOM:
            _setrecursionlimit(_RECURSION_ROOM)
        try:
            return self._describe(error, compiling)
        finally:
            if limit < _RECURSION_ROOM:
                _setrecursionlimit(limit)
            give_back(builtins_of_user)

    def describe_without_asking(self, error: BaseException) -> dict[str, Any]:
        """Return a description that takes no code of the user's. Does not raise."""
        builtins_of_user = put_back()
        brief = _brief(error, _message_without_asking(error))
        try:
            last_line = f"{brief['type_name']}: {brief['message']}".removesuffix(": ") + "\n"
            text, stack = format_without_asking(error, [last_line])
            return {
                **brief,
                "traceback_text": shortened(text, _TRACEBACK_CHARACTERS),
                "frames": self._frames(stack),
            }
        except Exception:  # an audit hook that refuses to have files opened, memory that is gone
            return brief
        finally:
            give_back(builtins_of_user)

    def _describe(self, error: BaseException, compiling: bool) -> dict[str, Any]:
        is_syntax_error = isinstance(error, SyntaxError) and compiling
        # First the message: the standard library, which asks for it again, swallows an interrupt of that.
        message = _message(error, is_syntax_error)
        text, stack = format_error(error)
        return {
            **_brief(error, message),
            "traceback_text": shortened(text, _TRACEBACK_CHARACTERS),
            "frames": self._frames(stack),
            "syntax_error": _syntax_error(error) if is_syntax_error else None,
        }

    def _frames(self, stack: list[FrameSummary]) -> list[dict[str, Any]]:
        return [
            _frame(frame) for frame in _ends([frame for frame in stack if self._is_users(frame.filename)])
        ]

    def _is_users(self, file_name: str) -> bool:
        if file_name.startswith("<"):
            return file_name.startswith(CELL)
        return file_name.startswith(self._workspace) or not os.path.isabs(file_name)


def _brief(error: BaseException, message: str) -> dict[str, Any]:
    """Return a description without traceback."""
    return {
        "type_name": shortened(_type_name(type(error)), _NAME_CHARACTERS),
        "message": shortened(message, _MESSAGE_CHARACTERS),
        "traceback_text": "",
        "frames": [],
        "syntax_error": None,
    }


def _message(error: BaseException, is_syntax_error: bool) -> str:
    if is_syntax_error:
        return str(error.msg)  # type: ignore[attr-defined]
    if isinstance(error, SystemExit) and error.code is None:
        return "0"
    try:
        return str(error)
    except Exception:
        return "<exception str() failed>"


def _message_without_asking(error: BaseException) -> str:
    """Return the message where that takes no code of the user's."""
    arguments = _arguments(error)
    if type(arguments) is tuple and all(type(argument) in (str, int) for argument in arguments):
        return _plain_str(error)
    return ""


def _ends(items: list[FrameSummary]) -> list[FrameSummary]:
    return items if len(items) <= _FRAMES else items[: _FRAMES // 2] + items[-_FRAMES // 2 :]


def _frame(frame: FrameSummary) -> dict[str, Any]:
    return {
        "file_name": sendable(frame.filename)[:_PATH_CHARACTERS],
        "line_number": frame.lineno or 0,
        "function_name": sendable(frame.name)[:_NAME_CHARACTERS],
        "source_line": sendable(frame.line or "")[:_LINE_CHARACTERS],
    }


def _syntax_error(error: BaseException) -> dict[str, Any]:
    def number(name: str) -> int:
        value = getattr(error, name, None)
        return value if type(value) is int and value > 0 else 0

    text = getattr(error, "text", None)
    return {
        "line": number("lineno"),
        "column": number("offset"),
        "end_line": number("end_lineno"),
        "end_column": number("end_offset"),
        "text": sendable(text if isinstance(text, str) else "")[: 4 * _LINE_CHARACTERS].rstrip("\n"),
    }
