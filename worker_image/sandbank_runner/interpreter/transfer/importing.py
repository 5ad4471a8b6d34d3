"""The live interpreter's part: it takes a value from a connection and binds it, all or nothing."""

from __future__ import annotations

import keyword
import os
import unicodedata
from typing import Any

from sandbank_runner.interpreter.changes import Changes
from sandbank_runner.interpreter.checkpoints.frames import Broken, Connection
from sandbank_runner.interpreter.checkpoints.unsavable import brief
from sandbank_runner.interpreter.link import Link
from sandbank_runner.interpreter.namespace import Namespace
from sandbank_runner.interpreter.reading.reader import is_shown
from sandbank_runner.interpreter.sealed import give_back, put_back, seal
from sandbank_runner.interpreter.transfer.arrow_in import value_of_arrow
from sandbank_runner.interpreter.transfer.json_in import value_of_json
from sandbank_runner.interpreter.transfer.refusing import (
    BAD_FIELD,
    FORMAT_UNAVAILABLE,
    SESSION_BUSY,
    TOO_LARGE,
    Refused,
)
from sandbank_runner.interpreter.transfer.source import Source

seal(globals())

_close = os.close
_KEYWORDS = frozenset(keyword.kwlist)
_normalize = unicodedata.normalize


class Importer:
    """Binds variables of one session."""

    def __init__(self, link: Link, namespace: Namespace, changes: Changes) -> None:
        self._link = link
        self._namespace = namespace
        self._changes = changes

    def bind(self, header: dict[str, Any], _blobs: tuple[bytes, ...]) -> None:
        """Take a value in; answer ``imported`` or ``import_refused``."""
        descriptors = self._link.take_descriptors()
        name = header["name"]
        self._changes.binding(name)
        try:
            if len(descriptors) != 1:
                raise Refused(SESSION_BUSY, "no descriptor is left for the connection")
            value = _take(Connection(descriptors[0]), header)
        except Refused as refused:
            self._refuse(refused.reason, str(refused))
            return
        except Broken:
            self._refuse(SESSION_BUSY, "the connection broke off before the value was whole")
            return
        except MemoryError:
            self._refuse(TOO_LARGE, "the sandbox has not enough memory for the value")
            return
        except BaseException as error:  # an audit hook of the user's, a library that the user has changed
            self._refuse(BAD_FIELD, f"the value could not be read: {brief(error)}")
            return
        finally:
            for descriptor in descriptors:
                _close(descriptor)
        self._namespace.names[name] = value  # the end of the value before it may be code of the user's
        del value
        change = self._changes.bound(name, header["preview_characters"])
        self._link.send({"type": "imported", "change": change})

    def _refuse(self, reason: str, message: str) -> None:
        self._link.send({"type": "import_refused", "reason": reason, "message": message[:500]})


def _take(connection: Connection, header: dict[str, Any]) -> Any:
    """Return the value that comes. Raises :class:`Refused`, ``Broken``, MemoryError."""
    name, form = header["name"], header["format"]
    if not is_bindable(name):
        raise Refused(BAD_FIELD, "the name is no identifier of a variable")
    changed = put_back()
    try:
        connection.say("importer")
        source = Source(connection)
        if form == "json":
            return value_of_json(source.read())
        if form == "arrow":
            return value_of_arrow(source, header["arrow_as"])
        raise Refused(FORMAT_UNAVAILABLE, "there is no such format")
    finally:
        give_back(changed)


def is_bindable(name: str) -> bool:
    """Tell whether code could bind a name as it is written, and it is not the interpreter's own."""
    return (
        is_shown(name) and name.isidentifier() and name not in _KEYWORDS and _normalize("NFKC", name) == name
    )
