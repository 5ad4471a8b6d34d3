"""Names that code binds itself, as far as its text shows."""

from __future__ import annotations

import keyword
from typing import Final

from sandbank_runner.interpreter.inspecting.tokens import NAME, OPERATOR, Scan, Token
from sandbank_runner.interpreter.sealed import seal

seal(globals())

STARTS: Final = frozenset(["(", ",", "*", "**"])
"""Behind these an argument or a parameter may begin."""
_KEYWORDS = frozenset(keyword.kwlist)
_VALUES = frozenset(["True", "False", "None"])
_BINDING = frozenset(["def", "class", "as", "for", "import", "global", "nonlocal", "lambda"])
_ASSIGNING = frozenset(["=", ":=", "in"])
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")


def bound_names(code: str, here: int) -> frozenset[str]:
    """Return names that the code binds, but for the one that is being typed."""
    tokens = Scan(code).tokens
    found = set()
    within: list[bool] = []
    """Of each open bracket, whether parameters of a definition are in it."""
    for number, token in enumerate(tokens):
        before = tokens[number - 1].text if number else ""
        if token.kind == OPERATOR and token.text in _OPENING:
            within.append(number > 1 and tokens[number - 2].text == "def")
        elif token.kind == OPERATOR and token.text in _CLOSING:
            del within[-1:]
        if token.kind != NAME or token.start == here or before == "." or is_keyword(token):
            continue
        after = tokens[number + 1].text if number + 1 < len(tokens) else ""
        if within and (within[-1] or after == "="):
            binds = within[-1] and before in STARTS
        else:
            binds = before in _BINDING or after in _ASSIGNING
        if binds:
            found.add(token.text)
    return frozenset(found)


def is_keyword(token: Token) -> bool:
    """Tell whether a name is none of anybody's."""
    return token.text in _KEYWORDS and token.text not in _VALUES
