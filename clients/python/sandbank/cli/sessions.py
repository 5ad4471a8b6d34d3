"""`sandbank sessions …`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from sandbank.cli.command import Cli, CommandError, command
from sandbank.cli.tables import age, details, enum_name, labels, moment, table
from sandbank.cli.terminal import plain
from sandbank.v1 import session_pb2

app = typer.Typer(
    help="List, show, reset, rewind, fork, hibernate and end sessions; read their variables.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

SessionId = Annotated[str, typer.Argument(metavar="SESSION", help="The session's id.")]

_NAMES_SHOWN = 20


def state_of(session: session_pb2.Session) -> str:
    """Return a session's state without its prefix."""
    return enum_name(session_pb2.Session.State, session.state, "STATE_")


def lost(recovery: session_pb2.Recovery) -> str:
    """Return how much a recovery cost, empty where nothing was lost."""
    counts = (
        (len(recovery.lost_operation_ids), "operation"),
        (len(recovery.lost_variables), "variable"),
        (len(recovery.lost_files), "file"),
    )
    told = [f"{count} {what}{'s' if count > 1 else ''}" for count, what in counts if count]
    return f"lost {', '.join(told)}" if told else ""


def _some(names: Sequence[str]) -> str:
    """Return the first of many names; `--json` has them all."""
    left = len(names) - _NAMES_SHOWN
    shown = ", ".join(names[:_NAMES_SHOWN])
    return f"{shown} and {left:,} more" if left > 0 else shown


def describe(session: session_pb2.Session) -> Any:
    """Return a session as a table of names and values."""
    recovery = session.last_recovery
    return details(
        [
            ("session", session.session_id),
            ("state", state_of(session)),
            ("", session.state_detail),
            ("template", session.template),
            ("python", session.python_version),
            ("sandbox", session.sandbox_id),
            ("created", moment(session.create_time)),
            ("last active", moment(session.last_active_time)),
            ("expires", moment(session.expire_time)),
            ("executions", session.execution_count),
            ("generation", session.generation),
            ("labels", labels(session.labels)),
            ("checkpoint", session.latest_checkpoint_id),
            ("transaction", session.open_transaction_id),
            ("last recovery", moment(recovery.time)),
            ("", recovery.reason),
            ("from checkpoint", recovery.from_checkpoint_id),
            ("lost operations", _some(recovery.lost_operation_ids)),
            ("lost variables", _some(recovery.lost_variables)),
            ("lost files", _some(recovery.lost_files)),
            ("recomputed", _some(recovery.recomputed)),
        ]
    )


def _list(
    cli: Cli,
    label: Annotated[
        list[str] | None, typer.Option("--label", help="Only with NAME=VALUE; repeatable.")
    ] = None,
    state: Annotated[
        list[str] | None, typer.Option("--state", help="Only in this state; repeatable.")
    ] = None,
) -> None:
    """List sessions, newest first."""
    pairs = [item.partition("=") for item in label or []]
    if any(not sign for _, sign, _ in pairs):
        raise CommandError("--label takes NAME=VALUE")
    with cli.client() as client:
        found = list(client.sessions(labels={name: value for name, _, value in pairs}, states=state or []))
    if cli.as_json:
        cli.json(found)
        return
    rows = [
        (
            s.session_id,
            state_of(s),
            s.template,
            age(s.create_time),
            age(s.last_active_time),
            s.execution_count,
            labels(s.labels),
        )
        for s in found
    ]
    cli.out.print(table(("SESSION", "STATE", "TEMPLATE", "AGE", "ACTIVE", "RUNS", "LABELS"), rows))


def _show(cli: Cli, session: SessionId) -> None:
    """Describe a session."""
    with cli.client() as client:
        found = client.get_session(session)
    cli.json(found) if cli.as_json else cli.out.print(describe(found))


def _delete(
    cli: Cli, session: Annotated[list[str], typer.Argument(metavar="SESSION...", help="The sessions' ids.")]
) -> None:
    """End sessions and destroy their containers."""
    with cli.client() as client:
        for session_id in session:
            client.delete_session(session_id)
            cli.say(f"ended {session_id}")
    if cli.as_json:
        cli.json({"deleted": session})


def _reset(
    cli: Cli,
    session: SessionId,
    keep_files: Annotated[bool, typer.Option("--keep-files", help="Keep the workspace's files.")] = False,
) -> None:
    """Give a session a pristine interpreter."""
    with cli.client() as client:
        found = client.attach(session).reset(keep_files=keep_files)
    cli.json(found) if cli.as_json else cli.out.print(describe(found))


def _fork(
    cli: Cli,
    session: SessionId,
    count: Annotated[int, typer.Option("--count", min=1, help="How many.")] = 1,
) -> None:
    """Make new sessions of a session's state now, and print their ids."""
    with cli.client() as client:
        made = [each.info for each in client.attach(session).fork(count)]
    if cli.as_json:
        cli.json(made)
        return
    for each in made:
        typer.echo(each.session_id)


def _watch(cli: Cli, session: SessionId) -> None:
    """Show what happens to a session, until it ends or Ctrl-C."""
    with cli.client() as client:
        for event in client.attach(session).events():
            if cli.as_json:
                cli.json(event, line=True)
                continue
            kind = event.WhichOneof("event")
            if kind == "session_changed":
                changed = event.session_changed
                told = f"{state_of(changed)} generation {changed.generation} {changed.state_detail}"
            elif kind == "recovery":
                told = "; ".join(filter(None, (f"recovered: {event.recovery.reason}", lost(event.recovery))))
            else:
                told = event.background_output.data.decode("utf-8", "replace").rstrip("\n")
            cli.out.print(f"{moment(event.time)}  {plain(told)}", markup=False)


for _name, _function in (
    ("list", _list),
    ("show", _show),
    ("delete", _delete),
    ("reset", _reset),
    ("fork", _fork),
    ("watch", _watch),
):
    command(app, _name)(_function)
