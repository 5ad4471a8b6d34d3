"""What runs beside user code: one session's interpreter, in a process forked from the template.

Importing this is the template's business; nothing more is imported until user code needs it.
"""

from sandbank_runner.interpreter.session import main

__all__ = ["main"]
