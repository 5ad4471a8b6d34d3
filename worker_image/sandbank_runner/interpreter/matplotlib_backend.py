"""Matplotlib's backend of a session: draws with Agg, shows through the session's display. Named by ``MPLBACKEND``."""

from __future__ import annotations

from typing import Any

from matplotlib.backend_bases import FigureManagerBase
from matplotlib.backends.backend_agg import FigureCanvasAgg

from sandbank_runner.interpreter import figures
from sandbank_runner.interpreter.display import display


class FigureManager(FigureManagerBase):
    """A figure of pyplot."""

    def show(self) -> None:
        """Show this figure, whether it was shown before or not."""
        display(self.canvas.figure)

    @classmethod
    def pyplot_show(cls, **_: Any) -> None:
        """Show all open figures that were not shown yet, and close them; there is no window to wait for."""
        for figure in figures.take_open():
            display(figure)


class FigureCanvas(FigureCanvasAgg):
    """Where it is drawn."""

    manager_class = FigureManager
