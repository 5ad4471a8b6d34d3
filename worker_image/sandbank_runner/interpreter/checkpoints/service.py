"""What a session does about checkpoints: which messages it hears, and what it is told of itself."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from sandbank_runner.interpreter.checkpoints.forking import Writers
from sandbank_runner.interpreter.checkpoints.ledger import Ledger
from sandbank_runner.interpreter.checkpoints.loader import Loader
from sandbank_runner.interpreter.checkpoints.surroundings import Surroundings
from sandbank_runner.interpreter.link import Link
from sandbank_runner.interpreter.namespace import Namespace
from sandbank_runner.interpreter.recomputing import Recorder
from sandbank_runner.interpreter.sealed import seal

seal(globals())

Handler = Callable[[dict[str, Any], tuple[bytes, ...]], None]


class Checkpoints:
    """The checkpoints of one session. ``users`` are those of code and of sleepers, where there are such."""

    def __init__(
        self,
        link: Link,
        namespace: Namespace,
        workspace: str,
        users: tuple[int, int] | None,
        ledger: Ledger,
        placed: Callable[[], None],
        run_in_context: Callable[..., Any],
    ) -> None:
        """``placed`` is called when restored files have taken the place of the workspace's.

        ``run_in_context`` calls a function where code of the session runs, so that it sees its context variables.
        """
        self._surroundings = Surroundings(namespace, workspace, run_in_context)
        ledger.noted = self._surroundings.recorder.forget
        writers = Writers(link, self._surroundings, users, ledger)
        loader = self._loader = Loader(link, self._surroundings, ledger, placed)
        self.handlers: dict[str, Handler] = {
            "checkpoint": writers.checkpoint,
            "checkpoint_ended": writers.ended,
            "load": loader.load,
            "place": loader.place,
        }
        """By the message that the live interpreter hears."""
        self.sleeper_handlers: dict[str, Handler] = {"checkpoint": writers.checkpoint_asleep}

    @property
    def recorder(self) -> Recorder:
        """What is remembered of operations that made what cannot be saved."""
        return self._surroundings.recorder

    def begin(self, secret: Collection[str], *, recompute: bool) -> None:
        """Take the environment as it is now for what the session was given. No checkpoint holds ``secret`` names.

        ``recompute``: what cannot be saved may be made anew, by code that is recorded from here on.
        """
        self._surroundings.begin(secret)
        if recompute:
            self._surroundings.recorder.turn_on()

    def take_warnings(self) -> list[dict[str, Any]]:
        """Return what is to be said with the next operation's end, once."""
        warnings, self._loader.warnings = self._loader.warnings, []
        return warnings

    def count(self, execution_count: int) -> None:
        """An operation begins."""
        self._surroundings.execution_count = execution_count
