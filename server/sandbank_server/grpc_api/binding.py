"""From servicers to what grpc serves.

Handlers are made from the service descriptors, not from the generated stubs: so requests arrive as bytes
and are parsed by us, responses may be bytes already, and an RPC that no servicer has answers
NOT_SUPPORTED instead of being forgotten.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from sandbank_server.errors import NotSupportedError
from sandbank_server.grpc_api import shapes
from sandbank_server.grpc_api.call import CallContext
from sandbank_server.grpc_api.chain import Chain
from sandbank_server.grpc_api.dialogue import dialogue
from sandbank_server.grpc_api.messages import RequestParser, ResponseWriter

UNKNOWN_METHOD: Final = "/unknown/Unknown"
"""What calls of methods that do not exist are counted as: the client chose their names."""

_SHAPES: Final = {
    (False, False): shapes.unary_unary,
    (False, True): shapes.unary_stream,
    (True, False): shapes.stream_unary,
    (True, True): shapes.stream_stream,
}


class ApiHandler(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers every RPC of the services bound to it, and refuses every other one.

    Must be the last handler of a server: it knows an answer to everything.
    """

    def __init__(self, chain: Chain, *, message_bytes: int) -> None:
        self._chain = chain
        self._message_bytes = message_bytes
        self._write = ResponseWriter(message_bytes)
        self._handlers: dict[str, grpc.RpcMethodHandler] = {}
        self._unknown = _refuse(chain, UNKNOWN_METHOD, "that method")
        self.service_names: list[str] = []

    def add(self, service: ServiceDescriptor, servicer: object) -> None:
        """Bind a servicer: a plain object with a method for each RPC that it answers.

        RPCs that it lacks answer UNIMPLEMENTED, NOT_SUPPORTED. A public method in CamelCase that is no
        RPC of the service is a mistake and raises ValueError, and so does an RPC of the wrong shape.
        """
        known = {method.name for method in service.methods}
        extra = {name for name in dir(servicer) if name[:1].isupper() and callable(getattr(servicer, name))}
        if extra - known:
            raise ValueError(f"{service.full_name} has no RPC {', '.join(sorted(extra - known))}")
        for method in service.methods:
            name = f"/{service.full_name}/{method.name}"
            self._handlers[name] = self._bind(name, method, getattr(servicer, method.name, None))
        self.service_names.append(service.full_name)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """Return the handler of a method; for grpc."""
        return self._handlers.get(handler_call_details.method, self._unknown)

    @property
    def methods(self) -> Iterable[str]:
        """The full names of all methods bound."""
        return self._handlers.keys()

    def _bind(self, name: str, method: MethodDescriptor, function: Any) -> grpc.RpcMethodHandler:
        shape = (bool(method.client_streaming), bool(method.server_streaming))
        if function is None:
            return _refuse(self._chain, name, method.name)
        parse = RequestParser(message_factory.GetMessageClass(method.input_type), self._message_bytes)
        if getattr(function, "is_dialogue", False):
            if shape != (True, True) or not inspect.iscoroutinefunction(function):
                raise ValueError(f"the method for {name} cannot be a dialogue")
            return dialogue(self._chain, shapes.Method(name, function, parse, self._write))
        if inspect.iscoroutinefunction(function) is shape[1]:
            wanted = "return an async iterator" if shape[1] else "be a coroutine function"
            raise ValueError(f"the method for {name} must {wanted}")
        if getattr(function, "ends_with_final", False):
            if shape != (False, True):
                raise ValueError(f"the method for {name} cannot end with Final")
            return shapes.unary_stream_final(self._chain, shapes.Method(name, function, parse, self._write))
        return _SHAPES[shape](self._chain, shapes.Method(name, function, parse, self._write))


def bind(chain: Chain, servicers: Mapping[ServiceDescriptor, object], *, message_bytes: int) -> ApiHandler:
    """Return a handler for these services."""
    handler = ApiHandler(chain, message_bytes=message_bytes)
    for service, servicer in servicers.items():
        handler.add(service, servicer)
    return handler


def _refuse(chain: Chain, name: str, description: str) -> grpc.RpcMethodHandler:
    """Return a handler that refuses without reading: so it serves every shape, whatever the client sends."""

    async def refused(_call: CallContext) -> None:
        raise NotSupportedError(f"{description} is not supported by this server", metadata={"method": name})

    async def handle(_requests: object, rpc: grpc.aio.ServicerContext) -> None:
        await chain.run(name, rpc, refused)

    return grpc.stream_stream_rpc_method_handler(handle)
