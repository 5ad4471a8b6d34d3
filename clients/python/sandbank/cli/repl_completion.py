"""Tab at the prompt: the session is asked how the code could go on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sandbank.errors import SandbankError
from sandbank.sync.scope import Scope

INDENT = "    "
# Words end at anything that is in no name: what is completed then begins where the session says, or before.
DELIMITERS = " \t\n`~!@#$%^&*()-=+[{]}\\|;:'\",.<>/?"


class Completer:
    """What readline calls. `commands` are those that begin with a colon, `scope` tells where code runs now."""

    def __init__(self, commands: Iterable[str], scope: Callable[[], Scope]) -> None:
        self._commands = sorted(f":{name}" for name in commands)
        self._scope = scope
        self._found: list[str] = []
        self._readline: Any = None
        self.before: Sequence[str] | None = None
        """The lines of the block that stand above the one that is typed; None while that is no code."""

    def install(self, readline: Any) -> None:
        """Have Tab complete."""
        self._readline = readline
        readline.set_completer(self)
        readline.set_completer_delims(DELIMITERS)
        libedit = "libedit" in (readline.__doc__ or "")
        readline.parse_and_bind("bind ^I rl_complete" if libedit else "tab: complete")

    def __call__(self, _text: str, state: int) -> str | None:
        """Return a way to complete the word before the cursor; None after the last."""
        if state == 0:
            readline = self._readline
            self._found = self._complete(
                readline.get_line_buffer(), readline.get_begidx(), readline.get_endidx()
            )
        return self._found[state] if state < len(self._found) else None

    def _complete(self, line: str, begin: int, end: int) -> list[str]:
        before = self.before
        if before is None:
            return []
        if not line[:end].strip():
            self._readline.insert_text(INDENT)
            self._readline.redisplay()
            return []
        if line.startswith(":") and not before:
            return [name[begin:] for name in self._commands if name.startswith(line[:end])]
        above = "".join(f"{each}\n" for each in before)
        return self._ask(above + line, len(above) + begin, len(above) + end)

    def _ask(self, code: str, begin: int, end: int) -> list[str]:
        """Return what can take the place of the code from `begin` to `end`."""
        try:
            answer = self._scope().complete(code, end)
        except SandbankError:  # a prompt without completion is a prompt
            return []
        start = answer.start_position
        kept, typed = code[begin:start], code[start:begin]
        # The names are the session's: nothing of them may steer a terminal.
        texts = [match.text for match in answer.matches if match.text.isprintable()]
        return [kept + text[len(typed) :] for text in texts if text.startswith(typed)]
