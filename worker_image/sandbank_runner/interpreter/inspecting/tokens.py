"""The tokens of code that is still being typed: it may end anywhere, within a string or with brackets open."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from sandbank_runner.interpreter.sealed import seal

seal(globals())

NAME: Final = "name"
STRING: Final = "string"
NUMBER: Final = "number"
OPERATOR: Final = "operator"
NEWLINE: Final = "newline"
"""The end of a statement's line; within brackets there is none."""
COMMENT: Final = "comment"

_match = re.compile(
    r"""
      (?P<space>(?:[ \t\f\r]|\\\r?\n)+)
    | (?P<newline>\n)
    | (?P<comment>\#[^\n]*)
    | (?P<string>(?P<prefix>[rRbBuUfFtT]{0,2})(?P<quote>\"\"\"|'''|\"|'))
    | (?P<number>[0-9](?:[0-9a-zA-Z_]|(?<=[eE])[+-])*(?:\.(?![a-zA-Z_])(?:[0-9a-zA-Z_]|(?<=[eE])[+-])*)?
        |\.[0-9](?:[0-9a-zA-Z_]|(?<=[eE])[+-])*)
    | (?P<name>[^\W\d]\w*)
    | (?P<operator>\.\.\.|:=|->|(?:\*\*|//|>>|<<|[-+*/%@&|^=<>!])=?|.)
    """,
    re.VERBOSE,
).match
_bodies = {
    '"': re.compile(r'[^"\\\n]*(?:\\.[^"\\\n]*)*', re.DOTALL).match,
    "'": re.compile(r"[^'\\\n]*(?:\\.[^'\\\n]*)*", re.DOTALL).match,
    '"""': re.compile(r'[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*', re.DOTALL).match,
    "'''": re.compile(r"[^'\\]*(?:(?:\\.|'(?!''))[^'\\]*)*", re.DOTALL).match,
}
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_KINDS = (NAME, NUMBER, OPERATOR, COMMENT)


class Token(NamedTuple):
    """One piece of code."""

    kind: str
    text: str
    start: int
    end: int


class Open(NamedTuple):
    """A string that has not ended: what is before its quote, the quote, and where what it says begins."""

    prefix: str
    quote: str
    start: int


class Scan:
    """The tokens of ``text``. What is no Python is taken for operators."""

    def __init__(self, text: str) -> None:
        self.tokens: list[Token] = []
        self.opened: list[int] = []
        """Brackets that are open at the end, by their tokens' numbers, outermost first."""
        self.partners: dict[int, int] = {}
        """Of a closing bracket's token, the number of the opening one's."""
        self.string: Open | None = None
        """The string that the end lies in."""
        self.in_comment = False
        self._text = text
        at = 0
        while at < len(text):
            at = self._step(at)
        last = self.tokens[-1] if self.tokens else None
        if last is not None and last.kind == COMMENT:
            self.in_comment = last.end == len(text)
        self.tokens = [token for token in self.tokens if token.kind != COMMENT]

    def _step(self, at: int) -> int:
        found = _match(self._text, at)
        if found is None:  # never: a newline, or any character
            return at + 1
        kind, end = found.lastgroup, found.end()
        if found["string"] is not None:
            return self._string(at, found["prefix"], found["quote"])
        if kind == "newline":
            if not self.opened:
                self.tokens.append(Token(NEWLINE, "\n", at, end))
        elif kind in _KINDS:
            self._add(Token(kind, found[0], at, end))
        return end

    def _add(self, token: Token) -> None:
        if token.kind == COMMENT and token.end < len(self._text):
            return  # only one that the end lies in matters; others would shift the numbers of tokens
        number = len(self.tokens)
        self.tokens.append(token)
        if token.kind != OPERATOR:
            return
        if token.text in _OPENING:
            self.opened.append(number)
        elif token.text in _CLOSING and self.opened:
            self.partners[number] = self.opened.pop()

    def _string(self, at: int, prefix: str, quote: str) -> int:
        start = at + len(prefix) + len(quote)
        body = _bodies[quote](self._text, start)
        end = start if body is None else body.end()
        if self._text.startswith(quote, end):
            end += len(quote)
        elif end == len(self._text) or (end == len(self._text) - 1 and self._text[end] == "\\"):
            self.string = Open(prefix.lower(), quote, start)
            end = len(self._text)
        self.tokens.append(Token(STRING, self._text[at:end], at, end))
        return end
