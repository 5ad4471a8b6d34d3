"""What ran in a session, what it left there, and back: `sandbank sessions operations|vars|get|rewind|hibernate`."""

from __future__ import annotations

from typing import Annotated

import typer

from sandbank.cli import sessions
from sandbank.cli.command import Cli, CommandError, command
from sandbank.cli.sessions import SessionId, describe
from sandbank.cli.tables import enum_name, moment, size, table
from sandbank.cli.terminal import OutputWriter
from sandbank.v1 import execution_pb2

OperationId = Annotated[str, typer.Argument(metavar="OPERATION", help="The operation's id.")]
Format = Annotated[
    str, typer.Option("--format", metavar="json|repr", help="Left out: JSON for plain data, else its repr.")
]


def _operations(cli: Cli, session: SessionId) -> None:
    """List what ran in a session, newest first, and what became of it."""
    with cli.client() as client:
        found = list(client.attach(session).operations())
    if cli.as_json:
        cli.json(found)
        return
    rows = [
        (
            o.operation_id,
            o.execution_count,
            enum_name(execution_pb2.Operation.State, o.state, "STATE_"),
            enum_name(execution_pb2.Operation.Outcome, o.outcome, "OUTCOME_"),
            moment(o.start_time),
            o.transaction_id,
        )
        for o in found
    ]
    cli.out.print(table(("OPERATION", "N", "STATE", "OUTCOME", "STARTED", "TRANSACTION"), rows))


def show_variables(
    cli: Cli,
    session: SessionId,
    prefix: Annotated[str, typer.Argument(metavar="[PREFIX]", help="Only names that begin so.")] = "",
    private: Annotated[bool, typer.Option("--private", help="Names that begin with _ too.")] = False,
) -> None:
    """List a session's variables."""
    with cli.client() as client:
        found = list(client.attach(session).variables(prefix, private=private))
    if cli.as_json:
        cli.json(found)
        return
    rows = [(v.name, v.type_name, size(v.size_bytes), v.preview) for v in found]
    cli.out.print(table(("NAME", "TYPE", "SIZE", "VALUE"), rows))


def read_variable(
    cli: Cli,
    session: SessionId,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The variable's name.")],
    value_format: Format = "",
) -> None:
    """Print a variable's value, without running code."""
    if value_format not in {"", "json", "repr"}:
        raise CommandError("--format is json or repr")
    with cli.client() as client:
        read = client.attach(session).get(name, value_format)
    if cli.as_json:
        as_of = {"operation_id": read.as_of.operation_id, "stale": read.as_of.stale}
        cli.json({"variable": read.variable, "value": read.value, "as_of": as_of})
        return
    out = OutputWriter()
    out.text(read.text)
    out.end()


def _rewind(cli: Cli, session: SessionId, operation: OperationId) -> None:
    """Take a session back to the state right after an operation."""
    with cli.client() as client:
        found = client.attach(session).rewind(operation)
    cli.json(found) if cli.as_json else cli.out.print(describe(found))


def _hibernate(cli: Cli, session: SessionId) -> None:
    """Save a session's state and give its sandbox up; the next use wakes it in another."""
    with cli.client() as client:
        found = client.attach(session).hibernate()
    cli.json(found) if cli.as_json else cli.out.print(describe(found))


for _name, _function in (
    ("operations", _operations),
    ("vars", show_variables),
    ("get", read_variable),
    ("rewind", _rewind),
    ("hibernate", _hibernate),
):
    command(sessions.app, _name)(_function)
