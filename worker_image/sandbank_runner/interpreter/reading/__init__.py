"""Reads of the session's variables, by a forked copy of the interpreter that answers on a channel of its own and exits.

The copy is what makes a read harmless: whatever a hostile ``__repr__`` does, it does to the copy.
"""

from sandbank_runner.interpreter.reading.forking import Readers

__all__ = ["Readers"]
