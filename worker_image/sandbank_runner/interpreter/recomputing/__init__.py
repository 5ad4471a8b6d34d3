"""Variables that a checkpoint cannot save, made anew by rerunning the code that made them: where a session asks for it.

Only what is known to be safe: code that can be shown to do nothing but compute from plain data that is still what it
was. Not sure means lost.
"""

from sandbank_runner.interpreter.recomputing.recorder import Recipe, Recorder

__all__ = ["Recipe", "Recorder"]
