"""What a runtime tells the supervisor that it starts: the JSON of one environment variable."""

from __future__ import annotations

import json
from typing import Any

from sandbank_server.runtimes.base import SandboxSpec

VARIABLE = "SANDBANK_SANDBOX"
"""The environment variable; the supervisor removes it before anything else starts."""

COMMAND = ("-P", "-m", "sandbank_runner.supervisor")
"""The interpreter's arguments. ``-P``: the current directory must not be searched for modules."""

SOCKET_NAME = "runner.sock"
"""The socket's name in the endpoint's directory."""


def configuration(spec: SandboxSpec, **of_runtime: Any) -> str:
    """Return the variable's value: what the template says, and ``of_runtime``, what the runtime decided."""
    template = spec.template
    return json.dumps(
        {
            "sandbox_id": spec.sandbox_id,
            "preload": list(template.preload),
            "cpu_count": template.cpu_count,
            "environment": dict(template.environment),
            **of_runtime,
        },
        separators=(",", ":"),
    )
