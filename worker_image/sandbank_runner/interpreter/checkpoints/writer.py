"""The writer's dialogue: it describes the state, and sends what the store lacks of it."""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Iterator
from typing import Any, Final

from sandbank_runner.interpreter.checkpoints import ambient
from sandbank_runner.interpreter.checkpoints.anchors import Anchors
from sandbank_runner.interpreter.checkpoints.base import Base
from sandbank_runner.interpreter.checkpoints.chunks import Store
from sandbank_runner.interpreter.checkpoints.contents import Cargo
from sandbank_runner.interpreter.checkpoints.frames import Broken, Connection
from sandbank_runner.interpreter.checkpoints.graph import Graph
from sandbank_runner.interpreter.checkpoints.groups import Groups
from sandbank_runner.interpreter.checkpoints.ledger import Ledger
from sandbank_runner.interpreter.checkpoints.patience import Watch
from sandbank_runner.interpreter.checkpoints.pickling import DEPTH
from sandbank_runner.interpreter.checkpoints.preloaded import packages
from sandbank_runner.interpreter.checkpoints.saving import Saver
from sandbank_runner.interpreter.checkpoints.surroundings import Surroundings, is_saved
from sandbank_runner.interpreter.checkpoints.tree import Tree
from sandbank_runner.interpreter.checkpoints.unsavable import brief
from sandbank_runner.interpreter.recomputing.recorder import RECIPES
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_getrecursionlimit, _setrecursionlimit = sys.getrecursionlimit, sys.setrecursionlimit
PYTHON: Final = ".".join(map(str, sys.version_info[:3]))


def write(
    connection: Connection, surroundings: Surroundings, ledger: Ledger, users_builtins: dict[str, Any] | None
) -> bool:
    """Write a checkpoint; tell whether it was stored. For a process that does nothing else."""
    try:
        state = ambient.collect(surroundings)
        gc.disable()
        warnings.simplefilter("ignore")  # some pickles of the standard library are announced to go
        if _getrecursionlimit() < DEPTH:
            _setrecursionlimit(DEPTH)
        _Writer(connection, surroundings, ledger, users_builtins).write(state)
        return bool(connection.hear()["type"] == "stored")
    except Broken:
        return False
    except BaseException as error:
        connection.say("failed", reason="INTERNAL", message=brief(error))
        return False


class _Writer:
    """One checkpoint."""

    def __init__(
        self,
        connection: Connection,
        surroundings: Surroundings,
        ledger: Ledger,
        users_builtins: dict[str, Any] | None,
    ) -> None:
        self._connection = connection
        self._surroundings = surroundings
        self._ledger = ledger
        self._watch = Watch(users_builtins)
        self._store = Store()

    def write(self, state: dict[str, Any]) -> None:
        """Say everything, and send what is asked for."""
        connection = self._connection
        connection.say("writer", base=self._ledger.base, python=PYTHON)
        base = Base.hear(connection, self._ledger)
        names = self._surroundings.namespace.names
        variables = {name: value for name, value in list(names.items()) if is_saved(name)}
        graph = Graph(variables, Anchors(names))
        graph.walk_all()
        saver = Saver(graph, self._store, self._watch, self._turn_to, base.skip)
        recorder = self._surroundings.recorder
        if recorder.recipes:
            self._ledger.catch_up()
        recipes = recorder.recipes
        recomputable = {name: recipe.execution_count for recipe in recipes for name in recipe.makes}
        Groups(connection, graph, base, saver, recomputable).say_all()
        if recipes:
            state[RECIPES] = [recipe.packed() for recipe in recipes]
        connection.say("at", names=[])  # nothing of the user's runs any more
        cargo = Cargo(connection, self._store)
        for entry in Tree(self._surroundings.workspace, cargo).entries(base.files):
            connection.say("file", **entry)
        cargo.leave()
        connection.say(
            "manifest",
            ambient=state,
            python=PYTHON,
            packages=packages(),
            execution_count=self._surroundings.execution_count,
        )
        self._send(self._needed())

    def _turn_to(self, name: str) -> None:
        self._connection.say("at", names=[name])

    def _needed(self) -> Iterator[str]:
        while True:
            header = self._connection.hear()
            if header["type"] == "needed":
                return
            if header["type"] != "need":
                raise Broken(f"unexpected {header['type']}")
            yield from header["chunks"]

    def _send(self, names: Iterator[str]) -> None:
        for name in list(names):
            parts = self._store.parts.get(name)
            if parts is None:
                raise Broken("a chunk was asked for that was not said")
            self._connection.give(parts)
