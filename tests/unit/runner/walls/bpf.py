"""A filter machine of a few lines: runs the programs of seccomp_filter as the kernel does, for any processor."""

from __future__ import annotations

import struct

ALLOWED = "allowed"


def decide(program: bytes, audit: int, number: int, arguments: tuple[int, ...] = ()) -> str | int:
    """Return :data:`ALLOWED` or the errno with which call ``number`` fails."""
    padded = [argument & (2**64 - 1) for argument in arguments] + [0] * (6 - len(arguments))
    data = struct.pack("<IIQ6Q", number, audit, 0, *padded)
    code = list(struct.iter_unpack("<HBBI", program))
    accumulator, at = 0, 0
    while True:
        operation, if_true, if_false, value = code[at]
        at += 1
        if operation == 0x20:  # load a word
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif operation == 0x15:
            at += if_true if accumulator == value else if_false
        elif operation == 0x35:
            at += if_true if accumulator >= value else if_false
        elif operation == 0x45:
            at += if_true if accumulator & value else if_false
        elif operation == 0x06:
            if value == 0x7FFF0000:
                return ALLOWED
            assert value & 0xFFFF0000 == 0x00050000, f"an action that is neither allow nor errno: {value:#x}"
            return value & 0xFFFF
        else:
            raise AssertionError(f"unknown instruction {operation:#x}")
