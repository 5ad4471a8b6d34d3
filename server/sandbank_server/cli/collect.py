"""`sandbank checkpoints gc`, the server's part: the client's command line calls it where the server is installed."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

from sandbank_server.cli.options import fail, load_or_fail
from sandbank_server.collecting import COLLECT, REPORT_NAME, collect
from sandbank_server.config import Settings
from sandbank_server.instance import Instance, InstanceError, Running, find_running

_POLL_SECONDS = 0.05
_PATIENCE_SECONDS = 10.0


def collect_checkpoints(data_dir: Path | None, timeout: float) -> dict[str, Any]:
    """Remove what no checkpoint needs and return what was: by the server that runs, or here where none does.

    typer.Exit, with a message, where that cannot be.
    """
    flags = {} if data_dir is None else {"data_dir": str(data_dir)}
    settings = load_or_fail(flags).settings
    try:
        running = _find(settings.data_dir)
        report = _collect_here(settings) if running is None else _ask(running, settings.data_dir, timeout)
    except InstanceError as error:
        raise fail(str(error)) from None
    if report["error"]:
        raise fail(report["error"])
    return report


def _find(directory: Path) -> Running | None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            running = find_running(directory)
        except InstanceError:  # it is just starting or ending
            if time.monotonic() > deadline:
                raise
        else:
            if running is None or running.address:
                return running
            if time.monotonic() > deadline:
                raise InstanceError("a control plane is just starting: try again")
        time.sleep(_POLL_SECONDS)


def _ask(running: Running, directory: Path, timeout: float) -> dict[str, Any]:
    path = directory / REPORT_NAME
    before = _stamp(path)
    try:
        os.kill(running.pid, COLLECT)
    except ProcessLookupError:
        raise fail(
            f"the server's process {running.pid} is not to be seen from here: is it in a container?"
        ) from None
    except PermissionError:
        raise fail(f"the server (process {running.pid}) belongs to another user") from None
    deadline = time.monotonic() + timeout
    while _stamp(path) == before:
        if time.monotonic() > deadline:
            raise fail(f"the server (process {running.pid}) has not reported after {timeout:g} s")
        time.sleep(_POLL_SECONDS)
    report: dict[str, Any] = json.loads(path.read_bytes())
    return report


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return 0, 0
    return status.st_mtime_ns, status.st_ino


def _collect_here(settings: Settings) -> dict[str, Any]:
    from sandbank_server.catalog.base import CatalogError  # noqa: PLC0415 - they take a while to import
    from sandbank_server.catalog.sql import SqlCatalog  # noqa: PLC0415
    from sandbank_server.checkpoints.library import CheckpointLibrary  # noqa: PLC0415
    from sandbank_server.checkpoints.places import open_blobs  # noqa: PLC0415
    from sandbank_server.clock import SystemClock  # noqa: PLC0415

    async def run() -> dict[str, Any]:
        catalog = SqlCatalog(settings.effective_catalog_url)
        await catalog.start()
        blobs = open_blobs(settings.checkpoints, settings.data_dir)
        try:
            return await collect(CheckpointLibrary(blobs, catalog, SystemClock()))
        finally:
            await blobs.close()
            await catalog.close()

    instance = Instance.acquire(settings.data_dir)  # so that no server begins meanwhile
    try:
        return asyncio.run(run())
    except (CatalogError, OSError) as error:
        raise fail(str(error)) from None
    finally:
        instance.release()
