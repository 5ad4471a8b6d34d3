"""Takes a state into a fresh interpreter: files laid ready, variables bound, one group in memory at a time."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from typing import Any, Final

from sandbank_runner.interpreter.checkpoints import ambient
from sandbank_runner.interpreter.checkpoints.frames import Broken, Connection
from sandbank_runner.interpreter.checkpoints.laying import Laid
from sandbank_runner.interpreter.checkpoints.ledger import Ledger
from sandbank_runner.interpreter.checkpoints.surroundings import Surroundings
from sandbank_runner.interpreter.checkpoints.unpickling import (
    Buffers,
    MissingPackage,
    Reader,
    Unpickler,
    take,
)
from sandbank_runner.interpreter.checkpoints.unsavable import brief
from sandbank_runner.interpreter.checkpoints.verifying import digests
from sandbank_runner.interpreter.link import Link
from sandbank_runner.interpreter.recomputing.recorder import RECIPES, Recipe
from sandbank_runner.interpreter.recomputing.rerun import Rerun
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_close, _chdir = os.close, os.chdir
INCOMPATIBLE: Final = "CHECKPOINT_INCOMPATIBLE"
CORRUPT: Final = "CHECKPOINT_CORRUPT"
_PYTHON: Final = "{}.{}".format(*sys.version_info[:2])


class Refused(Exception):
    """The state cannot be taken in."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Loader:
    """Loads once, into the interpreter that it is made in."""

    def __init__(
        self, link: Link, surroundings: Surroundings, ledger: Ledger, placed: Callable[[], None]
    ) -> None:
        self._link = link
        self._surroundings = surroundings
        self._ledger = ledger
        self._placed = placed
        self.warnings: list[dict[str, Any]] = []
        """To be told with the end of the next operation."""
        self._laid: Laid | None = None
        self._state: dict[str, Any] = {}

    def load(self, header: dict[str, Any], _blobs: tuple[bytes, ...]) -> None:
        """Take a state in; answer ``loaded`` or ``load_refused``."""
        descriptors = self._link.take_descriptors()
        if len(descriptors) != 1:
            for descriptor in descriptors:
                _close(descriptor)
            self._refuse("CHECKPOINT_FAILED", "no descriptor is left for the connection")
            return
        self._surroundings.execution_count = header["execution_count"]
        connection = Connection(descriptors[0])
        try:
            self._load(connection)
        except Refused as refused:
            self._tell_refused(connection, refused)
        except Broken as broken:
            self._refuse(CORRUPT, str(broken))
        except BaseException as error:
            self._tell_refused(connection, Refused(INCOMPATIBLE, brief(error)))
        finally:
            _close(descriptors[0])

    def place(self, _header: dict[str, Any], _blobs: tuple[bytes, ...]) -> None:
        """Put files that lie ready in the place of the workspace's; answer ``placed`` or ``place_refused``."""
        try:
            if self._laid is not None:
                self._laid.place()
                self._laid = None
            _enter(
                ambient.directory_of(self._state, self._surroundings.workspace), self._surroundings.workspace
            )
        except BaseException as error:
            self._link.send({"type": "place_refused", "message": brief(error)})
            return
        self._placed()
        self._link.send({"type": "placed"})

    def _load(self, connection: Connection) -> None:
        connection.say("loader", python=_PYTHON)
        begin, groups, files = _hear(connection)
        state = self._state = begin.get("ambient") or {}
        verify = begin.get("verify") is True
        if str(begin.get("python", "")).split(".")[:2] != _PYTHON.split("."):
            raise Refused(
                INCOMPATIBLE, f"the checkpoint needs Python {begin.get('python')}, this sandbox has {_PYTHON}"
            )
        workspace = self._surroundings.workspace
        if not verify:
            self._laid = Laid(workspace)
            self._laid.lay(connection, files)
            _enter(ambient.directory_of(state, self._laid.top), self._laid.top)
            workspace = self._laid.top
        else:
            _enter(ambient.directory_of(state, workspace), workspace)
        ambient.search_in(state, workspace, self._surroundings.path)
        loading = Loading(connection, self._surroundings, allow_lost=begin.get("allow_lost") is True)
        collecting = gc.isenabled()
        gc.disable()
        try:
            for group in groups:
                loading.load(group)
        finally:
            if collecting:
                gc.enable()
        differing = loading.differing(groups) if verify else []
        ambient.search_in(state, self._surroundings.workspace, self._surroundings.path)
        ambient.restore(state, self._surroundings)
        if self._laid is not None:
            self._laid.settle_modules()
        rerun = self._recompute(state, loading.promised)
        loading.lost.update(rerun.lost)
        lost = [{"name": name, "reason": reason} for name, reason in loading.lost.items()]
        connection.say(
            "loaded", variables=loading.restored, lost=lost, differing=differing, recomputed=rerun.made
        )
        checkpoint = begin.get("checkpoint_id")
        if isinstance(checkpoint, str):
            self._ledger.restored(checkpoint)
        self._surroundings.recorder.adopt(rerun.recipes)
        self._link.send(
            {
                "type": "loaded",
                "names": [*loading.restored, *rerun.made],
                "lost": [[name, reason] for name, reason in loading.lost.items()],
                "files": self._laid is not None,
            }
        )

    def _recompute(self, state: dict[str, Any], promised: dict[str, str]) -> Rerun:
        """Make anew what the checkpoint says can be; what fails is lost, and nothing else."""
        surroundings = self._surroundings
        rerun = Rerun(surroundings.namespace.names, surroundings.run_in_context, promised)
        if promised and surroundings.recorder.is_on:
            try:
                recipes = [Recipe.unpacked(each) for each in state.get(RECIPES) or ()]
            except (KeyError, TypeError, ValueError):
                recipes = []
            rerun.run_all(recipes)
        rerun.finish()
        if rerun.made:
            self.warnings.append(
                {
                    "code": "RECOMPUTED",
                    "message": "these variables could not be saved: the code that had made them was run again",
                    "names": sorted(rerun.made),
                }
            )
        return rerun

    def _tell_refused(self, connection: Connection, refused: Refused) -> None:
        try:  # noqa: SIM105 - contextlib looks builtins up
            connection.say("refused", reason=refused.reason, message=str(refused))
        except Broken:
            pass
        self._refuse(refused.reason, str(refused))

    def _refuse(self, reason: str, message: str) -> None:
        if self._laid is not None:
            self._laid.remove()
        self._link.send({"type": "load_refused", "reason": reason, "message": message[:500]})


class Loading:
    """The variables while they come."""

    def __init__(self, connection: Connection, surroundings: Surroundings, *, allow_lost: bool) -> None:
        self.restored: list[str] = []
        self.lost: dict[str, str] = {}
        self.promised: dict[str, str] = {}
        """What is to be made anew, with the types."""
        self._connection = connection
        self._namespace = surroundings.namespace
        self._allow_lost = allow_lost

    def load(self, group: dict[str, Any]) -> None:
        """Bind a group's variables. :class:`Refused` where one cannot be, unless losses are allowed."""
        waiting = self._waiting(group)
        data = bytearray(sum(length for _, length in group["pickle"]))
        take(self._connection, group["pickle"], memoryview(data))
        reader = Reader(memoryview(data))
        buffers = Buffers(self._connection, group["buffers"])
        unpickler = None
        names = self._namespace.names
        reason = ""
        for variable in waiting:
            name, begins = variable["name"], variable.get("begins")
            if begins is not None:
                reader.at = begins[0]
                buffers.skip_to(begins[1])
                unpickler, reason = None, ""
            if not reason:
                try:
                    if unpickler is None:
                        unpickler = Unpickler(reader, buffers, self._namespace)
                    names[name] = unpickler.load()
                except Broken:
                    raise
                except BaseException as error:
                    reason = self._excuse(name, error)
            if reason:
                self.lost[name] = reason
            else:
                self.restored.append(name)
        buffers.skip_to(len(group["buffers"]))

    def _waiting(self, group: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the variables that are to come, having noted down the others."""
        for variable in group["variables"]:
            if variable["fidelity"] == "RECOMPUTED":
                self.promised[variable["name"]] = variable["type"]
            elif variable["fidelity"] != "EXACT":
                self.lost[variable["name"]] = variable["reason"]
        return [variable for variable in group["variables"] if variable["fidelity"] == "EXACT"]

    def differing(self, groups: list[dict[str, Any]]) -> list[str]:
        """Return the variables that are not what was saved, as far as that can be told."""
        found = []
        for group in groups:
            saved = {
                variable["name"]: variable["digest"]
                for variable in group["variables"]
                if variable["fidelity"] == "EXACT" and variable["digest"]
            }
            now = digests(self._namespace.names, saved)
            found += [name for name, digest in now.items() if digest and digest != saved[name]]
        return found

    def _excuse(self, name: str, error: BaseException) -> str:
        if isinstance(error, MissingPackage):
            message = f"{name} needs the package {error}, which is not installed here"
        else:
            message = f"{name} cannot be restored: {brief(error)}"
        if not self._allow_lost:
            raise Refused(INCOMPATIBLE, message)
        return message


def _hear(connection: Connection) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    begin = connection.hear()
    if begin["type"] != "begin":
        raise Broken(f"unexpected {begin['type']}")
    groups: list[dict[str, Any]] = []
    files: list[dict[str, Any]] = []
    while (header := connection.hear())["type"] != "chunks_follow":
        if header["type"] == "group":
            groups.append(header)
        elif header["type"] == "file":
            files.append(header)
        else:
            raise Broken(f"unexpected {header['type']}")
    return begin, groups, files


def _enter(directory: str, otherwise: str) -> None:
    try:
        _chdir(directory)
    except OSError:
        _chdir(otherwise)
