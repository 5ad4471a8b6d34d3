"""Values as people write them: sizes, durations, numbers per template."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, PlainSerializer
from pydantic_settings import NoDecode

from sandbank_server.listen import ListenError, split_address

_SIZE: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([KMGT]iB|B)?", re.ASCII)
_SIZE_UNITS: Final = {None: 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_DURATION: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)\s*(ms|s|min|h|d)?", re.ASCII)
_DURATION_UNITS: Final = {None: 1.0, "ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_TEMPLATE: Final = re.compile(r"[a-z0-9-]{1,40}")


def parse_size(value: object) -> int:
    """Return bytes, of a number or of text such as ``512 MiB``. Raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        return int(float(match[1]) * _SIZE_UNITS[match[2]])
    raise ValueError('must be a size: bytes, or text such as "512 MiB"')


def parse_duration(value: object) -> timedelta:
    """Return a duration, of a number of seconds or of text such as ``15 min``. Raises ValueError."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return timedelta(seconds=value)
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        return timedelta(seconds=float(match[1]) * _DURATION_UNITS[match[2]])
    raise ValueError('must be a duration: seconds, or text such as "500 ms", "15 min", "24 h"')


def parse_per_template(value: object) -> dict[str, int]:
    """Return a number for each template; under the empty name that of the others.

    Of a number, ``slim=2,data=0``, or a table. Raises ValueError.
    """
    error = ValueError('must be a number, or one per template: "slim=2,data=0"')
    if isinstance(value, str):
        text = value.strip()
        if text.isascii() and text.isdigit():
            value = int(text)
        else:
            pairs = [pair.partition("=") for pair in text.split(",")]
            value = {name.strip(): number.strip() for name, _, number in pairs}
            if len(value) != len(pairs):
                raise error
    if isinstance(value, int) and not isinstance(value, bool):
        value = {"": value}
    if not isinstance(value, Mapping) or not value:
        raise error
    numbers: dict[str, int] = {}
    for name, number in value.items():
        digits = str(number)
        if not isinstance(name, str) or (name and not _TEMPLATE.fullmatch(name)):
            raise error
        if isinstance(number, bool) or not (digits.isascii() and digits.isdigit()) or len(digits) > 6:
            raise error
        numbers[name] = int(digits)
    return numbers


def show_size(size: int) -> str:
    """Return a size as people write it: ``16 MiB``."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size and size % _SIZE_UNITS[unit] == 0:
            return f"{size // _SIZE_UNITS[unit]} {unit}"
    return str(size)


def show_duration(duration: timedelta) -> str:
    """Return a duration as people write it: ``15 min``."""
    seconds = duration.total_seconds()
    for unit in ("h", "min", "s"):
        if seconds and seconds % _DURATION_UNITS[unit] == 0:
            return f"{seconds / _DURATION_UNITS[unit]:g} {unit}"
    return f"{seconds * 1000:g} ms"


def show_per_template(numbers: Mapping[str, int]) -> int | str:
    """Return what :func:`parse_per_template` reads."""
    if set(numbers) == {""}:
        return numbers[""]
    return ",".join(f"{name}={number}" for name, number in numbers.items())


def check_address(value: str) -> str:
    """Return an address to listen on. Raises ValueError."""
    try:
        split_address(value)
    except ListenError as error:
        raise ValueError(f"must be HOST:PORT: {error}") from None
    return value


def _at_least(low: int | timedelta) -> Any:
    def check(value: Any) -> Any:
        if value < low:
            shown = show_duration(low) if isinstance(low, timedelta) else low
            raise ValueError(f"must be at least {shown}")
        return value

    return AfterValidator(check)


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


def _empty_or_address(value: str) -> str:
    return check_address(value) if value else value


Size = Annotated[int, BeforeValidator(parse_size), _at_least(1), PlainSerializer(show_size)]
Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    _at_least(timedelta(milliseconds=1)),
    PlainSerializer(show_duration),
]
PerTemplate = Annotated[
    dict[str, int], NoDecode, BeforeValidator(parse_per_template), PlainSerializer(show_per_template)
]
Address = Annotated[str, AfterValidator(check_address)]
OptionalAddress = Annotated[str, AfterValidator(_empty_or_address)]
OptionalPath = Annotated[
    Path | None,
    BeforeValidator(_empty_is_none),
    PlainSerializer(lambda path: "" if path is None else str(path)),
]
FilePath = Annotated[Path, PlainSerializer(str)]
