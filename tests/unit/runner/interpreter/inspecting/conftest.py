"""One interpreter for many questions: they change nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.runner.interpreter.harness import Interpreter, Template
from tests.unit.runner.interpreter.snapshots.conftest import timeline

__all__ = ["timeline"]

WORLD = """
import collections, functools, json as js, os, xml
alpha, alphabet, _beta = 1, "abc", 3
class Ship:
    '''A ship.'''
    masts: int = 3
    def __init__(self, name, *, sails=4):
        self.name, self._log = name, []
    @property
    def depth(self):
        raise RuntimeError("nobody asks")
    @classmethod
    def launch(cls, place) -> "Ship":
        return cls(place)
    @staticmethod
    def measure(unit: str = "m"):
        '''Return a length.

        In units.
        '''
    def sail(self, to, speed=5):
        return to
@functools.cache
def greet(name, /, *names, loud=False, **more):
    "Say hello."
    return name
ship = Ship("Ada")
fleet = {"Ada Lovelace": ship, "bob's": 1, 'say "x"': 2, 7: ship, "inner": {"deep": 1}}
pair = [ship, "text"]
point = collections.namedtuple("Point", "x y")(1, 2)
"""


@pytest.fixture(scope="module")
def world(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Interpreter]:
    """An interpreter with something of everything in it, that is asked and never runs anything else."""
    made = Interpreter(template, tmp_path_factory.mktemp("workspace"))
    made.ok(WORLD)
    yield made
    made.close()
