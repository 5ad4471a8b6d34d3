"""`sandbank variables …`: values of a session's variables, out of it and into it."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from sandbank.cli.command import Cli, CommandError, command
from sandbank.cli.session_state import read_variable, show_variables
from sandbank.cli.sessions import SessionId
from sandbank.cli.tables import enum_name, size
from sandbank.sync.scope import Scope
from sandbank.v1 import variable_pb2

app = typer.Typer(
    help="List, read and set variables; export and import large ones.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The variable's name.")]
Within = Annotated[str, typer.Option("--transaction", metavar="ID", help="As a member of this transaction.")]
_SUFFIXES = {"arrow": ".arrow", "json": ".json", "repr": ".txt", "mime": ""}


def _set(
    cli: Cli,
    session: SessionId,
    name: Name,
    value: Annotated[str, typer.Argument(metavar="JSON", help="The value; `-`: from standard input.")],
    transaction: Within = "",
) -> None:
    """Set a variable to plain data."""
    text = sys.stdin.read() if value == "-" else value
    with cli.client() as client:
        scope = _scope(client, session, transaction)
        _say(cli, name, scope.import_variable(name, text.encode(), format="json"))


def _export(
    cli: Cli,
    session: SessionId,
    name: Name,
    to: Annotated[
        Path | None, typer.Argument(metavar="[TO]", help="Where to; `-` for standard output.")
    ] = None,
    value_format: Annotated[
        str, typer.Option("--format", metavar="arrow|json|repr|mime", help="How to write it down.")
    ] = "arrow",
    transaction: Within = "",
) -> None:
    """Write a variable of any size to a file: a table or an array as an Arrow stream."""
    if value_format not in _SUFFIXES:
        raise CommandError("--format is arrow, json, repr or mime")
    target = Path(name + _SUFFIXES[value_format]) if to is None else to
    where: Any = sys.stdout.buffer if str(target) == "-" else target
    with cli.client() as client:
        found = _scope(client, session, transaction).export_variable(name, where, format=value_format)
    if where is not target:
        sys.stdout.buffer.flush()
    elif cli.as_json:
        cli.json({"variable": found.variable, "mime_type": found.mime_type, "to": str(target)})
    else:
        cli.say(f"{name} → {target} ({size(target.stat().st_size)})")


def _import(
    cli: Cli,
    session: SessionId,
    name: Name,
    source: Annotated[Path, typer.Argument(metavar="FILE", help="Where from; `-` for standard input.")],
    value_format: Annotated[
        str, typer.Option("--format", metavar="arrow|json", help="Left out: JSON for *.json, else Arrow.")
    ] = "",
    arrow_as: Annotated[
        str, typer.Option("--as", metavar="table|pandas|numpy", help="What an Arrow stream becomes.")
    ] = "",
    transaction: Within = "",
) -> None:
    """Set a variable to what a file holds, of any size: an Arrow stream, or JSON."""
    found = value_format or ("json" if source.suffix == ".json" else "arrow")
    if found not in ("arrow", "json"):
        raise CommandError("--format is arrow or json")
    given: Path | BinaryIO = io.BytesIO(sys.stdin.buffer.read()) if str(source) == "-" else source
    with cli.client() as client:
        scope = _scope(client, session, transaction)
        _say(cli, name, scope.import_variable(name, given, format=found, arrow_as=arrow_as))


def _scope(client: Any, session_id: str, transaction_id: str) -> Scope:
    session = client.attach(session_id)
    scope: Scope = session.attach_transaction(transaction_id) if transaction_id else session
    return scope


def _say(cli: Cli, name: str, change: variable_pb2.VariableChange | None) -> None:
    if cli.as_json:
        cli.json({"change": change})
    elif change is None:
        cli.say(f"{name} had that value")
    else:
        kind = enum_name(variable_pb2.VariableChange.Kind, change.kind, "KIND_").lower()
        cli.say(f"{kind} {name}: {change.type_name} ({size(change.size_bytes)})")


for _name, _function in (
    ("list", show_variables),
    ("get", read_variable),
    ("set", _set),
    ("export", _export),
    ("import", _import),
):
    command(app, _name)(_function)
