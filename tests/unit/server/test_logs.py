"""Log lines: their shape, their ids, and what must not be in them."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import warnings
from collections.abc import Iterator

import pytest
import structlog
from sandbank_server.observability.context import add_context, log_context, set_context
from sandbank_server.observability.logs import REDACTED, configure_logs


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Leave no configuration behind for other tests."""
    handlers, level = list(logging.root.handlers), logging.root.level
    yield
    logging.captureWarnings(False)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()
    set_context({})


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    """Return what was logged."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_has_time_level_name_and_what_it_is_about() -> None:
    """One JSON object a line."""
    stream = io.StringIO()
    configure_logs("info", "json", stream)
    with log_context(request_id="r-1", tenant="acme"):
        structlog.get_logger("sandbank.pool").info("started", sandbox_id="sb-1", seconds=0.2)
    structlog.get_logger("sandbank.pool").debug("not shown")
    [line] = lines(stream)
    assert str(line.pop("timestamp")).endswith("Z")
    assert line == {
        "event": "started",
        "level": "info",
        "logger": "sandbank.pool",
        "request_id": "r-1",
        "tenant": "acme",
        "sandbox_id": "sb-1",
        "seconds": 0.2,
    }


async def test_ids_belong_to_a_task() -> None:
    """What one call binds is not seen by another, and ends with it."""
    stream = io.StringIO()
    configure_logs("info", "json", stream)
    both = asyncio.Barrier(2)

    async def call(name: str) -> None:
        set_context({"request_id": name})
        await both.wait()
        add_context(session_id=f"of-{name}")
        await both.wait()
        structlog.get_logger().info("done", who=name)

    await asyncio.gather(call("a"), call("b"))
    structlog.get_logger().info("after")
    found = {line.get("who"): (line.get("request_id"), line.get("session_id")) for line in lines(stream)}
    assert found == {"a": ("a", "of-a"), "b": ("b", "of-b"), None: (None, None)}


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_secrets_are_redacted_at_every_depth(fmt: str) -> None:
    """By their keys, and as passwords in URLs; page tokens are none."""
    stream = io.StringIO()
    configure_logs("info", fmt, stream)  # type: ignore[arg-type]
    structlog.get_logger().info(
        "settings",
        secret_env={"A": "hunter2"},
        nested={"list": [{"api_key": "hunter2"}, {"x": "postgresql://user:hunter2@host/db"}]},
        authorization="Bearer hunter2",
        url="http://user:hunter2@host/",
        page_token="visible",
    )
    text = stream.getvalue()
    assert "hunter2" not in text
    assert text.count(REDACTED) == 5
    assert "visible" in text


def test_what_libraries_log_has_the_same_shape() -> None:
    """Through `logging`, with its traceback; below WARNING it is nobody's business."""
    stream = io.StringIO()
    configure_logs("info", "json", stream)
    logging.getLogger("grpc").info("chatter")
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("docker.api").exception("it failed: %s", 7)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    failure, warning = lines(stream)
    assert (failure["event"], failure["level"], failure["logger"]) == ("it failed: 7", "error", "docker.api")
    assert failure["exception"][0]["exc_value"] == "broken"  # type: ignore[index]
    assert "DeprecationWarning" in str(warning["event"])


def test_tracebacks_show_no_local_variables() -> None:
    """They may hold anything, secrets too."""
    stream = io.StringIO()
    configure_logs("info", "json", stream)
    secret = "hunter2"
    try:
        raise ValueError(len(secret))
    except ValueError:
        structlog.get_logger().exception("failed")
    assert "hunter2" not in stream.getvalue()


def test_text_cannot_forge_a_line_or_speak_to_the_terminal() -> None:
    """Control characters from clients and sandboxes arrive escaped, in both formats."""
    hostile = "a\nlevel=error forged\x1b[2J\x07"
    for fmt in ("console", "json"):
        stream = io.StringIO()
        configure_logs("info", fmt, stream)  # type: ignore[arg-type]
        structlog.get_logger().info("said", text=hostile)
        assert stream.getvalue().count("\n") == 1
        assert "\x1b" not in stream.getvalue()


def test_configuring_twice_logs_once() -> None:
    """The handler for libraries is replaced, not added."""
    stream = io.StringIO()
    configure_logs("info", "json", io.StringIO())
    configure_logs("info", "json", stream)
    logging.getLogger("grpc").warning("once")
    assert len(lines(stream)) == 1


class Full(io.StringIO):
    """A file on a disk that may be full."""

    full = False

    def write(self, text: str) -> int:
        """Write, if there is room."""
        if self.full:
            raise OSError(28, "No space left on device")
        return super().write(text)


def test_a_line_that_cannot_be_written_is_counted_and_no_trouble_of_whoever_logs() -> None:
    """At any level; told when there is room again."""
    stream = Full()
    configure_logs("info", "json", stream)
    log = structlog.get_logger("sandbank.pool")
    stream.full = True
    for level in ("info", "warning", "error", "exception", "critical"):
        getattr(log, level)("not written")
    stream.full = False
    log.info("written")
    log.info("again")
    assert [(line["event"], line.get("count")) for line in lines(stream)] == [
        ("written", None),
        ("lines of this log could not be written", 5),
        ("again", None),
    ]
