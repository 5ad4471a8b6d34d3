"""One operation as an asyncio client holds it."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TypeAlias

from sandbank import calls, requests
from sandbank.aio.transport import Transport
from sandbank.errors import SandbankError
from sandbank.events import Event, InputRequested
from sandbank.facade import ExecutionBase
from sandbank.follow import Follower
from sandbank.reasons import NotWaitingForInput
from sandbank.results import Callbacks, Result
from sandbank.v1 import execution_pb2

# From the prompt, and whether the answer is secret, to a line; None is the end of the input.
InputCallback: TypeAlias = Callable[[str, bool], Awaitable[str | None] | str | None]


class AsyncRunning(ExecutionBase, ABC):
    """An operation that runs, or ran: iterate over its events, or wait for its result.

    Its events can be had once from one object; `AsyncSession.watch` gives another from any point. Leaving the
    loop early, or cancelling the task, does not stop the operation: `cancel` does.
    """

    def __init__(self, transport: Transport, follower: Follower, events: AsyncGenerator[Event, None]) -> None:
        super().__init__(follower)
        self._transport = transport
        self._events = events

    async def __aiter__(self) -> AsyncIterator[Event]:
        async for event in self._events:
            self._fold.feed(event)
            yield event

    async def result(
        self,
        *,
        check: bool = True,
        callbacks: Callbacks | None = None,
        input: InputCallback | None = None,  # noqa: A002 - what it stands for in the session
    ) -> Result:
        """Wait for the end and return the result; what was seen before, by iterating, is in it.

        `input` answers the code's `input()`, where it was sent with `allow_input`. Raises ExecutionFailed with
        `check` where the code did not succeed, or its effects could not be merged.
        """
        self._fold.callbacks = callbacks or self._fold.callbacks
        if input is None:
            async for _ in self:
                pass
        else:
            await self._answering(input)
        result = self._fold.result
        if result is None:  # closed before the end: only the operation itself can still be had
            result = Result(await self.operation(), complete=False)
        return result.checked() if check else result

    async def operation(self) -> execution_pb2.Operation:
        """Read the operation as the server has it now."""
        return await self._transport.call(calls.get_operation(self.session_id, self.operation_id))

    @abstractmethod
    async def cancel(self) -> execution_pb2.Operation | None:
        """Ask for it to stop; the events tell when it has."""

    @abstractmethod
    async def provide_input(self, input_id: str, text: str | None) -> None:
        """Answer an InputRequested with a line (without its end), or with the end of the input for None."""

    async def _answering(self, ask: InputCallback) -> None:
        """Read to the end, each question being answered in a task of its own, which ends with the operation."""
        answers: set[asyncio.Task[None]] = set()
        try:
            async with asyncio.TaskGroup() as group:
                async for event in self:
                    if isinstance(event, InputRequested):
                        answers.add(group.create_task(self._answer(event, ask)))
                for answer in answers:
                    answer.cancel()
        except BaseExceptionGroup as errors:
            first = errors.exceptions[0]
            raise first from first.__cause__

    async def _answer(self, asked: InputRequested, ask: InputCallback) -> None:
        try:
            text = ask(asked.prompt, asked.password)
            if inspect.isawaitable(text):
                text = await text
            await self.provide_input(asked.input_id, text)
        except NotWaitingForInput:
            pass  # the operation was stopped meanwhile, or somebody else has answered: its events tell
        except asyncio.CancelledError:
            raise  # the operation is over, or the caller leaves
        except BaseException:
            # Nobody will answer: without this the code would wait until its timeout. When that ends the operation
            # and so this task, the error is still the one to tell.
            with contextlib.suppress(SandbankError, asyncio.CancelledError):
                await self.cancel()
            raise


class AsyncExecution(AsyncRunning):
    """An operation that runs, or ran, over a stream of its own.

    It is sent when its events or its result are first asked for.
    """

    def __init__(self, transport: Transport, follower: Follower) -> None:
        super().__init__(transport, follower, transport.follow(follower))

    async def cancel(self) -> execution_pb2.Operation:
        """Ask for it to stop; the events tell when it has."""
        return await self._transport.call(calls.cancel_operation(self.session_id, self.operation_id))

    async def provide_input(self, input_id: str, text: str | None) -> None:
        """Answer an InputRequested with a line (without its end), or with the end of the input for None.

        Raises NotWaitingForInput where that question was answered before, or is over.
        """
        request = requests.provide_input(self.session_id, self.operation_id, input_id, text)
        await self._transport.call(calls.provide_input(request))

    async def close(self) -> None:
        """Stop receiving; the operation goes on."""
        await self._events.aclose()
