"""InfoService: what the server is and what it offers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from sandbank.v1 import info_pb2

from sandbank_server.errors import TemplateNotFoundError
from sandbank_server.grpc_api.call import CallContext
from sandbank_server.templates.images import TemplateImage
from sandbank_server.templates.local import LocalEnvironment
from sandbank_server.templates.model import TemplateSpec

API_VERSION: Final = "sandbank.v1"

EnvironmentOf = Callable[[str], TemplateImage | LocalEnvironment | None]
"""Says what sandboxes of a template find; None while its image is not built."""


class InfoService:
    """The servicer. ``limits`` by name with the unit in it; ``features`` are the names of what works."""

    def __init__(
        self,
        *,
        version: str,
        runtime: str,
        limits: Mapping[str, int],
        features: Sequence[str],
        templates: Mapping[str, TemplateSpec],
        default_template: str,
        environment_of: EnvironmentOf,
    ) -> None:
        self._version = version
        self._runtime = runtime
        self._limits = dict(limits)
        self._features = list(features)
        self._templates = templates
        self._default_template = default_template
        self._environment_of = environment_of

    async def GetServerInfo(
        self, request: info_pb2.GetServerInfoRequest, call: CallContext
    ) -> info_pb2.GetServerInfoResponse:
        """Describe the server."""
        found = (self._environment_of(name) for name in self._templates)
        versions = {environment.python_version for environment in found if environment is not None}
        return info_pb2.GetServerInfoResponse(
            version=self._version,
            api_version=API_VERSION,
            python_versions=sorted(versions - {""}),
            runtime=self._runtime,
            limits=self._limits,
            features=self._features,
        )

    async def ListTemplates(
        self, request: info_pb2.ListTemplatesRequest, call: CallContext
    ) -> info_pb2.ListTemplatesResponse:
        """Describe all templates."""
        specs = sorted(self._templates.values(), key=lambda spec: spec.name)
        return info_pb2.ListTemplatesResponse(templates=[self._message(spec) for spec in specs])

    async def GetTemplate(
        self, request: info_pb2.GetTemplateRequest, call: CallContext
    ) -> info_pb2.GetTemplateResponse:
        """Describe one template."""
        name = request.template or self._default_template
        spec = self._templates.get(name)
        if spec is None:
            raise TemplateNotFoundError("there is no such template", resource=name)
        return info_pb2.GetTemplateResponse(template=self._message(spec))

    def _message(self, spec: TemplateSpec) -> info_pb2.Template:
        message = info_pb2.Template(
            name=spec.name,
            memory_bytes=spec.memory_bytes,
            cpu_count=spec.cpu_count,
            process_limit=spec.process_limit,
            workspace_bytes=spec.workspace_bytes,
            network=spec.network,
        )
        environment = self._environment_of(spec.name)
        if environment is not None:
            message.image = environment.reference if isinstance(environment, TemplateImage) else ""
            message.python_version = environment.python_version
            for package in environment.packages:
                message.packages.add(name=package.name, version=package.version)
        return message
