"""What can go wrong with templates and their images. The texts are for operators, not for clients."""

from __future__ import annotations

from collections.abc import Sequence


class TemplateError(Exception):
    """Any fault of a template."""


class TemplateConfigError(TemplateError, ValueError):
    """A template's settings are wrong; the text names the key and says what it takes."""


class ImageEngineError(TemplateError):
    """No container engine answers, or it refused what has nothing to do with an image's content."""


class TemplateBuildError(TemplateError):
    """An image could not be built; ``log_tail`` is the end of what the failing step wrote."""

    def __init__(self, message: str, log_tail: Sequence[str] = ()) -> None:
        self.log_tail = tuple(log_tail)
        super().__init__("\n".join([message, *(f"  | {line}" for line in self.log_tail)]))


class TemplateBuildCancelledError(TemplateError):
    """The build was told to stop. Nothing of it stays but caches."""
