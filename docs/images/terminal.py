"""Makes a picture (SVG) of what a command printed on a terminal, so that the pictures here are of real runs.

First ``script --quiet --command "make demo" typescript``, then
``.venv/bin/python docs/images/terminal.py typescript docs/images/demo.svg "make demo"``.
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 100
# What `script` adds of its own, and what moves the cursor: a progress display, which leaves nothing behind.
_SCRIPT = re.compile(r"^Script (started|done) .*$", re.MULTILINE)
_MOVES = re.compile(r"\x1b\[[0-9;?]*[A-HJKSTfhlsu]")
# Rich's own frame, without the fonts that it would fetch from elsewhere.
_FRAME = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: ui-sans-serif, Arial, sans-serif; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g>
</g>
</svg>
"""


def picture(typescript: str, title: str) -> str:
    """Return the SVG of a terminal that shows what ``typescript`` holds, escape sequences and all."""
    lines = _MOVES.sub("", _SCRIPT.sub("", typescript)).replace("\r\n", "\n").split("\n")
    # What a progress display wrote again and again on one line: only its last state was left to be seen.
    shown = [line.rsplit("\r", 1)[-1].rstrip() for line in lines]
    text = Text.from_ansi("\n".join(shown).strip("\n"))
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(text)
    return console.export_svg(title=title, code_format=_FRAME)


if __name__ == "__main__":
    source, target, title = sys.argv[1:]
    Path(target).write_text(picture(Path(source).read_text(errors="replace"), title))
