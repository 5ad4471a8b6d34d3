"""``display`` and its kin, as user code knows them from notebooks."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Container
from typing import Any

from sandbank_runner.interpreter import figures, formatting
from sandbank_runner.interpreter.mime import TEXT, bounded, encode_all, text_or_bytes
from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.text import sendable

seal(globals())

Publish = Callable[[dict[str, bytes], dict[str, Any], str, bool], bool]
"""Takes data, metadata, display id and whether it replaces what that id showed; False where nobody listens."""

_print = print
_ID_CHARACTERS = 250
_METADATA_CHARACTERS = 64 * 1024


def _nobody(_data: dict[str, bytes], _metadata: dict[str, Any], _display_id: str, _update: bool) -> bool:
    return False


_publish: Publish = _nobody
_capturing: Callable[[], Any] = lambda: None  # noqa: E731


def connect(publish: Publish) -> None:
    """Say where displays go."""
    global _publish  # noqa: PLW0603 - user code's display() has no other way to its session
    _publish = publish


def let_capture(capturing: Callable[[], Any]) -> None:
    """Ask ``capturing`` before each display for a publisher of IPython's kind that takes it instead, or None."""
    global _capturing  # noqa: PLW0603
    _capturing = capturing


class DisplayHandle:
    """A display that can be changed later."""

    def __init__(self, display_id: str | None = None) -> None:
        """``display_id`` names it; a new name by default."""
        self.display_id = display_id or os.urandom(16).hex()

    def __repr__(self) -> str:
        return f"<DisplayHandle display_id={self.display_id}>"

    def display(self, obj: object, **arguments: Any) -> None:
        """Display ``obj`` once more under this id."""
        display(obj, display_id=self.display_id, **arguments)

    def update(self, obj: object, **arguments: Any) -> None:
        """Put ``obj`` in the place of what is displayed."""
        update_display(obj, display_id=self.display_id, **arguments)


def display(
    *objs: object,
    include: Container[str] | None = None,
    exclude: Container[str] | None = None,
    metadata: dict[str, Any] | None = None,
    transient: dict[str, Any] | None = None,
    display_id: str | bool | None = None,
    raw: bool = False,
    update: bool = False,
    **_: Any,
) -> DisplayHandle | None:
    """Show objects in their richest forms, between what is printed before and after.

    ``raw``: they are MIME bundles already. ``display_id``: a name for :func:`update_display`, or True for a new one;
    a handle is returned then. ``include``, ``exclude``: MIME types.
    """
    chosen = display_id or (transient or {}).get("display_id")
    if update and not chosen:
        raise TypeError("display_id required for update_display")
    handle = DisplayHandle(None if chosen is True else str(chosen)) if chosen else None
    name = handle.display_id if handle else ""
    if not objs and handle and not update:
        objs, raw = ({},), True
    for value in objs:
        if raw:
            data = bounded(encode_all(value))
            found: dict[str, Any] = {}
        elif formatting.shows_itself(value):
            continue
        else:
            data, found = formatting.bundle(value, include, exclude)
        if data or handle:
            send(data, {**found, **(metadata or {})}, name, update=update)
    return handle


def update_display(obj: object, *, display_id: str, **arguments: Any) -> None:
    """Put ``obj`` in the place of what is displayed under ``display_id``."""
    display(obj, display_id=display_id, update=True, **arguments)


def send(
    data: dict[str, bytes], metadata: dict[str, Any], display_id: str = "", *, update: bool = False
) -> None:
    """Publish a bundle; as text on stdout where no operation runs, or in a process that user code forked."""
    publisher = _capturing()
    if publisher is not None:
        texts = {mime: text_or_bytes(part) for mime, part in data.items()}
        publisher.publish(
            texts, metadata, transient={"display_id": display_id} if display_id else {}, update=update
        )
        return
    if _publish(data, _sendable(metadata), sendable(display_id)[:_ID_CHARACTERS], update):
        return
    text = data.get(TEXT)
    if text is not None:
        _print(text.decode("utf-8", "replace"), file=sys.stdout)


def show_figures() -> None:
    """Show and close what pyplot has open: at the end of a cell, also where it failed."""
    if "matplotlib.pyplot" in sys.modules:
        for figure in figures.take_open():
            display(figure)
        figures.forget_shown()


def _sendable(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return of ``metadata`` what JSON can say."""
    found: dict[str, Any] = {}
    for name, value in metadata.items():
        try:
            text = json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            continue
        if isinstance(name, str) and 0 < len(name) <= _ID_CHARACTERS and len(text) <= _METADATA_CHARACTERS:
            found[sendable(name)] = json.loads(text)
    return found
