"""What `sandbank serve` shows of its start."""

from __future__ import annotations

from pathlib import Path

import pytest
from sandbank_server.announce import Announcer
from sandbank_server.templates.progress import BuildPhase, BuildProgress


def test_the_address_is_printed_and_written_for_scripts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file appears whole, and goes with the server."""
    ready = tmp_path / "ready"
    with Announcer(ready) as announcer:
        announcer.listening("127.0.0.1:41234", "local")
        assert ready.read_text() == "127.0.0.1:41234\n"
        assert [file.name for file in tmp_path.iterdir()] == ["ready"]
    assert not ready.exists()
    assert capsys.readouterr().out == "sandbank listens on 127.0.0.1:41234 (local runtime)\n"


def test_without_a_terminal_each_phase_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A log file gets no moving line, and no line twice."""
    first, second, *_ = [phase for phase in BuildPhase if phase is not BuildPhase.DONE]
    with Announcer() as announcer:
        for phase, detail in ((first, "a"), (first, "b"), (second, "c"), (second, "d")):
            announcer.building(BuildProgress("data", phase, detail))
        announcer.built("data", "sandbank-data:abc")
    text = capsys.readouterr().err
    assert text.splitlines() == [
        f"data: {first.value}",
        f"data: {second.value}",
        "data: ready (sandbank-data:abc)",
    ]


def test_an_image_that_is_there_already_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Looking for an image is not worth a line; building it is, to its end."""
    with Announcer() as announcer:
        announcer.building(BuildProgress("data", BuildPhase.DONE, "sandbank-data:abc"))
        for phase in (BuildPhase.RUNNER, BuildPhase.DONE):
            announcer.building(BuildProgress("slim", phase))
    assert capsys.readouterr().err.splitlines() == ["slim: adding the runner", "slim: done"]


def test_the_end_says_what_is_left_and_how_to_end_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever stops a server shall know that containers still run; where none do there is nothing to say."""
    with Announcer() as announcer:
        announcer.ended(0)
        announcer.ended(1)
        announcer.ended(3)
    one, three = capsys.readouterr().err.splitlines()
    assert one.startswith("1 session goes on in its sandbox")
    assert three.startswith("3 sessions go on in their sandboxes")
    assert "sandbank drain --end" in three
