"""Bytes to messages and back, with our own errors.

Left to grpc, a request that is no valid message would be answered UNKNOWN with the decoder's text in it.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from google.protobuf.message import DecodeError, Message

from sandbank_server.errors import BadFieldError, TooLargeError

M = TypeVar("M", bound=Message)


class RequestParser(Generic[M]):
    """Parses one type of request. Unknown fields are ignored: they are a newer client's."""

    def __init__(self, message_type: type[M], limit_bytes: int) -> None:
        self._parse = message_type.FromString
        self._name = message_type.DESCRIPTOR.full_name
        self._limit = limit_bytes

    def __call__(self, data: bytes) -> M:
        """Return the message. Raises TooLargeError and BadFieldError."""
        if len(data) > self._limit:
            raise TooLargeError(
                f"the request has {len(data)} bytes, over the limit of {self._limit}",
                metadata={"limit_bytes": str(self._limit), "size_bytes": str(len(data))},
            )
        try:
            return self._parse(data)
        except DecodeError:
            # The decoder does not say where. Its text stays here.
            raise BadFieldError.at("", f"not a valid {self._name}: malformed, or text not in UTF-8") from None


class ResponseWriter:
    """Serializes responses. Bytes pass unchanged: a message that was checked and is only forwarded."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes

    def __call__(self, message: Message | bytes) -> bytes:
        """Return the bytes to send. Raises TooLargeError."""
        # grpc takes nothing but bytes proper: a subclass that marks something is copied.
        data = bytes(message) if isinstance(message, bytes) else message.SerializeToString()
        if len(data) > self._limit:
            raise TooLargeError(
                f"the response has {len(data)} bytes, over the limit of {self._limit}: ask for less",
                metadata={"limit_bytes": str(self._limit), "size_bytes": str(len(data))},
            )
        return data
