"""What is put in place while namespace operations run, and taken away when none does."""

from __future__ import annotations

from collections.abc import Callable

from sandbank_runner.interpreter.namespace import Namespace
from sandbank_runner.interpreter.output import Output
from sandbank_runner.interpreter.parallel import current, main_module, pyplot, redirection, sleeping, waiting
from sandbank_runner.interpreter.parallel.deferred_signals import DeferredSignals
from sandbank_runner.interpreter.parallel.streams import Streams
from sandbank_runner.interpreter.parallel.threads import ThreadStarts
from sandbank_runner.interpreter.sealed import seal

seal(globals())


class Surroundings:
    """Of one interpreter: one thing after the other, and back in the opposite order."""

    __slots__ = ("_left", "_pairs")

    def __init__(self, namespace: Namespace, output: Output) -> None:
        streams, threads, signals = Streams(output), ThreadStarts(), DeferredSignals()
        module = namespace.module

        def cover_module() -> None:
            namespace.repair()
            main_module.cover(module)

        self._pairs: tuple[tuple[Callable[[], None], Callable[[], None]], ...] = (
            (current.begin, current.end),
            (signals.cover, signals.uncover),
            (streams.cover, streams.uncover),
            (redirection.cover, redirection.uncover),
            (threads.cover, threads.uncover),
            (cover_module, lambda: main_module.uncover(module)),
            (sleeping.cover, sleeping.uncover),
            (waiting.cover, waiting.uncover),
            (pyplot.cover, lambda: None),
        )
        self._left: list[Callable[[], None]] = []

    def cover(self) -> None:
        """The first of several operations begins. What was done is undone where something raises."""
        try:
            for cover, uncover in self._pairs:
                self._left.append(uncover)
                cover()
        except BaseException:
            self.uncover()
            raise

    def uncover(self) -> None:
        """The last one has ended. Does not raise."""
        while self._left:
            try:
                self._left.pop()()
            except BaseException:  # noqa: S112 - an audit hook of the user's: the next one all the same
                continue
