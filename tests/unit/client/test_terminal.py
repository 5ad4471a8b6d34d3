"""What a sandbox writes does a terminal no harm, and what is typed is complete when Python says so."""

import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sandbank.cli.repl_input import needs_more
from sandbank.cli.tables import age, size, table
from sandbank.cli.terminal import OutputWriter, TerminalFilter, plain


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        ("50 %\r100 %\x1b[K\n", "50 %\r100 %\x1b[K\n"),
        ("\x1b]52;c;ZXZpbA==\x07", "␛]52;c;ZXZpbA==␇"),
        ("\x1b[2J\x1b[H", "␛[2J␛[H"),
        ("\x1b[6n", "␛[6n"),
        ("\x9b31m", "\ufffd31m"),
        ("a\x00b\x7f", "a␀b␡"),
        ("tab\there", "tab\there"),
    ],
)
def test_only_harmless_sequences_reach_a_terminal(written: str, shown: str) -> None:
    """Colour and progress bars yes; the clipboard, the cursor, questions and titles no."""
    assert TerminalFilter().feed(written, final=True) == shown


@example("\x1b\n", 2)
@given(st.text(alphabet="\x1b[]0123;mKH\x07ab\r\n\x9b", max_size=40), st.integers(0, 40))
def test_where_a_chunk_ends_makes_no_difference(text: str, cut: int) -> None:
    """A sequence cut in two is judged whole."""
    whole = TerminalFilter().feed(text, final=True)
    parts = TerminalFilter()
    assert parts.feed(text[:cut]) + parts.feed(text[cut:]) + parts.feed("", final=True) == whole


def test_a_pipe_gets_what_was_written_and_a_terminal_what_is_harmless() -> None:
    """Only somebody looking needs protection."""
    pipe, terminal = io.StringIO(), Terminal()
    for target in (pipe, terminal):
        writer = OutputWriter(target)
        writer.text("\x1b[2Jx")
        writer.end()
    assert pipe.getvalue() == "\x1b[2Jx\n"
    assert terminal.getvalue() == "␛[2Jx\n"


def test_names_from_a_sandbox_cannot_draw_in_a_table() -> None:
    """Cells are plain text: neither control characters nor markup."""
    from rich.console import Console

    console = Console(file=io.StringIO(), width=80)
    console.print(table(("PATH",), [("[red]x[/red]\x1b[2J\r",)]))
    assert "[red]x[/red]␛[2J␍" in console.file.getvalue()  # type: ignore[attr-defined]
    assert plain("a\r\nb") == "a\nb"


@pytest.mark.parametrize(
    ("lines", "more"),
    [
        (["1 + 1"], False),
        ([""], False),
        (["def f():"], True),
        (["def f():", "    return 1"], True),
        (["def f():", "    return 1", ""], False),
        (["for x in y:", "    if x:"], True),
        (["x = ("], True),
        (["x = (", "1)"], False),
        (['"""open'], True),
        (['"""open', 'close"""'], False),
        (["@decorated"], True),
        (["x = 1 +"], False),
        (["await f()"], False),
        (["async with a as b:"], True),
        (["%time f()"], False),
        (["%%timeit"], True),
        (["%%timeit", "f()"], True),
        (["%%timeit", "f()", ""], False),
        (["!ls ("], False),
        (["f?"], False),
        (["x \\"], True),
        (["x = '\x00'"], False),
    ],
)
def test_a_block_goes_on_until_it_is_complete(lines: list[str], more: bool) -> None:
    """As at Python's own prompt; what is wrong is sent, and the session says so."""
    assert needs_more(lines) is more


def test_sizes_and_ages_are_for_people() -> None:
    """Units that one can read at a glance."""
    from datetime import UTC, datetime

    from google.protobuf.timestamp_pb2 import Timestamp

    assert [size(n) for n in (0, 1023, 1536, 5 * 2**20, 3 * 2**31)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "5.0 MiB",
        "6.0 GiB",
    ]
    now = datetime(2024, 1, 2, tzinfo=UTC)
    then = Timestamp(seconds=int(now.timestamp()) - 7300)
    assert (age(then, now), age(Timestamp())) == ("2 h", "")
