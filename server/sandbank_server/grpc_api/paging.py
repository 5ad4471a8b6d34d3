"""Page tokens: opaque to clients, bound to the request that they go on, and refused when anything is wrong."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any

from sandbank_server.errors import BadFieldError

_MAC_BYTES = 12


class PageTokens:
    """Makes and reads tokens with one key; tokens of another key are refused, nothing else depends on it."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, scope: Sequence[Any], cursor: object) -> str:
        """Return a token that goes on at ``cursor`` of the listing that ``scope`` (its filters) names."""
        data = json.dumps(cursor).encode()
        return base64.urlsafe_b64encode(self._mac(scope, data) + data).decode()

    def read(self, scope: Sequence[Any], token: str) -> Any:
        """Return the cursor of a token, None for an empty one. BadFieldError for one of another listing."""
        if not token:
            return None
        try:
            raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            raise BadFieldError.at("page_token", "is not one that this listing gave") from None
        mac, data = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        # Several texts decode to the same bytes: the last character may hold bits that nothing uses.
        canonical = base64.urlsafe_b64encode(raw) == token.encode("ascii")
        if not canonical or not hmac.compare_digest(mac, self._mac(scope, data)):
            raise BadFieldError.at("page_token", "is not one that this listing gave")
        return json.loads(data)

    def _mac(self, scope: Sequence[Any], data: bytes) -> bytes:
        about = json.dumps(scope, sort_keys=True).encode()
        return hashlib.blake2b(about + b"\0" + data, key=self._key[:64], digest_size=_MAC_BYTES).digest()
