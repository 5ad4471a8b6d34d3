"""A value as a MIME bundle: ``_repr_mimebundle_`` and its family, with plain text always.

Methods are looked up on the class, or in the instance's own dictionary: an object whose ``__getattr__`` answers
everything has none of them. One that fails is reported on stderr, and the others survive.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Container
from typing import Any

from sandbank_runner.interpreter import figures, registered_formatters
from sandbank_runner.interpreter.json_values import json_of
from sandbank_runner.interpreter.mime import TEXT, Bundle, bounded, cut_text, encode, encode_all
from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.text import encoded
from sandbank_runner.interpreter.traces import format_error

seal(globals())

_METHODS = (
    ("text/html", "_repr_html_"),
    ("text/markdown", "_repr_markdown_"),
    ("image/svg+xml", "_repr_svg_"),
    ("image/png", "_repr_png_"),
    ("image/jpeg", "_repr_jpeg_"),
    ("application/pdf", "_repr_pdf_"),
    ("text/latex", "_repr_latex_"),
    ("application/json", "_repr_json_"),
    ("application/javascript", "_repr_javascript_"),
)
# fmt: off
_PLAIN = frozenset([
    bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset, range, slice, type, object,
    type(None), type(NotImplemented), type(...), types.FunctionType, types.BuiltinFunctionType, types.MethodType,
    types.ModuleType, types.GeneratorType, types.CoroutineType,
])
# fmt: on
"""Types without any of these methods: nothing is looked up for them."""

_type_name = type.__dict__["__name__"].__get__
_print = print


def bundle(
    value: object, include: Container[str] | None = None, exclude: Container[str] | None = None
) -> Bundle:
    """Return the representations of ``value``. Runs user code; raises only what is no :class:`Exception`."""
    if type(value) in _PLAIN:
        data = {TEXT: plain_text(value)}
        text = json_of(value)
        if text is not None:
            data["application/json"] = text
        return _chosen(data, include, exclude), {}
    data, metadata = _from_mimebundle(value, include, exclude)
    registered = registered_formatters.of(value)
    for mime, name in _METHODS:
        if mime in data:
            continue
        method = registered.get(mime) or _method(value, name)
        if method is not None:
            _add(data, metadata, mime, _call(value, name, method), value)
    if "image/png" not in data and figures.is_figure(value):
        _add(data, metadata, "image/png", _call(value, "savefig", lambda: figures.png(value)), value)
    if TEXT not in data:
        data[TEXT] = plain_text(value)
    return bounded(_chosen(data, include, exclude)), metadata


def shows_itself(value: object) -> bool:
    """Call ``_ipython_display_`` where there is one; True where it has displayed the value."""
    method = None if type(value) in _PLAIN else _method(value, "_ipython_display_")
    if method is None:
        return False
    try:
        method()
    except NotImplementedError:
        return False
    except Exception as error:
        _report(value, "_ipython_display_", error)
        return False
    return True


def plain_text(value: object) -> bytes:
    """Return ``repr(value)``, or what can be said without it."""
    try:
        text = repr(value)
    except Exception as error:
        text = f"<repr failed: {_brief(error)}>"
    return cut_text(encoded(text))


def _from_mimebundle(value: object, include: Container[str] | None, exclude: Container[str] | None) -> Bundle:
    method = _method(value, "_repr_mimebundle_")
    if method is None:
        return {}, {}
    found = _call(value, "_repr_mimebundle_", lambda: method(include=include, exclude=exclude))
    metadata: dict[str, Any] = {}
    if isinstance(found, tuple) and len(found) == 2:
        found, more = found
        if isinstance(more, dict):
            metadata.update(more)
    data = _call(value, "_repr_mimebundle_", lambda: None if found is None else encode_all(found))
    return data or {}, metadata


def _add(data: dict[str, bytes], metadata: dict[str, Any], mime: str, found: Any, value: object) -> None:
    """Add what one method returned: data, or a pair of data and metadata."""
    if isinstance(found, tuple) and len(found) == 2:
        found, more = found
        if isinstance(more, dict) and more:
            metadata[mime] = more
    part = _call(value, mime, lambda: None if found is None else encode(mime, found))
    if part is not None:
        data[mime] = part


def _method(value: object, name: str) -> Callable[..., Any] | None:
    try:
        if getattr(type(value), name, None) is None and name not in getattr(value, "__dict__", ()):
            return None
        method = getattr(value, name, None)
    except Exception as error:
        _report(value, name, error)
        return None
    return method if callable(method) else None


def _call(value: object, name: str, method: Callable[[], Any]) -> Any:
    try:
        return method()
    except NotImplementedError:
        return None
    except Exception as error:
        _report(value, name, error)
        return None


def _report(value: object, name: str, error: Exception) -> None:
    """Tell on stderr that a representation failed."""
    try:
        text = format_error(error)[0]
    except Exception:
        text = f"{_type_name(type(error))}\n"
    try:  # noqa: SIM105
        _print(f"{name} of {_type_name(type(value))} failed:\n{text}", end="", file=sys.stderr)
    except Exception:  # noqa: S110
        pass  # stderr is user code\'s


def _brief(error: Exception) -> str:
    try:
        return f"{_type_name(type(error))}: {str(error)[:500]}"
    except Exception:
        return str(_type_name(type(error)))


def _chosen(
    data: dict[str, bytes], include: Container[str] | None, exclude: Container[str] | None
) -> dict[str, bytes]:
    if include is None and exclude is None:
        return data
    return {
        mime: part
        for mime, part in data.items()
        if (include is None or mime in include) and (exclude is None or mime not in exclude)
    }
