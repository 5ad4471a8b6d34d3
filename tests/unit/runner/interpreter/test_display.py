"""Rich display: from objects to MIME bundles."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.runner.interpreter.harness import Interpreter

REPRESENTATIONS = [
    ("_repr_html_", "'<b>ä</b>'", "text/html", "<b>ä</b>".encode()),
    ("_repr_markdown_", "'*m*'", "text/markdown", b"*m*"),
    ("_repr_svg_", "'<svg/>'", "image/svg+xml", b"<svg/>"),
    ("_repr_png_", "b'\\x89PNG'", "image/png", b"\x89PNG"),
    ("_repr_png_", "bytearray(b'\\x89PNG')", "image/png", b"\x89PNG"),
    ("_repr_png_", "'iVBORw0KGgo='", "image/png", b"\x89PNG\r\n\x1a\n"),
    ("_repr_jpeg_", "b'\\xff\\xd8'", "image/jpeg", b"\xff\xd8"),
    ("_repr_pdf_", "b'%PDF'", "application/pdf", b"%PDF"),
    ("_repr_latex_", "'$x$'", "text/latex", b"$x$"),
    ("_repr_json_", "{'a': [1, (2,)]}", "application/json", b'{"a": [1, [2]]}'),
    ("_repr_javascript_", "'alert(1)'", "application/javascript", b"alert(1)"),
    ("_repr_html_", "'\\ud800'", "text/html", b"\\ud800"),
    ("_repr_html_", "None", "text/html", None),
    ("_repr_html_", "5", "text/html", None),
    ("_repr_png_", "1 / 0", "image/png", None),
    ("_repr_json_", "{1: object()}", "application/json", None),
    ("_repr_html_", "type('S', (str,), {'encode': None, '__len__': None})('s')", "text/html", b"s"),
]


@pytest.mark.parametrize(("method", "value", "mime", "data"), REPRESENTATIONS)
def test_each_method_gives_its_type(
    interpreter: Interpreter, method: str, value: str, mime: str, data: bytes | None
) -> None:
    """Text as UTF-8, images as bytes, JSON as its text; a method that fails costs only its own type."""
    code = f"class C:\n    def __repr__(self): return 'plain'\n    def {method}(self): return {value}\n"
    for done in (interpreter.ok(code + "C()"), interpreter.ok(code + "display(C())")):
        bundle = done.result or done.displays[0]
        assert bundle["text/plain"] == b"plain"
        assert bundle.get(mime) == data
        assert ("failed" in done.stderr) == (data is None and value != "None")


MIMEBUNDLES: list[tuple[str, dict[str, bytes], dict[str, Any]]] = [
    ("{'text/plain': 'p', 'text/html': 'h'}", {"text/plain": b"p", "text/html": b"h"}, {}),
    ("({'image/png': b'i'}, {'image/png': {'width': 5}})", {"image/png": b"i"}, {"image/png": {"width": 5}}),
    ("{'image/gif': 'R0lG', 'text/x': None}", {"image/gif": b"GIF"}, {}),
    ("{'application/vnd.x+json': {'a': 1}}", {"application/vnd.x+json": b'{"a": 1}'}, {}),
    ("{'application/vnd.x+json': '{\"a\": 1}'}", {"application/vnd.x+json": b'{"a": 1}'}, {}),
    ("{'application/json': 'no json'}", {"application/json": b'"no json"'}, {}),
    ("({'text/html': 'h'}, {'a': object(), 'b': float('nan'), 'c': 1})", {"text/html": b"h"}, {"c": 1}),
    ("5", {}, {}),
    ("{5: 'x'}", {}, {}),
    ("{'x' * 1000: 'x'}", {}, {}),
    ("1 / 0", {}, {}),
    ("None", {}, {}),
]


@pytest.mark.parametrize(("value", "data", "metadata"), MIMEBUNDLES)
def test_a_mimebundle_is_taken_as_it_is(
    interpreter: Interpreter, value: str, data: dict[str, bytes], metadata: dict[str, Any]
) -> None:
    """With metadata, with base64 for images, and with the other methods for what it leaves out."""
    code = (
        "class C:\n    def __repr__(self): return 'plain'\n    def _repr_latex_(self): return 'l'\n"
        f"    def _repr_mimebundle_(self, include=None, exclude=None): return {value}\ndisplay(C())"
    )
    done = interpreter.ok(code)
    assert done.displays == [{"text/plain": b"plain", "text/latex": b"l", **data}]
    assert done.display_headers[0]["metadata"] == metadata


def test_display_is_there_without_import_and_not_in_the_namespace(interpreter: Interpreter) -> None:
    """A builtin: several objects, each a message of its own."""
    done = interpreter.ok("display(1, 'x', [2])")
    assert [bundle["text/plain"] for bundle in done.displays] == [b"1", b"'x'", b"[2]"]
    assert interpreter.ok("'display' in globals()").text == "False"
    assert interpreter.ok("display()").displays == []


def test_a_display_can_be_updated(interpreter: Interpreter) -> None:
    """By its id or its handle; True makes an id."""
    headers = interpreter.ok(
        "handle = display('a', display_id='x')\nhandle.update('b')\nhandle.display('c')\n"
        "other = display('d', display_id=True)\nother.update('e')\nempty = display(display_id='y')"
    ).display_headers
    ids = [header["display_id"] for header in headers]
    assert ids[:3] == ["x", "x", "x"]
    assert ids[3] == ids[4] != "x"
    assert len(ids[3]) == 32
    assert ids[5] == "y"
    assert [header["update"] for header in headers] == [False, True, False, False, True, False]
    assert interpreter.ok("handle").text == "<DisplayHandle display_id=x>"
    assert interpreter.ok("display(1)").display_headers[0]["display_id"] is None
    assert interpreter.run("display(1, update=True)").error["type_name"] == "TypeError"


def test_raw_bundles_include_and_exclude(interpreter: Interpreter) -> None:
    """``raw`` takes bundles as they are; metadata is the caller's; types can be chosen."""
    done = interpreter.ok("display({'text/html': 'h'}, raw=True, metadata={'a': {'b': 1}})")
    assert done.displays == [{"text/html": b"h"}]
    assert done.display_headers[0]["metadata"] == {"a": {"b": 1}}
    interpreter.ok("class C:\n    def _repr_html_(self): return 'h'\n    def __repr__(self): return 'p'")
    assert interpreter.ok("display(C(), include=['text/html'])").displays == [{"text/html": b"h"}]
    assert interpreter.ok("display(C(), exclude=['text/html'])").displays == [{"text/plain": b"p"}]
    assert interpreter.run("display(5, raw=True)").error["type_name"] == "TypeError"
    assert interpreter.run("display({'text/html': 5}, raw=True)").error["type_name"] == "TypeError"


def test_an_object_may_show_itself(interpreter: Interpreter) -> None:
    """``_ipython_display_``: once, and then there is no result; where it fails, the other ways."""
    code = "class C:\n    def __repr__(self): return 'p'\n    def _ipython_display_(self):\n        {}\nC()"
    done = interpreter.ok(code.format("display('self')"))
    assert [bundle["text/plain"] for bundle in done.displays] == [b"'self'"]
    assert done.result == {}
    assert interpreter.ok(code.format("raise NotImplementedError")).text == "p"
    done = interpreter.ok(code.format("1/0"))
    assert done.text == "p"
    assert "ZeroDivisionError" in done.stderr


PRETENDERS = [
    "from unittest.mock import MagicMock\nMagicMock()",
    "class Any:\n    def __getattr__(self, name): return lambda *a, **k: 'fake'\nAny()",
    "class Any:\n    def __getattr__(self, name): raise ValueError(name)\nAny()",
    "class Any:\n    def __getattribute__(self, name): raise ValueError(name)\nAny()",
    "class Html:\n    def _repr_html_(self): return 'h'\nHtml",
    "class Html:\n    _repr_html_ = None\nHtml()",
    "class Html:\n    _repr_html_ = '<b>'\nHtml()",
]


@pytest.mark.parametrize("code", PRETENDERS)
def test_what_only_pretends_to_have_a_method_has_none(interpreter: Interpreter, code: str) -> None:
    """Objects that answer to any name, and classes whose instances have it, are shown as plain text."""
    assert set(interpreter.ok(code).result) == {"text/plain"}


def test_an_instance_may_have_a_method_of_its_own(interpreter: Interpreter) -> None:
    """In its own dictionary, as IPython allows."""
    done = interpreter.ok("class C: pass\nc = C()\nc._repr_html_ = lambda: 'own'\nc")
    assert done.result["text/html"] == b"own"


def test_sizes_are_bounded(interpreter: Interpreter) -> None:
    """One that is too large is left out with a note; and the whole stays below what a message may have."""
    interpreter.ok(
        "class C:\n    def __init__(self, **data): self.data = data\n    def __repr__(self): return 'p'"
    )
    interpreter.ok(
        "C._repr_mimebundle_ = lambda self, **_: {k.replace('_', '/'): v for k, v in self.data.items()}"
    )
    done = interpreter.ok("C(image_png=b'x' * 7_000_000, text_html='small')")
    assert set(done.result) == {"text/plain", "text/html"}
    assert done.result["text/plain"] == b"p\n... (image/png, 7000000 bytes, left out)"
    done = interpreter.ok("C(**{f'image_{n}': b'x' * 5_000_000 for n in range(5)})")
    assert sum(map(len, done.result.values())) < 12_000_000
    assert len(done.result) == 3
    done = interpreter.ok("C(**{f'x_{n}': 'x' for n in range(1000)})")
    assert len(done.result) == 32
    done = interpreter.ok("display({'text/plain': 'x' * 3_000_000}, raw=True)")
    assert len(done.displays[0]["text/plain"]) < 1_100_000


def test_json_of_a_display_is_that_of_a_result(interpreter: Interpreter) -> None:
    """The fast path of builtin types."""
    done = interpreter.ok("display({'a': [1, None]})")
    assert json.loads(done.displays[0]["application/json"]) == {"a": [1, None]}
