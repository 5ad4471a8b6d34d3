"""What every command has in common: where the server is, --json, and how errors become messages and exit codes."""

from __future__ import annotations

import functools
import inspect
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.console import Console

from sandbank.cli.terminal import plain
from sandbank.connection import Connection
from sandbank.errors import SandbankError, Unavailable
from sandbank.retrying import RetryPolicy
from sandbank.sync.client import Client

OK, CODE_FAILED, USAGE, SERVER_ERROR, INTERRUPTED = 0, 1, 2, 3, 130

WIDTH_WITHOUT_TERMINAL = 240

TOKEN_VARIABLE = "SANDBANK_TOKEN"  # noqa: S105 - a name, no token
ROOTS_VARIABLE = "SANDBANK_ROOT_CERTIFICATES"

Address = Annotated[str | None, typer.Option("--address", help="The server, HOST:PORT.", show_default=False)]
Tls = Annotated[bool, typer.Option("--tls", help="Encrypt the connection.")]
Roots = Annotated[
    str | None,
    typer.Option("--root-certificates", envvar=ROOTS_VARIABLE, help="Whom to trust (PEM); implies --tls."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


class CommandError(Exception):
    """Ends a command with a message and an exit code."""

    def __init__(self, message: str, code: int = USAGE) -> None:
        super().__init__(message)
        self.code = code


def _console() -> Console:
    # A pipe has no width: tables are not folded for it.
    # What a session says is shown as it is: `:tea:` is no picture.
    return Console(
        highlight=False, emoji=False, width=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL
    )


@dataclass
class Cli:
    """A command's surroundings."""

    connection: dict[str, Any]
    as_json: bool
    out: Console = field(default_factory=_console)
    err: Console = field(default_factory=lambda: Console(stderr=True, highlight=False, emoji=False))

    def client(self) -> Client:
        """Return a client of the server that the options name."""
        return Client(**self.connection)

    @property
    def client_address(self) -> str:
        """Where the server is."""
        return Connection(**self.connection).address

    def say(self, text: str) -> None:
        """Tell the user something that is no result, on standard error; silent with --json."""
        if not self.as_json:
            self.err.print(plain(text), markup=False, style="dim", soft_wrap=True)

    def json(self, value: Any, *, line: bool = False) -> None:
        """Print a result as JSON: indented, or on one line where more follow."""
        text = json.dumps(as_data(value), indent=None if line else 2, ensure_ascii=False)
        typer.echo(text)

    def fail(self, text: str, error: SandbankError | None = None) -> None:
        """Print an error, on standard error."""
        if self.as_json:
            data: dict[str, Any] = {"message": text}
            if error is not None:
                data = {"code": error.code, "reason": error.reason, "message": error.message}
                data["metadata"] = error.metadata
            typer.echo(json.dumps({"error": data}, ensure_ascii=False), err=True)
        else:
            self.err.print(plain(text), markup=False, style="red", soft_wrap=True)


def in_words(error: OSError | ValueError) -> str:
    """Return what is wrong with a local file or an option, without the system's number for it."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def as_data(value: Any) -> Any:
    """Return a message, or a structure that has messages in it, as what JSON can hold."""
    if isinstance(value, Message):
        return MessageToDict(value, preserving_proto_field_name=True)
    if isinstance(value, dict):
        return {key: as_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_data(item) for item in value]
    return value


def command(app: typer.Typer, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function whose first parameter is a Cli; the options that all commands share are added."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(function, eval_str=True)
        own = list(signature.parameters.values())[1:]
        keyword = inspect.Parameter.KEYWORD_ONLY
        shared = [
            inspect.Parameter("address", keyword, default=None, annotation=Address),
            inspect.Parameter("tls", keyword, default=False, annotation=Tls),
            inspect.Parameter("root_certificates", keyword, default=None, annotation=Roots),
            inspect.Parameter("as_json", keyword, default=False, annotation=AsJson),
        ]

        @functools.wraps(function)
        def run(
            *, address: str | None, tls: bool, root_certificates: str | None, as_json: bool, **own: Any
        ) -> None:
            connection = {
                "address": address or "",
                "tls": tls,
                "root_certificates": root_certificates,
                "token": os.environ.get(TOKEN_VARIABLE, ""),
                # Somebody is waiting at a terminal: what does not answer soon is told, not waited for.
                "retry": RetryPolicy(budget=3.0),
            }
            raise typer.Exit(_guarded(function, Cli(connection, as_json), own))

        positional = [parameter.replace(kind=keyword) for parameter in own]
        run.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[*positional, *shared], return_annotation=None
        )
        app.command(name)(run)
        return run

    return register


def _guarded(function: Callable[..., Any], cli: Cli, arguments: dict[str, Any]) -> int:
    """Run a command and return its exit code."""
    try:
        code = function(cli, **arguments)
    except CommandError as error:
        cli.fail(str(error))
        return error.code
    except Unavailable as error:
        # Without a reason it is not the server that speaks.
        absent = f"no Sandbank server answers at {cli.client_address} (`sandbank serve` starts one)"
        cli.fail(str(error) if error.reason else f"{absent}: {error.message}", error)
        return SERVER_ERROR
    except SandbankError as error:
        cli.fail(str(error), error)
        return SERVER_ERROR
    except (ValueError, IsADirectoryError, FileNotFoundError, PermissionError) as error:
        # Options that cannot be sent, and local files.
        cli.fail(in_words(error))
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    return code if isinstance(code, int) else OK
