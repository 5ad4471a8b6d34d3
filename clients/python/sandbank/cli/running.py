"""`sandbank run` and `sandbank exec`: code goes in, its output comes out as it is written."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from sandbank.cli.command import CODE_FAILED, INTERRUPTED, OK, Cli, CommandError
from sandbank.cli.view import View
from sandbank.errors import SandbankError
from sandbank.requests import ExecuteOptions, SessionOptions
from sandbank.sync.client import Client
from sandbank.sync.execution import Execution
from sandbank.sync.session import Session

SessionOption = Annotated[
    str | None, typer.Option("--session", help="Run in this session; it stays.", show_default=False)
]
KeepOption = Annotated[bool, typer.Option("--keep", help="Keep the new session, and say its id.")]
TemplateOption = Annotated[str, typer.Option("--template", help="Create the session from this template.")]
EnvOption = Annotated[
    list[str] | None, typer.Option("--env", help="NAME=VALUE for the new session; repeatable.")
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


def run_file(
    cli: Cli,
    file: Annotated[Path, typer.Argument(help="The file; `-` for standard input.")],
    session: SessionOption = None,
    keep: KeepOption = False,
    template: TemplateOption = "",
    env: EnvOption = None,
    upload: UploadOption = None,
    timeout: TimeoutOption = None,
    figures: FiguresOption = FIGURES,
) -> int:
    """Run a file of Python in a sandbox."""
    code = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
    with (
        cli.client() as client,
        open_session(cli, client, session, keep, session_options(template, env)) as opened,
    ):
        upload_all(cli, opened, upload or [])
        return run_code(cli, opened, code, timeout, figures)


def exec_code(
    cli: Cli,
    code: Annotated[str, typer.Argument(help="The code.")],
    session: SessionOption = None,
    keep: KeepOption = False,
    template: TemplateOption = "",
    env: EnvOption = None,
    upload: UploadOption = None,
    timeout: TimeoutOption = None,
    figures: FiguresOption = FIGURES,
) -> int:
    """Run a piece of Python in a sandbox and print its value."""
    with (
        cli.client() as client,
        open_session(cli, client, session, keep, session_options(template, env)) as opened,
    ):
        upload_all(cli, opened, upload or [])
        return run_code(cli, opened, code, timeout, figures)


def session_options(template: str, env: list[str] | None) -> SessionOptions:
    """Return the options of a new session from those of the command line."""
    options: SessionOptions = {}
    if template:
        options["template"] = template
    pairs = [item.partition("=") for item in env or []]
    if any(not name or not sign for name, sign, _ in pairs):
        raise CommandError("--env takes NAME=VALUE")
    if pairs:
        options["env"] = {name: value for name, _, value in pairs}
    return options


@contextlib.contextmanager
def open_session(
    cli: Cli, client: Client, session_id: str | None, keep: bool, options: SessionOptions
) -> Iterator[Session]:
    """Give an existing session, or a new one that ends with the block unless it is kept."""
    if session_id is not None:
        if options:
            raise CommandError("--template and --env are for a new session, not with --session")
        yield client.attach(session_id)
        return
    session = client.session(**options)
    if keep:
        cli.say(f"session {session.session_id}")
        yield session
        return
    with session:
        yield session


def upload_all(cli: Cli, session: Session, paths: list[Path]) -> None:
    """Put files, and directories with all that is in them, into the workspace under their own names."""
    for path in paths:
        top = path.resolve()
        members = sorted(p for p in top.rglob("*") if p.is_file()) if top.is_dir() else [top]
        for member in members:
            name = member.relative_to(top.parent).as_posix()
            session.files.upload(member, name)
            cli.say(f"uploaded {name}")


def run_code(cli: Cli, session: Session, code: str, timeout: float | None, figures: Path) -> int:
    """Run code, show what it does, and return the exit code."""
    options: ExecuteOptions = {} if timeout is None else {"timeout": timeout}
    execution = session.execute(code, **options)
    view = View(cli, figures, execution.operation_id)
    with cancel_on_interrupt(cli, execution) as interrupted:
        result = execution.result(check=False, callbacks=view.callbacks)
    view.finish(session, result)
    if result.ok:
        return OK
    return INTERRUPTED if interrupted.is_set() and result.state == "CANCELLED" else CODE_FAILED


@contextlib.contextmanager
def cancel_on_interrupt(cli: Cli, execution: Execution) -> Iterator[threading.Event]:
    """Let Ctrl-C cancel the operation instead of ending this program; a second one does end it."""
    interrupted = threading.Event()

    def cancel() -> None:
        try:
            execution.cancel()
        except SandbankError as error:
            cli.fail(f"could not cancel: {error}")

    def on_interrupt(_number: int, _frame: FrameType | None) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        interrupted.set()
        # In a thread: this runs in the middle of whatever the main thread waits for.
        threading.Thread(target=cancel, daemon=True).start()

    if threading.current_thread() is not threading.main_thread():  # where signals cannot be caught
        yield interrupted
        return
    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)
