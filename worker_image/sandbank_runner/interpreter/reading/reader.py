"""The copy's part: it answers one read on its own channel, and exits.

What it says, in this order, so that the supervisor knows at every moment what user code is at work on:

``variables`` {``items``: descriptions that are complete, ``at``: the description, as far as it is known, of the
variable that it turns to now, or null}, any number of times; then ``end`` {``more``} of a listing, or of one variable
``value`` {``mime_type``, ``preview``: of REPR, else null} with the value as blob, or ``no_value`` {``reason``:
``missing``, ``format``, ``too_large`` or ``failed``, ``message``, ``size``}.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

from sandbank_runner.interpreter.checkpoints.attempts import Attempts
from sandbank_runner.interpreter.link import Link
from sandbank_runner.interpreter.namespace import OWN_NAMES
from sandbank_runner.interpreter.reading.kinds import Facts, facts, type_name
from sandbank_runner.interpreter.reading.patience import Patience, TookTooLong
from sandbank_runner.interpreter.reading.previews import UserCode, cut, preview
from sandbank_runner.interpreter.reading.sizes import OBJECTS, Sizes
from sandbank_runner.interpreter.reading.unavailable import Unavailable
from sandbank_runner.interpreter.reading.values import REPR, value_of
from sandbank_runner.interpreter.sealed import seal

seal(globals())

PREVIEW_SECONDS = 0.5
"""What the ``__repr__`` of one variable may take for its preview."""
PREVIEWS_SECONDS = 3.0
"""What those of all variables may take together; then the rest have none."""
SIZES_SECONDS = 3.0
"""What measuring all variables may take together; then only so few objects of each are counted:"""
FEW_OBJECTS = 1000
ATTEMPT_SECONDS = 1.0
"""What trying to save one of them may take."""
ATTEMPTS_SECONDS = 3.0
"""What trying to save all of them may take together."""
UNTRIED = "saving it was not tried to its end: that takes too long"
NOT_SHOWN = OWN_NAMES | {"__", "___", "_dh", "_exit_code"}
"""Names that are the interpreter's, and those that its magics leave."""
TOO_SLOW = "<preview unavailable: repr took too long>"
NO_PREVIEW = "<preview unavailable>"

_NAME_CHARACTERS = 1000
_MESSAGE_CHARACTERS = 300
_ITEMS = 64
_FLUSH_SECONDS = 0.03
_LONG_SECONDS = 0.2
_RECURSION_ROOM = 1000

_exit, _monotonic = os._exit, time.monotonic
_getrecursionlimit, _setrecursionlimit = sys.getrecursionlimit, sys.setrecursionlimit
_type_name_of = type.__dict__["__name__"].__get__


def answer(link: Link, header: dict[str, Any], names: dict[str, Any], patience: Patience) -> NoReturn:
    """Answer one ``read`` and end the process."""
    try:
        if _getrecursionlimit() < _RECURSION_ROOM:
            _setrecursionlimit(_RECURSION_ROOM)
        reader = Reader(link, names, patience, header)
        if header["what"] == "list":
            reader.describe_all(header)
        else:
            reader.give_one(header)
    finally:
        _exit(0)


def is_shown(name: object) -> bool:
    """Tell whether a name of the namespace is the session's, and can be said in UTF-8."""
    if type(name) is not str or name in NOT_SHOWN or len(name) > _NAME_CHARACTERS:
        return False
    if name.isascii():
        return True
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


class Reader:
    """Looks at the variables of one namespace, for previews of so many ``characters``.

    The ``__repr__`` of those named in ``skip`` is not called for a preview. ``bare``: that of none is, and no sizes are
    taken.
    """

    def __init__(self, link: Link, names: dict[str, Any], patience: Patience, header: dict[str, Any]) -> None:
        self._link = link
        self._names = names
        self._characters: int = header["characters"]
        self._skip: list[str] = header["skip"]
        self._bare: bool = header["bare"]
        self._previews_left = PREVIEWS_SECONDS
        self._patience = patience
        self._sizes = Sizes(names)
        self._sizes_left = SIZES_SECONDS
        self._attempts = Attempts(names, {name: value for name, value in names.items() if is_shown(name)})
        self._attempts_left = ATTEMPTS_SECONDS
        self._items: list[dict[str, Any]] = []
        self._flushed = _monotonic()

    def describe_all(self, header: dict[str, Any]) -> None:
        """Describe the variables that begin with ``prefix`` and come after ``after``, at most ``limit``.

        Those that begin with an underscore only where ``private`` says so.
        """
        prefix, after, limit = header["prefix"], header["after"], header["limit"]
        private = header["private"]
        found = sorted(
            name
            for name in list(self._names)
            if is_shown(name)
            and name > after
            and name.startswith(prefix)
            and (private or not name.startswith("_"))
        )
        for name in found[:limit]:
            self._describe(name, self._names[name])
            if len(self._items) >= _ITEMS or _monotonic() - self._flushed > _FLUSH_SECONDS:
                self._flush()
        self._flush()
        self._link.send({"type": "end", "more": len(found) > limit})

    def give_one(self, header: dict[str, Any]) -> None:
        """Describe one variable and give its value, in ``form`` and within ``max_bytes`` and ``seconds``."""
        name, form = header["name"], header["form"]
        if not is_shown(name) or name not in self._names:
            self._no_value("missing", "the name is not bound")
            return
        value = self._names[name]
        if form == REPR:
            item = self._begin(name, value)
            self._turn_to(item)
            self._know(item, value)
            item["unsavable"] = self._try_to_save(item)
            self._items.append({**item, "preview": NO_PREVIEW})
        else:
            self._describe(name, value)
        self._flush()
        try:
            mime, data = self._patience.call(
                value_of, value, form, header["max_bytes"], seconds=header["seconds"]
            )
        except Unavailable as problem:
            self._no_value(problem.reason, str(problem), problem.size)
        except TookTooLong:
            self._no_value("failed", "it took too long to write the value down")
        except MemoryError:
            self._no_value("too_large", "the value took too much memory to write down")
        except BaseException as error:
            self._no_value("failed", f"writing the value down failed: {_brief(error)}")
        else:
            beginning = data[: 4 * self._characters + 4].decode("utf-8", "ignore")
            text = cut(beginning, self._characters) if form == REPR else None
            self._link.send({"type": "value", "mime_type": mime, "preview": text}, (data,))

    def _describe(self, name: str, value: object) -> None:
        """Add the description of one variable. Before user code may run, what is known so far is sent."""
        item = self._begin(name, value)
        exact = type(value) in _QUIET if type(type(value)) is type else False
        if not exact:
            self._turn_to(item)
        self._know(item, value)
        try:
            item["preview"] = preview(value, self._characters, None)
        except UserCode:
            if self._bare or name in self._skip:
                item["preview"] = NO_PREVIEW
            else:
                self._turn_to(item)
                item["preview"] = self._ask(value)
        except BaseException as error:
            item["preview"] = cut(f"<repr failed: {_brief(error)}>", self._characters)
        item["unsavable"] = self._try_to_save(item)
        self._items.append(item)

    def _begin(self, name: str, value: object) -> dict[str, Any]:
        return {"name": name, "type_name": type_name(value)}

    def _know(self, item: dict[str, Any], value: object) -> None:
        """Add what is known without the value's own code, as far as it can be had."""
        known = self._guarded(facts, value, Facts(), PREVIEW_SECONDS)
        item["shape"], item["dtype"], item["length"] = list(known.shape), known.dtype, known.length
        item["size_bytes"] = 0 if self._bare else self._guarded(self._size, value, 0, SIZES_SECONDS)

    def _size(self, value: object) -> int:
        begin = _monotonic()
        try:
            return self._sizes.of(value, OBJECTS if self._sizes_left > 0 else FEW_OBJECTS)
        finally:
            self._sizes_left -= _monotonic() - begin

    def _try_to_save(self, item: dict[str, Any]) -> str | None:
        """Return why a checkpoint could not save a variable, "" where it could, None where that was not tried."""
        name = item["name"]
        if self._bare or name in self._skip:
            return None
        if self._attempts_left <= 0:
            return UNTRIED
        begin = _monotonic()
        seconds = min(ATTEMPT_SECONDS, self._attempts_left)
        try:
            self._say_still_at(item)
            if self._patience.call(self._attempts.runs_code, name, seconds=seconds):
                self._turn_to(item)
            else:
                self._say_still_at(item)
            return cut(self._patience.call(self._attempts.reason, name, seconds=seconds), _MESSAGE_CHARACTERS)
        except TookTooLong:
            return UNTRIED
        except BaseException as error:
            return cut(_brief(error), _MESSAGE_CHARACTERS)
        finally:
            self._attempts_left -= _monotonic() - begin

    def _say_still_at(self, item: dict[str, Any]) -> None:
        """What takes a while without any code of the user's is no hanging."""
        if _monotonic() - self._flushed > _LONG_SECONDS:
            self._turn_to(item)

    def _guarded(self, function: Callable[[Any], Any], value: object, otherwise: Any, seconds: float) -> Any:
        try:
            return self._patience.call(function, value, seconds=seconds)
        except BaseException:  # what a library that user code has changed, or an audit hook, raises
            return otherwise

    def _ask(self, value: object) -> str:
        if self._previews_left <= 0:
            return TOO_SLOW
        begin = _monotonic()
        try:
            seconds = min(PREVIEW_SECONDS, self._previews_left)
            return str(self._patience.call(preview, value, self._characters, repr, seconds=seconds))
        except TookTooLong:
            return TOO_SLOW
        except BaseException as error:
            return cut(f"<repr failed: {_brief(error)}>", self._characters)
        finally:
            self._previews_left -= _monotonic() - begin

    def _turn_to(self, item: dict[str, Any]) -> None:
        self._flush(dict(item))

    def _flush(self, at: dict[str, Any] | None = None) -> None:
        if self._items or at:
            self._link.send({"type": "variables", "items": self._items, "at": at})
            self._items = []
        self._flushed = _monotonic()

    def _no_value(self, reason: str, message: str, size: int = 0) -> None:
        self._flush()
        self._link.send(
            {"type": "no_value", "reason": reason, "message": cut(message, _MESSAGE_CHARACTERS), "size": size}
        )


def _brief(error: BaseException) -> str:
    """Return the type of an error, and its message where that takes no code of the user's."""
    arguments = _arguments_of(error)
    text = ", ".join(argument for argument in arguments if type(argument) is str)
    return f"{_type_name_of(type(error))}: {text[:150]}" if text else str(_type_name_of(type(error)))


_arguments_of: Any = BaseException.__dict__["args"].__get__
# fmt: off
_QUIET = frozenset([
    int, float, complex, bool, str, bytes, bytearray, list, tuple, dict, set, frozenset, range, type(None),
])
# fmt: on
"""Types whose description cannot run anything of the user's up to their preview."""
