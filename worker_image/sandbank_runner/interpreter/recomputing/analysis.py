"""Which names code reads and binds, where all that it does is known; else it cannot be rerun."""

from __future__ import annotations

import dis
import types
from typing import Any

from sandbank_runner.interpreter.reading.kinds import identity
from sandbank_runner.interpreter.recomputing import allowed
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_DEPTH = 20
_DOTS = frozenset(["LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM"])
_CodeType, _FunctionType = types.CodeType, types.FunctionType


class UnsureError(Exception):
    """The code may do something that nobody has looked at; the message says what."""


class Analysis:
    """What one operation does. ``made`` are names whose values come from code that was found to be safe."""

    def __init__(self, text: str, names: dict[str, Any], made: frozenset[str]) -> None:
        """Raise :class:`UnsureError`, and SyntaxError where it is no plain Python."""
        self.reads: set[str] = set()
        """Names of the session, those that functions read which it may call included."""
        self.binds: set[str] = set()
        self._names = names
        self._made = made
        self._seen: set[int] = set()
        self.code: Any = compile(text, "<recomputed>", "exec", dont_inherit=True)
        self._look(self.code, 0)
        for name in sorted(self.reads - self.binds):
            self._check(name)

    def _look(self, code: types.CodeType, depth: int) -> None:
        if identity(code) in self._seen:
            return
        self._seen.add(identity(code))
        if depth > _DEPTH:
            raise UnsureError("its functions are nested too deeply")
        texts = any(type(each) is str and "%" in each for each in code.co_consts)
        for step in dis.get_instructions(code):
            self._look_at(step, texts=texts)
        for each in code.co_consts:
            if type(each) is _CodeType:
                self._look(each, depth + 1)
            elif type(each) is frozenset:
                raise UnsureError("the order of a set")

    def _look_at(self, step: Any, *, texts: bool) -> None:
        name, value = step.opname, step.argval
        if name not in allowed.CODES and not name.startswith(allowed.JUMPS):
            raise UnsureError(f"the instruction {name}")
        if name in ("LOAD_NAME", "LOAD_GLOBAL"):
            if value in self._names or not allowed.is_builtin(value):
                self.reads.add(value)
        elif name == "STORE_NAME":
            self.binds.add(value)
        elif name in _DOTS and value not in allowed.ATTRIBUTES:
            raise UnsureError(f"the attribute {value}")
        elif name == "IMPORT_NAME" and not allowed.is_pristine(value):
            raise UnsureError(f"the module {value}")
        elif name == "CALL_INTRINSIC_1" and step.argrepr not in allowed.INTRINSICS:
            raise UnsureError(f"the instruction {step.argrepr or name}")
        elif name == "BINARY_OP" and "%" in step.argrepr and texts:
            raise UnsureError("the text of an object")

    def _check(self, name: str) -> None:
        """See to it that what a name stands for is known."""
        if name not in self._names:
            raise UnsureError(f"the name {name}")
        value = self._names[name]
        if name in self._made or allowed.is_module(value) or allowed.is_part(value):
            return
        if type(value) is _FunctionType and value.__globals__ is self._names:
            self._check_function(name, value)
        elif not allowed.is_plain(value):
            raise UnsureError(f"the value of {name}")

    def _check_function(self, name: str, function: types.FunctionType) -> None:
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
        parts = [function.__defaults__, function.__kwdefaults__, function.__dict__ or None, cells]
        if not allowed.is_plain(parts):
            raise UnsureError(f"what {name} remembers")
        before = set(self.reads)
        self._look(function.__code__, 1)
        for each in sorted(self.reads - before - self.binds):
            self._check(each)
