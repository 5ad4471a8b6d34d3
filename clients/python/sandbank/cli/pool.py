"""`sandbank pool …`: for operators."""

from __future__ import annotations

from typing import Annotated

import typer

from sandbank.cli.command import Cli, command
from sandbank.cli.tables import age, details, enum_name, moment, size, span, table
from sandbank.cli.terminal import plain
from sandbank.v1 import pool_pb2

app = typer.Typer(help="Look at the warm pools and resize them.", no_args_is_help=True, rich_markup_mode=None)

Template = Annotated[str, typer.Argument(metavar="[TEMPLATE]", help="The template; the default one without.")]


def _state(pool: pool_pb2.Pool) -> str:
    return enum_name(pool_pb2.PoolState, pool.state, "POOL_STATE_")


def _sandbox_state(sandbox: pool_pb2.Sandbox) -> str:
    return enum_name(pool_pb2.SandboxState, sandbox.state, "SANDBOX_STATE_")


def _show(cli: Cli, template: Template = "") -> None:
    """Describe a pool."""
    with cli.client() as client:
        _print(cli, client.pool(template))


def _list(cli: Cli) -> None:
    """List all pools."""
    with cli.client() as client:
        pools = client.pools()
    if cli.as_json:
        cli.json(pools)
        return
    rows = [
        (
            p.template,
            _state(p),
            f"{p.ready_count}/{p.min_ready}",
            p.assigned_count,
            p.starting_count,
            p.retiring_count,
            p.max_total,
            p.waiting_count,
            p.degraded_reason,
        )
        for p in pools
    ]
    columns = ("TEMPLATE", "STATE", "READY", "IN USE", "STARTING", "ENDING", "LIMIT", "WAITING", "BECAUSE")
    cli.out.print(table(columns, rows))


def _resize(
    cli: Cli,
    template: Template = "",
    min_ready: Annotated[
        int, typer.Option("--min-ready", min=0, help="How many to keep warm; 0: as configured.")
    ] = 0,
    max_total: Annotated[
        int, typer.Option("--max-total", min=0, help="How many in all; 0: as configured.")
    ] = 0,
) -> None:
    """Change a pool's size until the server's next start."""
    with cli.client() as client:
        _print(cli, client.resize_pool(template, min_ready=min_ready, max_total=max_total))


def _sandboxes(
    cli: Cli,
    template: Annotated[str, typer.Argument(metavar="[TEMPLATE]", help="All templates without.")] = "",
) -> None:
    """List sandboxes."""
    with cli.client() as client:
        found = list(client.sandboxes(template))
    if cli.as_json:
        cli.json(found)
        return
    rows = [
        (
            s.sandbox_id,
            s.template,
            _sandbox_state(s),
            age(s.create_time),
            s.session_id,
            size(s.memory_bytes) if s.memory_bytes else "",
            s.reason,
        )
        for s in found
    ]
    cli.out.print(table(("SANDBOX", "TEMPLATE", "STATE", "AGE", "SESSION", "MEMORY", "REASON"), rows))


def _watch(
    cli: Cli,
    template: Annotated[str, typer.Argument(metavar="[TEMPLATE]", help="All templates without.")] = "",
) -> None:
    """Show a pool's changes until Ctrl-C."""
    with cli.client() as client:
        for event in client.watch_pool(template):
            if cli.as_json:
                cli.json(event, line=True)
                continue
            pool = event.pool
            about = (
                f"{event.sandbox.sandbox_id} {_sandbox_state(event.sandbox)}"
                if event.HasField("sandbox")
                else ""
            )
            line = (
                f"{moment(event.time)}  {pool.template} {_state(pool)} "
                f"ready {pool.ready_count}/{pool.min_ready} assigned {pool.assigned_count} "
                f"starting {pool.starting_count}  {about} {event.message}"
            )
            cli.out.print(plain(line), markup=False)


def _print(cli: Cli, pool: pool_pb2.Pool) -> None:
    if cli.as_json:
        cli.json(pool)
        return
    cli.out.print(
        details(
            [
                ("pool", pool.template),
                ("state", _state(pool)),
                ("because", pool.degraded_reason),
                ("ready", f"{pool.ready_count} of {pool.min_ready} wanted"),
                ("assigned", pool.assigned_count),
                ("starting", pool.starting_count),
                ("retiring", pool.retiring_count),
                ("limit", pool.max_total),
                ("waiting callers", pool.waiting_count),
                ("started", pool.started_count),
                ("failed starts", pool.failed_count),
                ("median start", span(pool.start_time_p50) if pool.HasField("start_time_p50") else ""),
            ]
        )
    )


for _name, _function in (
    ("show", _show),
    ("list", _list),
    ("resize", _resize),
    ("sandboxes", _sandboxes),
    ("watch", _watch),
):
    command(app, _name)(_function)
