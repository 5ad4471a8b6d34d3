"""What takes a call to be had: `await` gives it, `async with` gives it and ends it at the end of the block."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Generic, TypeVar

ThingT = TypeVar("ThingT", bound=AbstractAsyncContextManager[Any, Any])


class Opening(Generic[ThingT]):
    """A session or transaction about to be had: `await` it, or use it with `async with`."""

    def __init__(self, get: Callable[[], Awaitable[ThingT]]) -> None:
        self._get = get
        self._thing: ThingT | None = None

    def __await__(self) -> Generator[Any, None, ThingT]:
        return self._get().__await__()

    async def __aenter__(self) -> ThingT:
        self._thing = await self._get()
        return self._thing

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thing is not None:
            await self._thing.__aexit__(kind, error, trace)
