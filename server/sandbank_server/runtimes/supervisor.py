"""What a runtime tells the supervisor that it starts: the JSON of one environment variable."""

from __future__ import annotations

import json
from typing import Any

from sandbank_server.runtimes.base import SandboxSpec

VARIABLE = "SANDBANK_SANDBOX"
"""The environment variable; the supervisor removes it before anything else starts."""

SANDBOX_VARIABLE = "SANDBANK_SANDBOX_ID"
"""The variable that the supervisor gives to all that runs in a sandbox."""

ARGUMENTS = ("-I", "-B", "-m", "sandbank_runner.supervisor")
"""Python's arguments that start it: neither the current directory nor Python's variables may change what runs."""

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
