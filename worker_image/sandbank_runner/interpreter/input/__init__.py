"""``input()`` and its kin: what user code asks goes to whoever runs it, as a question of its operation."""

from sandbank_runner.interpreter.input.questions import Questions
from sandbank_runner.interpreter.input.replacements import install

__all__ = ["Questions", "install"]
