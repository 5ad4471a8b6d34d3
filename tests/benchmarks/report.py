"""Figures, and how they are printed."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One measured figure. ``ratio`` is value by baseline; ``target`` is text, as the design states it."""

    name: str
    value: float
    unit: str
    baseline: str = ""
    ratio: float | None = None
    target: str = ""
    met: bool | None = None
    n: int = 1
    p50: float | None = None
    p99: float | None = None


class Report:
    """Collects figures; each is printed as a JSON line at once, all as a table at the end."""

    def __init__(self) -> None:
        self.figures: list[Figure] = []
        self.notes: list[str] = []
        self._console = Console(width=150)

    def add(self, figure: Figure) -> None:
        """Print and keep a figure."""
        self.figures.append(figure)
        fields = {key: round(v, 4) if isinstance(v, float) else v for key, v in asdict(figure).items()}
        print(json.dumps(fields), flush=True)

    def note(self, text: str) -> None:
        """Keep a remark for the end."""
        self.notes.append(text)

    def table(self) -> None:
        """Print everything."""
        table = Table(title="figures", title_justify="left")
        for column in ("figure", "value", "p50", "p99", "n", "baseline", "ratio", "target", ""):
            table.add_column(
                column, justify="left" if column in ("figure", "baseline", "target") else "right"
            )
        for each in self.figures:
            met = "" if each.met is None else "[green]met[/]" if each.met else "[yellow]short[/]"
            table.add_row(
                each.name,
                f"{each.value:.3g} {each.unit}",
                "" if each.p50 is None else f"{each.p50:.3g}",
                "" if each.p99 is None else f"{each.p99:.3g}",
                str(each.n),
                each.baseline,
                "" if each.ratio is None else f"{each.ratio:.2f}",
                each.target,
                met,
            )
        self._console.print(table)
        for note in self.notes:
            self._console.print(f"- {note}", highlight=False)


@dataclass(frozen=True)
class Times:
    """Durations in milliseconds."""

    values: Sequence[float]

    @property
    def p50(self) -> float:
        """The median."""
        return statistics.median(self.values)

    @property
    def p99(self) -> float:
        """The 99th percentile (the greatest of fewer than 100)."""
        return sorted(self.values)[min(len(self.values) - 1, int(len(self.values) * 0.99))]


def timed(count: int, *calls: Callable[[], object], warm_up: int = 20) -> list[Times]:
    """Time several calls in turn, so that a machine that slows down slows all of them."""
    for _ in range(warm_up):
        for call in calls:
            call()
    values: list[list[float]] = [[] for _ in calls]
    for _ in range(count):
        for call, kept in zip(calls, values, strict=True):
            began = time.perf_counter()
            call()
            kept.append((time.perf_counter() - began) * 1e3)
    return [Times(each) for each in values]
