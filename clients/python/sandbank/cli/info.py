"""`sandbank info`: what server this is."""

from __future__ import annotations

from sandbank.cli.command import Cli
from sandbank.cli.tables import details, lasting, size, table


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
    cli.out.print(table(("LIMIT", "VALUE"), sorted(_limit(*each) for each in server.limits.items())))


def _limit(name: str, value: int) -> tuple[str, str]:
    """Return a limit as it is set, in a unit for people: its name ends in the one that it is sent in."""
    if name.endswith("_ms"):
        return name.removesuffix("_ms"), lasting(value)
    return name, size(value) if name.endswith("_bytes") else f"{value:,}"
