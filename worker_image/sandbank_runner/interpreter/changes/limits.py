"""What a report may cost. Beyond it something is reported as changed, because nobody knows."""

from __future__ import annotations

from typing import Final

NODES: Final = 2_000_000
"""Objects visited for one variable."""
VARIABLE_SECONDS: Final = 1.0
"""What the comparison of one variable may take."""
REPORT_SECONDS: Final = 1.5
"""What all of one report may take: less than the grace that a cancelled operation has."""
DEAR_SECONDS: Final = 0.2
"""A variable that could not be compared in this time is not looked at again for a while."""
DEAR_LOOKS: Final = 50
"""How long."""
CHECK_EVERY: Final = 2_000
"""Objects between two looks at the clock."""
NESTING: Final = 40
"""Sets within sets."""
REPEATS: Final = 20_000
"""How often tuples that were seen already are written out again, before the walk takes them for shared."""
LONG_BYTES: Final = 1 << 16
"""A string, a number or a buffer from this size on is digested by itself, and not held to be compared."""
LARGE: Final = 4_096
"""A container with more atoms than that has a digest of its own, which is kept while its table is untouched."""
SLICE: Final = 20_000
"""Parts of a long container that are digested at a time: the copy of them is small then."""
CODE_NESTING: Final = 50
"""Functions within functions."""
NAMES: Final = 1_000
"""Changes that are reported where nobody says."""
PREVIEW_CHARACTERS: Final = 200
DETAIL_CHARACTERS: Final = 300
