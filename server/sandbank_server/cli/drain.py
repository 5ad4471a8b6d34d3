"""`sandbank drain`."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Annotated

import typer

from sandbank_server.cli.options import fail, load_or_fail
from sandbank_server.instance import InstanceError, Running, find_running
from sandbank_server.shutdown import END

_POLL_SECONDS = 0.05


def drain(
    end: Annotated[bool, typer.Option("--end", help="End all sessions and their sandboxes too.")] = False,
    data_dir: Annotated[Path | None, typer.Option(help="Of the server to end. [SANDBANK_DATA_DIR]")] = None,
    address: Annotated[str, typer.Option(help="End it only if it listens here.")] = "",
    timeout: Annotated[float, typer.Option(help="How many seconds to wait for its end.")] = 120.0,
) -> None:
    """End the server on this machine that uses the data directory, and wait until it has ended.

    It takes no new work, lets open calls go on for a while, and leaves the sandboxes of sessions running
    for the next start, unless --end.
    """
    flags = {} if data_dir is None else {"data_dir": str(data_dir)}
    directory = load_or_fail(flags).settings.data_dir
    try:
        deadline = time.monotonic() + timeout
        running = _find(directory, deadline)
        if running is None:
            raise fail(f"no server runs on {directory}")
        if address and running.address and address != running.address:
            raise fail(f"the server on {directory} listens on {running.address}, not on {address}")
        _signal(running, END if end else signal.SIGTERM)
        while _same(_find(directory, deadline), running):
            if time.monotonic() > deadline:
                raise fail(f"the server (process {running.pid}) has not ended after {timeout:g} s")
            time.sleep(_POLL_SECONDS)
    except InstanceError as error:
        raise fail(str(error)) from None
    typer.echo("drained, and all sessions ended" if end else "drained")


def _signal(running: Running, number: signal.Signals) -> None:
    try:
        os.kill(running.pid, number)
    except ProcessLookupError:
        raise fail(
            f"the server's process {running.pid} is not to be seen from here: is it in a container?"
        ) from None
    except PermissionError:
        raise fail(f"the server (process {running.pid}) belongs to another user") from None


def _find(directory: Path, deadline: float) -> Running | None:
    while True:
        try:
            return find_running(directory)
        except InstanceError:  # it is just starting or ending
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_SECONDS)


def _same(now: Running | None, before: Running) -> bool:
    return now is not None and now.pid == before.pid
