"""Many kinds in one session: programs that make all of them, and that tell which are not as they were.

Kinds use the same names. So what one binds is put away under names of its own, and brought back to be looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

_AT_ONCE = 10

_PUT_AWAY = """
import types
def _put_away(kind, code):
    before = set(globals())
    exec(code, globals())
    for name in [each for each in globals() if each not in before]:
        if not isinstance(globals()[name], types.ModuleType):
            globals()[f'{kind}__{name}'] = globals().pop(name)
"""
_LOOK = """
def _differing(kinds):
    found = []
    for kind, holds in kinds.items():
        own = {name.removeprefix(f'{kind}__'): name for name in globals() if name.startswith(f'{kind}__')}
        globals().update({short: globals()[name] for short, name in own.items()})
        try:
            if not eval(holds, globals()):
                found.append(f'{kind} differs')
        except Exception as error:
            found.append(f'{kind}: {type(error).__name__}: {error}')
        for short in own:
            del globals()[short]
    return found
"""


def name_of(kind: str, variable: str) -> str:
    """Return the name under which a kind's variable is put away."""
    return f"{_identifier(kind)}__{variable}"


def parts(kinds: Mapping[str, tuple[str, str]]) -> Iterator[dict[str, tuple[str, str]]]:
    """Yield a few of them at a time: as many as one operation makes in no time, however slow the machine."""
    names = list(kinds)
    for first in range(0, len(names), _AT_ONCE):
        yield {name: kinds[name] for name in names[first : first + _AT_ONCE]}


def making(kinds: Mapping[str, tuple[str, str]]) -> str:
    """Return code that makes all of them."""
    calls = [f"_put_away({_identifier(kind)!r}, {make!r})" for kind, (make, _) in kinds.items()]
    return _PUT_AWAY + "\n".join(calls)


def looking(kinds: Mapping[str, tuple[str, str]]) -> str:
    """Return code whose value is a list, of those that are not as they were."""
    wanted = {_identifier(kind): holds for kind, (_, holds) in kinds.items()}
    return f"{_LOOK}\n_differing({wanted!r})"


def _identifier(kind: str) -> str:
    return kind.replace("-", "_")
