"""`sandbank files …`: the workspace of a session."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sandbank.cli.command import Cli, command
from sandbank.cli.tables import details, moment, size, table
from sandbank.v1 import file_pb2

app = typer.Typer(help="Move files in and out of a session.", no_args_is_help=True, rich_markup_mode=None)

SessionId = Annotated[str, typer.Argument(metavar="SESSION", help="The session's id.")]
Remote = Annotated[str, typer.Argument(metavar="PATH", help="The path in the workspace.")]


def _upload(
    cli: Cli,
    session: SessionId,
    source: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The local file.")],
    path: Annotated[
        str | None, typer.Argument(metavar="[PATH]", help="Where to; its own name without.")
    ] = None,
) -> None:
    """Upload a file."""
    with cli.client() as client:
        _print(cli, client.attach(session).files.upload(source, path))


def _download(
    cli: Cli,
    session: SessionId,
    path: Remote,
    to: Annotated[
        Path | None, typer.Argument(metavar="[TO]", help="Where to; `-` for standard output.")
    ] = None,
) -> None:
    """Download a file."""
    with cli.client() as client:
        files = client.attach(session).files
        if to is not None and str(to) == "-":
            typer.echo(files.download(path), nl=False)
            return
        # The path's last part, which cannot lead out of this directory.
        target = Path(Path(path).name or "download") if to is None else to
        target = target / Path(path).name if target.is_dir() else target
        files.download(path, target)
    if cli.as_json:
        cli.json({"path": path, "to": str(target), "size_bytes": target.stat().st_size})
    else:
        cli.say(f"{path} → {target} ({size(target.stat().st_size)})")


def _list(
    cli: Cli,
    session: SessionId,
    path: Annotated[str, typer.Argument(metavar="[PATH]", help="A directory; the workspace without.")] = "",
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Directories below too.")] = False,
) -> None:
    """List a directory."""
    with cli.client() as client:
        found = list(client.attach(session).files.list(path, recursive=recursive))
    if cli.as_json:
        cli.json(found)
        return
    rows = [
        (
            f.path + ("/" if f.is_directory else ""),
            "" if f.is_directory else size(f.size_bytes),
            f"{f.mode & 0o7777:04o}",
            moment(f.modify_time),
        )
        for f in found
    ]
    cli.out.print(table(("PATH", "SIZE", "MODE", "CHANGED"), rows))


def _stat(cli: Cli, session: SessionId, path: Remote) -> None:
    """Describe a file or directory."""
    with cli.client() as client:
        _print(cli, client.attach(session).files.stat(path))


def _delete(
    cli: Cli,
    session: SessionId,
    path: Remote,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="A directory with all that is in it.")
    ] = False,
) -> None:
    """Delete a file or directory."""
    with cli.client() as client:
        client.attach(session).files.delete(path, recursive=recursive)
    cli.json({"deleted": path}) if cli.as_json else cli.say(f"deleted {path}")


def _mkdir(cli: Cli, session: SessionId, path: Remote) -> None:
    """Make a directory with its parents."""
    with cli.client() as client:
        _print(cli, client.attach(session).files.mkdir(path))


def _print(cli: Cli, file: file_pb2.FileInfo) -> None:
    if cli.as_json:
        cli.json(file)
        return
    cli.out.print(
        details(
            [
                ("path", file.path),
                ("kind", "directory" if file.is_directory else "file"),
                ("size", "" if file.is_directory else size(file.size_bytes)),
                ("mode", f"{file.mode & 0o7777:04o}"),
                ("changed", moment(file.modify_time)),
                ("sha256", file.sha256),
            ]
        )
    )


for _name, _function in (
    ("upload", _upload),
    ("download", _download),
    ("list", _list),
    ("stat", _stat),
    ("delete", _delete),
    ("mkdir", _mkdir),
):
    command(app, _name)(_function)
