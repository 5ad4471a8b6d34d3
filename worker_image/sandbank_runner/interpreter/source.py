"""From the bytes of a cell to code objects: decoding, the split at the last expression, the lines for tracebacks."""

from __future__ import annotations
import __future__

import ast
import linecache
from _thread import RLock
from collections import OrderedDict
from types import CodeType

from sandbank_runner.interpreter.sealed import seal

seal(globals())

_compile = compile
_lines = linecache.cache
_Expr, _Expression = ast.Expr, ast.Expression
_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
_TREE = ast.PyCF_ONLY_AST | _AWAIT
_FUTURES = 0
for _name in __future__.all_feature_names:
    _FUTURES |= getattr(__future__, _name).compiler_flag

_LARGE_CHARACTERS = 64 * 1024
_KEPT_CHARACTERS = 32 * 1024 * 1024
"""How much source is kept for tracebacks and ``inspect``; the oldest goes first."""


class _Shelf:
    """The texts of cells, for ``linecache``. From any thread."""

    __slots__ = ("_kept", "_lock", "_size")

    def __init__(self) -> None:
        self._kept: OrderedDict[str, int] = OrderedDict()
        self._size = 0
        self._lock = RLock()

    def keep(self, name: str, text: str) -> None:
        """Let ``linecache`` know the lines of ``name``."""
        lines = text.split("\n")
        with self._lock:
            _lines[name] = (len(text), None, [line + "\n" for line in lines], name)
            self._size += len(text) - self._kept.pop(name, 0)
            self._kept[name] = len(text)
            while self._size > _KEPT_CHARACTERS and len(self._kept) > 1:
                oldest, size = self._kept.popitem(last=False)
                self._size -= size
                _lines.pop(oldest, None)


class Sources:
    """Compiles cells; what ``from __future__`` imports in one cell holds in the next."""

    __slots__ = ("_futures", "_shelf", "keep")

    def __init__(self, shelf: _Shelf | None = None) -> None:
        self._futures = 0
        self._shelf = shelf or _Shelf()
        self.keep = self._shelf.keep

    def branch(self) -> Sources:
        """Return sources for an operation beside others: with the futures of these, and from then on its own."""
        branch = Sources(self._shelf)
        branch._futures = self._futures
        return branch

    def merge(self, branch: Sources) -> None:
        """Take over the futures that an operation has imported."""
        self._futures |= branch._futures

    def compile(self, text: str, name: str) -> tuple[CodeType | None, CodeType | None]:
        """Return (statements, last expression) of a cell; a ``;`` after the expression makes it a statement."""
        if len(text) > _LARGE_CHARACTERS:
            parts = self._compile_large(text, name)
            if parts is not None:
                return parts
        tree = _compile(text, name, "exec", _TREE | self._futures, True)
        return self._compile_tree(tree, text, name)

    def _compile_tree(
        self, tree: ast.Module, text: str, name: str
    ) -> tuple[CodeType | None, CodeType | None]:
        body = tree.body
        last = body[-1] if body else None
        if not isinstance(last, _Expr) or _is_silenced(text, last):
            return (self._code(tree, name, "exec") if body else None), None
        body.pop()
        statements = self._code(tree, name, "exec") if body else None
        return statements, self._code(_Expression(last.value), name, "eval")

    def _compile_large(self, text: str, name: str) -> tuple[CodeType | None, CodeType | None] | None:
        """Do the same without the tree of the whole: for a megabyte of numbers it takes three times as long.

        The last line that is not indented begins the last statement or lies within it. Where what stands before it is
        whole, and it is whole too, the text is the one and then the other. None where it cannot be told like this.
        """
        lines = text.split("\n")
        at = len(lines) - 1
        while at > 0 and (not lines[at].strip() or lines[at][0] in " \t\f#)]}"):
            at -= 1
        if at == 0:
            return None
        try:
            statements = _compile("\n".join(lines[:at]) + "\n", name, "exec", _AWAIT | self._futures, True)
            # Empty lines before it keep its line numbers right.
            tail = "\n" * at + "\n".join(lines[at:])
            tree = _compile(tail, name, "exec", _TREE | self._futures, True)
        except SyntaxError:
            return None
        self._futures |= statements.co_flags & _FUTURES
        before, expression = self._compile_tree(tree, tail, name)
        if before is None:
            return statements, expression
        if expression is None:  # one more statement: compile both together
            return self._code(text, name, "exec"), None
        return None

    def _code(self, source: str | ast.Module | ast.Expression, name: str, mode: str) -> CodeType:
        code: CodeType = _compile(source, name, mode, _AWAIT | self._futures, True)
        self._futures |= code.co_flags & _FUTURES
        return code


def decode(source: bytes, name: str) -> str:
    """Return the text of a cell with line feeds at the ends of its lines. SyntaxError where it is none."""
    try:
        text = source.decode("utf-8")
    except UnicodeDecodeError as error:
        before = source[: error.start].decode("utf-8")
        raise _syntax_error(f"invalid UTF-8: {error.reason}", name, before) from None
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        raise _syntax_error("source code cannot contain null bytes", name, text[: text.index("\0")])
    return text.removeprefix("\ufeff")


def _syntax_error(message: str, name: str, before: str) -> SyntaxError:
    line = before.rpartition("\n")[2]
    return SyntaxError(message, (name, before.count("\n") + 1, len(line) + 1, line, None, None))


def _is_silenced(text: str, last: ast.Expr) -> bool:
    """Tell whether a ``;`` follows the last expression."""
    if ";" not in text or last.end_lineno is None or last.end_col_offset is None:
        return False
    rest = text.split("\n")[last.end_lineno - 1 :]
    rest[0] = rest[0].encode("utf-8")[last.end_col_offset :].decode("utf-8", "replace")
    return "\n".join(rest).strip(" \t\f\n\\").startswith(";")
