"""A session's state out to the library and back in, over a connection beside the link.

These functions know one sandbox and no session: who decides when, and what a session then is, calls them.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from google.protobuf.duration_pb2 import Duration
from sandbank_runner.v1 import runner_pb2

from sandbank_server.checkpoints.chunks import ChunkStore
from sandbank_server.checkpoints.manifest import Manifest
from sandbank_server.checkpoints.transfer import (
    FindBase,
    LoadRefused,
    Taken,
    WriterFailed,
    WriterStuck,
    hand_out,
    take_in,
)
from sandbank_server.errors import (
    CheckpointCorruptError,
    CheckpointIncompatibleError,
    DomainError,
    SessionBusyError,
    TooLargeError,
    WorkspaceFullError,
)
from sandbank_server.runners.checks import check_counts, line_of
from sandbank_server.runners.frames import RunnerViolation
from sandbank_server.runners.link import LinkClosed, RequestFailed, RunnerLink
from sandbank_server.runners.state_stream import StateStream
from sandbank_server.sessions.refusals import refusal

_STUCK_NAMES = 100
"""Variables that a checkpoint goes without because their code hangs or kills; more is no checkpoint."""

STATE_SECONDS = 600
"""How long writing or loading a state may take in the sandbox."""

_ANSWER_SECONDS = STATE_SECONDS + 60.0

_REFUSALS: Final[dict[str, type[DomainError]]] = {
    error.reason: error
    for error in (CheckpointCorruptError, CheckpointIncompatibleError, TooLargeError, WorkspaceFullError)
}

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Written:
    """What a writer wrote, and which state that is."""

    taken: Taken
    as_of_operation_id: str
    execution_count: int
    stale: bool = False
    """The session was in a later state when it was written."""
    state: int = 0
    """The sandbox's number of the state, 0 where it says none."""


async def write_state(
    link: RunnerLink,
    store: ChunkStore,
    tenant: str,
    checkpoint_id: str,
    find_base: FindBase,
    keep: Callable[[Written], Awaitable[None]],
    *,
    verify: bool = False,
    patience: float = 0.0,
) -> Written:
    """Have a checkpoint written, and ``keep`` called once its chunks are durable; the sandbox learns what became of it.

    ``patience``: seconds to wait for the end of an operation where there is no copy of the state from right before it.

    :class:`SessionBusyError` where there is no state to write from now, or the sandbox goes; what the store and
    ``keep`` raise.
    """
    durable = False
    stuck: list[str] = []
    try:
        while True:
            try:
                written = await _write_once(
                    link, store, tenant, checkpoint_id, find_base, stuck, verify=verify, patience=patience
                )
            except WriterStuck as error:
                if len(stuck) >= _STUCK_NAMES or set(error.names) <= set(stuck):
                    raise SessionBusyError("the state could not be written", retry_delay=1.0) from error
                stuck += error.names
            else:
                break
        await keep(written)
        durable = True
    except WriterFailed as error:
        raise _refused(error.reason, error.message) from error
    except (LinkClosed, RequestFailed, RunnerViolation, TimeoutError, OSError) as error:
        raise _failure(error) from error
    finally:
        with contextlib.suppress(LinkClosed, RequestFailed, TimeoutError):
            ended = runner_pb2.CheckpointEnded(checkpoint_id=checkpoint_id, durable=durable)
            await asyncio.shield(asyncio.ensure_future(_tell(link, ended)))
    return written


async def _write_once(
    link: RunnerLink,
    store: ChunkStore,
    tenant: str,
    checkpoint_id: str,
    find_base: FindBase,
    skip: list[str],
    *,
    verify: bool,
    patience: float,
) -> Written:
    async with StateStream(link.endpoint, token := secrets.token_hex(16)) as stream:
        checkpoint = runner_pb2.Checkpoint(
            token=token, checkpoint_id=checkpoint_id, timeout=Duration(seconds=STATE_SECONDS)
        )
        checkpoint.patience.FromMicroseconds(int(patience * 1e6))
        asked = asyncio.ensure_future(link.request(_ANSWER_SECONDS, checkpoint=checkpoint))
        talk = take_in(stream, store, tenant, find_base, skip=skip, digests=verify)
        taken = await converse(asked, talk)
        await stream.send_header({"type": "stored"})
        result = (await asked).state
        taken.manifest.operation = result.as_of_operation_id
        check_counts(result.state)
        return Written(taken, result.as_of_operation_id, result.execution_count, result.stale, result.state)


async def load_state(
    link: RunnerLink,
    store: ChunkStore,
    tenant: str,
    manifest: Manifest,
    *,
    allow_lost: bool,
    dry_run: bool = False,
    checkpoint_id: str = "",
    operation_id: str = "",
) -> dict[str, Any]:
    """Have a session's state replaced by a checkpoint's, all or nothing; return what the loader says of it.

    ``operation_id``: the newest of this session's operations that it has the effects of, empty for none.
    :class:`CheckpointIncompatibleError`, :class:`TooLargeError` where it does not fit beside what is there,
    :class:`SessionBusyError` where the sandbox goes, CheckpointCorruptError and what the store raises.
    """
    try:
        async with StateStream(link.endpoint, token := secrets.token_hex(16)) as stream:
            restore = runner_pb2.Restore(
                token=token,
                timeout=Duration(seconds=STATE_SECONDS),
                operation_id=operation_id,
                execution_count=manifest.execution_count,
                dry_run=dry_run,
            )
            asked = asyncio.ensure_future(link.request(_ANSWER_SECONDS, restore=restore))
            talk = hand_out(
                stream,
                store,
                tenant,
                manifest,
                allow_lost=allow_lost,
                verify=dry_run,
                checkpoint_id=checkpoint_id,
            )
            loaded = await converse(asked, talk)
            await asked
            return loaded
    except LoadRefused as error:
        raise _refused(error.reason, error.message) from error
    except (LinkClosed, RequestFailed, RunnerViolation, TimeoutError, OSError) as error:
        raise _failure(error) from error


async def converse(asked: asyncio.Future[runner_pb2.Reply], talk: Awaitable[_T]) -> _T:
    """Hold the conversation that a request is about; one that fails ends it, and its reason is what counts."""
    talking: asyncio.Future[_T] = asyncio.ensure_future(talk)
    both: set[asyncio.Future[Any]] = {asked, talking}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not talking.done():
            if asked.exception() is not None:
                asked.result()
            return await talking
        if isinstance(talking.exception(), (LinkClosed, RunnerViolation, WriterStuck)):
            # The process has gone: the supervisor knows why.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5.0):
                    await asyncio.shield(asked)
        return talking.result()
    finally:
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)
        if not asked.done():
            asked.add_done_callback(_forget)


def _forget(asked: asyncio.Future[runner_pb2.Reply]) -> None:
    """Nobody waits for the answer any more."""
    if not asked.cancelled():
        asked.exception()


async def _tell(link: RunnerLink, ended: runner_pb2.CheckpointEnded) -> None:
    await link.request(checkpoint_ended=ended)


def _failure(error: Exception) -> DomainError:
    if isinstance(error, RunnerViolation):
        # Who speaks on the connection is code of the user's: that costs this request, not the session.
        return SessionBusyError("the sandbox did not keep to the protocol of states", retry_delay=1.0)
    if isinstance(error, RequestFailed):
        if error.reason in _REFUSALS or error.reason == "SESSION_BUSY":
            return _refused(error.reason, error.message)
        return refusal(error)
    return SessionBusyError("the sandbox did not answer; try again", retry_delay=0.5)


def _refused(reason: str, message: str) -> DomainError:
    text = line_of(message, 500) or "the sandbox gave no reason"
    known = _REFUSALS.get(reason)
    return SessionBusyError(text, retry_delay=0.5) if known is None else known(text)
