"""What could come next at a place in code."""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from sandbank_runner.interpreter.inspecting import places
from sandbank_runner.interpreter.inspecting.attributes import (
    CLASS,
    FUNCTION,
    MISSING,
    MODULE,
    PROPERTY,
    Made,
    all_names,
    bound,
    is_property,
    kind_word,
    lookup,
)
from sandbank_runner.interpreter.inspecting.budget import Budget
from sandbank_runner.interpreter.inspecting.files import files_in
from sandbank_runner.interpreter.inspecting.keys import between_quotes, ending, known_keys
from sandbank_runner.interpreter.inspecting.modules import loaded, modules_in
from sandbank_runner.interpreter.inspecting.places import Place, place_of
from sandbank_runner.interpreter.inspecting.resolving import Resolver
from sandbank_runner.interpreter.inspecting.signatures import keyword_names, signature_text
from sandbank_runner.interpreter.reading.reader import is_shown
from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.text import sendable

seal(globals())

MATCHES: Final = 1000
"""Ways to complete that are told."""
SIGNED: Final = 200
"""How many of them are told with a signature."""
_CHARACTERS: Final = 1000
_PARAMETER, _KEY, _KEYWORD, _PATH = "param", "key", "keyword", "path"
_builtins = vars(builtins)
_keywords = (*keyword.kwlist, "match", "case")
_ATOMS: Final = (str, int, bool, float, type(None))
_CALLABLE: Final = (FUNCTION, CLASS)
_repr, _dir, _import = repr, dir, __import__


class Match(NamedTuple):
    """One way to complete."""

    text: str
    kind: str = ""
    signature: str = ""


class Completion(NamedTuple):
    """All ways, and where they begin."""

    matches: list[Match]
    start: int


def complete(code: str, cursor: int, names: dict[str, Any], budget: Budget) -> Completion:
    """Return the ways to complete the code before the cursor, best first."""
    place = place_of(code, cursor)
    found = _Completer(names, budget, code[cursor:]).of(place)
    seen: set[str] = set()
    matches = []
    for match in found:
        if match.text not in seen and len(match.text) <= _CHARACTERS and sendable(match.text) == match.text:
            seen.add(match.text)
            matches.append(match)
            if len(matches) == MATCHES:
                break
    return Completion(matches, place.start)


class _Completer:
    def __init__(self, names: dict[str, Any], budget: Budget, after: str) -> None:
        self._names = names
        self._budget = budget
        self._resolver = Resolver(names, bare=budget.bare)
        self._after = after
        self._signed = 0

    def of(self, place: Place) -> Iterable[Match]:
        """Yield matches for a place."""
        match place.kind:
            case places.NAMES:
                return self._of_names(place)
            case places.ATTRIBUTES:
                return self._attributes(self._value(place.of), place.prefix)
            case places.KEYS:
                return self._keys(place)
            case places.MODULES:
                return [Match(name, MODULE) for name in self._modules(place.of, place.prefix)]
            case places.MEMBERS:
                return self._members(place)
            case places.FILES:
                return [Match(name, _PATH) for name in files_in(place.of, place.prefix)]
            case places.WORDS:
                return [Match(word, _KEYWORD) for word in place.bound if word.startswith(place.prefix)]
        return ()

    def _of_names(self, place: Place) -> Iterator[Match]:
        prefix = place.prefix
        yield from self._arguments(place)
        yield from self._items(place)
        own = [name for name in list(self._names) if is_shown(name) and name.startswith(prefix)]
        for name in _public_first(own, prefix):
            yield self._match(name, self._names[name])
        yield from (Match(name) for name in sorted(place.bound) if name.startswith(prefix))
        if not prefix:
            return
        yield from (Match(word, _KEYWORD) for word in _keywords if word.startswith(prefix))
        known = [name for name in list(_builtins) if type(name) is str and name.startswith(prefix)]
        for name in _public_first(known, prefix):
            yield self._match(name, _builtins[name])

    def _arguments(self, place: Place) -> Iterator[Match]:
        function = self._value(place.call) if place.call else MISSING
        if function is MISSING:
            return
        for name in self._budget.call(keyword_names, function, otherwise=()):
            if name.startswith(place.prefix) and name not in place.given:
                yield Match(f"{name}=", _PARAMETER)

    def _items(self, place: Place) -> Iterator[Match]:
        for key in known_keys(self._value(place.keyed), self._budget) if place.keyed else ():
            if type(key) in _ATOMS:
                yield Match(_repr(key) + ending("", self._after), _KEY)

    def _attributes(self, value: Any, prefix: str) -> Iterator[Match]:
        if value is MISSING:
            return
        names = self._budget.call(_dir, value) if type(value) is not Made else None
        if type(names) is not list:
            names = all_names(value)
        chosen = {
            name for name in names if type(name) is str and name.startswith(prefix) and name.isidentifier()
        }
        for name in _public_first(chosen, prefix):
            yield self._attribute(value, name)

    def _attribute(self, value: Any, name: str) -> Match:
        found = lookup(value, name)
        if found is MISSING:
            return Match(name)
        if is_property(found):
            return Match(name, PROPERTY)
        return self._match(name, bound(value, name))

    def _match(self, name: str, value: Any) -> Match:
        word = kind_word(value)
        signature = ""
        if word in _CALLABLE and self._signed < SIGNED:
            self._signed += 1
            signature = self._budget.call(signature_text, value, otherwise="")
        return Match(name, word, signature)

    def _keys(self, place: Place) -> Iterator[Match]:
        for key in known_keys(self._value(place.of), self._budget):
            said = between_quotes(key, place) if type(key) is str else None
            if said is not None and said.startswith(place.prefix):
                yield Match(said + ending(place.quote, self._after), _KEY)

    def _members(self, place: Place) -> Iterator[Match]:
        module = loaded(place.of)
        if module is None:
            self._budget.call(_import, place.of)  # in this copy of the interpreter only
            module = loaded(place.of)
        if module is not None:
            yield from self._attributes(module, place.prefix)
        for name in self._modules(place.of, place.prefix):
            yield Match(name, MODULE)
        if not place.prefix:
            yield Match("*")

    def _value(self, expression: str) -> Any:
        """Return what an expression stands for; MISSING where that cannot be told."""
        if self._budget.bare:
            try:
                return self._resolver.value(expression)
            except Exception:
                return MISSING
        return self._budget.call(self._resolver.value, expression, otherwise=MISSING)

    def _modules(self, package: str, prefix: str) -> list[str]:
        """Return modules; what is found by way of the user's own finders takes the user's time."""
        if self._budget.bare:
            return modules_in(package, prefix, trusting=False)
        found: list[str] = self._budget.call(modules_in, package, prefix, otherwise=[])
        return found


def _public_first(names: Iterable[str], prefix: str) -> list[str]:
    """Sort; names that begin with an underscore only where that was typed, or where there are no others."""
    public = sorted(name for name in names if name[0] != "_")
    if not prefix and public:
        return public
    private = sorted(name for name in names if name[0] == "_" and not name.startswith("__"))
    return [*public, *private, *sorted(name for name in names if name.startswith("__"))]
