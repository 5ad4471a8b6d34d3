"""What an expression in the code stands for: names, attributes, items and literals. Calls are not made."""

from __future__ import annotations

import ast
import builtins
import operator
from typing import Any, Final

from sandbank_runner.interpreter.inspecting.attributes import MISSING, Made, bound, is_class
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_FLAGS: Final = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
_compile = compile
_builtins = vars(builtins)
_getattr, _getitem = getattr, operator.getitem
_LITERALS: Final[dict[type, type]] = {
    ast.List: list,
    ast.ListComp: list,
    ast.Tuple: tuple,
    ast.Dict: dict,
    ast.DictComp: dict,
    ast.Set: set,
    ast.SetComp: set,
    ast.JoinedStr: str,
}


class Unknown(Exception):
    """What the expression stands for cannot be told."""


class Resolver:
    """Looks up in ``names``, then among the builtins. ``bare``: without attributes and items that run user code."""

    def __init__(self, names: dict[str, Any], *, bare: bool) -> None:
        self._names = names
        self._bare = bare

    def value(self, expression: str) -> Any:
        """Return the value. Raises :class:`Unknown`, SyntaxError, or what user code raises."""
        tree = _compile(f"({expression}\n)", "<expression>", "eval", _FLAGS, True)
        return self._of(tree.body)

    def named(self, name: str) -> Any:
        """Return what a name is bound to."""
        found = self._names.get(name, MISSING)
        if found is MISSING:
            found = _builtins.get(name, MISSING)
        if found is MISSING:
            raise Unknown
        return found

    def _of(self, node: Any) -> Any:
        kind = type(node)
        if kind is ast.Name:
            return self.named(node.id)
        if kind is ast.Constant:
            return node.value
        if kind is ast.Attribute:
            return self._attribute(self._of(node.value), node.attr)
        if kind is ast.Subscript:
            return self._item(self._of(node.value), self._index(node.slice))
        if kind is ast.Call:
            return self._returned(self._of(node.func))
        if kind is ast.NamedExpr:
            return self._of(node.value)
        literal = _LITERALS.get(kind)
        if literal is None:
            raise Unknown
        return Made(literal)

    def _attribute(self, value: Any, name: str) -> Any:
        if self._bare or type(value) is Made:
            found = bound(value, name)
            if found is MISSING:
                raise Unknown
            return found
        return _getattr(value, name)

    def _item(self, value: Any, index: Any) -> Any:
        if type(value) is Made:
            raise Unknown
        if self._bare and not (type(value) in (list, tuple, dict, str) and type(index) in (int, str)):
            raise Unknown
        return _getitem(value, index)

    def _index(self, node: Any) -> Any:
        kind = type(node)
        if kind is ast.Tuple:
            return tuple(self._index(part) for part in node.elts)
        if kind is ast.Slice:
            return slice(*(part and self._index(part) for part in (node.lower, node.upper, node.step)))
        if kind is ast.UnaryOp and type(node.op) is ast.USub:
            number: Any = self._of(node.operand)
            if type(number) is int:
                return -number
            raise Unknown
        return self._of(node)

    def _returned(self, function: Any) -> Any:
        """Return what a call would return, by its class: a class makes instances, an annotation may name one."""
        if is_class(function):
            return Made(function)
        function = getattr(function, "__func__", function) if not self._bare else function
        annotations = getattr(function, "__annotations__", None) if not self._bare else None
        found = annotations.get("return") if type(annotations) is dict else None
        if type(found) is str:
            found = getattr(function, "__globals__", {}).get(found)
        if found is None or not is_class(found):
            raise Unknown
        return Made(found)
