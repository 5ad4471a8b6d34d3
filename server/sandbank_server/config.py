"""The settings: frozen, checked, and each with its description, which is also its help.

Nothing but the composition root reads them whole; nothing at all reads the environment. How they come
together from flags, environment and file is in `configuration/`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, InstanceOf, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from sandbank_server.configuration.groups import Checkpoints, Count, Images, Limits
from sandbank_server.configuration.values import (
    Address,
    Duration,
    FilePath,
    OptionalAddress,
    OptionalPath,
    PerTemplate,
)
from sandbank_server.templates.model import DEFAULT_TEMPLATE, SHIPPED_TEMPLATES, TemplateSpec

ENV_PREFIX: Final = "SANDBANK_"
GROUP_SEPARATOR: Final = "__"


def default_data_dir(environment: Mapping[str, str] | None = None) -> Path:
    """Return where the data is kept: the system's place for root, the user's own otherwise."""
    environment = os.environ if environment is None else environment
    if os.geteuid() == 0:
        return Path("/var/lib/sandbank")
    base = environment.get("XDG_DATA_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".local/share") / "sandbank"


class Settings(BaseSettings):
    """Everything that an operator can decide."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter=GROUP_SEPARATOR,
    )

    listen: Address = Field(
        default="127.0.0.1:50051", description="HOST:PORT to serve on; port 0: any that is free."
    )
    runtime: Literal["auto", "docker", "local"] = Field(
        default="auto",
        description="Where sandboxes run: docker, containers; local, for development only, processes of the same "
        "user; auto, containers where an engine answers.",
    )
    data_dir: FilePath = Field(
        default_factory=default_data_dir,
        description="Catalog, operation logs, sandbox directories. For root /var/lib/sandbank, "
        "else $XDG_DATA_HOME/sandbank.",
    )
    min_ready: PerTemplate = Field(
        default={"": 2}, description='Warm sandboxes: a number for the default template, or "slim=2,data=0".'
    )
    max_total: PerTemplate = Field(
        default={"": 100},
        description='Sandboxes at most: a number for every template, or "slim=200,data=20".',
    )
    max_starting: Count = Field(default=4, description="Sandboxes of a template that are started at once.")
    pool_queue: Count = Field(default=1000, description="Callers that may wait for a sandbox of a template.")
    pool_wait: Duration = Field(
        default=timedelta(seconds=30), description="How long each of them waits at most."
    )
    default_template: str = Field(
        default=DEFAULT_TEMPLATE, description="The template of a session that names none."
    )
    metrics_listen: OptionalAddress = Field(
        default="", description="HOST:PORT of the Prometheus metrics. Empty: off."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least that is logged: debug, info, warning, error."
    )
    log_format: Literal["console", "json"] = Field(
        default="console",
        description="How it is logged, on standard error: console, for people, or json, for machines.",
    )
    otlp_endpoint: str = Field(
        default="", description="Where traces go, as OTLP over gRPC: http://HOST:4317. Empty: off."
    )
    engine_url: str = Field(
        default="unix:///var/run/docker.sock",
        description="The Docker Engine, unless DOCKER_HOST names another.",
    )
    engine_timeout: Duration = Field(
        default=timedelta(seconds=30), description="How long it may think about one call."
    )
    oci_runtime: str = Field(
        default="", description="The OCI runtime of the containers: runsc, kata. Empty: the engine's own."
    )
    seccomp_profile: OptionalPath = Field(
        default=None, description="A seccomp profile to use instead of the project's own."
    )
    first_uid: int = Field(
        default=200_000, ge=1000, le=2**31, description="The first of the users that sandboxes run as."
    )
    uid_count: int = Field(
        default=40_000, ge=4, le=2**31, description="How many of them; each sandbox takes four."
    )
    allow_non_loopback_local: bool = Field(
        default=False,
        description="Let the local runtime, which isolates nothing, be reached from other machines.",
    )
    tls_certificate: OptionalPath = Field(
        default=None, description="The server's certificate chain, PEM. Empty: no TLS."
    )
    tls_key: OptionalPath = Field(default=None, description="Its key, PEM.")
    catalog_url: str = Field(
        default="", description="The metadata database. Empty: a SQLite file in data_dir."
    )
    drain_timeout: Duration = Field(
        default=timedelta(seconds=10), description="How long open calls may go on at the end."
    )
    ready_file: OptionalPath = Field(
        default=None, description="A file to write the address to once the server listens."
    )
    limits: Limits = Field(default_factory=Limits)
    images: Images = Field(default_factory=Images)
    checkpoints: Checkpoints = Field(default_factory=Checkpoints)
    templates: dict[str, InstanceOf[TemplateSpec]] = Field(
        default_factory=lambda: dict(SHIPPED_TEMPLATES), description="The kinds of sandbox."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        *_others: PydanticBaseSettingsSource,
        **_by_name: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what is given and nothing else: the sources are merged before, with their names."""
        return (init_settings,)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key: give both or neither")
        if self.default_template not in self.templates:
            raise ValueError(f"default_template: there is no template {self.default_template}")
        for key in ("min_ready", "max_total"):
            unknown = set(getattr(self, key)) - set(self.templates) - {""}
            if unknown:
                raise ValueError(f"{key}: there is no template {', '.join(sorted(unknown))}")
        for name in self.templates:
            ready, total = self.min_ready_of(name), self.max_total_of(name)
            if total < 1 or ready > total:
                raise ValueError(f"min_ready and max_total: {name} has {ready} and {total}")
        return self

    def min_ready_of(self, template: str) -> int:
        """Return how many sandboxes of a template are kept warm: a lone number is the default template's."""
        others = self.min_ready.get("", 0) if template == self.default_template else 0
        return self.min_ready.get(template, others)

    def max_total_of(self, template: str) -> int:
        """Return how many sandboxes of a template there may be."""
        return self.max_total.get(template, self.max_total.get("", 100))

    @property
    def effective_catalog_url(self) -> str:
        """The database's URL."""
        return self.catalog_url or f"sqlite:///{self.data_dir / 'catalog.sqlite3'}"
