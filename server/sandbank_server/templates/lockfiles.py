"""Locked requirements: exact versions with hashes, cut down to the Python and machine of an image."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from sandbank_server.templates.base_image import BaseImage
from sandbank_server.templates.errors import TemplateBuildError

_HASH = re.compile(r"--hash=(sha(?:256|384|512):[0-9a-f]{64,128})")
_LOCK_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class LockedPackage:
    """One package of a lock. ``hashes`` are of its wheels, of any platform; ``name`` is normalised."""

    name: str
    version: str
    hashes: tuple[str, ...]


def is_locked(text: str) -> bool:
    """Whether a requirements file carries hashes."""
    return "--hash=" in text


def parse_lock(text: str, source: str, base: BaseImage) -> dict[str, LockedPackage]:
    """Return the packages of a lock file that hold for the image's Python, by name.

    ``source`` names the file in errors. Raises :class:`TemplateBuildError` for a line that is not
    ``NAME==VERSION [; MARKER] --hash=...``.
    """
    if len(text) > _LOCK_BYTES:
        raise TemplateBuildError(f"{source} is larger than {_LOCK_BYTES} bytes")
    environment = _environment(base)
    packages: dict[str, LockedPackage] = {}
    for number, line in _logical_lines(text):
        where = f"{source}, line {number}"
        package = _parse(line, where, environment)
        if package is None:
            continue
        if package.name in packages:
            raise TemplateBuildError(f"{where}: {package.name} is there twice")
        packages[package.name] = package
    return packages


def combine(
    own: dict[str, LockedPackage], wanted: dict[str, LockedPackage], source: str
) -> list[LockedPackage]:
    """Join the runner's packages with the template's, sorted by name.

    Raises :class:`TemplateBuildError` where both lock a package at different versions.
    """
    for name in own.keys() & wanted.keys():
        if own[name].version != wanted[name].version:
            raise TemplateBuildError(
                f"{source} has {name} {wanted[name].version}, but the runner is locked with "
                f"{own[name].version}: lock the template's packages with the runner's as constraints"
            )
    return [package for _, package in sorted({**wanted, **own}.items())]


def render(packages: Iterable[LockedPackage]) -> str:
    """Write a lock file in one form whatever its sources look like: its digest names the content."""
    lines = (
        " ".join(
            [f"{package.name}=={package.version}", *(f"--hash={item}" for item in sorted(package.hashes))]
        )
        for package in packages
    )
    return "".join(f"{line}\n" for line in lines)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield requirement lines with continuations joined and comments gone, with the number of their first."""
    start, parts = 0, list[str]()
    for number, raw in enumerate(text.splitlines(), 1):
        line = re.sub(r"(^|\s)#.*$", "", raw).strip()
        if not parts:
            start = number
        parts.append(line.removesuffix("\\").strip())
        if line.endswith("\\"):
            continue
        joined = " ".join(part for part in parts if part)
        parts = []
        if joined:
            yield start, joined
    if parts:
        yield start, " ".join(parts)


def _parse(line: str, where: str, environment: dict[str, str]) -> LockedPackage | None:
    """Parse one requirement; None if its marker excludes it here."""
    hashes = tuple(_HASH.findall(line))
    specification = _HASH.sub("", line).strip()
    if specification.startswith("-") or "--" in specification:
        raise TemplateBuildError(f"{where}: options are not supported, only NAME==VERSION with hashes")
    try:
        requirement = Requirement(specification)
        applies = requirement.marker is None or requirement.marker.evaluate(environment)
    except (InvalidRequirement, UndefinedComparison, UndefinedEnvironmentName) as error:
        raise TemplateBuildError(f"{where}: {str(error).splitlines()[0]}") from None
    pins = list(requirement.specifier)
    if requirement.url or len(pins) != 1 or pins[0].operator != "==" or "*" in pins[0].version:
        raise TemplateBuildError(f"{where}: must be one exact version, as NAME==VERSION")
    if not hashes:
        raise TemplateBuildError(f"{where}: {requirement.name} has no --hash, but others in the file have")
    if not applies:
        return None
    return LockedPackage(canonicalize_name(requirement.name), pins[0].version, hashes)


def _environment(base: BaseImage) -> dict[str, str]:
    """Return what requirement markers ask for, as it is inside the image."""
    return {
        "implementation_name": "cpython",
        "implementation_version": base.python_version,
        "os_name": "posix",
        "platform_machine": base.architecture,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": base.python_version,
        "python_version": base.python_minor,
        "sys_platform": "linux",
        "extra": "",
    }
