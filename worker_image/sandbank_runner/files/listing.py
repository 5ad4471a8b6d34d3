"""Listing a directory by path, a page at a time, in bounded memory whatever the tree.

The order is that of the paths as strings, through all levels: ``a``, ``a.txt``, ``a/b``. So a directory gives
two items, itself as ``a`` and what is below it as ``a/``, and sorting the items of one level sorts the whole
tree.
"""

from __future__ import annotations

import contextlib
import heapq
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from sandbank_runner.files import paths
from sandbank_runner.files.entries import entry
from sandbank_runner.files.problems import BAD_FIELD, FileProblem
from sandbank_runner.files.protocol import LIST_ENTRIES
from sandbank_runner.files.workspace import Workspace

_PAGE_BYTES = 1024 * 1024
_ENTRY_BYTES = 160
"""What an entry costs beside its path."""


class _Item(NamedTuple):
    key: str
    """The path as it is shown; with a slash at the end for what is below it."""
    parts: list[bytes]
    below: bool


class Listing:
    """One page of a listing."""

    def __init__(self, workspace: Workspace, path: str, recursive: bool, after_path: str, limit: int) -> None:
        """Check what is asked. Raises :class:`FileProblem` BAD_FIELD."""
        self._workspace = workspace
        self._top = paths.split(path, allow_workspace=True)
        if not 0 <= limit <= LIST_ENTRIES:
            raise FileProblem(BAD_FIELD, f"limit must be from 0 to {LIST_ENTRIES}")
        self._limit = limit or LIST_ENTRIES
        self._recursive = recursive
        self._after = after_path

    def page(self) -> tuple[list[dict[str, Any]], bool]:
        """Return the entries and whether more follow. Raises OSError where the directory itself cannot be read."""
        found: list[dict[str, Any]] = []
        size = 0
        for item in self._walk():
            if len(found) == self._limit or size > _PAGE_BYTES:
                return found, True
            try:
                status = self._workspace.describe(item.parts)
            except OSError:
                continue  # gone meanwhile, or deeper than any path reaches
            found.append(entry(item.key, status))
            size += _ENTRY_BYTES + len(item.key.encode())
        return found, False

    def _walk(self) -> Iterator[_Item]:
        stack = [iter(self._items(self._top))]
        while stack:
            item = next(stack[-1], None)
            if item is None:
                stack.pop()
            elif not item.below:
                yield item
            else:
                with contextlib.suppress(OSError):  # gone meanwhile, or closed by its owner
                    stack.append(iter(self._items(item.parts)))

    def _items(self, parts: list[bytes]) -> list[_Item]:
        """Return the first items of a directory, in order: as many as can be wanted, however many there are.

        Each item that counts is an entry, or the tree below an entry, but for those below a directory that an
        earlier page has shown: hence twice the page and a few.
        """
        descriptor = self._workspace.open(parts, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with os.scandir(descriptor) as entries:
                return heapq.nsmallest(2 * self._limit + 4, self._candidates(parts, entries))
        finally:
            os.close(descriptor)

    def _candidates(self, parts: list[bytes], entries: Iterator[os.DirEntry[str]]) -> Iterator[_Item]:
        for found in entries:
            path = [*parts, os.fsencode(found.name)]
            key = paths.shown(path)
            if key > self._after:
                yield _Item(key, path, below=False)
            if self._recursive and found.is_dir(follow_symlinks=False):
                below = key + "/"
                if below > self._after or self._after.startswith(below):
                    yield _Item(below, path, below=True)
