"""What goes on around every call: one ordered list of steps, the same for all four shapes of RPC.

A step enters before the servicer and leaves after it, in the opposite order, with the result. Steps are
plain objects with two methods, and entering is synchronous unless a step must wait: a stack of async
context managers would cost more than everything that they do. The error map comes inside of all steps, so
that each sees the status that the client will get.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import grpc
import grpc.aio
import structlog

from sandbank_server.grpc_api.call import CallContext
from sandbank_server.grpc_api.error_map import STATUS_TRAILER, Failure, explain

T = TypeVar("T")
_log = structlog.get_logger("sandbank.call")


@dataclass(frozen=True, slots=True)
class CallResult:
    """How a call ended. ``failure`` is None when it succeeded or was cancelled, as ``code`` says."""

    code: grpc.StatusCode
    failure: Failure | None = None


class Step(Protocol):
    """One concern around every call."""

    def enter(self, call: CallContext) -> Awaitable[None] | None:
        """Begin; raise a domain error to refuse the call. Later steps and the servicer then never see it."""

    def leave(self, call: CallContext, result: CallResult) -> None:
        """End. Called once for every step that entered, whatever happened; must not raise, must not wait."""


class ClientGoneError(Exception):
    """A response could not be sent, because the call is over on the other side."""


_OK = CallResult(grpc.StatusCode.OK)
_CANCELLED = CallResult(grpc.StatusCode.CANCELLED)


class Chain:
    """Runs calls through the steps."""

    def __init__(self, steps: Sequence[Step], *, clock: Callable[[], float]) -> None:
        self._enter = tuple(step.enter for step in steps)
        self._leave = tuple(step.leave for step in steps)
        self._clock = clock

    async def run(
        self,
        method: str,
        rpc: grpc.aio.ServicerContext,
        body: Callable[[CallContext], Awaitable[T]],
    ) -> T:
        """Run one call. Aborts the RPC with the mapped status when anything but a cancellation goes wrong."""
        clock = self._clock
        remaining = rpc.time_remaining()
        call = CallContext(
            method,
            metadata=dict(rpc.invocation_metadata()),
            clock=clock,
            deadline=None if remaining is None else clock() + remaining,
            peer=rpc.peer,
        )
        entered = 0
        try:
            for enter in self._enter:
                pending = enter(call)
                if pending is not None:
                    await pending
                entered += 1
            answer = await body(call)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                call.run_cancelled_callbacks()
                self._leave_steps(call, entered, _CANCELLED)
                raise
            # Nobody cancelled this call: something that it waited for was. grpc would take it for the
            # client's wish, send no status at all, and leave the client waiting.
            failure = explain(error)
        except ClientGoneError:
            call.run_cancelled_callbacks()
            self._leave_steps(call, entered, _CANCELLED)
            # There is nobody to send a status to, and grpc would log the failed send as a fault of ours.
            raise asyncio.CancelledError from None
        except Exception as error:  # noqa: BLE001 - the edge: nothing but a mapped status leaves from here
            failure = explain(error)
        else:
            self._leave_steps(call, entered, _OK)
            return answer
        finally:
            call.forget_peer()
        self._leave_steps(call, entered, CallResult(failure.code, failure))
        trailers = ((STATUS_TRAILER, failure.status_details()),)
        try:
            await rpc.abort(failure.code, failure.message, trailers)
        except grpc.aio.AbortError:
            raise
        except grpc.aio.BaseError:
            raise asyncio.CancelledError from None  # the client left before it could be told
        raise AssertionError("abort always raises")

    def _leave_steps(self, call: CallContext, entered: int, result: CallResult) -> None:
        for leave in reversed(self._leave[:entered]):
            try:
                leave(call, result)
            except Exception:  # noqa: BLE001 - the others must leave too
                _log.exception("a step failed at the end of a call", method=call.method)
