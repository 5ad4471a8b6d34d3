"""What a container says about itself: enough to adopt it after a restart of the control plane."""

from __future__ import annotations

from collections.abc import Mapping

from sandbank_server.runtimes.base import SandboxSpec
from sandbank_server.runtimes.docker.users import SandboxUsers

INSTALLATION = "sandbank.installation"
SANDBOX = "sandbank.sandbox"
TEMPLATE = "sandbank.template"
USERS = "sandbank.users"

RESERVED = frozenset({INSTALLATION, SANDBOX, TEMPLATE, USERS})


def labels_of(spec: SandboxSpec, installation: str, users: SandboxUsers) -> dict[str, str]:
    """Return the container's labels. ValueError when the caller's would hide the runtime's."""
    if taken := RESERVED & spec.labels.keys():
        raise ValueError(f"labels of the runtime: {', '.join(sorted(taken))}")
    return {
        **spec.labels,
        INSTALLATION: installation,
        SANDBOX: spec.sandbox_id,
        TEMPLATE: spec.template.name,
        USERS: str(users),
    }


def caller_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels without the runtime's own. The image's are among them: the engine mixes them in."""
    return {name: value for name, value in labels.items() if name not in RESERVED}
