"""`sandbank info`: what server this is."""

from __future__ import annotations

from sandbank.cli.command import Cli
from sandbank.cli.tables import details, size, table


def info(cli: Cli) -> None:
    """Describe the server: version, runtime, templates, features, limits."""
    with cli.client() as client:
        server, templates = client.info(), client.templates()
    if cli.as_json:
        cli.json({"server": server, "templates": templates})
        return
    cli.out.print(
        details(
            [
                ("server", f"sandbank {server.version} ({server.api_version})"),
                ("address", cli.client_address),
                ("runtime", server.runtime),
                ("python", ", ".join(server.python_versions)),
                ("features", ", ".join(sorted(server.features))),
            ]
        )
    )
    cli.out.print()
    rows = [
        (
            t.name,
            t.python_version,
            size(t.memory_bytes),
            f"{t.cpu_count:g}",
            t.process_limit,
            size(t.workspace_bytes),
            t.network,
            len(t.packages),
        )
        for t in templates
    ]
    columns = ("TEMPLATE", "PYTHON", "MEMORY", "CPUS", "PROCESSES", "WORKSPACE", "NETWORK", "PACKAGES")
    cli.out.print(table(columns, rows))
    cli.out.print()
    cli.out.print(table(("LIMIT", "VALUE"), sorted(server.limits.items())))
