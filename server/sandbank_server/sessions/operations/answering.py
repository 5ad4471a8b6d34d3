"""Giving an operation the input that it waits for."""

from __future__ import annotations

import asyncio

from sandbank_runner.v1 import runner_pb2

from sandbank_server.errors import NotWaitingForInputError, SandboxLostError, SessionBusyError
from sandbank_server.runners.link import LinkClosed, RequestFailed
from sandbank_server.sessions.operations.operations import Operations
from sandbank_server.sessions.refusals import refusal

_ATTACH_SECONDS = 5.0
"""How long an answer waits while a broken link is mended."""


async def provide_input(operations: Operations, operation_id: str, input_id: str, text: str | None) -> None:
    """Answer a question of an operation; None is the end of file.

    Whether the operation waits is for its sandbox to say, so this also works after a restart of the control plane.
    Raises :class:`OperationNotFoundError` and :class:`NotWaitingForInputError`; :class:`SandboxLostError` when nobody
    knows whether the answer arrived; :class:`SessionBusyError` when it was not sent.
    """
    entry = operations.entry(operation_id)
    message = runner_pb2.ProvideInput(operation_id=operation_id, input_id=input_id)
    if text is None:
        message.end_of_file = True
    else:
        message.text = text
    if operations.link is None and not entry.finished:
        try:
            async with asyncio.timeout(_ATTACH_SECONDS):
                await operations.journal.reachable.wait()
        except TimeoutError:
            raise SessionBusyError("the sandbox is being looked for; try again", retry_delay=0.5) from None
    link = operations.link
    if entry.finished or link is None:
        raise NotWaitingForInputError(f"operation {operation_id} has ended", resource=operation_id)
    try:
        await link.request(provide_input=message)
    except RequestFailed as error:
        raise refusal(error) from error
    except (LinkClosed, TimeoutError) as error:
        raise SandboxLostError(
            "the sandbox was lost, perhaps after it got the answer: look whether the operation still waits"
        ) from error
