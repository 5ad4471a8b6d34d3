"""Digests of memory: bytearrays, arrays, the buffers of tables. A large one is digested in chunks.

Chunks of it that the kernel shows to be untouched keep the digest that they had. But memory that was given back and got
anew may look untouched too: it reads as zeros then. So each chunk that is not all zeros has witnesses, the first and
the last of its words that are not zero, and is believed only if they still are not.

The same evidence tells of a large list, dict or set of atoms that its table is what it was, and with it all that it
holds: no atom can change, or make room for another, while the table leads to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import Any, Final

from sandbank_runner.interpreter.changes import placing
from sandbank_runner.interpreter.changes.digests import digest
from sandbank_runner.interpreter.changes.limits import LONG_BYTES
from sandbank_runner.interpreter.changes.pages import Pages
from sandbank_runner.interpreter.changes.walk import Place
from sandbank_runner.interpreter.sealed import seal

seal(globals())

CHUNK_BYTES: Final = 1 << 16
_WORD: Final = 8
_NULL: Final = bytes(_WORD)
_DIGEST_BYTES: Final = len(digest(b""))
_NO_WITNESS: Final = -1
_BUFFER: Final = "b"


class Kept:
    """What is remembered of one large piece of memory."""

    __slots__ = ("digests", "whole", "witnesses")

    def __init__(self, digests: bytes, witnesses: list[int]) -> None:
        self.digests = digests
        """Of all chunks, one after the other."""
        self.witnesses = witnesses
        """Two of each chunk, as numbers of words; ``_NO_WITNESS``: it is all zeros, and so is what looks untouched."""
        self.whole = digest(digests)


class Memory:
    """Digests memory at one look; ``kept`` is what was remembered at the one before.

    To be made before anything is looked at: the evidence is read now.
    """

    def __init__(self, kept: dict[Place, Kept | bytes], pages: Pages, *, alone: bool) -> None:
        self.kept: dict[Place, Kept | bytes] = {}
        """To be remembered."""
        self.read_bytes = 0
        """How much was read, for those who want to know what evidence is worth."""
        self.has_tables = alone and placing.ARE_KNOWN
        self._before = kept
        self._doubtful: dict[Place, list[tuple[int, int]]] = {}
        if pages.are_believed:
            try:
                for place in kept:
                    self._doubtful[place] = pages.doubtful(place[1], place[2])
            except OSError:
                self._doubtful.clear()

    def digest(self, memory: Any, address: int, size: int) -> bytes:
        """Return the digest of ``memory``, contiguous bytes at an address, of at least ``LONG_BYTES``."""
        place = _BUFFER, address, size
        known = self.kept.get(place)
        if known is None:
            known = self.kept[place] = self._take(memoryview(memory), place)
        return known.whole if type(known) is Kept else b""

    def table(self, place: Place) -> bytes | None:
        """Return what was kept of a table, if it is untouched."""
        known = self.kept.get(place)
        if known is None and self._doubtful.get(place, True) == []:
            known = self.kept[place] = self._before[place]
        return known if type(known) is bytes else None

    def keep(self, place: Place, found: bytes) -> None:
        """Remember what stands for a table."""
        self.kept[place] = found

    def _take(self, view: memoryview, place: Place) -> Kept:
        size = place[2]
        before, doubtful = self._before.get(place), self._doubtful.get(place)
        if type(before) is not Kept or doubtful is None:
            return self._read(view, size, None, range(-(-size // CHUNK_BYTES)))
        chunks = {
            chunk
            for begin, end in doubtful
            for chunk in range(begin // CHUNK_BYTES, (end - 1) // CHUNK_BYTES + 1)
        }
        chunks |= _zeroed(view, size, before.witnesses)
        if size % _WORD:  # what is left has no witness
            chunks.add((size - 1) // CHUNK_BYTES)
        return self._read(view, size, before, chunks) if chunks else before

    def _read(self, view: memoryview, size: int, before: Kept | None, chunks: Iterable[int]) -> Kept:
        """Digest chunks by their numbers."""
        if before is None:
            count = -(-size // CHUNK_BYTES)
            digests, witnesses = bytearray(count * _DIGEST_BYTES), [_NO_WITNESS] * (2 * count)
        else:
            digests, witnesses = bytearray(before.digests), list(before.witnesses)
        for number in chunks:
            begin = number * CHUNK_BYTES
            chunk = view[begin : begin + CHUNK_BYTES]
            self.read_bytes += len(chunk)
            digests[number * _DIGEST_BYTES : (number + 1) * _DIGEST_BYTES] = digest(chunk)
            witnesses[2 * number : 2 * number + 2] = _witnesses(chunk, begin // _WORD)
        return Kept(bytes(digests), witnesses)


def _witnesses(chunk: memoryview, first: int) -> tuple[int, int]:
    """Return the first and the last word of a chunk that are not zero; ``first`` is the number of its first word."""
    end = len(chunk) // _WORD * _WORD
    if chunk[:_WORD] != _NULL and chunk[end - _WORD : end] != _NULL:
        return first, first + end // _WORD - 1
    content = bytes(chunk[:end])
    left = content.rstrip(b"\0")
    if not left:
        return _NO_WITNESS, _NO_WITNESS
    return first + (end - len(content.lstrip(b"\0"))) // _WORD, first + (len(left) - 1) // _WORD


def _zeroed(view: memoryview, size: int, witnesses: list[int]) -> set[int]:
    """Return the numbers of the chunks of which a witness has become zero."""
    words = view[: size // _WORD * _WORD].cast("Q")
    positions = [position for position in witnesses if position != _NO_WITNESS]
    if not positions or 0 not in itemgetter(*positions, 0)(words):
        return set()
    return {position * _WORD // CHUNK_BYTES for position in positions if not words[position]}


assert LONG_BYTES >= _WORD
assert CHUNK_BYTES % _WORD == 0
