"""The documentation says what is so: its examples run and print what it shows, its links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from sandbank_server.configuration.loading import setting_keys
from sandbank_server.observability.metrics import Metrics

from tests.server_process import ServerProcess

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
ALL_PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "clients/**/*.md", "protos/*.md", "worker_image/*.md")
    for page in ROOT.glob(pattern)
)
_FENCE = re.compile(r"^(<!-- tested -->\n)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!\\)\[[^\]]*\]\(([^)\s]+)\)")
_ANY = "…"


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, and the text of the one after it, which may be its output."""

    page: str
    number: int
    tested: bool
    language: str
    text: str
    output: str

    def __str__(self) -> str:
        return f"{self.page}-{self.number}"


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page."""
    found = [match.groups() for match in _FENCE.finditer(page.read_text("utf-8"))]
    following = [*found[1:], (None, "", "")]
    return [
        Block(page.name, number, mark is not None, language, text, output if kind == "text" else "")
        for number, ((mark, language, text), (_, kind, output)) in enumerate(
            zip(found, following[: len(found)], strict=True), 1
        )
    ]


EXAMPLE = next(block for block in blocks(ROOT / "README.md") if block.language == "python")
ROLLBACK = next(block for block in blocks(ROOT / "README.md") if "rollback" in block.text)
EXAMPLES = [block for page in PAGES for block in blocks(page) if block.tested]


def run(command: list[str], server: ServerProcess, directory: Path) -> str:
    """Return what a command prints on a terminal where the virtual environment is active."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SANDBANK_")}
    environment["SANDBANK_ADDRESS"] = server.address
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        command,
        cwd=directory,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    return done.stdout


def commands(text: str) -> list[tuple[str, str]]:
    r"""Return (command, output) of a console's text; a command may go on behind a ``\``."""
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    found = []
    for part in parts:
        match = re.match(r"((?:.*\\\n)*.*)\n", part)
        assert match is not None
        found.append((match[1], part[match.end() :]))
    return found


def assert_alike(printed: str, shown: str) -> None:
    """Compare lines without regard to columns; ``…`` stands for anything, on a line of its own for many lines."""
    wanted = [" ".join(line.split()) for line in shown.strip().splitlines()]
    pattern = "\n".join(
        "(.|\n)*" if line == _ANY else ".*".join(map(re.escape, line.split(_ANY))) for line in wanted
    )
    got = "\n".join(" ".join(line.split()) for line in printed.strip().splitlines())
    assert re.fullmatch(pattern, got), f"shown:\n{shown}\nprinted:\n{printed}"


def test_the_example_of_the_readme_runs(server: ServerProcess, tmp_path: Path) -> None:
    """Ten lines that a newcomer can paste, and what they print, on each runtime."""
    assert len(EXAMPLE.text.splitlines()) <= 10
    assert_alike(run([sys.executable, "-c", EXAMPLE.text], server, tmp_path), EXAMPLE.output)
    assert (tmp_path / "figures" / "figure-1.png").read_bytes().startswith(b"\x89PNG")


def test_a_rollback_takes_five_lines(server: ServerProcess, tmp_path: Path) -> None:
    """Of what is pasted, without the import; and it is true on each runtime."""
    lines = [line for line in ROLLBACK.text.splitlines() if line and not line.startswith("from ")]
    assert len(lines) <= 5
    assert_alike(run([sys.executable, "-c", ROLLBACK.text], server, tmp_path), ROLLBACK.output)


@pytest.mark.parametrize("server", [pytest.param("docker", marks=pytest.mark.engine)], indirect=True)
@pytest.mark.parametrize("block", EXAMPLES, ids=str)
def test_marked_examples_print_what_they_show(block: Block, server: ServerProcess, tmp_path: Path) -> None:
    """Below `<!-- tested -->`: each command of a console in turn, or a program and the output after it."""
    if block.language == "python":
        assert_alike(run([sys.executable, "-c", block.text], server, tmp_path), block.output)
        return
    assert block.language == "console"
    for command, output in commands(block.text):
        assert_alike(run(["bash", "-c", command], server, tmp_path), output)


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Files exist, and the headings that are named in them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in _LINK.findall(text):
        if "://" in link:
            continue
        name, _, heading = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name}: {link}"
        assert not heading or heading in headings(target), f"{page.name}: {link}"


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    found = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def test_every_setting_is_explained() -> None:
    """Beyond the line in sandbank.toml: what it is for, or what happens beyond it."""
    text = "".join(page.read_text("utf-8") for page in PAGES)
    assert [key for key in setting_keys() if f"`{key}`" not in text] == []


def test_every_metric_is_explained() -> None:
    """By the name under which Prometheus shows it."""
    text = (ROOT / "docs" / "operations.md").read_text("utf-8")
    names = {family.name for family in Metrics().registry.collect() if family.name.startswith("sandbank_")}
    assert [name for name in sorted(names) if f"`{name}" not in text] == []
