"""`sandbank run` and `sandbank exec`: code goes in, its output comes out as it is written."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from sandbank.cli.asking import ask
from sandbank.cli.command import CODE_FAILED, INTERRUPTED, OK, Cli
from sandbank.cli.interrupts import Interrupts
from sandbank.cli.options import (
    FIGURES,
    CheckpointOption,
    EnvOption,
    FiguresOption,
    FilesOption,
    HistoryOption,
    IsolationOption,
    KeepOption,
    OnFailureOption,
    PolicyOption,
    SessionOption,
    TemplateOption,
    TimeoutOption,
    TransactionOption,
    UploadOption,
    execute_options,
    open_session,
    session_options,
    upload_all,
)
from sandbank.cli.view import View
from sandbank.events import InputRequested
from sandbank.requests import ExecuteOptions
from sandbank.results import Result
from sandbank.sync.execution import Execution
from sandbank.sync.scope import Scope


@dataclass(frozen=True)
class Ran:
    """Code that was run: its result, and whether it was interrupted here."""

    result: Result
    interrupted: bool

    @property
    def exit_code(self) -> int:
        """What the shell is told."""
        if self.result.ok and not self.result.conflicting_names:
            return OK
        return INTERRUPTED if self.interrupted and self.result.state == "CANCELLED" else CODE_FAILED


def run_file(
    cli: Cli,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file; `-` for standard input.")],
    session: SessionOption = None,
    keep: KeepOption = False,
    template: TemplateOption = "",
    env: EnvOption = None,
    history: HistoryOption = None,
    from_checkpoint: CheckpointOption = "",
    upload: UploadOption = None,
    timeout: TimeoutOption = None,
    on_failure: OnFailureOption = "",
    policy: PolicyOption = "",
    isolation: IsolationOption = "",
    include_files: FilesOption = False,
    transaction: TransactionOption = "",
    figures: FiguresOption = FIGURES,
) -> int:
    """Run a file of Python in a sandbox; its input() reads from here."""
    given = str(file) == "-"
    code = sys.stdin.read() if given else file.read_text("utf-8")
    options = execute_options(
        timeout=timeout,
        on_failure=on_failure,
        tx_policy=policy,
        isolation=isolation,
        include_files=include_files,
        transaction_id=transaction,
        # Standard input was the code: there is nothing left in it to read.
        allow_input=not given,
    )
    created = session_options(template, env, history, from_checkpoint)
    with (
        cli.client() as client,
        open_session(cli, client, session, keep, created) as opened,
    ):
        upload_all(cli, opened, upload or [])
        return run_code(cli, opened, code, options, figures).exit_code


def exec_code(
    cli: Cli,
    code: Annotated[str, typer.Argument(metavar="CODE", help="The code.")],
    session: SessionOption = None,
    keep: KeepOption = False,
    template: TemplateOption = "",
    env: EnvOption = None,
    history: HistoryOption = None,
    from_checkpoint: CheckpointOption = "",
    upload: UploadOption = None,
    timeout: TimeoutOption = None,
    on_failure: OnFailureOption = "",
    policy: PolicyOption = "",
    isolation: IsolationOption = "",
    include_files: FilesOption = False,
    transaction: TransactionOption = "",
    figures: FiguresOption = FIGURES,
) -> int:
    """Run a piece of Python in a sandbox and print its value; its input() reads from here."""
    options = execute_options(
        timeout=timeout,
        on_failure=on_failure,
        tx_policy=policy,
        isolation=isolation,
        include_files=include_files,
        transaction_id=transaction,
        allow_input=True,
    )
    created = session_options(template, env, history, from_checkpoint)
    with (
        cli.client() as client,
        open_session(cli, client, session, keep, created) as opened,
    ):
        upload_all(cli, opened, upload or [])
        return run_code(cli, opened, code, options, figures).exit_code


def run_code(
    cli: Cli, scope: Scope, code: str, options: ExecuteOptions, figures: Path, *, patience: int = 1
) -> Ran:
    """Run code, show what it does, and return what it came to.

    Ctrl-C cancels the operation `patience` times, whatever it does; the next one raises KeyboardInterrupt.
    """
    execution = scope.execute(code, **options)
    view = View(cli, figures, execution.operation_id)
    execution.tell(view.callbacks)
    interrupts = Interrupts(cli, execution, patience)
    with interrupts.caught():
        for event in execution:
            if isinstance(event, InputRequested):
                _answer(view, execution, event, interrupts)
        result = execution.result(check=False)
    view.finish(scope, result)
    return Ran(result, interrupted=interrupts.count > 0)


def _answer(view: View, execution: Execution, asked: InputRequested, interrupts: Interrupts) -> None:
    try:
        with interrupts.asking():
            text = ask(view, asked.prompt, asked.password)
    except KeyboardInterrupt:
        if interrupts.gave_up:
            raise
        return  # the operation is being cancelled, and tells so
    execution.provide_input(asked.input_id, text)
