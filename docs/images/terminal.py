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
_SCRIPT = re.compile(r"^Script (started|done) .*$", re.MULTILINE)  # what `script` adds of its own
_PARTS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+")
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


def screen(output: str) -> str:
    """Return the lines that are left on a terminal once progress displays have written over their own."""
    lines, row, fresh = [""], 0, False
    for part in _PARTS.findall(_SCRIPT.sub("", output)):
        if part == "\r":
            fresh = True  # what follows is written over this line
        elif part == "\n":
            row, fresh = row + 1, False
            lines += [""] * (row + 1 - len(lines))
        elif part.endswith("A") and part.startswith("\x1b"):
            row = max(0, row - int(part[2:-1] or 1))
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part.endswith("m") or not part.startswith("\x1b"):
            lines[row], fresh = part if fresh else lines[row] + part, False
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def picture(output: str, title: str) -> str:
    """Return the SVG of a terminal that shows ``output``, colours and all."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(screen(output)))
    return console.export_svg(title=title, code_format=_FRAME)


if __name__ == "__main__":
    source, target, title = sys.argv[1:]
    Path(target).write_text(picture(Path(source).read_bytes().decode(errors="replace"), title))
