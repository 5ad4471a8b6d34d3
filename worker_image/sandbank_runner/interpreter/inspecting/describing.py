"""What is known of the thing at a place in code."""

from __future__ import annotations

import inspect
from typing import Any, Final

from sandbank_runner.interpreter.inspecting.attributes import (
    CLASS,
    FUNCTION,
    INSTANCE,
    MISSING,
    Made,
    is_class,
    kind_word,
)
from sandbank_runner.interpreter.inspecting.budget import Budget
from sandbank_runner.interpreter.inspecting.definitions import Definition, definition_of
from sandbank_runner.interpreter.inspecting.places import called, expression_before
from sandbank_runner.interpreter.inspecting.resolving import Resolver
from sandbank_runner.interpreter.inspecting.signatures import signature_text
from sandbank_runner.interpreter.inspecting.tokens import NAME, Scan
from sandbank_runner.interpreter.json_values import json_of
from sandbank_runner.interpreter.reading.kinds import Facts, facts, identity, type_name
from sandbank_runner.interpreter.reading.previews import preview
from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.text import sendable, shortened

seal(globals())

_DOCUMENTATION: Final = 64 * 1024
_SOURCE: Final = 256 * 1024
_FILE: Final = 4000
_getdoc = inspect.getdoc
_repr = repr
# fmt: off
_data = (
    int, float, complex, bool, str, bytes, bytearray, list, tuple, dict, set, frozenset, range, type(None),
)
# fmt: on
_DATA: Final = frozenset(map(identity, _data))
"""Types whose documentation says nothing of a value."""
_WITH_SOURCE: Final = (FUNCTION, CLASS)
_LABELS: Final = (
    ("Signature", "signature"),
    ("Type", "type_name"),
    ("Value", "preview"),
    ("Length", "length"),
)


def expression_at(code: str, cursor: int) -> str:
    """Return the expression that the cursor is at or behind; within a call's brackets, what is called. "" if none."""
    end = cursor
    while end < len(code) and (code[end].isalnum() or code[end] == "_"):
        end += 1
    text = code[:end]
    scan = Scan(text)
    if scan.string is None and not scan.in_comment:
        last = scan.tokens[-1] if scan.tokens else None
        if last is not None and last.kind == NAME and last.end == end:
            found = expression_before(scan, text, len(scan.tokens))
            if found:
                return found
    elif scan.in_comment:
        return ""
    return called(scan, text)[0]


def describe(
    code: str, cursor: int, names: dict[str, Any], budget: Budget, *, detail: int, characters: int
) -> dict[str, bytes] | None:
    """Return a description by MIME type of what the cursor is at; None where it is at nothing known."""
    expression = expression_at(code, cursor)
    if not expression:
        return None
    resolver = Resolver(names, bare=budget.bare)
    if budget.bare:
        try:
            value = resolver.value(expression)
        except Exception:
            return None
    else:
        value = budget.call(resolver.value, expression, otherwise=MISSING)
    if value is MISSING or type(value) is Made:
        return None
    known = _facts_of(expression, value, budget, detail, characters)
    data = {"text/plain": _text(known).encode("utf-8")}
    as_json = json_of(known)
    if as_json is not None:
        data["application/json"] = as_json
    return data


def _facts_of(expression: str, value: Any, budget: Budget, detail: int, characters: int) -> dict[str, Any]:
    word = kind_word(value)
    known: dict[str, Any] = {"name": sendable(expression), "kind": word, "type_name": type_name(value)}
    if word in _WITH_SOURCE:
        known["signature"] = budget.call(signature_text, value, otherwise="")
    elif word == INSTANCE:
        known.update(_value_of(value, budget, characters))
    if identity(type(value)) not in _DATA:
        documentation = budget.call(_getdoc, value)
        if issubclass(type(documentation), str):
            known["documentation"] = shortened(documentation, _DOCUMENTATION)
    where: Definition = budget.call(definition_of, _defined(value, word), otherwise=Definition())
    known["file"], known["line"] = shortened(where.file, _FILE), where.line
    if detail:
        known["source"] = shortened(where.source, _SOURCE)
    return {key: part for key, part in known.items() if part or key == "length"}


def _value_of(value: Any, budget: Budget, characters: int) -> dict[str, Any]:
    extent = budget.call(facts, value, otherwise=Facts())
    found = {
        "preview": budget.call(preview, value, characters, _repr, otherwise=""),
        "shape": list(extent.shape),
        "dtype": extent.dtype,
    }
    return found if extent.length is None else {**found, "length": extent.length}


def _defined(value: Any, word: str) -> Any:
    """Return what the definition is looked for: of an instance, its class's."""
    return type(value) if word == INSTANCE and not is_class(value) else value


def _text(known: dict[str, Any]) -> str:
    name = known["name"]
    lines = []
    for label, key in _LABELS:
        if key in known:
            said = f"{name}{known[key]}" if key == "signature" else str(known[key])
            lines.append(f"{label + ':':<12}{said}")
    if "shape" in known:
        dtype = f" {known['dtype']}" if "dtype" in known else ""
        lines.append(f"{'Shape:':<12}{' × '.join(map(str, known['shape']))}{dtype}")
    if "file" in known:
        line = f", line {known['line']}" if "line" in known else ""
        lines.append(f"{'Defined in:':<12}{known['file']}{line}")
    for label, key in (("Documentation", "documentation"), ("Source", "source")):
        if key in known:
            lines += ["", f"{label}:", known[key].rstrip("\n")]
    return "\n".join(lines)
