"""Flags, environment, file, defaults: merged in this order, each value knowing where it came from.

pydantic-settings reads the environment; what is merged here is what it does not do: names of files and
keys in errors, sources to show, paths relative to the file that they stand in.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_settings import EnvSettingsSource, SettingsError

from sandbank_server.config import ENV_PREFIX, GROUP_SEPARATOR, Settings
from sandbank_server.configuration.groups import Checkpoints, Images, Limits
from sandbank_server.templates.errors import TemplateConfigError
from sandbank_server.templates.settings import templates_from_mapping

CONFIG_VARIABLE: Final = f"{ENV_PREFIX}CONFIG"
FILE_NAME: Final = "sandbank.toml"
GROUPS: Final[Mapping[str, type[BaseModel]]] = {
    "limits": Limits,
    "images": Images,
    "checkpoints": Checkpoints,
}
_PATHS: Final = frozenset(
    {"data_dir", "seccomp_profile", "tls_certificate", "tls_key", "ready_file", "images.cache_dir"}
)
# Variables of the same prefix that are no settings: the client's, the scripts', the sandboxes'.
_OTHER_VARIABLES: Final = (
    CONFIG_VARIABLE,
    f"{ENV_PREFIX}ADDRESS",
    f"{ENV_PREFIX}TOKEN",
    f"{ENV_PREFIX}ROOT_CERTIFICATES",
    f"{ENV_PREFIX}PYTHON",
)
_OTHER_PREFIXES: Final = (f"{ENV_PREFIX}COMPOSE_", f"{ENV_PREFIX}DOCKERD_", f"{ENV_PREFIX}TEST_")


class ConfigError(Exception):
    """The settings are wrong; the text names the source and the key, and says what is wrong."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and where each came from: ``sources`` by dotted key."""

    settings: Settings
    sources: Mapping[str, str]
    file: Path | None
    unknown_variables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Value:
    value: Any
    source: str
    directory: Path


def setting_keys() -> Iterator[str]:
    """Yield every dotted key but `templates`, in the order of the settings."""
    for name in Settings.model_fields:
        if name in GROUPS:
            yield from (f"{name}.{inner}" for inner in GROUPS[name].model_fields)
        elif name != "templates":
            yield name


def variable_of(key: str) -> str:
    """Return the environment variable of a key: ``limits.code_bytes`` is SANDBANK_LIMITS__CODE_BYTES."""
    return ENV_PREFIX + key.replace(".", GROUP_SEPARATOR).upper()


def flag_of(key: str) -> str:
    """Return the flag of a key; those of groups are given by ``--set``."""
    return f"--set {key}" if "." in key else "--" + key.replace("_", "-")


def load_settings(
    flags: Mapping[str, Any] | None = None,
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Loaded:
    """Return the effective settings. ``flags`` by dotted key. Raises :class:`ConfigError`.

    Without ``file`` it is the one that SANDBANK_CONFIG names, else ``sandbank.toml`` in the current
    directory, else in ``/etc/sandbank``, else none.
    """
    environment = os.environ if environment is None else environment
    path = _find_file(file, environment)
    values: dict[str, _Value] = {}
    if path is not None:
        values |= _from_file(path)
    if "engine_url" not in values and environment.get("DOCKER_HOST"):
        values["engine_url"] = _Value(environment["DOCKER_HOST"], "DOCKER_HOST", Path.cwd())
    values |= _from_environment(environment)
    values |= {key: _Value(value, flag_of(key), Path.cwd()) for key, value in (flags or {}).items()}
    _refuse_unknown(values)
    settings = _build(values)
    sources = {key: values[key].source if key in values else "default" for key in setting_keys()}
    for name in settings.templates:
        sources[f"templates.{name}"] = (
            values[f"templates.{name}"].source if f"templates.{name}" in values else "default"
        )
    return Loaded(settings, sources, path, tuple(_unknown_variables(environment)))


def _find_file(file: Path | None, environment: Mapping[str, str]) -> Path | None:
    if file is None and environment.get(CONFIG_VARIABLE):
        file = Path(environment[CONFIG_VARIABLE])
    if file is not None:
        if not file.is_file():
            raise ConfigError(f"there is no file {file}")
        return file.absolute()
    found = (place / FILE_NAME for place in (Path.cwd(), Path("/etc/sandbank")))
    return next((path for path in found if path.is_file()), None)


def _from_file(path: Path) -> dict[str, _Value]:
    try:
        with path.open("rb") as stream:
            table = tomllib.load(stream)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from None
    flat = _flatten(table, str(path))
    return {key: _Value(value, str(path), path.parent) for key, value in flat.items()}


def _from_environment(environment: Mapping[str, str]) -> dict[str, _Value]:
    class Source(EnvSettingsSource):
        """Reads the mapping given instead of the process's environment."""

        def _load_env_vars(self) -> Mapping[str, str]:
            return {name.lower(): value for name, value in environment.items()}

    try:
        table = Source(Settings)()
    except SettingsError:
        # Its text names neither: only a group or `templates` as a whole is parsed, and that as JSON.
        whole = [name for name in (*GROUPS, "templates") if variable_of(name) in environment]
        raise ConfigError(f"{', '.join(map(variable_of, whole))}: must be JSON") from None
    flat = _flatten(table, "environment")
    return {key: _Value(value, variable_of(key), Path.cwd()) for key, value in flat.items()}


def _flatten(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if key in GROUPS or key == "templates":
            if not isinstance(value, Mapping):
                raise ConfigError(f"{where}: {key}: must be a table")
            flat |= {f"{key}.{inner}": item for inner, item in value.items()}
        else:
            flat[key] = value
    return flat


def _refuse_unknown(values: Mapping[str, _Value]) -> None:
    known = list(setting_keys())
    for key, value in values.items():
        if key in known or key.startswith("templates."):
            continue
        near = difflib.get_close_matches(key, known, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"{value.source}: there is no setting {key}{hint}")


def _build(values: Mapping[str, _Value]) -> Settings:
    tree: dict[str, Any] = {}
    for key, item in values.items():
        if not key.startswith("templates."):
            _put(tree, key, _absolute(key, item))
    tree["templates"] = _templates(values)
    try:
        return Settings(**tree)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(error, values))) from None


def _templates(values: Mapping[str, _Value]) -> dict[str, Any]:
    found = templates_from_mapping({}, directory=Path.cwd())
    for key, item in values.items():
        if key.startswith("templates."):
            name = key.removeprefix("templates.")
            try:
                found[name] = templates_from_mapping({name: item.value}, directory=item.directory)[name]
            except TemplateConfigError as error:
                raise ConfigError(f"{item.source}: {error}") from None
    return found


def _put(tree: MutableMapping[str, Any], key: str, value: Any) -> None:
    group, _, name = key.rpartition(".")
    (tree.setdefault(group, {}) if group else tree)[name] = value


def _absolute(key: str, item: _Value) -> Any:
    # A path in a file is meant from where the file is; from a flag or a variable, from where the command
    # runs.
    if key in _PATHS and isinstance(item.value, str) and item.value:
        return str(item.directory / Path(item.value).expanduser())
    return item.value


def _explain(error: ValidationError, values: Mapping[str, _Value]) -> Iterator[str]:
    for problem in error.errors(include_url=False):
        key = ".".join(str(part) for part in problem["loc"][:2] if isinstance(part, str))
        while key and key not in values and "." in key:
            key = key.rpartition(".")[0]
        text = problem["msg"].removeprefix("Value error, ")
        given = values.get(key)
        if given is None:
            yield f"settings: {text}"
        else:
            # The value may be a secret in the wrong place; what kind it is helps enough.
            yield f"{given.source}: {key}: {text}"


def _unknown_variables(environment: Mapping[str, str]) -> Iterator[str]:
    known = {variable_of(key) for key in setting_keys()} | {variable_of("templates"), *_OTHER_VARIABLES}
    for name in sorted(environment):
        if (
            name.startswith(ENV_PREFIX)
            and name.upper() not in known
            and not name.startswith(_OTHER_PREFIXES)
            # What is wrong with a template is an error, and told as one.
            and not name.upper().startswith(variable_of("templates") + GROUP_SEPARATOR)
        ):
            yield name
