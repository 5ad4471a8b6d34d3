"""Options that several commands share: which session code runs in, and how."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from sandbank.cli.command import Cli, CommandError
from sandbank.requests import ExecuteOptions, SessionOptions
from sandbank.sync.client import Client
from sandbank.sync.session import Session
from sandbank.v1 import checkpoint_pb2

SessionOption = Annotated[
    str | None, typer.Option("--session", help="Run in this session; it stays.", show_default=False)
]
KeepOption = Annotated[bool, typer.Option("--keep", help="Keep the new session, and say its id.")]
TemplateOption = Annotated[str, typer.Option("--template", help="Create the session from this template.")]
EnvOption = Annotated[
    list[str] | None, typer.Option("--env", help="NAME=VALUE for the new session; repeatable.")
]
HistoryOption = Annotated[
    int | None,
    typer.Option(
        "--history", help="States of the new session that a rewind can go back to.", min=0, show_default=False
    ),
]
CheckpointOption = Annotated[
    str, typer.Option("--from-checkpoint", metavar="ID", help="Begin the new session with this saved state.")
]
TimeoutOption = Annotated[
    float | None, typer.Option("--timeout", help="Seconds that the code may run.", min=0.001)
]
UploadOption = Annotated[
    list[Path] | None,
    typer.Option("--upload", exists=True, help="Put this file or directory into the workspace; repeatable."),
]
FiguresOption = Annotated[
    Path, typer.Option("--figures", help="Save figures into this directory.", file_okay=False)
]
FIGURES = Path("sandbank-figures")
OnFailureOption = Annotated[
    str,
    typer.Option(
        "--on-failure", metavar="keep|rollback", help="What becomes of the effects of code that fails."
    ),
]
PolicyOption = Annotated[
    str,
    typer.Option(
        "--policy",
        metavar="POLICY",
        help="none, commit_on_success, rollback_on_failure or explicit; instead of --on-failure.",
    ),
]
IsolationOption = Annotated[
    str,
    typer.Option("--isolation", metavar="process|namespace", help="namespace: beside others, names only."),
]
FilesOption = Annotated[
    bool, typer.Option("--include-files", help="A rollback returns the workspace's files too.")
]
TransactionOption = Annotated[
    str, typer.Option("--transaction", metavar="ID", help="Run as a member of this open transaction.")
]


def session_options(
    template: str, env: list[str] | None, history: int | None = None, checkpoint: str = ""
) -> SessionOptions:
    """Return the options of a new session from those of the command line."""
    options: SessionOptions = {}
    if template:
        options["template"] = template
    pairs = [item.partition("=") for item in env or []]
    if any(not name or not sign for name, sign, _ in pairs):
        raise CommandError("--env takes NAME=VALUE")
    if pairs:
        options["env"] = {name: value for name, _, value in pairs}
    if history is not None:
        options["history"] = history
    if checkpoint:
        options["from_checkpoint_id"] = checkpoint
    return options


def execute_options(**given: Any) -> ExecuteOptions:
    """Return how code is run; what is empty was not asked for."""
    return cast("ExecuteOptions", {name: value for name, value in given.items() if value})


@contextlib.contextmanager
def open_session(
    cli: Cli, client: Client, session_id: str | None, keep: bool, options: SessionOptions
) -> Iterator[Session]:
    """Give an existing session, or a new one that ends with the block unless it is kept."""
    if session_id is not None:
        if options:
            raise CommandError(
                "--template, --env, --history and --from-checkpoint are for a new session, not with --session"
            )
        yield client.attach(session_id)
        return
    session = client.session(**options)
    if session.restored is not None:
        tell_missing(cli, session.restored)
    if keep:
        cli.say(f"session {session.session_id}")
        yield session
        return
    with session:
        yield session


def tell_missing(cli: Cli, report: checkpoint_pb2.RestoreReport) -> None:
    """Say what of a saved state is not there."""
    for variable in report.lost:
        cli.say(f"lost {variable.name}: {variable.reason}")
    for file in report.lost_files:
        cli.say(f"lost the file {file.path}: {file.reason}")


def upload_all(cli: Cli, session: Session, paths: list[Path]) -> None:
    """Put files, and directories with all that is in them, into the workspace under their own names."""
    for path in paths:
        top = path.resolve()
        members = sorted(p for p in top.rglob("*") if p.is_file()) if top.is_dir() else [top]
        for member in members:
            name = member.relative_to(top.parent).as_posix()
            session.files.upload(member, name)
            cli.say(f"uploaded {name}")
