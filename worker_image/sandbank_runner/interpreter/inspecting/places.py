"""What the cursor is at: a name, an attribute of something, a key of it, an import, an argument of a call."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from sandbank_runner.interpreter.inspecting.bindings import STARTS, bound_names, is_keyword
from sandbank_runner.interpreter.inspecting.tokens import (
    NAME,
    NEWLINE,
    NUMBER,
    OPERATOR,
    STRING,
    Scan,
    Token,
)
from sandbank_runner.interpreter.sealed import seal

seal(globals())

NOTHING: Final = "nothing"
NAMES: Final = "names"
ATTRIBUTES: Final = "attributes"
KEYS: Final = "keys"
MODULES: Final = "modules"
MEMBERS: Final = "members"
"""Of a module, in ``from`` … ``import``."""

FILES: Final = "files"
WORDS: Final = "words"
"""Nothing but what is ``bound``."""

_LONGEST_EXPRESSION = 2000
_NAMING = frozenset(["def", "class", "as"])
"""What comes after these is a new name."""
_BEFORE_ARGUMENTS = frozenset(["(", ",", "="])


@dataclass(frozen=True)
class Place:
    """The part of the code before the cursor that is to be completed: ``prefix``, from ``start`` on."""

    kind: str
    start: int
    prefix: str = ""
    of: str = ""
    """The expression whose attributes or keys are wanted, the module, or the directory."""
    quote: str = ""
    """Of KEYS: how the string began."""
    raw: bool = False
    call: str = ""
    """Of NAMES: the expression that is called, where an argument begins here."""
    given: frozenset[str] = frozenset()
    """Arguments that are named already."""
    keyed: str = ""
    """Of NAMES: the expression whose item is asked for, right after its bracket."""
    bound: frozenset[str] = frozenset()
    """Of NAMES: what the code itself binds, as far as that is easily seen."""


def place_of(code: str, cursor: int) -> Place:
    """Return what the cursor is at."""
    before = code[:cursor]
    scan = Scan(before)
    if scan.in_comment:
        return Place(NOTHING, cursor)
    if scan.string is not None:
        return _in_string(scan, before)
    tokens = scan.tokens
    last = tokens[-1] if tokens else None
    prefix, number = "", len(tokens)
    if last is not None and last.end == cursor and last.kind in (NAME, NUMBER, STRING):
        if last.kind != NAME:
            return Place(NOTHING, cursor)
        prefix, number = last.text, number - 1
    start = cursor - len(prefix)
    imported = _in_import(tokens, number, start, prefix)
    if imported is not None:
        return imported
    previous = tokens[number - 1] if number else None
    if previous is None or previous.kind == NEWLINE:
        return Place(NAMES, start, prefix, bound=bound_names(code, start))
    if previous.text == "." and previous.kind == OPERATOR:
        of = expression_before(scan, before, number - 1)
        return Place(ATTRIBUTES, start, prefix, of) if of else Place(NOTHING, cursor)
    if previous.kind in (NUMBER, STRING) or previous.text in _NAMING:
        return Place(NOTHING, cursor)
    return _among_names(scan, code, number, Place(NAMES, start, prefix))


def expression_before(scan: Scan, text: str, number: int) -> str:
    """Return the expression that ends right before a token: names, attributes, items, calls, brackets. "" if none."""
    tokens = scan.tokens
    at = number - 1
    if at < 0:
        return ""
    end = tokens[at].end
    while at >= 0:
        token = tokens[at]
        if token.kind == OPERATOR and token.text in (")", "]", "}"):
            at = scan.partners.get(at, -1)
            if at < 0:
                return ""
            if token.text != "}" and at > 0 and _ends_operand(tokens[at - 1]):
                at -= 1
                continue
        elif token.kind == STRING:
            while at > 0 and tokens[at - 1].kind == STRING:
                at -= 1
        elif token.kind != NUMBER and not (token.kind == NAME and not is_keyword(token)):
            return ""
        if at > 1 and tokens[at - 1].text == "." and tokens[at - 1].kind == OPERATOR:
            at -= 2
            continue
        start = tokens[at].start
        return text[start:end] if end - start <= _LONGEST_EXPRESSION else ""
    return ""


def called(scan: Scan, text: str) -> tuple[str, int]:
    """Return the expression that is called where the code ends, "" where none is, and its bracket's token."""
    for number in reversed(scan.opened):
        if scan.tokens[number].text != "(":
            continue
        if number and _ends_operand(scan.tokens[number - 1]):
            if number > 1 and scan.tokens[number - 2].text in ("def", "class"):
                return "", number
            return expression_before(scan, text, number), number
    return "", -1


def _among_names(scan: Scan, code: str, number: int, place: Place) -> Place:
    tokens = scan.tokens
    previous = tokens[number - 1]
    place = replace(place, bound=bound_names(code, place.start))
    if not scan.opened:
        return place
    opening = scan.opened[-1]
    if tokens[opening].text == "[" and opening == number - 1 and opening:
        if not place.prefix and _ends_operand(tokens[opening - 1]):
            return replace(place, keyed=expression_before(scan, code, opening))
        return place
    if tokens[opening].text != "(" or previous.text not in STARTS:
        return place
    call, bracket = called(scan, code)
    if bracket != opening:
        return place
    given = frozenset(
        token.text
        for token, after in zip(tokens[opening:], tokens[opening + 1 : number], strict=False)
        if token.kind == NAME and after.text == "="
    )
    return replace(place, call=call, given=given)


def _in_string(scan: Scan, before: str) -> Place:
    """A key, where the string is the index of something; a file, in a call; code, in a field of an f-string."""
    string = scan.string
    assert string is not None
    said = before[string.start :]
    if "f" in string.prefix or "t" in string.prefix:
        inner = _field(said)
        if inner is not None:
            place = place_of(inner, len(inner))
            return replace(place, start=place.start + len(before) - len(inner))
        return Place(NOTHING, len(before))
    number = len(scan.tokens) - 1
    if string.prefix not in ("", "r", "u") or ("\\" in said and string.prefix != "r"):
        return Place(NOTHING, len(before))
    opening = scan.opened[-1] if scan.opened else -1
    if opening >= 0 and opening == number - 1 and scan.tokens[opening].text == "[":
        of = expression_before(scan, before, opening)
        if of:
            return Place(KEYS, string.start, said, of, string.quote, string.prefix == "r")
    if called(scan, before)[0] and scan.tokens[number - 1].text in _BEFORE_ARGUMENTS:
        directory, slash, prefix = said.rpartition("/")
        return Place(FILES, len(before) - len(prefix), prefix, directory + slash)
    return Place(NOTHING, len(before))


def _field(said: str) -> str | None:
    """Return the code in the replacement field that is open where an f-string breaks off; None where none is."""
    at, begin = 0, -1
    while at < len(said):
        character = said[at]
        if begin < 0:
            if character == "{":
                if said.startswith("{{", at):
                    at += 1
                else:
                    begin = at + 1
        elif character == "}":
            begin = -1
        at += 1
    return said[begin:] if begin >= 0 else None


def _in_import(tokens: list[Token], number: int, start: int, prefix: str) -> Place | None:
    """Return the place where the statement is an import; None where it is none."""
    at = number
    while at and not (
        tokens[at - 1].kind == NEWLINE
        or (tokens[at - 1].kind == OPERATOR and tokens[at - 1].text in (";", ":"))
    ):
        at -= 1
    words = [token.text for token in tokens[at:number]]
    if not words or words[0] not in ("import", "from") or tokens[at].kind != NAME:
        return None
    if words[0] == "import":
        begin = max((place for place, word in enumerate(words) if word == ","), default=0)
        return _module(words[begin + 1 :], start, prefix)
    if "import" not in words:
        if len(words) > 1 and words[-1] != ".":
            return Place(WORDS, start, prefix, bound=frozenset(["import"]))
        return _module(words[1:], start, prefix)
    split = words.index("import")
    module, names = "".join(words[1:split]), words[split + 1 :]
    if module.startswith(".") or (names and names[-1] not in (",", "(")):
        return Place(NOTHING, start + len(prefix))
    return Place(MEMBERS, start, prefix, module)


def _module(words: list[str], start: int, prefix: str) -> Place:
    if words and (words[-1] != "." or words[0] == "."):
        return Place(NOTHING, start + len(prefix))  # a new name after `as`, or relative
    return Place(MODULES, start, prefix, "".join(words[:-1]))


def _ends_operand(token: Token) -> bool:
    if token.kind == OPERATOR:
        return token.text in (")", "]", "}")
    return token.kind == STRING or (token.kind == NAME and not is_keyword(token))
