"""A JSON encoder that is C code through and through: nothing of it is looked up when it is used."""

from __future__ import annotations

import json
import json.encoder
from collections.abc import Callable
from typing import Any

from sandbank_runner.interpreter.sealed import seal

seal(globals())


def make(*, ascii_only: bool) -> Callable[[Any], str]:
    """Return a function from values of builtin types to compact JSON. ValueError for NaN and infinities."""
    make_encoder = getattr(json.encoder, "c_make_encoder", None)
    if make_encoder is None:
        return json.JSONEncoder(ensure_ascii=ascii_only, allow_nan=False, separators=(",", ":")).encode
    quote = json.encoder.encode_basestring_ascii if ascii_only else json.encoder.encode_basestring
    encode = make_encoder(None, None, quote, None, ":", ",", False, False, False)
    return lambda value: "".join(encode(value, 0))
