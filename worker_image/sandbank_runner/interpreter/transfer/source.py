"""What comes on a connection, as a file that can only be read onwards."""

from __future__ import annotations

from sandbank_runner.interpreter.checkpoints.frames import Connection
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_STEP_BYTES = 8 * 1024 * 1024
"""Memory taken at once: a size is only what somebody has announced."""


class Source:
    """The pieces of one value, up to the header that ends it."""

    closed = False

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._left = 0
        """Bytes of the piece that has begun."""
        self._is_over = False
        self.tail = b""
        """The last bytes that were read, at most 8."""

    def readable(self) -> bool:
        """As files say it."""
        return True

    def read(self, size: int = -1) -> bytearray:
        """Return ``size`` bytes, fewer only at the end; all that is left where it is negative.

        ``Broken`` where the value breaks off.
        """
        whole = bytearray()
        while (size < 0 or len(whole) < size) and self._more():
            at = len(whole)
            room = _STEP_BYTES if size < 0 else min(_STEP_BYTES, size - at)
            whole += bytes(room)
            with memoryview(whole) as view:
                count = self._fill(view[at:])
            del whole[at + count :]
        if whole:
            self.tail = (self.tail + whole[-8:])[-8:]
        return whole

    def _fill(self, view: memoryview) -> int:
        done = 0
        with view:
            while done < len(view) and self._more():
                count = min(self._left, len(view) - done)
                with view[done : done + count] as part:
                    self._connection.fill(part)
                self._left -= count
                done += count
        return done

    def _more(self) -> bool:
        """Tell whether a byte is left; begins the next piece where the last was read."""
        while not self._left and not self._is_over:
            length = self._connection.begin_piece()
            if length is None:
                self._is_over = True
            else:
                self._left = length
        return not self._is_over
