"""`sandbank transaction …`: one that outlives a command, for `exec` and `run` with --transaction."""

from __future__ import annotations

from typing import Annotated

import typer

from sandbank.cli.command import Cli, CommandError, command
from sandbank.cli.options import FilesOption
from sandbank.cli.sessions import SessionId
from sandbank.cli.tables import enum_name
from sandbank.sync.client import Client
from sandbank.sync.transaction import Transaction
from sandbank.v1 import transaction_pb2

app = typer.Typer(help="Begin and end transactions.", no_args_is_help=True, rich_markup_mode=None)

IdleOption = Annotated[
    float | None,
    typer.Option("--idle-timeout", help="Seconds without use after which it is rolled back.", min=0.001),
]
TransactionId = Annotated[
    str, typer.Argument(metavar="[ID]", help="The transaction's id; left out, the one that is open.")
]


def _begin(
    cli: Cli, session: SessionId, include_files: FilesOption = False, idle_timeout: IdleOption = None
) -> None:
    """Begin a transaction and print its id."""
    with cli.client() as client:
        begun = client.attach(session).transaction(include_files=include_files, idle_timeout=idle_timeout)
    cli.json(begun.info) if cli.as_json else typer.echo(begun.transaction_id)


def _commit(cli: Cli, session: SessionId, transaction: TransactionId = "") -> None:
    """Make what ran in a transaction part of the session's state."""
    with cli.client() as client:
        _ended(cli, _named(client, session, transaction).commit())


def _rollback(cli: Cli, session: SessionId, transaction: TransactionId = "") -> None:
    """Take a session back to the state before a transaction."""
    with cli.client() as client:
        _ended(cli, _named(client, session, transaction).rollback())


def _named(client: Client, session_id: str, transaction_id: str) -> Transaction:
    session = client.attach(session_id)
    named = transaction_id or session.info.open_transaction_id
    if not named:
        raise CommandError("no transaction is open")
    return session.attach_transaction(named)


def _ended(cli: Cli, transaction: transaction_pb2.Transaction) -> None:
    state = enum_name(transaction_pb2.Transaction.State, transaction.state, "STATE_")
    cli.say(f"{transaction.transaction_id} {state}")
    if cli.as_json:
        cli.json(transaction)


for _name, _function in (("begin", _begin), ("commit", _commit), ("rollback", _rollback)):
    command(app, _name)(_function)
