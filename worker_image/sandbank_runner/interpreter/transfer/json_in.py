"""A value from its JSON text, as strictly as JSON is."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.transfer.refusing import BAD_FIELD, Refused

seal(globals())

_WHITESPACE = " \t\n\r"
_MESSAGE_CHARACTERS = 200


def _no_number(word: str) -> NoReturn:
    raise Refused(BAD_FIELD, f"{word} is not JSON")


_scan = json.JSONDecoder(parse_constant=_no_number).scan_once  # type: ignore[attr-defined]


def value_of_json(data: bytearray) -> Any:
    """Return the value that UTF-8 text stands for. :class:`Refused` where it is no JSON, or more than Python takes."""
    try:
        text = data.decode("utf-8")
        value, end = _scan(text, len(text) - len(text.lstrip(_WHITESPACE)))
    except Refused:
        raise
    except UnicodeDecodeError:
        raise Refused(BAD_FIELD, "the JSON is not UTF-8") from None
    except StopIteration as stop:
        raise Refused(BAD_FIELD, f"not JSON: no value at character {stop.value}") from None
    except RecursionError:
        raise Refused(BAD_FIELD, "the JSON is nested too deeply") from None
    except ValueError as error:  # also a number of too many digits
        raise Refused(BAD_FIELD, f"not JSON: {str(error)[:_MESSAGE_CHARACTERS]}") from None
    rest = len(text) - len(text[end:].lstrip(_WHITESPACE)) if end < len(text) else end
    if rest < len(text):
        raise Refused(BAD_FIELD, f"not JSON: something follows the value at character {rest}")
    return value
