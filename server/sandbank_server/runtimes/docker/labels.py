"""What a container says about itself: enough to adopt it after a restart of the control plane."""

from __future__ import annotations

from collections.abc import Mapping

from sandbank_server.runtimes.base import SandboxSpec
from sandbank_server.runtimes.docker.users import SandboxUsers

INSTALLATION = "sandbank.installation"
SANDBOX = "sandbank.sandbox"
TEMPLATE = "sandbank.template"
USERS = "sandbank.users"
CALLERS = "sandbank.labels"
"""The names of the caller's labels: the engine mixes in those of the image."""

RESERVED = frozenset({INSTALLATION, SANDBOX, TEMPLATE, USERS, CALLERS})


def labels_of(spec: SandboxSpec, installation: str, users: SandboxUsers) -> dict[str, str]:
    """Return the container's labels. ValueError when the caller's would hide the runtime's."""
    if taken := RESERVED & spec.labels.keys():
        raise ValueError(f"labels of the runtime: {', '.join(sorted(taken))}")
    if odd := [name for name in spec.labels if not name or "," in name]:
        raise ValueError(f"no names for labels: {odd!r:.80}")
    return {
        **spec.labels,
        INSTALLATION: installation,
        SANDBOX: spec.sandbox_id,
        TEMPLATE: spec.template.name,
        USERS: str(users),
        CALLERS: ",".join(spec.labels),
    }


def caller_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that the caller of launch gave."""
    return {name: labels[name] for name in labels.get(CALLERS, "").split(",") if name in labels}
