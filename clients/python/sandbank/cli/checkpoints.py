"""`sandbank checkpoints …`: saved states."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Annotated

import typer

from sandbank.cli.command import USAGE, AsJson, Cli, command
from sandbank.cli.tables import age, details, enum_name, labels, moment, size, span, table
from sandbank.cli.terminal import plain
from sandbank.v1 import checkpoint_pb2

app = typer.Typer(
    help="Save, list, compare and delete states of sessions.", no_args_is_help=True, rich_markup_mode=None
)

_EXACT = checkpoint_pb2.FIDELITY_EXACT
"""What servers of before files had a fidelity mean, too."""

CheckpointId = Annotated[str, typer.Argument(metavar="CHECKPOINT", help="The checkpoint's id.")]


def _make(
    cli: Cli,
    session_id: Annotated[str, typer.Argument(metavar="SESSION", help="The session to save.")],
    verify: Annotated[
        bool, typer.Option("--verify", help="Load it in a fresh process and compare first.")
    ] = False,
) -> None:
    """Save a session's state."""
    with cli.client() as client:
        session = client.attach(session_id)
        _print(cli, session.checkpoint(verify=verify))


def _restore(
    cli: Cli,
    session_id: Annotated[
        str, typer.Argument(metavar="SESSION", help="The session whose state is replaced.")
    ],
    checkpoint_id: CheckpointId,
    allow_lost: Annotated[
        bool, typer.Option("--allow-lost", help="Go on without variables that cannot be loaded here.")
    ] = False,
) -> None:
    """Replace a session's state by a checkpoint's."""
    with cli.client() as client:
        session = client.attach(session_id)
        report = session.restore(checkpoint_id, allow_lost=allow_lost)
    if cli.as_json:
        cli.json(report)
        return
    cli.out.print(plain(f"restored {report.restored_count} variables"), markup=False)
    for variable in report.recomputed:
        cli.out.print(plain(f"recomputed {variable.name}: {variable.reason}"), markup=False)
    for variable in report.lost:
        cli.out.print(plain(f"lost {variable.name}: {variable.reason}"), markup=False)
    for file in report.lost_files:
        cli.out.print(plain(f"lost the file {file.path}: {file.reason}"), markup=False)


def _list(
    cli: Cli,
    session_id: Annotated[str, typer.Argument(metavar="[SESSION]", help="All sessions without.")] = "",
) -> None:
    """List checkpoints, the newest first."""
    with cli.client() as client:
        found = list(client.attach(session_id).checkpoints() if session_id else client.checkpoints())
    if cli.as_json:
        cli.json(found)
        return
    rows = [
        (
            each.checkpoint_id,
            each.session_id,
            age(each.create_time),
            size(each.size_bytes),
            size(each.new_bytes),
            each.execution_count,
            "yes" if each.verified else "",
        )
        for each in found
    ]
    cli.out.print(table(("CHECKPOINT", "SESSION", "AGE", "SIZE", "NEW", "RUNS", "VERIFIED"), rows))


def _show(cli: Cli, checkpoint_id: CheckpointId) -> None:
    """Describe a checkpoint: its variables with fidelity and sizes, and its files."""
    with cli.client() as client:
        _print(cli, client.checkpoint(checkpoint_id))


def _diff(cli: Cli, old: CheckpointId, new: CheckpointId) -> None:
    """Say which variables and files differ between two checkpoints: in presence, type, size or fidelity."""
    with cli.client() as client:
        before, after = client.checkpoint(old), client.checkpoint(new)
    rows = [*_changes(_variables(before), _variables(after)), *_changes(_files(before), _files(after))]
    if cli.as_json:
        cli.json([{"change": change, "what": what} for change, what in rows])
        return
    if rows:
        cli.out.print(table(("CHANGE", "WHAT"), rows))
    else:
        cli.say("no variable and no file differs in presence, type, size or fidelity")


def _delete(cli: Cli, checkpoint_ids: Annotated[list[str], typer.Argument(metavar="CHECKPOINT...")]) -> None:
    """Forget checkpoints; content that no other needs is removed later."""
    with cli.client() as client:
        for checkpoint_id in checkpoint_ids:
            client.delete_checkpoint(checkpoint_id)
            cli.say(f"deleted {checkpoint_id}")
    if cli.as_json:
        cli.json({"deleted": checkpoint_ids})


def _gc(
    data_dir: Annotated[Path | None, typer.Option(help="Of the server. [SANDBANK_DATA_DIR]")] = None,
    timeout: Annotated[float, typer.Option(help="How many seconds to wait for a server that runs.")] = 600.0,
    as_json: AsJson = False,
) -> None:
    """Remove content that no checkpoint needs and that is over an hour old; for operators, on the server's machine.

    A server that runs does it when asked, and by itself every `checkpoints.collect_every`.
    """
    try:
        server = importlib.import_module("sandbank_server.cli.collect")
    except ModuleNotFoundError as error:
        if error.name != "sandbank_server":
            raise
        typer.echo("`sandbank checkpoints gc` needs the server, which is not installed here.", err=True)
        raise typer.Exit(USAGE) from None
    done = server.collect_checkpoints(data_dir, timeout)
    if as_json:
        typer.echo(json.dumps({key: done[key] for key in ("manifests", "chunks", "freed_bytes")}))
    else:
        typer.echo(f"removed {done['chunks']} chunks, {size(done['freed_bytes'])}")


def _variables(checkpoint: checkpoint_pb2.Checkpoint) -> dict[str, tuple[object, ...]]:
    return {
        each.name: (each.type_name, each.size_bytes, each.fidelity, each.reason)
        for each in checkpoint.variables
    }


def _files(checkpoint: checkpoint_pb2.Checkpoint) -> dict[str, tuple[object, ...]]:
    return {f"./{each.path}": (each.size_bytes, each.sha256, each.reason) for each in checkpoint.files}


def _changes(
    before: dict[str, tuple[object, ...]], after: dict[str, tuple[object, ...]]
) -> list[tuple[str, str]]:
    rows = []
    for name in sorted({*before, *after}):
        if name not in after:
            rows.append(("removed", name))
        elif name not in before:
            rows.append(("added", name))
        elif before[name] != after[name]:
            rows.append(("changed", name))
    return rows


def _print(cli: Cli, checkpoint: checkpoint_pb2.Checkpoint) -> None:
    if cli.as_json:
        cli.json(checkpoint)
        return
    cli.out.print(
        details(
            [
                ("checkpoint", checkpoint.checkpoint_id),
                ("session", checkpoint.session_id),
                ("before it", checkpoint.parent_checkpoint_id),
                ("made", moment(checkpoint.create_time)),
                ("took", span(checkpoint.wall_time)),
                ("size", size(checkpoint.size_bytes)),
                ("new", size(checkpoint.new_bytes)),
                ("executions", checkpoint.execution_count),
                ("last operation", checkpoint.last_operation_id),
                ("python", checkpoint.python_version),
                ("verified", "yes" if checkpoint.verified else "no"),
                ("labels", labels(checkpoint.labels)),
            ]
        )
    )
    rows = [
        (
            each.name,
            each.type_name,
            size(each.size_bytes),
            enum_name(checkpoint_pb2.Fidelity, each.fidelity, "FIDELITY_"),
            each.reason,
        )
        for each in checkpoint.variables
    ]
    cli.out.print(table(("VARIABLE", "TYPE", "SIZE", "FIDELITY", "BECAUSE"), rows))
    if checkpoint.files:
        files = [
            (
                each.path,
                size(each.size_bytes),
                enum_name(checkpoint_pb2.Fidelity, each.fidelity or _EXACT, "FIDELITY_"),
                each.reason,
            )
            for each in checkpoint.files
        ]
        cli.out.print(table(("FILE", "SIZE", "FIDELITY", "BECAUSE"), files))


command(app, "make")(_make)
command(app, "restore")(_restore)
command(app, "list")(_list)
command(app, "show")(_show)
command(app, "diff")(_diff)
command(app, "delete")(_delete)
app.command("gc")(_gc)
