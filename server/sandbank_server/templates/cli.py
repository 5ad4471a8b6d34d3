"""`sandbank templates`: build, list and show the images that sandboxes run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from sandbank_server.templates.build import build_template
from sandbank_server.templates.engine import ImageEngine
from sandbank_server.templates.errors import ImageEngineError, TemplateError
from sandbank_server.templates.images import TemplateImage, list_images
from sandbank_server.templates.model import MIB, TemplateSpec
from sandbank_server.templates.options import BuildOptions
from sandbank_server.templates.progress import BuildPhase, BuildProgress

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@dataclass(frozen=True, slots=True)
class TemplateSettings:
    """What the commands work on; ``default`` names the template of a session that names none."""

    templates: Mapping[str, TemplateSpec]
    options: BuildOptions
    default: str


def templates_app(load: Callable[[], TemplateSettings]) -> typer.Typer:
    """Return the command group. ``load`` reads the settings when a command runs, not before."""
    app = typer.Typer(no_args_is_help=True, help="The kinds of sandbox, and the images they run.")

    @app.command("build")
    def build(
        names: Annotated[
            list[str] | None, typer.Argument(help="Templates; all of them if none is named.")
        ] = None,
        as_json: JsonFlag = False,
    ) -> None:
        """Build the images that are missing or out of date."""
        settings = load()
        _guarded(lambda: _build(settings, _chosen(settings, names or []), as_json=as_json))

    @app.command("list")
    def list_command(as_json: JsonFlag = False) -> None:
        """List the templates and their newest images."""
        settings = load()
        _guarded(lambda: _list(settings, as_json=as_json))

    @app.command("show")
    def show(name: Annotated[str, typer.Argument(help="The template.")], as_json: JsonFlag = False) -> None:
        """Show a template's settings, its image and the packages in it."""
        settings = load()
        _guarded(lambda: _show(_chosen(settings, [name])[0], as_json=as_json))

    return app


def _guarded(action: Callable[[], None]) -> None:
    """Turn what can go wrong into a message and exit code 1."""
    try:
        action()
    except TemplateError as error:
        Console(stderr=True, markup=False, highlight=False).print(
            f"error: {error}", style="red", soft_wrap=True
        )
        raise typer.Exit(1) from error


def _chosen(settings: TemplateSettings, names: list[str]) -> list[TemplateSpec]:
    unknown = [name for name in names if name not in settings.templates]
    if unknown:
        there = ", ".join(sorted(settings.templates))
        raise TemplateError(f"there is no template {', '.join(unknown)}; there are {there}")
    return [settings.templates[name] for name in names or sorted(settings.templates)]


def _build(settings: TemplateSettings, specs: list[TemplateSpec], *, as_json: bool) -> None:
    engine = ImageEngine.connect()
    console = Console(stderr=True, markup=False, highlight=False)
    images = []
    for spec in specs:
        with console.status(spec.name) as status:
            image = build_template(
                engine, spec, settings.options, on_progress=_Display(console, status.update)
            )
        images.append(image)
    if as_json:
        typer.echo(json.dumps([_as_json(image) for image in images], indent=2))
        return
    for image in images:
        typer.echo(
            f"{image.template}: {image.reference} (Python {image.python_version}, {_size(image.size_bytes)})"
        )


class _Display:
    """One line that changes on a terminal; a line for each phase where there is none (a log file)."""

    def __init__(self, console: Console, update: Callable[[str], None]) -> None:
        self._console = console
        self._update = update
        self._phase: BuildPhase | None = None

    def __call__(self, progress: BuildProgress) -> None:
        begun = progress.phase is not self._phase
        self._phase = progress.phase
        line = f"{progress.template}: {progress.phase.value}"
        if self._console.is_terminal:
            width = max(40, self._console.width - 4)
            self._update(f"{line}  {progress.detail}"[:width])
        elif begun and progress.phase is not BuildPhase.DONE:
            self._console.print(line)


def _newest(engine: ImageEngine) -> dict[str, TemplateImage]:
    newest: dict[str, TemplateImage] = {}
    for image in list_images(engine):  # newest first
        newest.setdefault(image.template, image)
    return newest


def _list(settings: TemplateSettings, *, as_json: bool) -> None:
    try:
        images = _newest(ImageEngine.connect())
    except ImageEngineError:
        images = {}  # the settings are worth showing without an engine
    if as_json:
        rows = [{**_settings(spec), "image": _image_of(images, spec)} for spec in settings.templates.values()]
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table(box=None, header_style="bold")
    for column in ("TEMPLATE", "IMAGE", "PYTHON", "SIZE", "MEMORY", "CPU", "WORKSPACE", "PRELOADED"):
        table.add_column(column, no_wrap=True)
    for name, spec in sorted(settings.templates.items()):
        image = images.get(name)
        table.add_row(
            f"{name} (default)" if name == settings.default else name,
            image.reference if image else "not built",
            image.python_version if image else "",
            _size(image.size_bytes) if image else "",
            _size(spec.memory_bytes),
            f"{spec.cpu_count:g}",
            _size(spec.workspace_bytes),
            ", ".join(spec.preload),
        )
    console = Console()
    # Piped, nothing may be cut to the width of a terminal that is not there.
    (console if console.is_terminal else Console(width=200)).print(table)


def _show(spec: TemplateSpec, *, as_json: bool) -> None:
    image = _newest(ImageEngine.connect()).get(spec.name)
    if as_json:
        typer.echo(json.dumps({**_settings(spec), "image": _as_json(image) if image else None}, indent=2))
        return
    console = Console(soft_wrap=True, markup=False, highlight=False)
    for key, value in _settings(spec).items():
        console.print(f"{key:<16} {', '.join(value) if isinstance(value, list) else value}")
    if image is None:
        console.print(f"{'image':<16} not built (sandbank templates build {spec.name})")
        return
    console.print(f"{'image':<16} {image.reference}, built {image.created}, {_size(image.size_bytes)}")
    console.print(f"{'python_version':<16} {image.python_version}")
    for package in image.packages:
        console.print(f"  {package.name}=={package.version}")


def _settings(spec: TemplateSpec) -> dict[str, Any]:
    """Return the settings for people. Of the environment only the names: the values may be secrets."""
    return {
        "name": spec.name,
        "base": spec.base or "Debian 13, Python 3.13",
        "packages": list(spec.packages),
        "requirements": str(spec.requirements or ""),
        "preload": list(spec.preload),
        "memory_bytes": spec.memory_bytes,
        "cpu_count": spec.cpu_count,
        "process_limit": spec.process_limit,
        "workspace_bytes": spec.workspace_bytes,
        "environment": sorted(spec.environment),
        "network": spec.network,
    }


def _image_of(images: Mapping[str, TemplateImage], spec: TemplateSpec) -> dict[str, Any] | None:
    image = images.get(spec.name)
    return None if image is None else _as_json(image)


def _as_json(image: TemplateImage) -> dict[str, Any]:
    return {
        "template": image.template,
        "reference": image.reference,
        "image_id": image.image_id,
        "python_version": image.python_version,
        "size_bytes": image.size_bytes,
        "created": image.created,
        "packages": {package.name: package.version for package in image.packages},
    }


def _size(size: int) -> str:
    return f"{size / MIB:.0f} MiB"
