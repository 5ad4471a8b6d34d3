"""The command group, and the commands that need little of their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from sandbank_server.cli.drain import drain
from sandbank_server.cli.health import health
from sandbank_server.cli.options import fail, load_or_fail, with_settings
from sandbank_server.cli.serve import serve
from sandbank_server.configuration.describe import effective, example_file
from sandbank_server.configuration.loading import Loaded

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


def config(
    loaded: Loaded,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    example: Annotated[
        bool, typer.Option("--example", help="Print a sandbank.toml with every default.")
    ] = False,
) -> None:
    """Print the settings in force, and where each comes from. Secrets are masked."""
    if example:
        typer.echo(example_file(), nl=False)
        return
    shown = list(effective(loaded))
    if as_json:
        typer.echo(
            json.dumps({item.key: {"value": item.value, "source": item.source} for item in shown}, indent=2)
        )
    else:
        table = Table(box=None, header_style="bold")
        for column in ("SETTING", "VALUE", "SOURCE"):
            table.add_column(column, no_wrap=column != "VALUE", overflow="fold")
        for item in shown:
            value = item.value if isinstance(item.value, str) else json.dumps(item.value)
            table.add_row(item.key, value or '""', item.source)
        console = Console(markup=False, highlight=False)
        (console if console.is_terminal else Console(width=200, markup=False, highlight=False)).print(table)
    warn = Console(stderr=True, markup=False, highlight=False)
    for name in loaded.unknown_variables:
        warn.print(f"warning: {name} is no setting", style="yellow")


def _add_templates(group: typer.Typer) -> None:
    # Imported here, because of the engine's library; but on every start, because the group is part of the
    # help.
    from sandbank_server.instance import InstanceError, identity_of  # noqa: PLC0415
    from sandbank_server.templates.cli import TemplateSettings, templates_app  # noqa: PLC0415
    from sandbank_server.templates.options import BuildOptions  # noqa: PLC0415

    def load() -> TemplateSettings:
        settings = load_or_fail().settings
        try:
            identity = identity_of(settings.data_dir)
        except InstanceError as error:
            raise fail(str(error)) from None
        options = BuildOptions(
            cache_directory=settings.images.cache_dir,
            installation=identity.id,
            registry_image=settings.images.registry_image,
            registry_seconds=settings.images.registry_timeout.total_seconds(),
            debian_mirror=settings.images.debian_mirror,
        )
        return TemplateSettings(settings.templates, options, settings.default_template)

    group.add_typer(templates_app(load), name="templates")


_COMMANDS: tuple[Callable[..., None], ...] = (with_settings(serve), with_settings(config), drain, health)
for _command in _COMMANDS:
    app.command(_command.__name__)(_command)
_add_templates(app)
