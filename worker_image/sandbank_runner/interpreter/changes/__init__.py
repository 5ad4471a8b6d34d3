"""Change reports: what an operation did to the session's variables, as a deep comparison before and after would say.

The state of a variable is remembered as a digest of the graph that its name leads to (:mod:`walk`), not as a copy.
"""

from sandbank_runner.interpreter.changes.reporting import Changes, Wanted

__all__ = ["Changes", "Wanted"]
