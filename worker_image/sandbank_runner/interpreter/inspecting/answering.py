"""The reader's part of Complete and Inspect: it says one message, and exits."""

from __future__ import annotations

import os
from typing import Any, Final, NoReturn

from sandbank_runner.interpreter.inspecting.budget import Budget
from sandbank_runner.interpreter.inspecting.completing import complete
from sandbank_runner.interpreter.inspecting.describing import describe
from sandbank_runner.interpreter.inspecting.window import around
from sandbank_runner.interpreter.link import Link
from sandbank_runner.interpreter.reading.patience import Patience
from sandbank_runner.interpreter.sealed import seal

seal(globals())

COMPLETE: Final = "complete"
INSPECT: Final = "inspect"

_exit = os._exit


def answer(
    link: Link, header: dict[str, Any], blobs: tuple[bytes, ...], names: dict[str, Any], patience: Patience
) -> NoReturn:
    """Answer one ``read`` and end the process."""
    try:
        code = (blobs[0] if blobs else b"").decode("utf-8", "replace")
        cursor = min(max(header["cursor"], 0), len(code))
        code, skipped = around(code, cursor)
        cursor -= skipped
        budget = Budget(patience, bare=header["bare"])
        if header["what"] == COMPLETE:
            found = complete(code, cursor, names, budget)
            matches = [list(match) for match in found.matches]
            start, end = found.start + skipped, cursor + skipped
            link.send({"type": "completed", "matches": matches, "start": start, "end": end})
        else:
            data = describe(
                code, cursor, names, budget, detail=header["detail"], characters=header["characters"]
            )
            mime = list(data or {})
            link.send(
                {"type": "inspected", "found": data is not None, "mime": mime}, tuple((data or {}).values())
            )
    finally:
        _exit(0)
