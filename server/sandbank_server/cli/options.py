"""The flags of the settings, made from the settings themselves: so that none is forgotten."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from sandbank_server.configuration.describe import field_of
from sandbank_server.configuration.loading import (
    ConfigError,
    Loaded,
    flag_of,
    load_settings,
    setting_keys,
    variable_of,
)

USAGE_EXIT = 2
FAILED_EXIT = 1


def fail(text: str, code: int = FAILED_EXIT) -> typer.Exit:
    """Print why a command failed; return what to raise."""
    console = Console(stderr=True, markup=False, highlight=False)
    console.print(f"error: {text}", style="red", soft_wrap=True)
    return typer.Exit(code)


def with_settings(function: Callable[..., None]) -> Callable[..., None]:
    """Return a command with a flag for every setting; ``function`` gets what they come to as its first argument."""
    flags = _setting_parameters()
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]

    def command(**given: Any) -> None:
        chosen = {name: given.pop(name) for name in flags}
        function(_load(chosen, given.pop("config"), given.pop("assignments")), **given)

    parameters = [*own, *_common_parameters(), *flags.values()]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    command.__doc__ = function.__doc__
    command.__name__ = function.__name__
    return command


def load_or_fail(flags: dict[str, Any] | None = None, file: Path | None = None) -> Loaded:
    """Return the settings, or print what is wrong with them and end the command."""
    try:
        return load_settings(flags, file=file)
    except ConfigError as error:
        raise fail(str(error), USAGE_EXIT) from None


def _load(chosen: dict[str, Any], file: Path | None, assignments: list[str] | None) -> Loaded:
    flags = {key: value for key, value in chosen.items() if value is not None}
    for assignment in assignments or ():
        key, equals, value = assignment.partition("=")
        if not equals:
            raise fail(f"--set {assignment}: write KEY=VALUE, such as limits.code_bytes=2MiB", USAGE_EXIT)
        flags[key.strip()] = value.strip()
    return load_or_fail(flags, file)


def _setting_parameters() -> dict[str, inspect.Parameter]:
    parameters: dict[str, inspect.Parameter] = {}
    for key in setting_keys():
        if "." in key:
            continue
        field = field_of(key)
        flag, text = flag_of(key), f"{field.description} [{variable_of(key)}]"
        if field.annotation is bool:
            negative = f"--no-{flag.removeprefix('--')}"
            annotation: Any = Annotated[
                bool | None, typer.Option(f"{flag}/{negative}", help=text, show_default=False)
            ]
        else:
            annotation = Annotated[str | None, typer.Option(flag, help=text, show_default=False)]
        parameters[key] = _keyword(key, annotation)
    return parameters


def _common_parameters() -> list[inspect.Parameter]:
    config = typer.Option("--config", help="The file of settings. [SANDBANK_CONFIG]", show_default=False)
    assignment = typer.Option(
        "--set", metavar="KEY=VALUE", help="Any other setting: limits.code_bytes=2MiB.", show_default=False
    )
    return [
        _keyword("config", Annotated[Path | None, config]),
        _keyword("assignments", Annotated[list[str] | None, assignment]),
    ]


def _keyword(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
