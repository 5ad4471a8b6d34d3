"""`sandbank repl`: a prompt whose Python runs in a sandbox."""

from __future__ import annotations

from pathlib import Path

from sandbank.cli.command import OK, SERVER_ERROR, Cli, in_words
from sandbank.cli.options import (
    FIGURES,
    CheckpointOption,
    EnvOption,
    FiguresOption,
    HistoryOption,
    IsolationOption,
    KeepOption,
    OnFailureOption,
    PolicyOption,
    SessionOption,
    TemplateOption,
    TimeoutOption,
    UploadOption,
    execute_options,
    open_session,
    session_options,
    upload_all,
)
from sandbank.cli.repl_commands import Commands, Leave
from sandbank.cli.repl_completion import Completer
from sandbank.cli.repl_input import Typed
from sandbank.cli.running import run_code
from sandbank.errors import SandbankError
from sandbank.reasons import NoSuchTransaction, SessionCrashed, SessionNotFound, SessionTerminated
from sandbank.requests import ExecuteOptions
from sandbank.sync.session import Session

HISTORY = 10
# Two Ctrl-C cancel; whoever presses it a third time wants the prompt back, whatever becomes of the code.
PATIENCE = 2


def repl(
    cli: Cli,
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
    figures: FiguresOption = FIGURES,
) -> int:
    """Type Python that runs in a sandbox, or pipe it in.

    Tab completes, Ctrl-C cancels only what runs, Ctrl-D leaves, and :help tells the commands: transactions,
    rewinds, files.
    A new session has a history of 10 states to rewind to, unless --history says otherwise.
    """
    options = execute_options(
        timeout=timeout, on_failure=on_failure, tx_policy=policy, isolation=isolation, allow_input=True
    )
    kept = HISTORY if history is None and session is None else history
    created = session_options(template, env, kept, from_checkpoint)
    with (
        cli.client() as client,
        open_session(cli, client, session, keep, created) as opened,
    ):
        upload_all(cli, opened, upload or [])
        cli.say(f"session {opened.session_id}, Python {opened.info.python_version or '?'}; :help for help")
        return Repl(cli, opened, options, figures, Typed()).loop()


class Repl:
    """The loop of one prompt over one session."""

    def __init__(
        self, cli: Cli, session: Session, options: ExecuteOptions, figures: Path, typed: Typed
    ) -> None:
        self._cli, self._session, self._options, self._figures, self._typed = (
            cli,
            session,
            options,
            figures,
            typed,
        )
        self._commands = Commands(cli, session)
        typed.complete_with(Completer(self._commands.names, lambda: self._commands.scope))

    def loop(self) -> int:
        """Read, run and show until the user leaves or the session is gone; return the exit code."""
        while True:
            try:
                source = self._typed.source(self._commands.prompt())
            except KeyboardInterrupt:  # at the prompt it only drops what was typed
                self._cli.err.print()
                continue
            except EOFError:
                if self._typed.interactive:
                    self._cli.err.print()
                return OK
            try:
                self._handle(source)
            except Leave:
                return OK
            except (SessionNotFound, SessionTerminated) as error:
                self._cli.fail(str(error), error)
                return SERVER_ERROR
            except SandbankError as error:
                self._explain(error)
            except (OSError, ValueError) as error:
                self._cli.fail(in_words(error))
            except KeyboardInterrupt:  # one Ctrl-C too many: stop listening, the session goes on
                self._cli.fail("no longer waiting; it may still run")

    def _handle(self, source: str) -> None:
        if source.startswith(":"):
            self._commands.run(source[1:])
        elif source.strip():
            scope = self._commands.scope
            ran = run_code(self._cli, scope, source, self._options, self._figures, patience=PATIENCE)
            self._commands.ran(ran.result)

    def _explain(self, error: SandbankError) -> None:
        if isinstance(error, SessionCrashed):
            self._cli.fail(f"{error}: try :reset", error)
        else:
            self._cli.fail(str(error), error)
        if isinstance(error, NoSuchTransaction):
            self._commands.transaction_gone()
