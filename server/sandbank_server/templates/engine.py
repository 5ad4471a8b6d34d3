"""The container engine, as far as building images needs it: the one module of this package that calls it.

Every method blocks; long ones are bounded in time and end when the build is cancelled.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import docker
import docker.errors
import requests
import urllib3.exceptions

from sandbank_server.templates.answers import AnswerStream
from sandbank_server.templates.errors import ImageEngineError, TemplateBuildError
from sandbank_server.templates.progress import BuildWatch

BUILD_LABEL = "sandbank.build"
"""On the throwaway containers and half-made images of a build."""

_ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
# A broken answer comes up from whichever layer was reading it.
_FAULTS = (
    docker.errors.DockerException,
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    OSError,
)


@dataclass(frozen=True, slots=True)
class EngineImage:
    """An image of the engine. ``size_bytes`` includes what it shares with others; ``created`` is ISO 8601."""

    image_id: str
    references: tuple[str, ...]
    labels: Mapping[str, str]
    environment: Mapping[str, str]
    size_bytes: int
    created: str


class ImageEngine:
    """A connection to the engine that ``DOCKER_HOST`` names, or the local one. For one thread at a time."""

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client
        self._api: Any = client.api
        self._answers = AnswerStream(faults=_FAULTS, reason=_reason)
        self._api.hooks["response"].append(self._answers.remember)

    @classmethod
    def connect(cls, *, timeout: int = 60) -> ImageEngine:
        """Connect. Raises :class:`ImageEngineError` when no engine answers within ``timeout`` seconds."""
        try:
            client = docker.from_env(timeout=timeout)
            client.ping()
        except _FAULTS as error:
            raise ImageEngineError(f"no Docker Engine answers: {_reason(error)}") from error
        return cls(client)

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def architecture(self) -> str:
        """Return ``x86_64`` or ``aarch64``. Raises :class:`ImageEngineError` for another one."""
        with _refusals("asking for the engine's architecture"):
            told = str(self._client.info().get("Architecture", ""))
        known = _ARCHITECTURES.get(told)
        if known is None:
            raise ImageEngineError(f"the engine runs on {told!r:.40}; sandboxes need x86_64 or arm64")
        return known

    def find(self, reference: str) -> EngineImage | None:
        """Return the image of that name or id, or None."""
        with _refusals(f"looking for the image {reference}"):
            try:
                return _image(self._api.inspect_image(reference))
            except docker.errors.ImageNotFound:
                return None

    def labelled(self, label: str, *, dangling: bool | None = None) -> list[EngineImage]:
        """Return the images with a label (``NAME`` or ``NAME=VALUE``), newest first."""
        filters: dict[str, Any] = {"label": [label]}
        if dangling is not None:
            filters["dangling"] = dangling
        with _refusals("listing the images"):
            ids = [entry["Id"] for entry in self._api.images(filters=filters)]
        found = [image for image_id in dict.fromkeys(ids) if (image := self.find(image_id)) is not None]
        return sorted(found, key=lambda image: image.created, reverse=True)

    def tag(self, reference: str, name: str) -> None:
        """Give an image a further name."""
        repository, tag = _split(name)
        with _refusals(f"naming {reference} {name}"):
            self._api.tag(reference, repository, tag)

    def remove(self, reference: str) -> bool:
        """Remove an image, or only a name if it has more. False when it is in use or gone already."""
        with _refusals(f"removing the image {reference}"):
            try:
                self._api.remove_image(reference)
            except docker.errors.APIError as error:
                if error.status_code in (404, 409):
                    return False
                raise
        return True

    def registry_has(self, reference: str, *, timeout: float) -> bool:
        """Whether a registry answers for the image within ``timeout`` seconds; the engine asks it."""
        with self._patience(timeout):
            try:
                self._api.inspect_distribution(reference)
            except _FAULTS:
                return False
        return True

    def pull(self, reference: str, *, watch: BuildWatch, timeout: float) -> None:
        """Fetch an image from its registry. Raises :class:`TemplateBuildError`."""
        repository, tag = _split(reference)

        def start() -> Any:
            return self._api.pull(repository, tag=tag, stream=True, decode=True)

        self._answers.follow(f"pulling {reference}", start, watch, timeout)

    def import_tar(self, archive: Path, name: str, *, changes: Sequence[str], timeout: float) -> None:
        """Make an image of one layer from a tar archive of a root file system; ``timeout`` in seconds."""
        repository, tag = _split(name)
        with archive.open("rb") as stream, self._patience(timeout), _refusals(f"importing {name}"):
            # Messages of success and of failure both come with status 200; whoever calls looks for the
            # image.
            self._api.import_image(src=stream, repository=repository, tag=tag, changes=list(changes))

    def run(self, reference: str, argv: Sequence[str], *, timeout: float) -> str:
        """Run a command in a throwaway container without network and return the last 64 KiB of its output.

        Raises :class:`TemplateBuildError` when it fails or takes longer than ``timeout`` seconds.
        """
        what = f"running {argv[0]} in {reference}"
        with _refusals(what):
            container = self._api.create_container(
                reference,
                list(argv),
                entrypoint="",
                labels={BUILD_LABEL: "1"},
                host_config=self._api.create_host_config(network_mode="none", mem_limit=512 << 20),
            )["Id"]
        try:
            with _refusals(what):
                self._api.start(container)
                code = self._api.wait(container, timeout=timeout)["StatusCode"]
                output: str = self._api.logs(container, tail=1000)[-65536:].decode("utf-8", "replace")
        finally:
            with contextlib.suppress(*_FAULTS):
                self._api.remove_container(container, force=True)
        if code != 0:
            raise TemplateBuildError(f"{what} ended with {code}", output.splitlines()[-20:])
        return output

    def build(
        self,
        context: IO[bytes],
        name: str,
        *,
        arguments: Mapping[str, str],
        labels: Mapping[str, str],
        watch: BuildWatch,
        timeout: float,
    ) -> None:
        """Build an image from a tar archive with a ``Dockerfile`` in it, without network.

        Raises :class:`TemplateBuildError` with the end of the build's log.
        """

        def start() -> Any:
            # The engine's classic builder: it needs no plug-in and is there in every engine since 20.10.
            return self._api.build(
                fileobj=context,
                custom_context=True,
                tag=name,
                buildargs=dict(arguments),
                labels=dict(labels),
                network_mode="none",
                rm=True,
                forcerm=True,
                decode=True,
                use_config_proxy=False,
                timeout=None,
            )

        self._answers.follow(f"building {name}", start, watch, timeout)

    @contextlib.contextmanager
    def _patience(self, seconds: float) -> Iterator[None]:
        """Wait up to ``seconds`` for each answer in the block."""
        before = self._api.timeout
        self._api.timeout = seconds
        try:
            yield
        finally:
            self._api.timeout = before


def _image(details: Mapping[str, Any]) -> EngineImage:
    config = details.get("Config") or {}
    variables = (entry.partition("=") for entry in config.get("Env") or ())
    return EngineImage(
        image_id=details["Id"],
        references=tuple(details.get("RepoTags") or ()),
        labels=dict(config.get("Labels") or {}),
        environment={name: value for name, _, value in variables},
        size_bytes=int(details.get("Size") or 0),
        created=str(details.get("Created") or ""),
    )


def _split(name: str) -> tuple[str, str]:
    """Split ``host:5000/name:tag`` into what comes before the tag, and the tag (``latest`` where none is)."""
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        return name, "latest"
    return repository, tag


def _reason(error: BaseException) -> str:
    text = str(getattr(error, "explanation", None) or error) or type(error).__name__
    return " ".join(text.split())[:500]


@contextlib.contextmanager
def _refusals(what: str) -> Iterator[None]:
    """Turn the library's exceptions into ours."""
    try:
        yield
    except _FAULTS as error:
        raise ImageEngineError(f"{what}: {_reason(error)}") from error
