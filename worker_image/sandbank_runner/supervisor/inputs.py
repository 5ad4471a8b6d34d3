"""What an operation's code asks, and what it is answered.

Questions come from an interpreter and are believed in nothing: bounded in size and number, each answered once. One that
is not well formed raises :class:`BadMessage` and is dropped and counted by the caller.
"""

from __future__ import annotations

from typing import Final, Protocol

from sandbank.v1.execution_pb2 import InputRequest

from sandbank_runner.channel import Message
from sandbank_runner.supervisor.interpreter_messages import BadMessage, escaped
from sandbank_runner.supervisor.operations import Operation, State

PROMPT_BYTES: Final = 64 * 1024
OPEN: Final = 128
"""Questions that are open at once."""

UNANSWERED: Final = 4096
"""Questions, withdrawn ones too, beyond those answered: each is an event in the journal."""

TEXT_BYTES: Final = 1024 * 1024
"""The longest answer."""

_LARGEST_ID: Final = 2**53
_ID_DIGITS: Final = 16


class Answerable(Protocol):
    """What is needed of an interpreter."""

    def answer(self, operation_id: str, input_id: int, text: str | None) -> None:
        """Give user code a line; None is the end of file."""


class Inputs:
    """The questions of one running operation."""

    __slots__ = ("_interpreter", "_last", "_open", "_operation", "_unanswered")

    def __init__(self, operation: Operation, interpreter: Answerable) -> None:
        self._operation = operation
        self._interpreter = interpreter
        self._open: set[int] = set()
        self._last = 0
        self._unanswered = 0

    def asked(self, message: Message) -> InputRequest:
        """Take an `input_request`; return what is told of it."""
        if not self._operation.allow_input:
            raise BadMessage("an operation that may not ask")
        request, number = _parse(message)
        if number <= self._last or len(self._open) >= OPEN or self._unanswered >= UNANSWERED:
            raise BadMessage("input_id")
        self._last = number
        self._unanswered += 1
        self._open.add(number)
        if self._operation.state is State.RUNNING:
            self._operation.state = State.WAITING_FOR_INPUT
        return request

    def withdrawn(self, message: Message) -> None:
        """Take an `input_withdrawn`."""
        number = message.header.get("input_id")
        if type(number) is not int or number not in self._open:
            raise BadMessage("input_id")
        self._close(number)

    def answer(self, input_id: str, text: str | None) -> bool:
        """Hand on an answer; None is the end of file. False where this question is not open."""
        number = _number(input_id)
        if number not in self._open:
            return False
        self._unanswered -= 1
        self._close(number)
        self._interpreter.answer(self._operation.operation_id, number, text)
        return True

    def _close(self, number: int) -> None:
        self._open.discard(number)
        if not self._open and self._operation.state is State.WAITING_FOR_INPUT:
            self._operation.state = State.RUNNING


def _number(input_id: str) -> int:
    """Return the number that an id stands for, 0 where it is none."""
    if not (input_id.isascii() and input_id.isdigit() and len(input_id) <= _ID_DIGITS):
        return 0
    number = int(input_id)
    return number if str(number) == input_id else 0


def _parse(message: Message) -> tuple[InputRequest, int]:
    header = message.header
    number, prompt, password = header.get("input_id"), header.get("prompt", ""), header.get("password", False)
    if type(number) is not int or not 0 < number <= _LARGEST_ID:
        raise BadMessage("input_id")
    if not isinstance(prompt, str) or type(password) is not bool:
        raise BadMessage("input_request")
    return InputRequest(input_id=str(number), prompt=_cut(prompt), password=password), number


def _cut(prompt: str) -> str:
    text = escaped(prompt[:PROMPT_BYTES])
    data = text.encode()
    return text if len(data) <= PROMPT_BYTES else data[:PROMPT_BYTES].decode("utf-8", "ignore")
