"""All commands together: the client's own, and those of the server where that is installed."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence

import typer

from sandbank.cli import (
    checkpoints,
    files,
    info,
    pool,
    repl,
    running,
    session_state,  # noqa: F401 - adds its commands to those of `sessions`
    sessions,
    transactions,
    variables,
)
from sandbank.cli.command import USAGE, command

SERVER_MODULE = "sandbank_server.cli"
SERVER_COMMANDS = ("serve", "config", "templates", "drain", "health")
_CLIENT_COMMANDS = frozenset(
    {"run", "exec", "repl", "sessions", "transaction", "checkpoints", "pool", "files", "variables", "info"}
)

HELP = """Run untrusted Python in hardened containers.

Commands reach the server at --address, else SANDBANK_ADDRESS, else 127.0.0.1:50051. SANDBANK_TOKEN is the key
to send.

Exit codes: 0 all went well · 1 the code failed · 2 wrong usage · 3 the server refused or cannot be reached ·
130 interrupted.
"""


def build_app(arguments: Sequence[str] = ()) -> typer.Typer:
    """Return the command line; the server's part is loaded only where the arguments may ask for it."""
    app = typer.Typer(
        name="sandbank",
        help=HELP,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        # A fault of our own is shown as Python shows it: without the frames' variables, a token among them.
        pretty_exceptions_enable=False,
    )
    command(app, "run")(running.run_file)
    command(app, "exec")(running.exec_code)
    command(app, "repl")(repl.repl)
    command(app, "info")(info.info)
    app.add_typer(sessions.app, name="sessions")
    app.add_typer(transactions.app, name="transaction")
    app.add_typer(checkpoints.app, name="checkpoints")
    app.add_typer(pool.app, name="pool")
    app.add_typer(files.app, name="files")
    app.add_typer(variables.app, name="variables")
    asked = next((argument for argument in arguments if not argument.startswith("-")), "")
    if asked not in _CLIENT_COMMANDS:
        _add_server(app)
    return app


def _add_server(app: typer.Typer) -> None:
    """Add the server's commands or, where it is not installed, such that say so."""
    try:
        server = importlib.import_module(SERVER_MODULE)
    except ModuleNotFoundError as error:
        # Only its own absence is expected; a part of it that is missing must be seen.
        if error.name is None or not SERVER_MODULE.startswith(error.name):
            raise
        for name in SERVER_COMMANDS:
            app.command(name, help="Needs the server: install sandbank-server.")(_absent(name))
        return
    server_app: typer.Typer = server.app
    app.registered_commands.extend(server_app.registered_commands)
    app.registered_groups.extend(server_app.registered_groups)


def _absent(name: str) -> Callable[[], None]:
    def explain() -> None:
        typer.echo(
            f"`sandbank {name}` needs the server, which is not installed here: sandbank-server.", err=True
        )
        raise typer.Exit(USAGE)

    return explain
