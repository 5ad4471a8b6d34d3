"""Matplotlib figures: shown without a call to ``show`` at the end of the cell, once each. Imports nothing of it."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import Any

from sandbank_runner.interpreter.parallel import current
from sandbank_runner.interpreter.sealed import seal

seal(globals())

BACKEND = "module://sandbank_runner.interpreter.matplotlib_backend"

_find: Callable[[], Any] = current.namespace_operation
_shown_by_session: set[int] = set()
"""Identities of figures shown in this cell; pyplot or the cell's value keeps them alive until its end."""


def choose_backend() -> None:
    """Make ours the backend, now and in child processes, unless the environment names another."""
    chosen = os.environ.setdefault("MPLBACKEND", BACKEND)
    matplotlib = sys.modules.get("matplotlib")
    if matplotlib is not None and chosen == BACKEND:  # preloaded before the environment said so
        if "matplotlib.pyplot" in sys.modules:
            sys.modules["matplotlib.pyplot"].switch_backend(BACKEND)
        else:
            matplotlib.rcParams["backend"] = BACKEND


def is_figure(value: object) -> bool:
    """Tell whether ``value`` is a figure of Matplotlib."""
    kind = getattr(sys.modules.get("matplotlib.figure"), "Figure", None)
    return kind is not None and isinstance(value, kind)


def png(figure: Any) -> bytes | None:
    """Return ``figure`` as a PNG, or None where there is nothing in it. It then counts as shown."""
    _shown().add(id(figure))
    if not (figure.axes or figure.lines or figure.texts or figure.images or getattr(figure, "subfigs", None)):
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    previous = figure.canvas
    image = io.BytesIO()
    try:
        FigureCanvasAgg(figure).print_figure(
            image, format="png", dpi=figure.dpi, bbox_inches="tight", facecolor=figure.get_facecolor()
        )
    finally:
        figure.set_canvas(previous)
    return image.getvalue()


def take_open() -> list[Any]:
    """Close the figures that pyplot has open; return those not shown yet, in the order of their making."""
    if "matplotlib.pyplot" not in sys.modules:
        return []
    from matplotlib._pylab_helpers import Gcf

    managers = [Gcf.figs[number] for number in sorted(Gcf.figs)]
    figures = [manager.canvas.figure for manager in managers]
    Gcf.destroy_all()
    shown = _shown()
    return [figure for figure in figures if id(figure) not in shown]


def forget_shown() -> None:
    """Begin anew with the next cell."""
    _shown().clear()


def _shown() -> set[int]:
    """Return the set of whoever asks: operations beside each other have one each."""
    operation = _find()
    shown: set[int] = _shown_by_session if operation is None else operation.shown
    return shown
