"""InfoService: what the server says of itself and its templates."""

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.message import Message
from sandbank.v1 import info_pb2
from sandbank_server.config import Settings
from sandbank_server.grpc_api.info_service import InfoService
from sandbank_server.templates.images import TemplateImage
from sandbank_server.templates.model import SHIPPED_TEMPLATES, Package

from tests.grpc.frame.conftest import Serve, Served, details_of

INFO = info_pb2.DESCRIPTOR.services_by_name["InfoService"]
DATA = TemplateImage(
    template="data",
    reference="sandbank-data:abc",
    image_id="sha256:1",
    python_version="3.13.5",
    packages=(Package("numpy", "2.3.1"), Package("pandas", "3.0.0")),
    size_bytes=1,
    created="",
)


@pytest.fixture
async def served(serve: Serve) -> Served:
    """A server whose image of `data` is built and that of `slim` is not."""
    service = InfoService(
        version="1.2.3",
        runtime="docker",
        limits=Settings().limits.as_map(),
        features=["execute", "files"],
        templates=SHIPPED_TEMPLATES,
        default_template="data",
        environment_of=lambda name: DATA if name == "data" else None,
    )
    return await serve({INFO: service})


async def call(served: Served, method: str, request: Message, answer: type[Message]) -> Any:
    """Call and parse."""
    raw = await served.unary(f"/sandbank.v1.InfoService/{method}")(request.SerializeToString())
    return answer.FromString(raw)


async def test_the_server_says_what_works(served: Served) -> None:
    """Version, Python versions, runtime, limits with their units, features."""
    info = await call(
        served, "GetServerInfo", info_pb2.GetServerInfoRequest(), info_pb2.GetServerInfoResponse
    )
    assert (info.version, info.api_version, info.runtime) == ("1.2.3", "sandbank.v1", "docker")
    assert list(info.python_versions) == ["3.13.5"]
    assert info.limits["code_bytes"] == 1 << 20
    assert info.limits["operation_timeout_ms"] == 60_000
    assert list(info.features) == ["execute", "files"]


async def test_templates_are_described(served: Served) -> None:
    """What is in the image is known once it is built."""
    answer = await call(
        served, "ListTemplates", info_pb2.ListTemplatesRequest(), info_pb2.ListTemplatesResponse
    )
    data, slim = answer.templates
    assert (data.name, data.image, data.python_version) == ("data", "sandbank-data:abc", "3.13.5")
    assert [(package.name, package.version) for package in data.packages] == [
        ("numpy", "2.3.1"),
        ("pandas", "3.0.0"),
    ]
    assert (slim.name, slim.image, slim.python_version, list(slim.packages)) == ("slim", "", "", [])
    assert (slim.memory_bytes, slim.cpu_count, slim.process_limit) == (512 << 20, 1.0, 128)
    assert (slim.workspace_bytes, slim.network) == (256 << 20, "none")


async def test_one_template_is_described(served: Served) -> None:
    """The default one for an empty name; an unknown one is not found."""
    answer = await call(served, "GetTemplate", info_pb2.GetTemplateRequest(), info_pb2.GetTemplateResponse)
    assert answer.template.name == "data"
    request = info_pb2.GetTemplateRequest(template="x" * 5000)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(served, "GetTemplate", request, info_pb2.GetTemplateResponse)
    assert details_of(caught.value).info.reason == "TEMPLATE_NOT_FOUND"
