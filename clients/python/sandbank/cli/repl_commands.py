"""The commands of `sandbank repl` that begin with a colon, and the prompt that shows what they did."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable
from pathlib import Path

from sandbank.cli.command import Cli
from sandbank.cli.sessions import describe
from sandbank.cli.tables import size, table
from sandbank.cli.terminal import plain
from sandbank.errors import SandbankError
from sandbank.results import Result
from sandbank.sync.scope import Scope
from sandbank.sync.session import Session
from sandbank.sync.transaction import Transaction
from sandbank.v1 import execution_pb2

HELP = """:begin [files]        begin a transaction; with `files` a rollback returns files too
:commit, :rollback    end it
:rewind [N]           back to the state after execution N, or an operation's id; alone: undo the last
:vars [PREFIX]        list variables
:doc NAME             tell what is known of something: signature, type, documentation
:files [PATH]         list the workspace
:upload LOCAL [PATH]  put a file into it
:download PATH [TO]   get a file out of it
:session              describe the session
:reset                start with a pristine interpreter; files stay
:help                 this
:quit, Ctrl-D         leave
Ctrl-C                cancel what runs; the session stays as it is
Tab                   complete code by what the session knows
A block ends with an empty line. IPython's magics and !commands work."""

_KEPT = frozenset({execution_pb2.Operation.OUTCOME_COMMITTED, execution_pb2.Operation.OUTCOME_PARTIAL})


class Leave(Exception):
    """The user wants to leave."""


class Commands:
    """Does what is asked with a colon, and knows the open transaction and the execution count."""

    def __init__(self, cli: Cli, session: Session) -> None:
        self._cli, self._session = cli, session
        self._count = session.info.execution_count
        self._transaction: Transaction | None = None
        self._known: dict[str, Callable[..., None]] = {
            "begin": self._begin,
            "commit": self._commit,
            "rollback": self._rollback,
            "rewind": self._rewind,
            "vars": self._vars,
            "doc": self._doc,
            "files": self._files,
            "upload": self._upload,
            "download": self._download,
            "session": self._describe,
            "reset": self._reset,
            "help": self._help,
            "quit": self._quit,
            "q": self._quit,
            "exit": self._quit,
        }
        if session.info.open_transaction_id:
            self._use(session.info.open_transaction_id)
            cli.say(f"in transaction {session.info.open_transaction_id}; :commit or :rollback")

    @property
    def names(self) -> list[str]:
        """The commands."""
        return list(self._known)

    @property
    def scope(self) -> Scope:
        """Where code runs now: the open transaction, else the session."""
        return self._session if self._transaction is None else self._transaction

    def prompt(self) -> str:
        """Return the prompt: the number that the next execution will have, and whether a transaction is open."""
        return f"[{self._count + 1}{' tx' if self._transaction is not None else ''}] >>> "

    def ran(self, result: Result) -> None:
        """Take note of what was run."""
        began = result.transaction_id if result.outcome == "PENDING" else ""
        if result.outcome == "ROLLED_BACK" or (began and self._transaction is None):
            self._refresh()
        else:
            self._count = max(self._count, result.operation.execution_count)

    def transaction_gone(self) -> None:
        """Take note that the transaction is not open any more: idle for too long, or rolled back by a crash."""
        if self._transaction is not None:
            self._cli.say("the transaction was rolled back")
        self._refresh()

    def run(self, line: str) -> None:
        """Run a command."""
        words = shlex.split(line)
        name, arguments = (words[0], words[1:]) if words else ("help", [])
        chosen = self._known.get(name)
        if chosen is None or not _takes(chosen, arguments):
            wrong = "there is no such command" if chosen is None else "it takes something else"
            self._cli.fail(f":{name}: {wrong}")
            self._help()
            return
        chosen(*arguments)

    def _help(self) -> None:
        self._cli.out.print(HELP, markup=False)

    def _quit(self) -> None:
        raise Leave

    def _begin(self, what: str = "") -> None:
        if what not in {"", "files"}:
            raise ValueError(":begin takes nothing, or `files`")
        self._transaction = self._session.transaction(include_files=what == "files")
        self._cli.say(f"began {self._transaction.transaction_id}")

    def _commit(self) -> None:
        self._open().commit()
        self._transaction = None
        self._cli.say("committed")

    def _rollback(self) -> None:
        self._open().rollback()
        self._cli.say("rolled back")
        self._refresh()

    def _open(self) -> Transaction:
        if self._transaction is None:
            raise ValueError("no transaction is open; :begin begins one")
        return self._transaction

    def _rewind(self, target: str = "") -> None:
        operation = self._session.operation(target) if _is_id(target) else self._executed(target)
        self._session.rewind(operation.operation_id)
        self._cli.say(f"as after execution {operation.execution_count}")
        self._refresh()

    def _executed(self, number: str) -> execution_pb2.Operation:
        """Return the operation with this number, or the last but one, of those whose effects are there."""
        found = 0
        for operation in self._session.operations():
            if operation.outcome not in _KEPT:
                continue
            found += 1
            if (not number and found == 2) or (number and operation.execution_count == int(number)):
                return operation
        raise ValueError(
            f"there is no execution {number} to go back to"
            if number
            else "there is nothing before the last execution; :reset gives a pristine interpreter"
        )

    def _vars(self, prefix: str = "") -> None:
        rows = [
            (v.name, v.type_name, size(v.size_bytes), v.preview)
            for v in self.scope.variables(prefix, private=prefix.startswith("_"))
        ]
        self._cli.out.print(table(("NAME", "TYPE", "SIZE", "VALUE"), rows) if rows else "no variables")

    def _doc(self, name: str) -> None:
        found = self.scope.inspect(name)
        told = found.text if found else f"nothing is known of {name}"
        self._cli.out.print(plain(told), markup=False, soft_wrap=True)

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
        self._refresh()

    def _refresh(self) -> None:
        """Ask the server for the count and the transaction; without an answer the next command will fail."""
        self._transaction = None
        try:
            info = self._session.refresh()
        except SandbankError as error:
            self._cli.fail(str(error), error)
            return
        self._count = info.execution_count
        if info.open_transaction_id:
            self._use(info.open_transaction_id)

    def _use(self, transaction_id: str) -> None:
        self._transaction = self._session.attach_transaction(transaction_id)


def _is_id(target: str) -> bool:
    return bool(target) and not (target.isascii() and target.isdigit())


def _takes(function: Callable[..., None], arguments: list[str]) -> bool:
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    return True
