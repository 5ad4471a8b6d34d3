"""Checks of request fields. Each raises an argument error that names the field by its path in the request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from sandbank_server.errors import BadFieldError, BadIdError, CodeTooLargeError

ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

LABELS_COUNT: Final = 64
LABEL_KEY_CHARS: Final = 128
LABEL_VALUE_CHARS: Final = 1024
ENV_COUNT: Final = 256
ENV_BYTES: Final = 128 * 1024
PAGE_SIZE: Final = 100
PAGE_SIZE_LIMIT: Final = 1000


def check_id(value: str, path: str) -> str:
    """Return an id that must be there."""
    if not ID.fullmatch(value):
        # The value may be anything: it is not repeated.
        raise BadIdError.at(path, "must match [A-Za-z0-9._-]{1,128}")
    return value


def check_optional_id(value: str, path: str) -> str:
    """Return an id that may be empty."""
    return check_id(value, path) if value else ""


def check_duration(
    message: Message, name: str, *, default: timedelta, limit: timedelta, path: str | None = None
) -> timedelta:
    """Return a Duration field; unset or zero means ``default``. Negative or over ``limit`` is refused."""
    path = path or name
    if not message.HasField(name):
        return default
    duration: Duration = getattr(message, name)
    if (
        abs(duration.nanos) > 999_999_999
        or (duration.seconds < 0 < duration.nanos)
        or (duration.nanos < 0 < duration.seconds)
    ):
        raise BadFieldError.at(path, "is not a valid duration")
    if duration.seconds < 0 or duration.nanos < 0:
        raise BadFieldError.at(path, "must not be negative")
    if duration.seconds > limit.total_seconds() or (value := duration.ToTimedelta()) > limit:
        raise BadFieldError.at(path, f"must not be over {limit.total_seconds():g} s")
    return value or default


def check_code(code: str, limit: int, path: str) -> str:
    """Return source code within its limit in bytes."""
    if len(code) > limit or len(code.encode("utf-8")) > limit:
        raise CodeTooLargeError.at(path, f"must not be over {limit} bytes")
    return code


def check_count(value: int, path: str, *, default: int, limit: int) -> int:
    """Return a number of things; zero means ``default``, over ``limit`` or negative is refused."""
    if value < 0:
        raise BadFieldError.at(path, "must not be negative")
    if value > limit:
        raise BadFieldError.at(path, f"must not be over {limit}")
    return value or default


def check_page_size(value: int, default: int = PAGE_SIZE) -> int:
    """Return how many rows a page has; over the limit means the limit, as is usual for pages."""
    if value < 0:
        raise BadFieldError.at("page_size", "must not be negative")
    return min(value, PAGE_SIZE_LIMIT) or default


def check_labels(labels: Mapping[str, str], path: str = "labels") -> dict[str, str]:
    """Return labels within their bounds."""
    if len(labels) > LABELS_COUNT:
        raise BadFieldError.at(path, f"must not be more than {LABELS_COUNT}")
    for key, value in labels.items():
        if not 1 <= len(key) <= LABEL_KEY_CHARS or "\0" in key:
            raise BadFieldError.at(path, f"keys have 1 to {LABEL_KEY_CHARS} characters")
        if len(value) > LABEL_VALUE_CHARS or "\0" in value:
            raise BadFieldError.at(path, f"values have at most {LABEL_VALUE_CHARS} characters")
    return dict(labels)


def check_environment(env: Mapping[str, str], path: str) -> dict[str, str]:
    """Return environment variables within their bounds. Neither names nor values are repeated in an error."""
    if len(env) > ENV_COUNT:
        raise BadFieldError.at(path, f"must not be more than {ENV_COUNT} variables")
    if sum(len(key.encode()) + len(value.encode()) for key, value in env.items()) > ENV_BYTES:
        raise BadFieldError.at(path, f"must not be over {ENV_BYTES} bytes in all")
    for key, value in env.items():
        if not _ENV_NAME.fullmatch(key):
            raise BadFieldError.at(path, "names must match [A-Za-z_][A-Za-z0-9_]*")
        if "\0" in value:
            raise BadFieldError.at(path, "values must not contain a null byte")
    return dict(env)


def check_enum(value: int, known: Mapping[int, object], path: str) -> int:
    """Return an enum value that this server knows."""
    if value not in known:
        raise BadFieldError.at(path, f"{value} is not a known value")
    return value
