"""Structured logs: one event per line, with the ids of what it is about, and no secrets.

Our own code logs through structlog. What libraries log through `logging` (grpc, docker, alembic, asyncio)
is taken over by one handler, so that every line has the same shape.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, ClassVar, Final, Literal, TextIO

import structlog
from structlog.typing import Processor

from sandbank_server.observability.context import current_context

LogFormat = Literal["console", "json"]
LEVELS: Final = ("debug", "info", "warning", "error")

REDACTED: Final = "[redacted]"
_SECRET_KEYS: Final = re.compile(
    r"secret|password|passwd|token|authorization|api_?key|credential|cookie", re.IGNORECASE
)
_PAGE_TOKENS: Final = frozenset({"page_token", "next_page_token"})
_URL_PASSWORD: Final = re.compile(r"(?<=://)([^/\s:@]*):[^/\s@]+@")
_DEPTH_LIMIT = 6


def configure_logs(level: str = "info", fmt: LogFormat = "console", stream: TextIO | None = None) -> None:
    """Set up logging for the process, to standard error unless told otherwise. May be called again."""
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=_processors(fmt, color=fmt == "console" and (stream or sys.stderr).isatty()),
        wrapper_class=structlog.make_filtering_bound_logger(number),
        # Looked up for every line: a progress display puts itself in the place of standard error.
        logger_factory=lambda *names: _NamedPrinter(stream or sys.stderr, *names),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in [h for h in root.handlers if isinstance(h, _ToStructlog)]:
        root.removeHandler(handler)
    root.addHandler(_ToStructlog())
    # Libraries say a lot below WARNING that only their own developers want.
    root.setLevel(max(number, logging.WARNING) if number > logging.DEBUG else number)
    logging.captureWarnings(True)


def _processors(fmt: LogFormat, *, color: bool) -> list[Processor]:
    shared: list[Processor] = [
        _add_context,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        redact,
    ]
    if fmt == "json":
        # Bounded tracebacks as data, without local variables: these may hold anything.
        tracebacks = structlog.processors.ExceptionRenderer(
            structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=30)
        )
        return [*shared, tracebacks, structlog.processors.JSONRenderer(default=repr)]
    plain = structlog.dev.plain_traceback
    return [
        *shared,
        _escape_control_characters,
        structlog.dev.ConsoleRenderer(colors=color, exception_formatter=plain),
    ]


class _NamedPrinter(structlog.PrintLogger):
    """Writes lines; knows the name given to ``get_logger``.

    A line that cannot be written (a full disk, a pipe that nobody reads) is no trouble of whoever logs it: it is
    counted, and told once lines can be written again.
    """

    _unwritten: ClassVar[int] = 0

    def __init__(self, stream: TextIO, name: str = "") -> None:
        super().__init__(stream)
        self.name = name

    def msg(self, message: str) -> None:
        """Write a line."""
        try:
            super().msg(message)
        except OSError:
            _NamedPrinter._unwritten += 1
            return
        if count := _NamedPrinter._unwritten:
            _NamedPrinter._unwritten = 0
            structlog.get_logger("sandbank.app").warning(
                "lines of this log could not be written", count=count
            )

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


def _add_context(logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    name = getattr(logger, "name", "")
    if name:
        event.setdefault("logger", name)
    for key, value in current_context().items():
        event.setdefault(key, value)
    return event


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hide values under keys that look like secrets, and passwords in URLs, at every depth."""
    for key in list(event):
        if key != "exc_info":
            event[key] = _redacted(key, event[key], _DEPTH_LIMIT)
    return event


def _redacted(key: str, value: Any, depth: int) -> Any:
    if key not in _PAGE_TOKENS and _SECRET_KEYS.search(key):
        return REDACTED
    if isinstance(value, str):
        return _URL_PASSWORD.sub(rf"\1:{REDACTED}@", value) if "://" in value else value
    if depth and isinstance(value, Mapping):
        return {str(k): _redacted(str(k), v, depth - 1) for k, v in value.items()}
    if depth and isinstance(value, (list, tuple)):
        return [_redacted("", item, depth - 1) for item in value]
    return value


def _escape_control_characters(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    # Text from a sandbox or a client must not forge a line, nor speak to the operator's terminal.
    for key, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[key] = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in value)
    return event


class _ToStructlog(logging.Handler):
    """Hands records of `logging` to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            facts: dict[str, Any] = {"logger": record.name}
            if record.exc_info:
                facts["exc_info"] = record.exc_info
            structlog.get_logger().log(record.levelno, record.getMessage(), **facts)
        except Exception:  # noqa: BLE001 - logging must not break what it logs
            self.handleError(record)
