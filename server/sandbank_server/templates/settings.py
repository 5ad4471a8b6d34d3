"""Templates from configuration: every value checked, every complaint naming its key."""

from __future__ import annotations

import dataclasses
import keyword
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sandbank_server.templates.errors import TemplateConfigError
from sandbank_server.templates.model import GIB, LOCKS, MIB, SHIPPED_TEMPLATES, TemplateSpec

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([KMGT]i?B|B)?", re.ASCII)
_UNITS = {"": 1, "B": 1, "KIB": 1 << 10, "MIB": MIB, "GIB": GIB, "TIB": 1 << 40,
          "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}  # fmt: skip
_IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._:/@-]{0,254}")
_REQUIREMENT = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"  # the name
    r"(?:\[[A-Za-z0-9._, -]*\])?"  # extras
    r"\s*(?:(?:===|==|~=|!=|<=|>=|<|>)\s*[A-Za-z0-9.*+!_-]+\s*,?\s*)*",  # versions
    re.ASCII,
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)

SHIPPED_REQUIREMENTS = "sandbank:"
"""Prefix of a ``requirements`` value that names a locked file of Sandbank's own: ``sandbank:data``."""


def template_from_mapping(name: str, table: Mapping[str, Any], *, directory: Path) -> TemplateSpec:
    """Make the template ``name`` from its table ``[templates.NAME]``.

    Keys: those of :class:`TemplateSpec` except ``name``, with ``memory`` and ``workspace`` for the sizes
    (an integer of bytes, or text such as ``"512 MiB"``). A missing key keeps the shipped template's value
    of that name, or the general default. A relative ``requirements`` is looked up in ``directory``, where
    the configuration file is. Raises :class:`TemplateConfigError`.
    """
    if not _NAME.fullmatch(name):
        raise TemplateConfigError(
            f"templates.{name}: a name has 1 to 40 characters of a-z, 0-9 and -, none of them - at an end"
        )
    known = {
        "base": lambda key, value: _matching(key, value, _IMAGE, "the name of an image", empty=True),
        "packages": lambda key, value: _texts(key, value, _requirement),
        "requirements": lambda key, value: _requirements_file(key, value, directory),
        "preload": lambda key, value: _texts(key, value, _module),
        "memory": lambda key, value: _size(key, value, 128 * MIB, 1024 * GIB),
        "cpu_count": _cpu_count,
        "process_limit": lambda key, value: _integer(key, value, 4, 4096),
        "workspace": lambda key, value: _size(key, value, MIB, 1024 * GIB),
        "environment": _environment,
        "network": lambda key, value: _one_of(key, value, ("none",)),
    }
    values: dict[str, Any] = {}
    for key, value in table.items():
        check: Callable[[str, Any], Any] | None = known.get(key)
        if check is None:
            raise TemplateConfigError(
                f"templates.{name}.{key}: no such key; there are {', '.join(sorted(known))}"
            )
        field = {"memory": "memory_bytes", "workspace": "workspace_bytes"}.get(key, key)
        values[field] = check(f"templates.{name}.{key}", value)
    if values.get("packages") and values.get("requirements"):
        raise TemplateConfigError(f"templates.{name}: give packages or requirements, not both")
    start = SHIPPED_TEMPLATES.get(name, TemplateSpec(name=name))
    if "packages" in values:
        values.setdefault("requirements", None)
    if values.get("requirements"):
        values.setdefault("packages", ())
    spec = dataclasses.replace(start, **values)
    if spec.workspace_bytes >= spec.memory_bytes:
        raise TemplateConfigError(
            f"templates.{name}: the workspace ({spec.workspace_bytes} bytes) lives in the sandbox's memory "
            f"({spec.memory_bytes} bytes) and must be smaller"
        )
    return spec


def templates_from_mapping(tables: Mapping[str, Any], *, directory: Path) -> dict[str, TemplateSpec]:
    """Return the shipped templates with what ``[templates]`` changes and adds.

    Raises :class:`TemplateConfigError`.
    """
    templates = dict(SHIPPED_TEMPLATES)
    for name, table in tables.items():
        if not isinstance(table, Mapping):
            raise TemplateConfigError(f"templates.{name}: must be a table, not {_kind(table)}")
        templates[name] = template_from_mapping(name, table, directory=directory)
    return templates


def _kind(value: object) -> str:
    return f"{type(value).__name__} {value!r:.60}"


def _matching(key: str, value: object, pattern: re.Pattern[str], what: str, *, empty: bool = False) -> str:
    if not isinstance(value, str) or not (pattern.fullmatch(value) or (empty and not value)):
        raise TemplateConfigError(f"{key}: must be {what}, not {_kind(value)}")
    return value


def _one_of(key: str, value: object, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise TemplateConfigError(f"{key}: must be one of {', '.join(choices)}, not {_kind(value)}")
    return str(value)


def _texts(key: str, value: object, check: Callable[[str, object], str]) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise TemplateConfigError(f"{key}: must be a list of texts, not {_kind(value)}")
    return tuple(check(f"{key}[{index}]", item) for index, item in enumerate(value))


def _requirement(key: str, value: object) -> str:
    what = 'a package with or without versions ("polars", "pandas>=3,<4"), no address and no option'
    return _matching(key, value, _REQUIREMENT, what).strip()


def _module(key: str, value: object) -> str:
    parts = value.split(".") if isinstance(value, str) else []
    if not parts or not all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
        raise TemplateConfigError(f"{key}: must be the name of a module, not {_kind(value)}")
    return ".".join(parts)


def _requirements_file(key: str, value: object, directory: Path) -> Path | None:
    if value == "":
        return None
    if not isinstance(value, str) or "\0" in value:
        raise TemplateConfigError(f"{key}: must be the path of a requirements file, not {_kind(value)}")
    if value.startswith(SHIPPED_REQUIREMENTS):
        name = value.removeprefix(SHIPPED_REQUIREMENTS)
        path = LOCKS / f"{name}.txt"
        if not _NAME.fullmatch(name) or not path.is_file():
            shipped = ", ".join(sorted(SHIPPED_REQUIREMENTS + found.stem for found in LOCKS.glob("*.txt")))
            raise TemplateConfigError(
                f"{key}: {value!r:.60} is not shipped with Sandbank; there are {shipped}"
            )
        return path
    path = directory / value
    if not path.is_file():
        raise TemplateConfigError(f"{key}: there is no file {path}")
    return path


def _integer(key: str, value: object, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise TemplateConfigError(f"{key}: must be a whole number from {low} to {high}, not {_kind(value)}")
    return value


def _cpu_count(key: str, value: object) -> float:
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if not 0.1 <= number <= 256:
        raise TemplateConfigError(f"{key}: must be a number from 0.1 to 256, not {_kind(value)}")
    return float(number)


def _size(key: str, value: object, low: int, high: int) -> int:
    size: int | None = None
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    elif isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        size = int(float(match[1]) * _UNITS[(match[2] or "").upper()])
    if size is None or not low <= size <= high:
        raise TemplateConfigError(
            f'{key}: must be a size from {low // MIB} MiB to {high // GIB} GiB, in bytes or as "512 MiB", '
            f"not {_kind(value)}"
        )
    return size


def _environment(key: str, value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise TemplateConfigError(f"{key}: must be a table of texts, not {_kind(value)}")
    environment: dict[str, str] = {}
    for name, text in value.items():
        if not isinstance(name, str) or not _VARIABLE.fullmatch(name) or name.startswith("SANDBANK_"):
            raise TemplateConfigError(
                f"{key}: {name!r:.60} is no name for a variable (letters, digits and _, not SANDBANK_...)"
            )
        if not isinstance(text, str) or "\0" in text:
            raise TemplateConfigError(
                f"{key}.{name}: must be text without null characters, not {type(text).__name__}"
            )
        environment[name] = text
    return environment
