"""What one reader is asked, and what is made of what it says: an answer, or which variable it hung at or died of."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from sandbank.v1.state_pb2 import ValueFormat
from sandbank.v1.variable_pb2 import Variable

from sandbank_runner.channel import Message
from sandbank_runner.supervisor.interpreter_messages import EVENT_BYTES, BadMessage
from sandbank_runner.supervisor.place_messages import parse_completed, parse_inspected
from sandbank_runner.supervisor.reader_messages import parse_no_value, parse_value, parse_variables
from sandbank_runner.supervisor.reader_process import ReaderGone, ReaderProcess
from sandbank_runner.v1.runner_pb2 import Failure, Read

LARGEST_PAGE = 1000
HANG_SECONDS = 1.5
"""How long a reader may be at one variable. It gives up by itself before, unless it hangs in C code."""
SILENT_SECONDS = 3.0
"""How long it may say nothing else."""

_LEAST_SECONDS = 0.05
_PLACES = ("complete", "inspect")
_FORMS: dict[int, str] = {
    ValueFormat.VALUE_FORMAT_UNSPECIFIED: "repr",
    ValueFormat.VALUE_FORMAT_REPR: "repr",
    ValueFormat.VALUE_FORMAT_JSON: "json",
    ValueFormat.VALUE_FORMAT_MIME: "mime",
    ValueFormat.VALUE_FORMAT_ARROW: "arrow",
}
_TOO_SLOW = "<preview unavailable: repr took too long>"
_HUNG = "a copy of the interpreter hung; threads of user code may hold what it needs"


class ReadRefused(Exception):
    """There is no answer: a reason of the public API and a sentence."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def failure(self) -> Failure:
        """Return it as it is sent."""
        return Failure(reason=self.reason, message=str(self)[:500])


class Culprit(Exception):
    """The reader hung or died at a variable; ``name`` is None where it did not say at which.

    The text is what to show in the place of the variable's preview.
    """

    def __init__(self, at: Variable | None, preview: str) -> None:
        super().__init__(preview)
        self.name = None if at is None else at.name


@dataclass(slots=True)
class Answer:
    """What a reader has said."""

    variables: list[Variable] = field(default_factory=list)
    more: bool = False
    data: bytes = b""
    mime_type: str = ""
    response: bytes = b""
    """Of a question about a place in code: the answer of the public API."""
    at: Variable | None = None
    """The variable that it is at now."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of every reader of one read. :class:`ReadRefused` for what cannot be asked."""

    read: Read
    preview_characters: int

    def __post_init__(self) -> None:
        if self.read.WhichOneof("what") not in ("list", "get", *_PLACES):
            raise ReadRefused("NOT_SUPPORTED", "this sandbox does not read that yet")
        if self.name is not None and self.read.get.format not in _FORMS:
            raise ReadRefused(
                "FORMAT_UNAVAILABLE", "this server does not write values down in that format yet"
            )

    @property
    def place(self) -> Read.Complete | Read.Inspect | None:
        """The place in code that is asked about, if that is it."""
        what = self.read.WhichOneof("what")
        return getattr(self.read, what) if what in _PLACES else None

    @property
    def blobs(self) -> tuple[bytes, ...]:
        """What goes with the message."""
        place = self.place
        return () if place is None else (place.code.encode("utf-8"),)

    @property
    def name(self) -> str | None:
        """The one variable that is wanted; None where another thing is."""
        return self.read.get.name if self.read.WhichOneof("what") == "get" else None

    @property
    def limit(self) -> int:
        """How many variables are wanted at most."""
        return 1 if self.name is not None else max(min(self.read.list.limit, LARGEST_PAGE), 1)

    @property
    def max_bytes(self) -> int:
        """How large the value may be."""
        return max(min(self.read.get.max_bytes or EVENT_BYTES, EVENT_BYTES), 0)

    def message(self, skip: list[str], *, bare: bool, seconds: float) -> dict[str, object]:
        """Return what to say to a reader that has so long, and is to leave some variables' code alone, or all's."""
        place = self.place
        if place is not None:
            what: dict[str, object] = {
                "what": self.read.WhichOneof("what"),
                "cursor": place.cursor_position,
                "detail": self.read.inspect.detail_level,
            }
        elif self.name is None:
            asked = self.read.list
            what = {
                "what": "list",
                "prefix": asked.name_prefix,
                "private": asked.include_private,
                "after": asked.after_name,
                "limit": self.limit,
            }
        else:
            what = {
                "what": "get",
                "name": self.name,
                "form": _FORMS[self.read.get.format],
                "max_bytes": self.max_bytes,
                "seconds": max(seconds - HANG_SECONDS, seconds / 2, _LEAST_SECONDS),
            }
        return {**what, "characters": self.preview_characters, "skip": skip, "bare": bare}


async def listen(reader: ReaderProcess, question: Question, deadline: float) -> Answer:
    """Take in what a reader says to its end. Raises :class:`Culprit` and :class:`ReadRefused`.

    ``deadline`` is by the loop's clock.
    """
    loop = asyncio.get_running_loop()
    answer = Answer()
    while True:
        writing = question.name is not None and bool(answer.variables)  # described; its value comes next
        left = deadline - loop.time()
        limit = SILENT_SECONDS if answer.at is None else HANG_SECONDS
        try:
            message = await reader.message(left if writing else min(limit, left))
        except TimeoutError:
            if writing:
                raise ReadRefused("FORMAT_UNAVAILABLE", "it took too long to write the value down") from None
            raise Culprit(answer.at, _HUNG if answer.at is None else _TOO_SLOW) from None
        except ReaderGone as gone:
            if writing:
                raise ReadRefused(
                    "FORMAT_UNAVAILABLE", f"writing the value down ended its process: {gone}"
                ) from None
            text = f"<preview unavailable: repr ended its process: {gone}>"
            raise Culprit(answer.at, text) from None
        try:
            if _take(message, answer, question):
                return answer
        except BadMessage:
            continue  # the channel is within reach of user code: what is none of ours is dropped


def _take(message: Message, answer: Answer, question: Question) -> bool:
    """Take one message in; True when it was the last."""
    kind = message.header.get("type")
    if kind == "variables":
        described, answer.at = parse_variables(message)
        answer.variables = [*answer.variables, *described][: question.limit]
    elif question.place is not None:
        return _take_place(kind, message, answer, question.place)
    elif kind == "end" and question.name is None:
        answer.more = message.header.get("more") is True
        return True
    elif kind == "value" and question.name is not None and answer.variables:
        answer.mime_type, preview, answer.data = parse_value(message, question.max_bytes)
        if preview is not None:
            answer.variables[0].preview = preview
        return True
    elif kind == "no_value" and question.name is not None:
        raise _no_value(message, question)
    return False


def _take_place(kind: object, message: Message, answer: Answer, place: Read.Complete | Read.Inspect) -> bool:
    if kind == "completed" and isinstance(place, Read.Complete):
        answer.response = parse_completed(message, place.cursor_position).SerializeToString()
    elif kind == "inspected" and isinstance(place, Read.Inspect):
        answer.response = parse_inspected(message).SerializeToString()
    else:
        return False
    return True


def _no_value(message: Message, question: Question) -> ReadRefused:
    reason, text, size = parse_no_value(message)
    if reason == "missing":
        return ReadRefused("VARIABLE_NOT_FOUND", "no variable is bound to that name")
    if reason == "too_large":
        known = f", with {size} bytes," if size else ""
        return ReadRefused("TOO_LARGE", f"the value{known} is over the limit of {question.max_bytes} bytes")
    return ReadRefused("FORMAT_UNAVAILABLE", text or "the value cannot be had in this format")
