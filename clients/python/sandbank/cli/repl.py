"""`sandbank repl`: a prompt whose Python runs in a sandbox."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

from sandbank.cli.command import OK, SERVER_ERROR, Cli
from sandbank.cli.repl_input import needs_more, use_history
from sandbank.cli.running import (
    FIGURES,
    EnvOption,
    FiguresOption,
    KeepOption,
    SessionOption,
    TemplateOption,
    TimeoutOption,
    UploadOption,
    open_session,
    run_code,
    session_options,
    upload_all,
)
from sandbank.cli.sessions import describe
from sandbank.cli.tables import size, table
from sandbank.errors import SandbankError
from sandbank.reasons import SessionCrashed, SessionNotFound, SessionTerminated
from sandbank.sync.session import Session

PROMPT, MORE = ">>> ", "... "
HELP = """:files [PATH]         list the workspace
:upload LOCAL [PATH]  put a file into it
:download PATH [TO]   get a file out of it
:session              describe the session
:reset                start with a pristine interpreter; files stay
:help                 this
:quit, Ctrl-D         leave
Ctrl-C                cancel what runs; the session stays as it is
A block ends with an empty line. IPython's magics and !commands work."""


def repl(
    cli: Cli,
    session: SessionOption = None,
    keep: KeepOption = False,
    template: TemplateOption = "",
    env: EnvOption = None,
    upload: UploadOption = None,
    timeout: TimeoutOption = None,
    figures: FiguresOption = FIGURES,
) -> int:
    """Type Python that runs in a sandbox."""
    use_history()
    with (
        cli.client() as client,
        open_session(cli, client, session, keep, session_options(template, env)) as opened,
    ):
        upload_all(cli, opened, upload or [])
        cli.say(f"session {opened.session_id}, Python {opened.info.python_version or '?'}; :help for help")
        return Repl(cli, opened, timeout, figures).loop()


class Repl:
    """The loop of one prompt over one session."""

    def __init__(
        self,
        cli: Cli,
        session: Session,
        timeout: float | None,
        figures: Path,
        read: Callable[[str], str] = input,
    ) -> None:
        self._cli, self._session, self._timeout, self._figures, self._read = (
            cli,
            session,
            timeout,
            figures,
            read,
        )

    def loop(self) -> int:
        """Read, run and show until the user leaves or the session is gone; return the exit code."""
        while True:
            try:
                source = self._source()
            except KeyboardInterrupt:  # at the prompt it only drops what was typed
                self._cli.err.print()
                continue
            except EOFError:
                self._cli.err.print()
                return OK
            if source.strip() in {":quit", ":q", ":exit"}:
                return OK
            try:
                self._handle(source)
            except (SessionNotFound, SessionTerminated) as error:
                self._cli.fail(str(error), error)
                return SERVER_ERROR
            except SessionCrashed as error:
                self._cli.fail(f"{error}: try :reset", error)
            except SandbankError as error:
                self._cli.fail(str(error), error)
            except (OSError, ValueError) as error:
                self._cli.fail(str(error))
            except KeyboardInterrupt:  # the second Ctrl-C: stop listening, the session goes on
                self._cli.fail("no longer waiting; it may still run")

    def _source(self) -> str:
        lines = [self._read(PROMPT)]
        while not lines[0].startswith(":") and needs_more(lines):
            lines.append(self._read(MORE))
        return "\n".join(lines)

    def _handle(self, source: str) -> None:
        if source.startswith(":"):
            words = shlex.split(source[1:])
            self._command(words[0] if words else "help", words[1:])
        elif source.strip():
            run_code(self._cli, self._session, source, self._timeout, self._figures)

    def _command(self, name: str, arguments: list[str]) -> None:
        commands: dict[str, Callable[..., None]] = {
            "help": self._help,
            "files": self._files,
            "upload": self._upload,
            "download": self._download,
            "session": self._describe,
            "reset": self._reset,
        }
        chosen = commands.get(name)
        try:
            if chosen is None:
                raise TypeError
            chosen(*arguments)
        except TypeError:
            self._cli.fail(f"no such command, or not so: :{name} {' '.join(arguments)}")
            self._help()

    def _help(self) -> None:
        self._cli.out.print(HELP, markup=False)

    def _files(self, path: str = "") -> None:
        rows = [
            (f.path + ("/" if f.is_directory else ""), "" if f.is_directory else size(f.size_bytes))
            for f in self._session.files.list(path)
        ]
        self._cli.out.print(table(("PATH", "SIZE"), rows) if rows else "no files")

    def _upload(self, local: str, path: str | None = None) -> None:
        file = self._session.files.upload(Path(local).expanduser(), path)
        self._cli.say(f"uploaded {file.path}")

    def _download(self, path: str, to: str | None = None) -> None:
        target = Path(to).expanduser() if to else Path(Path(path).name)
        self._session.files.download(path, target)
        self._cli.say(f"{path} → {target}")

    def _describe(self) -> None:
        self._cli.out.print(describe(self._session.refresh()))

    def _reset(self) -> None:
        self._session.reset(keep_files=True)
        self._cli.say("a pristine interpreter; files stayed")
