"""What a session has set in the data libraries: as JSON; what is more than that stays behind."""

from __future__ import annotations

import sys
from typing import Any, Final

from sandbank_runner.interpreter.sealed import seal

seal(globals())

_modules = sys.modules
_ATOMS: Final = (bool, int, float, str, type(None))


def numeric() -> dict[str, Any] | None:
    """Return NumPy's ways of printing, and of answering floating-point errors."""
    if "numpy" not in _modules:
        return None
    numpy = _modules["numpy"]
    return {"errors": numpy.geterr(), "printing": _plain(numpy.get_printoptions())}


def put_numeric(told: dict[str, Any]) -> None:
    """Set them."""
    import numpy as np

    np.seterr(**told["errors"])
    np.set_printoptions(**told["printing"])


def tables() -> dict[str, Any] | None:
    """Return pandas' options that are not what they are at first."""
    if "pandas" not in _modules or "pandas._config.config" not in _modules:
        return None
    config = vars(_modules["pandas._config.config"])
    found = {}
    for key, option in config["_registered_options"].items():
        value: Any = config["_global_config"]
        for part in key.split("."):
            value = value[part]
        if value != option.defval:
            found[key] = value
    return _plain(found) or None


def put_tables(told: dict[str, Any]) -> None:
    """Set them."""
    import pandas as pd

    for key, value in told.items():
        pd.set_option(key, value)


def plots() -> dict[str, Any] | None:
    """Return Matplotlib's settings that are not what they are at first."""
    if "matplotlib" not in _modules:
        return None
    library = _modules["matplotlib"]
    default = library.rcParamsDefault
    found = {
        key: value
        for key, value in dict.items(library.rcParams)
        if not key.startswith("backend") and value != dict.get(default, key)
    }
    return _plain(found) or None


def put_plots(told: dict[str, Any]) -> None:
    """Set them."""
    import matplotlib

    settings: Any = matplotlib.rcParams
    for key, value in told.items():
        settings[key] = value


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    return type(value) in _ATOMS or (type(value) in (list, tuple) and all(map(_is_plain, value)))
